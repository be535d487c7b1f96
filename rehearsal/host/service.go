package host

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"example.com/todo/rehearsal/account"
)

const (
	// startLimit is how long instances get to become healthy; App Runner's five minutes, at ten times its speed.
	// https://docs.aws.amazon.com/apprunner/latest/dg/develop.html
	startLimit = 30 * time.Second
	// stopLimit is how long an instance gets to end after SIGTERM before it is killed.
	stopLimit = 15 * time.Second
	// checkEvery is the time between health checks; App Runner's seconds, at fifty times its speed.
	checkEvery = 100 * time.Millisecond
)

// A service is what runs for one App Runner service.
type service struct {
	host   *Host
	front  *front
	number int // of the next instance, for its log's name
}

// An instance is one process of the service's program.
type instance struct {
	addr string
	log  string
	cmd  *exec.Cmd
	// exited is closed when the process has ended, err is how.
	exited chan struct{}
	err    error
}

// Deploy implements account.Runtime.
func (h *Host) Deploy(ctx context.Context, spec account.Service) (string, error) {
	s, err := h.serviceOf(spec.ARN)
	if err != nil {
		return "", err
	}
	started, err := s.startAll(ctx, spec)
	if err != nil {
		return s.front.host, err
	}
	h.Event(spec.ARN, fmt.Sprintf("%d instance(s) of %s run", len(started), spec.Image.Digest))
	return s.front.host, stopAll(s.front.turnTo(started))
}

func (h *Host) serviceOf(arn string) (*service, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return nil, errors.New("the host is closed")
	}
	if s := h.services[arn]; s != nil {
		return s, nil
	}
	front, err := newFront(h.authority)
	if err != nil {
		return nil, err
	}
	h.services[arn] = &service{host: h, front: front}
	return h.services[arn], nil
}

// Remove implements account.Runtime.
func (h *Host) Remove(ctx context.Context, arn string) error {
	h.mu.Lock()
	s := h.services[arn]
	delete(h.services, arn)
	h.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.close(ctx)
}

func (s *service) close(context.Context) error {
	return errors.Join(s.front.close(), stopAll(s.front.turnTo(nil)))
}

// startAll starts a revision's instances and answers when all are healthy, or stops them.
func (s *service) startAll(ctx context.Context, spec account.Service) ([]*instance, error) {
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	environment, err := s.environment(spec)
	if err != nil {
		return nil, err
	}
	var started []*instance
	for range spec.Instances {
		i, err := s.start(spec, environment)
		if err != nil {
			return nil, errors.Join(err, stopAll(started))
		}
		started = append(started, i)
	}
	for _, i := range started {
		if err := i.awaitHealthy(ctx, spec.Health); err != nil {
			failure := fmt.Errorf("Health check failed on port '%s'. Check your configured port number. For more information, read the application logs: %w\n%s", spec.Port, err, i.lastLines())
			return nil, errors.Join(failure, stopAll(started))
		}
	}
	return started, nil
}

// environment is what the plan gives the service and what the platform adds: the role's credentials, where
// the endpoints of this simulation are, and the root certificates that vouch for them.
func (s *service) environment(spec account.Service) ([]string, error) {
	variables := map[string]string{}
	for name, value := range spec.Environment {
		variables[name] = value
	}
	variables["SSL_CERT_FILE"] = s.host.RootCertificates()
	variables["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = s.host.platform.awsURL
	// The service listens on every interface of its container; this machine is no container.
	variables["LISTEN_HOST"] = loopback
	if spec.RoleARN != "" {
		url, token, err := s.host.platform.grant(spec.RoleARN)
		if err != nil {
			return nil, err
		}
		variables["AWS_CONTAINER_CREDENTIALS_FULL_URI"] = url
		variables["AWS_CONTAINER_AUTHORIZATION_TOKEN"] = token
	}
	for _, value := range spec.Environment {
		if slices.Contains(spec.Databases, value) {
			if addr, running := s.host.resolve(value); running {
				variables["DATABASE_HOSTADDR"] = addr
			}
		}
	}
	var environment []string
	for name, value := range variables {
		environment = append(environment, name+"="+value)
	}
	return environment, nil
}

// start starts one instance on a port of its own, since the instances here share one machine.
func (s *service) start(spec account.Service, environment []string) (*instance, error) {
	port, err := freePort()
	if err != nil {
		return nil, err
	}
	logs, err := s.host.Folder("logs")
	if err != nil {
		return nil, err
	}
	s.number++
	i := &instance{
		addr: net.JoinHostPort(loopback, strconv.Itoa(port)), exited: make(chan struct{}),
		log: filepath.Join(logs, fmt.Sprintf("%s-%d.log", spec.Name, s.number)),
		cmd: exec.Command(spec.Image.Program),
	}
	file, err := os.Create(i.log)
	if err != nil {
		return nil, fmt.Errorf("make the log of an instance: %w", err)
	}
	i.cmd.Stdout, i.cmd.Stderr = file, file
	i.cmd.Dir = "/"
	i.cmd.Env = append(slices.Clone(environment), "PORT="+strconv.Itoa(port))
	// A group of its own, so that Ctrl-C in a terminal reaches us alone and we end it.
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := i.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start an instance of %s: %w", spec.Name, err), file.Close())
	}
	s.host.guard.started(i.cmd.Process.Pid)
	go func() {
		i.err = i.cmd.Wait()
		s.host.guard.ended(i.cmd.Process.Pid)
		_ = file.Close()
		close(i.exited)
	}()
	return i, nil
}

// awaitHealthy checks the instance as App Runner does until it has been healthy often enough.
func (i *instance) awaitHealthy(ctx context.Context, check account.HealthCheck) error {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	healthy := 0
	var last error
	for {
		if last = i.check(ctx, check); last == nil {
			healthy++
		} else {
			healthy = 0
		}
		if healthy >= max(check.Healthy, 1) {
			return nil
		}
		select {
		case <-ticker.C:
		case <-i.exited:
			return fmt.Errorf("the program ended: %w", errors.Join(errors.New("exit before it was healthy"), i.err))
		case <-ctx.Done():
			return fmt.Errorf("not healthy in time: %w", last)
		}
	}
}

func (i *instance) check(ctx context.Context, check account.HealthCheck) error {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(max(check.Timeout, 1))*time.Second)
	defer cancel()
	if check.Protocol != "HTTP" {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp4", i.addr)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+i.addr+check.Path, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode < 200 || response.StatusCode > 299 {
		return fmt.Errorf("GET %s answered %s", check.Path, response.Status)
	}
	return nil
}

// stopAll asks instances to end, all at once, and kills those that do not.
func stopAll(instances []*instance) error {
	var problems []error
	for _, i := range instances {
		if err := i.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			problems = append(problems, fmt.Errorf("stop an instance: %w", err))
		}
	}
	limit := time.After(stopLimit)
	for _, i := range instances {
		select {
		case <-i.exited:
		case <-limit:
			problems = append(problems, fmt.Errorf("an instance did not end within %s of SIGTERM and was killed", stopLimit), i.cmd.Process.Kill())
			<-i.exited
		}
	}
	return errors.Join(problems...)
}

func (i *instance) lastLines() string {
	text, err := os.ReadFile(i.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return strings.Join(lines[max(0, len(lines)-10):], "\n")
}

func freePort() (int, error) {
	listener, err := net.Listen("tcp4", loopback+":0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	return port, listener.Close()
}
