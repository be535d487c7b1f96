package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
)

// abuses are what a client may do to hold on to a connection for as long as it can. Each
// ends when the service cuts it, and gives the status of the last answer, 0 for none.
var abuses = map[string]struct {
	do     func(net.Conn) int
	status int
}{
	"says nothing": {func(c net.Conn) int { return last(c) }, 408},
	"sends its headers byte by byte": {func(c net.Conn) int {
		return trickle(c, "GET "+tasks+" HTTP/1.1\r\nHost: x\r\nX-Slow: ")
	}, 408},
	"sends its body byte by byte": {func(c net.Conn) int {
		return trickle(c, "POST "+tasks+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 60000\r\n\r\n")
	}, 408},
	"sends its chunks byte by byte": {func(c net.Conn) int {
		return trickle(c, "POST "+tasks+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nffff\r\n")
	}, 408},
	"sends no second request": {func(c net.Conn) int {
		return trickle(c, "GET /version HTTP/1.1\r\nHost: x\r\n\r\nGET /version HTTP/1.1\r\nX-Slow: ")
	}, 408},
	"sends headers without end": {func(c net.Conn) int {
		return flood(c, "GET "+tasks+" HTTP/1.1\r\nHost: x\r\n", "X-More: "+strings.Repeat("x", 1000)+"\r\n")
	}, 431},
	"sends chunks without end": {func(c net.Conn) int {
		return flood(c, "POST "+tasks+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n", "400\r\n"+strings.Repeat("x", 1024)+"\r\n")
	}, 413},
	"sends a body without end": {func(c net.Conn) int {
		return flood(c, "POST "+tasks+" HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 9000000000\r\n\r\n", strings.Repeat("x", 1024))
	}, 413},
	"sends the extension of a chunk without end": {func(c net.Conn) int {
		return flood(c, "POST "+tasks+" HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", strings.Repeat("x", 1024))
	}, 408},
	"reads no answer": {func(c net.Conn) int {
		for {
			if _, err := io.WriteString(c, "GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return 0
			}
		}
	}, 0},
}

// trickle sends a byte at a time until nobody takes it.
func trickle(c net.Conn, first string) int {
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for {
			if _, err := io.WriteString(c, first); err != nil {
				return
			}
			first = "x"
			time.Sleep(50 * time.Millisecond) // is what the client does, and waits for nothing
		}
	}()
	defer func() { <-stop }()
	defer c.Close()
	return last(c)
}

// flood sends more and more until nobody takes it.
func flood(c net.Conn, first, more string) int {
	stop := make(chan struct{})
	go func() {
		defer close(stop)
		for {
			if _, err := io.WriteString(c, first); err != nil {
				return
			}
			first = more
		}
	}()
	defer func() { <-stop }()
	defer c.Close()
	return last(c)
}

// last reads answers until the service closes the connection.
func last(c net.Conn) (status int) {
	for r := bufio.NewReader(c); ; {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			return status
		}
		_, err = io.Copy(io.Discard, res.Body)
		res.Body.Close()
		if err != nil {
			return status
		}
		status = res.StatusCode
	}
}

// Clients that want to use the service up are cut, in bounded time and memory, while the
// others are served.
func TestAbuse(t *testing.T) {
	t.Parallel()
	const (
		each     = 20 // connections of each kind
		memoryMB = 64
	)
	api, cmd := launch(t, env{envDatabaseURL: postgrestest.Database(t)})
	before := descriptors(t, cmd)

	var wg sync.WaitGroup
	for name, abuse := range abuses {
		for range each {
			conn := api.dial(t)
			wg.Go(func() {
				defer conn.Close()
				if got := abuse.do(conn); got != abuse.status {
					t.Errorf("a client that %s was answered %d, want %d", name, got, abuse.status)
				}
				if _, err := conn.Write([]byte("x")); errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("a client that %s was not cut", name)
				}
			})
		}
	}
	abused := make(chan struct{})
	go func() { wg.Wait(); close(abused) }()

	served := 0
	for done := false; !done; served++ {
		select {
		case <-abused:
			done = true
		default:
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		made, err := api.try(ctx, "POST", tasks, fmt.Sprintf(`{"title":"task %d"}`, served), nil)
		if err != nil || made.status != 201 {
			t.Fatalf("request %d of a client that behaves: %d %s %v", served, made.status, made.body, err)
		}
		if r, err := api.try(ctx, "GET", made.header.Get("Location"), "", nil); err != nil || r.body != made.body {
			t.Fatalf("request %d of a client that behaves: %d %s %v", served, r.status, r.body, err)
		}
		cancel()
	}
	if peak := memoryPeak(t, cmd); peak > memoryMB<<10 {
		t.Errorf("%d KiB at the peak, want at most %d MiB", peak, memoryMB)
	} else {
		t.Logf("%d KiB at the peak, and %d requests of a client that behaves", peak, served)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for after := descriptors(t, cmd); after > before+4; after = descriptors(t, cmd) { // the pool's connections are new
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d open files, %d before", after, before)
		}
	}
}

// A process that may open no more files serves on with those that it has.
func TestOutOfFiles(t *testing.T) {
	binary, err := built()
	if err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	cmd := exec.Command("sh", "-c", `ulimit -n 40 && exec "$0"`, binary)
	cmd.Env = []string{envDatabaseURL + "=postgres://127.0.0.1:1/none", envListenHost + "=127.0.0.1", envPort + "=" + port}
	log := &lines{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, cmd) })
	api := instance{url: "http://127.0.0.1:" + port, log: log}
	api.await(t, "/", func(r response) bool { return r.status == 200 })
	crowd := make([]net.Conn, 100)
	for i := range crowd {
		crowd[i] = api.dial(t)
	}
	log.await(t, func() bool { return strings.Contains(log.String(), "too many open files") })
	for _, conn := range crowd {
		conn.Close()
	}
	api.await(t, "/", func(r response) bool { return r.status == 200 })
}

// memoryPeak is the most that a process has had in memory, in KiB.
func memoryPeak(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
	if err != nil {
		t.Logf("no /proc here: %v", err)
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.Atoi(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(value), "kB")))
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("no VmHWM in:\n%s", b)
	return 0
}

func descriptors(t *testing.T, cmd *exec.Cmd) int {
	t.Helper()
	open, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", cmd.Process.Pid))
	if err != nil {
		t.Logf("no /proc here: %v", err)
		return 0
	}
	return len(open)
}
