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
	"strings"
	"sync"
	"time"

	"example.com/todo/rehearsal/account"
)

// checkEvery is the time between health checks; App Runner's seconds, at fifty times its speed.
const checkEvery = 100 * time.Millisecond

// An instance is one process of the service's program.
type instance struct {
	addr string
	log  string
	cmd  *exec.Cmd
	// exited is closed when the process has ended, err is how.
	exited chan struct{}
	err    error
	// requests are those that the front has sent to it and that are not answered, load is how many; the front's lock guards it.
	requests sync.WaitGroup
	load     int
	throttle throttle
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
			return fmt.Errorf("not healthy in time: %w", errors.Join(ctx.Err(), last))
		}
	}
}

// checker takes a redirect as the answer that it is.
var checker = &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

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
	response, err := checker.Do(request)
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
