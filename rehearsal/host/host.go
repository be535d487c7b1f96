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
	"time"

	"example.com/todo/rehearsal/account"
)

const loopback = "127.0.0.1"

// A Host is one machine that stands in for AWS's. It implements account.Runtime.
type Host struct {
	// Account is the account whose resources run here.
	Account *account.Account
	// Throttled instances have no processor while there is no request to answer. With HealthChecks they have it for those, too, the
	// lenient reading of what AWS does. What is set holds for later instances. (AR-33)
	Throttled, HealthChecks bool

	dir       string
	log       io.Writer
	authority *authority
	platform  *platform
	registry  *registry
	console   *console
	guard     *guard

	startLimit, stopLimit, requestLimit time.Duration

	unpacking sync.Mutex

	// ending is done when Close has begun; operations are what it then waits for.
	ending     context.Context
	end        context.CancelFunc
	operations sync.WaitGroup

	mu        sync.Mutex
	databases map[string]*database // by cluster
	services  map[string]*service  // by ARN
	inside    map[string]inside    // by an instance's log
	closed    bool
}

// New starts a host with an empty account. What it writes goes into a folder of its own, which Close removes; so does
// the end of this process, however it ends. What people may want to know goes to log.
func New(log io.Writer) (*Host, error) {
	dir, err := os.MkdirTemp("", "todo-rehearsal-")
	if err != nil {
		return nil, fmt.Errorf("make a folder for the rehearsal: %w", err)
	}
	h := &Host{
		dir: dir, log: log, databases: map[string]*database{}, services: map[string]*service{}, inside: map[string]inside{},
		startLimit: startLimit, stopLimit: stopLimit, requestLimit: requestLimit,
	}
	h.ending, h.end = context.WithCancel(context.Background())
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
	if h.registry, err = startRegistry(h.Account, h.authority); err != nil {
		return nil, errors.Join(err, h.Close())
	}
	h.console = &console{host: h}
	console, err := h.platform.serve(h.console, nil)
	if err != nil {
		return nil, errors.Join(err, h.Close())
	}
	h.console.url = "http://" + console
	return h, nil
}

var errClosed = errors.New("the host is closed")

// begin starts an operation, which Close cuts short and waits for, so that it leaves nothing behind. (RUN-8)
func (h *Host) begin(ctx context.Context) (begun context.Context, done func(), err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, nil, errClosed
	}
	h.operations.Add(1)
	begun, cancel := context.WithCancel(ctx)
	unlink := context.AfterFunc(h.ending, cancel)
	return begun, func() { unlink(); cancel(); h.operations.Done() }, nil
}

// Folder is a folder below the host's own, made if need be.
func (h *Host) Folder(name string) (string, error) {
	path := filepath.Join(h.dir, name)
	// Not MkdirAll, which would bring back the folder of a closed host.
	if err := os.Mkdir(path, 0o700); err != nil && !errors.Is(err, os.ErrExist) {
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

// Close ends what is under way, stops everything and removes the folder. (RUN-8)
func (h *Host) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	h.mu.Unlock()
	h.end()
	h.operations.Wait()

	h.mu.Lock()
	services, databases := h.services, h.databases
	h.services, h.databases = map[string]*service{}, map[string]*database{}
	h.mu.Unlock()
	var problems []error
	for _, s := range services {
		problems = append(problems, s.close())
	}
	for _, d := range databases {
		problems = append(problems, d.close())
	}
	if h.platform != nil {
		problems = append(problems, h.platform.close())
	}
	if h.registry != nil {
		problems = append(problems, h.registry.close())
	}
	return errors.Join(append(problems, h.guard.release())...)
}
