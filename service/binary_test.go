package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
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
	flag.Parse()
	// What runs in parallel here waits more than it computes.
	if parallel := flag.Lookup("test.parallel"); parallel.Value.String() == parallel.DefValue {
		if err := parallel.Value.Set("4"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m,
		goleak.IgnoreAnyFunction("example.com/todo/service/postgres/postgrestest.(*Server).attempt.func1"), // the shared server
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.updateServerDate.func1"),                     // one for the process
		goleak.IgnoreAnyFunction("github.com/valyala/fasthttp.(*workerPool).Start.func2"),                  // ends within ten seconds
		goleak.Cleanup(func(code int) {
			if binary, err := built(); err == nil {
				_ = os.RemoveAll(filepath.Dir(binary)) // a temporary folder
			}
			os.Exit(code)
		}))
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
// as the platform does, and must end well and in time. It must have answered every
// request in time, too.
func launch(t *testing.T, e env) (instance, *exec.Cmd) {
	t.Helper()
	i, cmd := begin(t, e)
	i.await(t, "/", func(r response) bool { return r.status == http.StatusOK && r.body == "OK" })
	return i, cmd
}

// begin is launch without the wait.
func begin(t *testing.T, e env) (instance, *exec.Cmd) {
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
		log.inTime(t)
		if t.Failed() {
			t.Logf("log:\n%s", log)
		}
	})
	return instance{url: "http://127.0.0.1:" + e[envPort], log: log}, cmd
}

// answerTime is within what every request is answered, whatever the database does.
const answerTime = 10 * time.Second

// inTime reads how long the requests took, which a busy machine cannot prolong as much
// as what their clients measure.
func (l *lines) inTime(t *testing.T) {
	t.Helper()
	for _, record := range l.with(t, "msg", "request") {
		if took := record["duration_ms"].(float64); took > float64(answerTime.Milliseconds()) {
			t.Errorf("%s %s took %g ms", record["method"], record["route"], took)
		}
	}
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
