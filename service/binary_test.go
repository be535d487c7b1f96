package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptrace"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/google/go-cmp/cmp"
)

const (
	testVersion = "1.2.3"
	testCommit  = "c0ffee"
)

// built is the real binary, built once for all tests as the image builds it.
var built = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "todo-service-")
	if err != nil {
		return "", err
	}
	return filepath.Join(dir, "todo"), build(filepath.Join(dir, "todo"))
})

func build(output string) error {
	cmd := exec.Command("sh", "build.sh", output)
	cmd.Env = append(os.Environ(), "VERSION="+testVersion, "COMMIT="+testCommit)
	if out, err := cmd.CombinedOutput(); err != nil {
		return errors.Join(err, errors.New(string(out)))
	}
	return nil
}

func TestMain(m *testing.M) {
	code := m.Run()
	if binary, err := built(); err == nil {
		_ = os.RemoveAll(filepath.Dir(binary)) // a temporary folder
	}
	os.Exit(code)
}

// program is the real binary with nothing in its environment but e.
func program(t *testing.T, e env) *exec.Cmd {
	t.Helper()
	binary, err := built()
	if err != nil {
		t.Fatalf("build: %v", err)
	}
	cmd := exec.Command(binary)
	cmd.Env = []string{}
	for k, v := range e {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// launch starts the binary and waits until it answers. After the test it is stopped
// as the platform does, and must end well and in time.
func launch(t *testing.T, e env) (instance, *exec.Cmd) {
	t.Helper()
	e.unlimited()
	e[envListenHost], e[envPort] = "127.0.0.1", freePort(t)
	cmd := program(t, e)
	log := &lines{}
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop(t, cmd)
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	i := instance{url: "http://127.0.0.1:" + e[envPort], log: log}
	i.await(t, "/", func(r response) bool { return r.status == http.StatusOK && r.body == "OK" })
	return i, cmd
}

func stop(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if cmd.ProcessState != nil {
		return
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Error(err)
	}
	late := time.AfterFunc(10*time.Second, func() { _ = cmd.Process.Kill() })
	defer late.Stop()
	if err := cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM: %v", err)
	}
}

func TestBinaryOutlivesItsDatabase(t *testing.T) {
	server, err := postgrestest.Start(t.Context(), postgrestest.Options{Database: "todo"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	api, cmd := launch(t, env{envDatabaseURL: server.DSN("todo")})

	unavailable := func(path string) {
		t.Helper()
		r := api.do(t, "GET", path, "", nil)
		p := r.json(t)
		want := map[string]any{
			"type": "about:blank", "title": "Service Unavailable", "status": 503.0, "code": "unavailable",
			"detail": "the database cannot be reached", "request_id": r.header.Get("X-Request-Id"),
		}
		if diff := cmp.Diff(want, p); r.status != 503 || diff != "" || r.header.Get("Retry-After") == "" {
			t.Errorf("GET %s: %d Retry-After %q (-want +got):\n%s", path, r.status, r.header.Get("Retry-After"), diff)
		}
		id := r.header.Get("X-Request-Id")
		api.log.await(t, func() bool { return len(api.log.with(t, "request_id", id)) >= 2 })
		for _, rec := range api.log.with(t, "request_id", id) { // the cause, and the access
			if rec["msg"] == "request" {
				continue
			}
			if rec["level"] != "WARN" || !strings.Contains(rec["error"].(string), "connection refused") {
				t.Errorf("logged %v", rec)
			}
		}
	}
	unavailable(tasks)
	unavailable("/readyz")

	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The first request after that, not a time: it begins an attempt itself.
	if r := api.do(t, "POST", tasks, `{"title":"late"}`, nil); r.status != 201 {
		t.Errorf("POST when the database is there: %d %s", r.status, r.body)
	}
	if err := server.Kill(); err != nil {
		t.Fatal(err)
	}
	if r := api.do(t, "GET", "/", "", nil); r.status != 200 {
		t.Errorf("GET / without the database: %d", r.status)
	}
	// A backend may live for a moment longer than the server that was killed.
	api.await(t, tasks, func(r response) bool { return r.status == 503 })
	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := api.await(t, tasks, func(r response) bool { return r.status == 200 })
	if !strings.Contains(r.body, `"late"`) {
		t.Errorf("tasks after the crash: %s", r.body)
	}
	if cmd.ProcessState != nil {
		t.Error("the process ended")
	}
}

func TestBinarySaysWhatItIs(t *testing.T) {
	api, _ := launch(t, env{envDatabaseURL: "postgres://127.0.0.1:1/none"})
	got := api.do(t, "GET", "/version", "", nil).json(t)
	if got["version"] != testVersion || got["commit"] != testCommit || !strings.HasPrefix(got["go"].(string), "go1.") {
		t.Errorf("got %v", got)
	}
}

func TestBinaryRefusesABadConfiguration(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	cmd := program(t, env{envPort: "http", envLogLevel: "loud"})
	var out bytes.Buffer
	cmd.Stderr = &out
	ended := make(chan error, 1)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() { ended <- cmd.Wait() }()
	select {
	case err := <-ended:
		if exit := new(exec.ExitError); !errors.As(err, &exit) || exit.ExitCode() != 1 {
			t.Errorf("ended with %v", err)
		}
	case <-ctx.Done():
		t.Fatal(errors.Join(errors.New("it runs"), cmd.Process.Kill()))
	}
	for _, name := range []string{envPort, envLogLevel, envSecretName, envRegion} {
		if !strings.Contains(out.String(), name+"=") {
			t.Errorf("nothing about %s in:\n%s", name, out.String())
		}
	}
}

// blackHole accepts connections and never answers, as an Aurora that sleeps.
func blackHole(t *testing.T) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() }) // ends what waits in its backlog
	return l.Addr().String()
}

