package httpapi

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/todo/service/task"
)

// someTasks is a store whose lists are long, or fail.
type someTasks struct {
	Tasks
	long []task.Task
}

func (s someTasks) List(_ context.Context, f task.Filter) ([]task.Task, error) {
	switch f.Limit {
	case 2:
		return nil, errors.New("broken")
	case 3:
		panic("at the request's word")
	}
	return s.long[:min(f.Limit, len(s.long))], nil
}

// serveLong serves long lists, through sockets that take little: else the system takes a page,
// whoever reads it.
func serveLong(t *testing.T) (s *Server, address string) {
	t.Helper()
	long := make([]task.Task, 500)
	for i := range long {
		long[i] = task.Task{Title: strings.Repeat("𐍈", task.MaxTitle)}
	}
	s = New(Config{
		Tasks: someTasks{long: long}, Settings: Settings{BodyLimit: 64 << 10, MaxConnections: 1000},
		Log: slog.New(slog.DiscardHandler), LogOutput: io.Discard,
	})
	small := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) (err error) {
		controlErr := raw.Control(func(fd uintptr) { err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_SNDBUF, 16<<10) })
		return errors.Join(err, controlErr)
	}}
	listener, err := small.Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.Serve(listener) }()
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		if err := errors.Join(listener.Close(), s.Shutdown(ctx), <-served); err != nil {
			t.Error(err)
		}
	})
	return s, listener.Addr().String()
}

// Whatever becomes of a page, its memory is free when its connection goes on or ends.
func TestTheMemoryOfPagesIsGivenBack(t *testing.T) {
	s, address := serveLong(t)
	request := func(method string, limit int) string {
		return fmt.Sprintf("%s %s?limit=%d HTTP/1.1\r\nHost: x\r\n\r\n", method, tasksPath, limit)
	}
	all := newPageMemory().all
	for name, tc := range map[string]struct {
		send  string
		reads int // answers, before the connection is closed
		held  bool
	}{
		"a page":                {request("GET", 500), 1, false},
		"no body":               {request("HEAD", 500), 1, false},
		"an error":              {request("GET", 1), 1, false},
		"a panic":               {request("GET", 2), 1, false},
		"pages one by one":      {strings.Repeat(request("GET", 500), 3), 3, false},
		"a page that is unread": {request("GET", 500), 0, true},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, tc.send); err != nil {
				t.Fatal(err)
			}
			method, _, _ := strings.Cut(tc.send, " ")
			from := bufio.NewReader(conn)
			for range tc.reads {
				r, err := http.ReadResponse(from, &http.Request{Method: method})
				if err != nil {
					t.Fatal(err)
				}
				if _, err := io.Copy(io.Discard, r.Body); err != nil {
					t.Fatal(err)
				}
			}
			free := func() bool {
				if !s.connections.pages.free.TryAcquire(all) {
					return false
				}
				s.connections.pages.free.Release(all)
				return true
			}
			if tc.held {
				until(t, func() bool { return !free() })
				conn.Close()
			}
			until(t, free)
		})
	}
}

// Clients that leave their pages unread do not take the lists from those who read.
func TestWhoDoesNotReadIsClosedForWhoDoes(t *testing.T) {
	s, address := serveLong(t)
	request := fmt.Sprintf("GET %s?limit=500 HTTP/1.1\r\nHost: x\r\n\r\n", tasksPath)
	ask := func() net.Conn {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		return conn
	}
	for s.connections.pages.free.TryAcquire(leastPageMemory) { // until one more page finds no room
		s.connections.pages.free.Release(leastPageMemory)
		ask()
	}
	conn := ask()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != http.StatusOK || n < 1<<20 {
		t.Errorf("who reads gets %s and %d bytes, %v", r.Status, n, err)
	}
}

func until(t *testing.T, condition func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	for !condition() {
		if ctx.Err() != nil {
			t.Fatal("waited in vain")
		}
		time.Sleep(time.Millisecond)
	}
}
