package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"syscall"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
)

// caller is a client that keeps its connection and, unlike net/http, tells what became
// of each request on the wire and never sends one twice.
type caller struct {
	addr   string
	conn   net.Conn // nil when there is none
	reader *bufio.Reader
}

// Neither means that the service has taken the request.
var (
	errRefused = errors.New("the connection was refused")
	errClosed  = errors.New("the connection was closed before any byte of an answer")
)

func (c *caller) hangUp() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// post makes a task with the name as its title and as the request's id.
func (c *caller) post(ctx context.Context, name string) (status int, err error) {
	if c.conn == nil {
		if c.conn, err = (&net.Dialer{}).DialContext(ctx, "tcp", c.addr); err != nil {
			c.conn = nil
			return 0, errors.Join(errRefused, err)
		}
		c.reader = bufio.NewReader(c.conn)
		conn := c.conn
		context.AfterFunc(ctx, func() { conn.Close() })
	}
	body := fmt.Sprintf(`{"title":%q}`, name)
	_, err = fmt.Fprintf(c.conn, "POST %s HTTP/1.1\r\nHost: todo\r\nContent-Type: application/json\r\nX-Request-Id: %s\r\nContent-Length: %d\r\n\r\n%s",
		tasks, name, len(body), body)
	if err == nil {
		_, err = c.reader.Peek(1)
	}
	if err != nil {
		c.hangUp()
		return 0, errors.Join(errClosed, err)
	}
	r, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return 0, err
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return 0, err
	}
	if r.Close {
		c.hangUp()
	}
	return r.StatusCode, nil
}

// tally is what became of requests, by their names.
type tally struct {
	mu       sync.Mutex
	answered map[string]bool
	lost     map[string]error
}

func (y *tally) size() int {
	y.mu.Lock()
	defer y.mu.Unlock()
	return len(y.answered)
}

// post notes what became of a request, and says whether it was answered.
func (y *tally) post(ctx context.Context, t *testing.T, c *caller, name string) bool {
	status, err := c.post(ctx, name)
	y.mu.Lock()
	defer y.mu.Unlock()
	switch {
	case err == nil && status == http.StatusCreated:
		y.answered[name] = true
	case errors.Is(err, errClosed):
		y.lost[name] = err
	case !errors.Is(err, errRefused):
		t.Errorf("%s: %d %v", name, status, err)
	}
	return err == nil
}

// A client may find its connection closed between two requests, since the service
// cannot know that one is on its way. But what it has taken, it answers.
func TestStopUnderLoad(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.Database(t)
	db := connect(t, dsn)
	for round := range 5 {
		stopUnderLoad(t, db, dsn, round)
	}
}

func stopUnderLoad(t *testing.T, db session, dsn string, round int) {
	api, cmd := launch(t, env{envDatabaseURL: dsn})
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	y := &tally{answered: map[string]bool{}, lost: map[string]error{}}
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			c := &caller{addr: strings.TrimPrefix(api.url, "http://")}
			defer c.hangUp()
			for k := 0; y.post(ctx, t, c, fmt.Sprintf("%d-%d-%d", round, n, k)); k++ {
			}
		})
	}
	idle := &caller{addr: strings.TrimPrefix(api.url, "http://")}
	defer idle.hangUp()
	y.post(ctx, t, idle, fmt.Sprintf("%d-idle", round))
	if !comesTrue(t, patience, func() bool { return y.size() > 500 }) {
		t.Fatalf("%d requests were answered", y.size())
	}
	stop(t, cmd)
	wg.Wait()
	taken := api.log.with(t, "route", "/api/v1/tasks")
	for _, record := range taken {
		if name := record["request_id"].(string); !y.answered[name] {
			t.Errorf("request %s was taken and got no answer: %v", name, y.lost[name])
		}
	}
	if n := db.count(fmt.Sprintf("tasks WHERE title LIKE '%d-%%'", round)); n != len(y.answered) {
		t.Errorf("%d tasks were made, %d acknowledged", n, len(y.answered))
	}
	t.Logf("%d taken, %d answered, %d met a closed connection", len(taken), len(y.answered), len(y.lost))
}

