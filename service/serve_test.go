package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait for a condition; a test that needs it all has failed.
const patience = 60 * time.Second

// env is an environment as run reads it.
type env map[string]string

func (e env) get(name string) string { return e[name] }

// unlimited lifts the limit of the rate, which all tests together would exceed as they
// come from one address, unless a test says something about it.
func (e env) unlimited() {
	if _, ok := e[envRateLimit]; !ok {
		e[envRateLimit] = "0"
	}
}

// instance is the service, running in this process or in its own.
type instance struct {
	url string
	log *lines
	key string // presented with each request, if there is one
}

// serve runs the service in this process, where the race detector sees it, until
// the test ends.
func serve(t *testing.T, e env) instance {
	t.Helper()
	e.unlimited()
	port := freePort(t)
	e[envPort] = port
	log := &lines{}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, e.get, log) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Errorf("run: %v", err)
		}
		log.inTime(t)
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	i := instance{url: "http://127.0.0.1:" + port, log: log}
	i.await(t, "/", func(r response) bool { return r.status == http.StatusOK })
	return i
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// response is an answer, read whole.
type response struct {
	status int
	header http.Header
	body   string
}

func (r response) json(t *testing.T) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(r.body), &m); err != nil {
		t.Fatalf("%d %q is not a JSON object: %v", r.status, r.body, err)
	}
	return m
}

type header map[string]string

func (i instance) try(ctx context.Context, method, path, body string, h header) (response, error) {
	return i.tryBy(ctx, client, method, path, body, h)
}

// tryBy sends the request by that client, which may keep connections.
func (i instance) tryBy(ctx context.Context, client *http.Client, method, path, body string, h header) (response, error) {
	req, err := http.NewRequestWithContext(ctx, method, i.url+path, strings.NewReader(body))
	if err != nil {
		return response{}, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if i.key != "" {
		req.Header.Set("Authorization", "Bearer "+i.key)
	}
	for k, v := range h {
		req.Header.Set(k, v)
	}
	res, err := client.Do(req)
	if err != nil {
		return response{}, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	return response{res.StatusCode, res.Header, string(b)}, err
}

// client leaves no connection behind for a shutdown to wait for.
var client = &http.Client{Transport: &http.Transport{DisableKeepAlives: true, ExpectContinueTimeout: patience}}

func (i instance) do(t *testing.T, method, path, body string, h header) response {
	t.Helper()
	r, err := i.try(t.Context(), method, path, body, h)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return r
}

// await asks until the answer is as wanted.
func (i instance) await(t *testing.T, path string, wanted func(response) bool) response {
	t.Helper()
	return i.awaitWith(t, path, nil, wanted)
}

func (i instance) awaitWith(t *testing.T, path string, h header, wanted func(response) bool) response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		r, err := i.try(ctx, http.MethodGet, path, "", h)
		if err == nil && wanted(r) {
			return r
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("GET %s stayed %d %s %v; log:\n%s", path, r.status, r.body, err, i.log)
		}
	}
}

// lines is a log that may be read while it is written.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// with gives the records whose key has that value.
func (l *lines) with(t *testing.T, key string, value any) []map[string]any {
	t.Helper()
	var found []map[string]any
	for line := range strings.Lines(l.String()) {
		if !strings.HasSuffix(line, "\n") {
			break // still being written
		}
		var record map[string]any
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("log line %q is not JSON: %v", line, err)
		}
		if record[key] == value {
			found = append(found, record)
		}
	}
	return found
}

// await waits until the log of another process says it.
func (l *lines) await(t *testing.T, said func() bool) {
	t.Helper()
	if !comesTrue(t, patience, said) {
		t.Fatalf("the log never said it:\n%s", l)
	}
}

// comesTrue waits until the condition holds, or says that it did not in that time.
func comesTrue(t *testing.T, within time.Duration, condition func() bool) bool {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}