func TestBinaryAnswersWhileTheDatabaseSleeps(t *testing.T) {
	api, _ := launch(t, env{envDatabaseURL: "postgres://u:p@" + blackHole(t) + "/todo?sslmode=disable"})
	for _, path := range []string{tasks, "/readyz"} {
		r := api.do(t, "GET", path, "", nil)
		if r.status != 503 || !strings.Contains(r.body, "may be waking up") || r.header.Get("Retry-After") == "" {
			t.Errorf("GET %s: %d %s", path, r.status, r.body)
		}
	}
}

// A request under way when the platform says stop is still answered.
func TestBinaryEndsItsRequestsFirst(t *testing.T) {
	api, cmd := launch(t, env{envDatabaseURL: "postgres://u:p@" + blackHole(t) + "/todo?sslmode=disable"})
	reached := make(chan struct{})
	ctx := httptrace.WithClientTrace(context.Background(), &httptrace.ClientTrace{Got100Continue: func() { close(reached) }})
	answered := make(chan error, 1)
	go func() {
		r, err := api.try(ctx, "POST", tasks, `{"title":"x"}`, header{"Expect": "100-continue"})
		if err == nil && r.status != 503 {
			err = errors.New(r.body)
		}
		answered <- err
	}()
	<-reached
	stop(t, cmd)
	if err := <-answered; err != nil {
		t.Errorf("the request under way: %v", err)
	}
}

func TestSameInputsSameBytes(t *testing.T) {
	first, err := built()
	if err != nil {
		t.Fatal(err)
	}
	second := filepath.Join(t.TempDir(), "again")
	if err := build(second); err != nil {
		t.Fatal(err)
	}
	a, errA := os.ReadFile(first)
	b, errB := os.ReadFile(second)
	if err := errors.Join(errA, errB); err != nil || !bytes.Equal(a, b) {
		t.Errorf("two builds differ, %d and %d bytes: %v", len(a), len(b), err)
	}
}
