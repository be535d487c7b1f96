package host

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"sync"
	"syscall"
	"time"

	"example.com/todo/rehearsal/account"
)

const (
	// startLimit is how long instances get to become healthy, in AWS's time.
	// https://docs.aws.amazon.com/apprunner/latest/dg/develop.html
	startLimit = 5 * time.Minute
	// stopLimit is how long an instance gets to end after SIGTERM before it is killed.
	stopLimit = 15 * time.Second
)

// A service is what runs for one App Runner service.
type service struct {
	host  *Host
	front *front

	// life is the scaling's, which lives waits for, and for instances that are leaving.
	life  context.Context
	end   context.CancelFunc
	lives sync.WaitGroup

	// changing is held by what starts instances: a deployment or the scaling.
	changing sync.Mutex
	number   int // of the next instance, for its log's name

	mu      sync.Mutex
	current *revision // nil before the first that became healthy
}

// Deploy implements account.Runtime. (RUN-6)
func (h *Host) Deploy(ctx context.Context, spec account.Service) (string, error) {
	ctx, done, err := h.begin(ctx)
	if err != nil {
		return "", err
	}
	defer done()
	s, err := h.serviceOf(spec.ARN)
	if err != nil {
		return "", err
	}
	if err := s.deploy(ctx, spec); err != nil {
		return s.front.host, err
	}
	return s.front.host, nil
}

func (s *service) deploy(ctx context.Context, spec account.Service) error {
	s.changing.Lock()
	defer s.changing.Unlock()
	next, err := s.host.newRevision(ctx, spec)
	if err != nil {
		return err
	}
	// As many as there are, if they are more than the least: they have work to do.
	started, err := s.startAll(ctx, next, min(max(spec.Scaling.Least, s.front.size()), spec.Scaling.Most))
	if err != nil {
		return errors.Join(err, next.close())
	}
	s.host.Event(spec.ARN, fmt.Sprintf("%d instance(s) of %s run", len(started), next.command.digest))
	s.front.keepOut(spec.Private)
	s.throttleAll(next, started)
	before, old := s.front.turnTo(started, spec.Scaling), s.turnTo(next)
	drain(ctx, before)
	if err := errors.Join(s.stopAll(before), old.close()); err != nil {
		// The deployment has succeeded; App Runner kills what does not end and says nothing.
		s.host.Event(spec.ARN, err.Error())
	}
	return nil
}

// drain waits until instances that get no more requests have answered theirs, which the front's limit bounds. (RUN-6)
// https://docs.aws.amazon.com/AmazonECS/latest/developerguide/task-lifecycle-explanation.html
func drain(ctx context.Context, instances []*instance) {
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		for _, i := range instances {
			i.requests.Wait()
		}
	}()
	select {
	case <-answered:
	case <-ctx.Done():
	}
}

func (h *Host) serviceOf(arn string) (*service, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.services[arn]; s != nil {
		return s, nil
	}
	front, err := newFront(h.authority, h.requestLimit)
	if err != nil {
		return nil, err
	}
	s := &service{host: h, front: front}
	s.life, s.end = context.WithCancel(context.Background())
	s.lives.Go(func() { s.scale(s.life) })
	h.services[arn] = s
	return s, nil
}

// Remove implements account.Runtime.
func (h *Host) Remove(ctx context.Context, arn string) error {
	_, done, err := h.begin(ctx)
	if errors.Is(err, errClosed) {
		return nil
	}
	defer done()
	h.mu.Lock()
	s := h.services[arn]
	delete(h.services, arn)
	h.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.close()
}

func (s *service) close() error {
	s.end()
	err := s.front.close() // and with it the requests that leaving instances answer
	s.lives.Wait()
	return errors.Join(err, s.stopAll(s.front.turnTo(nil, account.Scaling{})), s.turnTo(nil).close())
}

// turnTo has a revision be the current one and answers the one before.
func (s *service) turnTo(next *revision) (before *revision) {
	s.mu.Lock()
	defer s.mu.Unlock()
	before, s.current = s.current, next
	return before
}

// Unreached says what running services have tried to connect to and did not reach, and what their networks lack for it, or
// whom a database did not let in. (NET-1, RDS-34)
func (h *Host) Unreached() []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, arn := range slices.Sorted(maps.Keys(h.services)) {
		s := h.services[arn]
		s.mu.Lock()
		if s.current != nil {
			all = append(all, s.current.missing()...)
		}
		s.mu.Unlock()
	}
	for _, cluster := range slices.Sorted(maps.Keys(h.databases)) {
		all = append(all, h.databases[cluster].notAdmitted()...)
	}
	return all
}

// startAll starts some instances of a revision and answers when all are healthy, or stops them. (RUN-7)
func (s *service) startAll(ctx context.Context, r *revision, count int) ([]*instance, error) {
	ctx, cancel := s.host.Account.Clock.WithTimeout(ctx, s.host.startLimit)
	defer cancel()
	var started []*instance
	for range count {
		i, err := s.start(r)
		if err != nil {
			return nil, errors.Join(err, s.stopAll(started))
		}
		started = append(started, i)
	}
	for _, i := range started {
		if err := i.awaitHealthy(ctx, r.spec.Health); err != nil {
			failure := fmt.Errorf("Health check failed on port '%s'. Check your configured port number. For more information, read the application logs: %w\n%s", r.spec.Port, err, i.lastLines())
			return nil, errors.Join(failure, s.stopAll(started))
		}
	}
	return started, nil
}

// start starts one instance on a port of its own, since the instances here share one machine.
func (s *service) start(r *revision) (*instance, error) {
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
		log: filepath.Join(logs, fmt.Sprintf("%s-%d.log", r.spec.Name, s.number)),
		cmd: exec.Command(r.command.path, r.command.args...),
	}
	file, err := os.Create(i.log)
	if err != nil {
		return nil, fmt.Errorf("make the log of an instance: %w", err)
	}
	i.cmd.Stdout, i.cmd.Stderr = file, file
	i.cmd.Dir = "/"
	i.cmd.Env = append(slices.Clone(r.environment), "PORT="+strconv.Itoa(port))
	// A group of its own, so that Ctrl-C in a terminal reaches us alone and we end it.
	i.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := i.cmd.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start an instance of %s: %w", r.spec.Name, err), file.Close())
	}
	// Fails for a process that has ended, of which the rest of us learns by i.exited.
	i.throttle.signal = func(signal syscall.Signal) { _ = i.cmd.Process.Signal(signal) }
	s.host.noteAddress(i, r.spec.Port)
	s.host.guard.started(i.cmd.Process.Pid)
	r.instances.Go(func() {
		i.err = i.cmd.Wait()
		s.host.guard.ended(i.cmd.Process.Pid)
		_ = file.Close()
		close(i.exited)
		s.front.drop(i)
	})
	return i, nil
}

// stopAll asks instances to end, all at once, and kills those that do not.
func (s *service) stopAll(instances []*instance) error {
	var problems []error
	for _, i := range instances {
		i.throttle.end()
		if err := i.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
			problems = append(problems, fmt.Errorf("stop an instance: %w", err))
		}
	}
	limit, cancel := context.WithTimeout(context.Background(), s.host.stopLimit)
	defer cancel()
	for _, i := range instances {
		select {
		case <-i.exited:
		case <-limit.Done():
			problems = append(problems, fmt.Errorf("an instance did not end within %s of SIGTERM and was killed", s.host.stopLimit), i.cmd.Process.Kill())
			<-i.exited
		}
	}
	return errors.Join(problems...)
}