// Whoever keeps a connection is told that it ends, rather than finds it cut under the
// next request.
func TestStopTakesLeave(t *testing.T) {
	t.Parallel()
	api, cmd := launch(t, env{envDatabaseURL: "postgres://127.0.0.1:1/none"})
	c := &caller{addr: strings.TrimPrefix(api.url, "http://")}
	defer c.hangUp()
	if status, err := c.post(t.Context(), "before"); err != nil || status != http.StatusServiceUnavailable || c.conn == nil {
		t.Fatalf("%d %v, kept %t", status, err, c.conn != nil)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	api.log.await(t, func() bool { return strings.Contains(api.log.String(), `"msg":"stopping"`) })
	if status, err := c.post(t.Context(), "after"); err != nil || status != http.StatusServiceUnavailable || c.conn != nil {
		t.Errorf("%d %v, kept %t", status, err, c.conn != nil)
	}
}

// A connection on which nobody asks for anything, or does not come to an end, holds up
// nothing.
func TestStopWithSilentClients(t *testing.T) {
	t.Parallel()
	api, cmd := launch(t, env{envDatabaseURL: "postgres://127.0.0.1:1/none"})
	for _, said := range []string{"", "GET / HTTP/1.1\r\nHost", "GET / HTTP/1.1\r\nHost: todo\r\n\r\n", "POST /api/v1/tasks HTTP/1.1\r\nHost: todo\r\nContent-Length: 5\r\n\r\n{"} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(api.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, said); err != nil {
			t.Fatal(err)
		}
	}
	api.do(t, "GET", "/", "", nil) // came after them
	stop(t, cmd)
}

// What waits for the database is answered too: by what comes of it, or with 503 when
// that takes longer than there is.
func TestStopWithSlowRequests(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.Database(t)
	api, cmd := launch(t, env{envDatabaseURL: dsn})
	brief, long := api.create(t, "brief", false), api.create(t, "long", false)
	db, briefLock, longLock := connect(t, dsn), connect(t, dsn), connect(t, dsn)
	briefLock.exec("BEGIN; SELECT FROM tasks WHERE title = 'brief' FOR UPDATE")
	longLock.exec("BEGIN; SELECT FROM tasks WHERE title = 'long' FOR UPDATE")
	var wg sync.WaitGroup
	wg.Go(func() {
		if r := api.ask(t, "PATCH", brief, `{"completed":true}`); r.status != http.StatusOK {
			t.Errorf("the lock was given back: %d %s", r.status, r.body)
		}
	})
	wg.Go(func() {
		if err := unavailable(api.ask(t, "PATCH", long, `{"completed":true}`)); err != nil {
			t.Errorf("the lock stays: %v", err)
		}
	})
	if !comesTrue(t, patience, func() bool { return db.count(waiting) == 2 }) {
		t.Fatal("the requests do not wait")
	}
	wg.Go(func() {
		if comesTrue(t, patience, func() bool { return strings.Contains(api.log.String(), `"msg":"stopping"`) }) {
			briefLock.exec("COMMIT")
		}
	})
	stop(t, cmd)
	wg.Wait()
	longLock.exec("ROLLBACK")
}

func TestStopWhileTheDatabaseSleeps(t *testing.T) {
	t.Parallel()
	road := newRoad(t, "postgres://u:p@127.0.0.1:1/todo?sslmode=disable")
	road.stall()
	api, cmd := launch(t, env{envDatabaseURL: road.dsn})
	answered := api.underWay(t)
	stop(t, cmd)
	if err := unavailable(<-answered); err != nil {
		t.Errorf("the request under way: %v", err)
	}
}

// The sessions are there, and nothing comes back from them any more.
func TestStopWhileTheDatabaseStalls(t *testing.T) {
	t.Parallel()
	road := newRoad(t, postgrestest.Database(t))
	api, cmd := launch(t, env{envDatabaseURL: road.dsn})
	api.crowd(t, 20, api.create(t, "x", false))
	road.stall()
	answered := api.underWay(t)
	stop(t, cmd)
	if err := unavailable(<-answered); err != nil {
		t.Errorf("the request under way: %v", err)
	}
}

// underWay begins a request, gives what will be its answer, and returns when the
// service has begun with it.
func (i instance) underWay(t *testing.T) <-chan response {
	t.Helper()
	reached := make(chan struct{})
	ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{Got100Continue: func() { close(reached) }})
	answered := make(chan response, 1)
	go func() {
		r, err := i.try(ctx, "POST", tasks, `{"title":"x"}`, header{"Expect": "100-continue"})
		if err != nil {
			t.Error(err)
		}
		answered <- r
	}()
	<-reached
	return answered
}
