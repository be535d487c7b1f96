// Package stage sets a rehearsal up: one simulated account on one machine, served to the engine as its providers, with
// any number of stacks beside one another.
package stage

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"example.com/todo/rehearsal/docker"
	"example.com/todo/rehearsal/engine"
	"example.com/todo/rehearsal/fault"
	"example.com/todo/rehearsal/host"
	"example.com/todo/rehearsal/provider"
)

// The provider versions that the account was modelled on; infra/go.mod pins the SDKs of the same.
const (
	awsVersion    = "6.83.2"
	dockerVersion = "4.10.0"
)

// A Stage is a place where stacks are deployed. Close it.
type Stage struct {
	// Host runs what the stacks declare.
	Host *host.Host
	// Faults are what goes wrong between the engine's providers and the account.
	Faults *fault.Injector

	root    string
	tools   engine.Tools
	servers map[string]*provider.Server
}

// Root finds the repository that dir is in, by its Pulumi.yaml.
func Root(dir string) (string, error) {
	for at := dir; ; at = filepath.Dir(at) {
		if _, err := os.Stat(filepath.Join(at, "Pulumi.yaml")); err == nil {
			return at, nil
		} else if !errors.Is(err, os.ErrNotExist) {
			return "", fmt.Errorf("look for Pulumi.yaml: %w", err)
		}
		if at == filepath.Dir(at) {
			return "", fmt.Errorf("no Pulumi.yaml in %s or above it: run this inside the repository", dir)
		}
	}
}

// Prepare does what takes minutes the first time: it builds the engine where there is none and compiles the program.
func Prepare(ctx context.Context, root string, log io.Writer) (engine.Tools, error) {
	tools, err := engine.FindTools(ctx, root, log)
	if err != nil {
		return engine.Tools{}, err
	}
	return tools, engine.Compile(ctx, filepath.Join(root, "infra"), log)
}

// Open sets a stage up for the repository at root. Progress goes to log.
func Open(ctx context.Context, root string, log io.Writer) (*Stage, error) {
	tools, err := Prepare(ctx, root, log)
	if err != nil {
		return nil, err
	}
	h, err := host.New(log)
	if err != nil {
		return nil, err
	}
	h.Throttled = true
	s := &Stage{Host: h, Faults: fault.NewInjector(h.Account.Clock), root: root, tools: tools, servers: map[string]*provider.Server{}}
	images, err := h.Folder("images")
	if err != nil {
		return nil, errors.Join(err, s.Close())
	}
	builder := &docker.Docker{Program: filepath.Join(root, "infra"), Registry: h.Registry(), Build: docker.Build(images)}
	for _, p := range []struct {
		name, version string
		cloud         provider.Cloud
	}{{"aws", awsVersion, h.Account}, {"docker", dockerVersion, builder}} {
		server, err := provider.Serve(p.name, p.version, s.Faults.Wrap(p.cloud))
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.servers[p.name] = server
	}
	return s, nil
}

// Stack makes an empty stack of the repository's project on this stage.
func (s *Stage) Stack(ctx context.Context, name string) (*engine.Stack, error) {
	dir, err := s.Host.Folder("stack-" + name)
	if err != nil {
		return nil, err
	}
	return engine.NewStack(ctx, s.tools, s.root, name, dir, provider.Attach(s.servers))
}

// Ready asks the service at url, as a client would, whether it has all that it needs. The error is what the service says, and
// what the network lacks for connections that the service has tried in vain.
//
// It asks twice before it believes that: on a database that is new, one instance makes what all need, others wait for that, and
// the one has the processor only when it is asked something.
func (s *Stage) Ready(ctx context.Context, url string) error {
	pem, err := os.ReadFile(s.Host.RootCertificates())
	if err != nil {
		return fmt.Errorf("read the root certificate: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("ask the service: %w", err)
	}
	var answer error
	for range 2 {
		if answer, err = ask(client, request); answer == nil {
			return err
		}
	}
	problems := []error{answer, err}
	for _, missing := range s.Host.Unreached() {
		problems = append(problems, errors.New(missing))
	}
	return errors.Join(problems...)
}

// ask gives what the service answers to a request if that is not 200, apart from the error of asking.
func ask(client *http.Client, request *http.Request) (answer, err error) {
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("ask the service: %w", err)
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode == http.StatusOK {
		return nil, nil
	}
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	return fmt.Errorf("GET %s answered %s: %s", request.URL, response.Status, body), err
}

// Close ends everything that runs on the stage and removes what it wrote.
func (s *Stage) Close() error {
	var problems []error
	for _, server := range s.servers {
		problems = append(problems, server.Close())
	}
	problems = append(problems, s.Host.Close())
	s.Faults.Wait()
	return errors.Join(problems...)
}

// RestartProviders ends the processes of all providers, whatever they are doing, and starts them anew.
func (s *Stage) RestartProviders() error {
	var problems []error
	for _, server := range s.servers {
		problems = append(problems, server.Restart())
	}
	return errors.Join(problems...)
}
