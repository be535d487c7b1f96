package verify

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"example.com/todo/deploy/cloud"
)

// records are what App Runner would tell.
type records struct {
	operation cloud.Operation
	logs      map[string][]cloud.Line
	err       error
}

func (r records) LastOperation(context.Context, string) (cloud.Operation, error) {
	return r.operation, r.err
}
func (r records) Log(_ context.Context, group string, _ time.Time) ([]cloud.Line, error) {
	return r.logs[group], r.err
}

// A service answers version and readyz in turn, the last for good, and nothing else of the contract.
func service(t *testing.T, versions, ready []string) *httptest.Server {
	t.Helper()
	answer := func(texts []string) http.HandlerFunc {
		var asked atomic.Int64
		return func(w http.ResponseWriter, _ *http.Request) {
			text := texts[min(int(asked.Add(1)), len(texts))-1]
			if text == "" {
				w.WriteHeader(http.StatusServiceUnavailable)
				return
			}
			_, _ = io.WriteString(w, text)
		}
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/version", answer(versions))
	mux.HandleFunc("/readyz", answer(ready))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return server
}

func version(v string) string { return fmt.Sprintf(`{"version":%q}`, v) }

var (
	updated    = cloud.Operation{Type: "UPDATE_SERVICE", Status: "SUCCEEDED"}
	rolledBack = cloud.Operation{Type: "UPDATE_SERVICE", Status: "ROLLBACK_SUCCEEDED"}
)

func TestDeploymentsThatAreNotWhatWasAskedFor(t *testing.T) {
	tests := map[string]struct {
		versions, ready []string
		of              records
		patience        time.Duration
		want            []string // in the error
		logged          []string
	}{
		"rolled back": {
			[]string{version("old")}, []string{"ready"}, records{operation: rolledBack}, time.Minute,
			[]string{"the new version was not taken: App Runner's UPDATE_SERVICE ended as ROLLBACK_SUCCEEDED"}, nil,
		},
		"rolled back, and nobody may ask App Runner": {
			[]string{version("old")}, []string{"ready"}, records{err: errors.New("AccessDeniedException")}, 50 * time.Millisecond,
			[]string{"the deployed version does not answer", "version old, new was deployed"},
			[]string{"is not known: AccessDeniedException"},
		},
		"another program": {
			[]string{"<html>"}, []string{"ready"}, records{operation: updated}, 50 * time.Millisecond,
			[]string{"the deployed version does not answer", "200 <html>"}, nil,
		},
		"no database": {
			[]string{version("new")}, []string{""}, records{operation: updated}, 50 * time.Millisecond,
			[]string{"the service does not reach its database", "503"}, nil,
		},
		"another contract": {
			[]string{"", version("old"), version("new")}, []string{"", "ready"}, records{operation: updated}, time.Minute,
			[]string{"the contract of the API"},
			[]string{"/version: 503", "version old, new was deployed", "/version: 200", "/readyz: 200", "does not hold: "},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			server := service(t, test.versions, test.ready)
			var log bytes.Buffer
			err := (&Deployment{URL: server.URL, Version: "new", Client: server.Client(), Log: &log,
				Patience: test.patience, Pause: time.Millisecond}).Run(t.Context(), test.of)
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) {
					t.Errorf("ended with %v, want %q", err, want)
				}
			}
			for _, want := range test.logged {
				if !strings.Contains(log.String(), want) {
					t.Errorf("logged %q, want %q", log.String(), want)
				}
			}
		})
	}
}

