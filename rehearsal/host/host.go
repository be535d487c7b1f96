// Package host really runs what a simulated account declares, on loopback: PostgreSQL with TLS behind a proxy,
// the service's instances behind a TLS front, and the AWS endpoints that the instances ask.
package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"

	"example.com/todo/rehearsal/account"
)

const loopback = "127.0.0.1"

// A Host is one machine that stands in for AWS's. It implements account.Runtime.
type Host struct {
	// Account is the account whose resources run here.
	Account *account.Account

	dir       string
	log       io.Writer
	authority *authority
	platform  *platform
	guard     *guard

	mu        sync.Mutex
	databases map[string]*database // by cluster
	services  map[string]*service  // by ARN
	closed    bool
}

// New starts a host with an empty account. What it writes goes into a folder of its own, which Close removes; so does
// the end of this process, however it ends. What people may want to know goes to log.
func New(log io.Writer) (*Host, error) {
	dir, err := os.MkdirTemp("", "todo-rehearsal-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the rehearsal: %w", err)
	}
	h := &Host{dir: dir, log: log, databases: map[string]*database{}, services: map[string]*service{}}
	h.Account = account.New(h)
	if h.guard, err = startGuard(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if h.authority, err = newAuthority(h.RootCertificates()); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	if h.platform, err = startPlatform(h.Account, h.authority); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	return h, nil
}

// Folder is a folder below the host's own, made if need be.
func (h *Host) Folder(name string) (string, error) {
	path := filepath.Join(h.dir, name)
	if err := os.MkdirAll(path, 0o700); err != nil {
		return "", fmt.Errorf("make a folder: %w", err)
	}
	return path, nil
}

// RootCertificates is the file with the certificate that vouches for everything here, for `curl --cacert`.
func (h *Host) RootCertificates() string { return filepath.Join(h.dir, "ca.pem") }

// Event implements account.Runtime.
func (h *Host) Event(arn, text string) {
	fmt.Fprintf(h.log, "app runner: %s: %s\n", arn, text)
}

// Running counts databases and instances, for a check that nothing is left.
func (h *Host) Running() (databases, instances int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.services {
		instances += s.front.size()
	}
	return len(h.databases), instances
}

// Close stops everything and removes the folder.
func (h *Host) Close() error {
	h.mu.Lock()
	h.closed = true
	services, databases := h.services, h.databases
	h.services, h.databases = map[string]*service{}, map[string]*database{}
	h.mu.Unlock()
	var problems []error
	for _, s := range services {
		problems = append(problems, s.close(context.Background()))
	}
	for _, d := range databases {
		problems = append(problems, d.close())
	}
	if h.platform != nil {
		problems = append(problems, h.platform.close())
	}
	return errors.Join(append(problems, h.guard.release())...)
}