// A service that asks for keys is verified with one, as soon as it has read its own.
func TestTheKeyOpensTheAPI(t *testing.T) {
	const key = "one of the keys"
	for presented, want := range map[string]string{
		"": "the service wants an API key", "another key": "the service does not take this API key", key: "rules do not hold",
	} {
		var asked atomic.Int64
		mux := http.NewServeMux()
		mux.HandleFunc("/version", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, version("new")) })
		mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
		mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
			switch {
			case asked.Add(1) == 1:
				w.WriteHeader(http.StatusServiceUnavailable)
			case r.Header.Get("Authorization") != "Bearer "+key:
				w.WriteHeader(http.StatusUnauthorized)
			}
		})
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		var log bytes.Buffer
		err := (&Deployment{URL: server.URL, Version: "new", Key: presented, Client: server.Client(), Log: &log,
			Patience: time.Minute, Pause: time.Millisecond}).Run(t.Context(), records{operation: updated})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("with the key %q it ended with %v, want %q", presented, err, want)
		}
		if strings.Contains(log.String(), key) {
			t.Errorf("the key is shown:\n%s", log.String())
		}
	}
}

// What does not change is said once, however often it is asked.
func TestProgressIsToldWhenItChanges(t *testing.T) {
	server := service(t, []string{"", "", "", version("old"), version("old"), version("new")}, []string{"ready"})
	var log bytes.Buffer
	d := &Deployment{URL: server.URL, Version: "new", Client: server.Client(), Log: &log, Patience: time.Minute, Pause: time.Millisecond}
	if err := d.await(t.Context(), "/version", d.isDeployed); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(log.String(), "\n"); got != 3 {
		t.Errorf("%d lines, want 3:\n%s", got, log.String())
	}
}

func TestWaitingEndsWithTheContext(t *testing.T) {
	server := service(t, []string{version("old")}, []string{"ready"})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	d := &Deployment{URL: server.URL, Version: "new", Client: server.Client(), Log: io.Discard, Patience: time.Hour, Pause: time.Hour}
	if err := d.await(ctx, "/version", d.isDeployed); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestEvidence(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	many := make([]cloud.Line, 40)
	for i := range many {
		many[i] = cloud.Line{At: at, Text: fmt.Sprintf("line %d.", i+1)}
	}
	now := rolledBack
	now.Started = at
	many[0].Stream, many[0].At = "instance/old", at.Add(-2*slack)
	many[39].Stream = "instance/old"
	many = append(many, cloud.Line{At: at, Text: "line 41."})
	of := records{operation: now, logs: map[string][]cloud.Line{
		"/aws/apprunner/todo-dev/0a1b/service":     {{At: at, Text: "Your application stopped or failed to start."}},
		"/aws/apprunner/todo-dev/0a1b/application": many,
	}}
	var out bytes.Buffer
	Gather(t.Context(), of, "arn:aws:apprunner:eu-west-1:1:service/todo-dev/0a1b", cloud.Operation{}).Tell(&out)
	text := out.String()
	if !strings.HasPrefix(text, "likely cause: the service ended before it was healthy: its last line is \"line 41.\"\n") {
		t.Errorf("the cause does not come first:\n%s", text)
	}
	for _, want := range []string{"UPDATE_SERVICE ROLLBACK_SUCCEEDED", "2026-01-02T03:04:05Z Your application stopped", "(9 lines before)", "line 11."} {
		if !strings.Contains(text, want) {
			t.Errorf("not told: %q\n%s", want, text)
		}
	}
	if strings.Contains(text, "line 10.") {
		t.Errorf("more than the last lines are told:\n%s", text)
	}
	if strings.Contains(text, "line 40.") {
		t.Errorf("what an instance says that was there before is taken for the new version's:\n%s", text)
	}

	out.Reset()
	Gather(t.Context(), of, "arn:aws:apprunner:eu-west-1:1:service/todo-dev/0a1b", now).Tell(&out)
	if text := out.String(); strings.Contains(text, "line") || strings.Contains(text, "ROLLBACK") {
		t.Errorf("what came before is told of an update that App Runner has refused:\n%s", text)
	}

	out.Reset()
	Gather(t.Context(), records{err: errors.New("AccessDeniedException")}, "arn:aws:apprunner:eu-west-1:1:service/todo-dev/0a1b", cloud.Operation{}).Tell(&out)
	if got := strings.Count(out.String(), "not known: AccessDeniedException"); got != 3 {
		t.Errorf("%d of 3 refusals are told:\n%s", got, out.String())
	}
}
