// Package e2e deploys the repository's own stacks with the real engine and uses what then runs, as its users do.
package e2e

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/todo/rehearsal/engine"
	"example.com/todo/rehearsal/stage"
)

// patience bounds one operation of the engine; the first compiles the program and its SDKs.
const patience = 20 * time.Minute

// repository is a copy of the repository that a test may edit.
func repository(t *testing.T) string {
	t.Helper()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	root, err := stage.Root(here)
	if err != nil {
		t.Fatal(err)
	}
	copied := t.TempDir()
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		target := filepath.Join(copied, name)
		switch {
		case entry.IsDir() && (name == ".git" || name == "bin"):
			return filepath.SkipDir
		case entry.IsDir():
			return os.MkdirAll(target, 0o755)
		case !entry.Type().IsRegular():
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode())
	})
	if err != nil {
		t.Fatal(err)
	}
	return copied
}

// edit replaces old by new in a file of the repository, where it must stand exactly once.
func edit(t *testing.T, root, file, old, replacement string) {
	t.Helper()
	path := filepath.Join(root, file)
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(content, []byte(old)); n != 1 {
		t.Fatalf("%s holds %q %d times, want once", file, old, n)
	}
	if err := os.WriteFile(path, bytes.Replace(content, []byte(old), []byte(replacement), 1), 0o644); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, root string) *stage.Stage {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	// Building the engine takes minutes, so its progress is shown as it comes.
	s, err := stage.Open(ctx, root, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the stage: %v", err)
		}
	})
	return s
}

func stackOf(t *testing.T, s *stage.Stage, name string) *engine.Stack {
	t.Helper()
	stack, err := s.Stack(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	return stack
}

// must runs an operation of the engine and shows what it printed when it fails.
func must(t *testing.T, operation func(context.Context, io.Writer) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out bytes.Buffer
	if err := operation(ctx, &out); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
}

func plan(t *testing.T, stack *engine.Stack) engine.Plan {
	t.Helper()
	p, err := stack.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func outputs(t *testing.T, stack *engine.Stack) map[string]string {
	t.Helper()
	o, err := stack.Outputs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return o
}

// A client is a client of the service, which trusts the rehearsal's root certificate and nothing else.
type client struct {
	*http.Client
	url string
	key string // presented if it is not empty
}

func clientOf(t *testing.T, s *stage.Stage, url string) *client {
	t.Helper()
	return trusting(t, s.Host.RootCertificates(), url)
}

func trusting(t *testing.T, certificates, url string) *client {
	t.Helper()
	pem, err := os.ReadFile(certificates)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(pem) {
		t.Fatalf("no certificate in %s", certificates)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &client{Client: &http.Client{Transport: transport, Timeout: time.Minute}, url: url}
}

// The secret with API keys that somebody has made, and the key in it.
const (
	keysSecret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:todo/keys-AbCdEf"
	apiKey     = "opens-the-rehearsal"
)

// keepKeys makes that secret.
func keepKeys(t *testing.T, s *stage.Stage) {
	t.Helper()
	if err := s.Host.Account.PutSecret(keysSecret, `{"test":"`+apiKey+`"}`); err != nil {
		t.Fatal(err)
	}
}

// An answer is a response, read.
type answer struct {
	status int
	header http.Header
	body   map[string]any
	list   []map[string]any
}

func (c *client) do(t *testing.T, method, path, body string) answer {
	t.Helper()
	a, err := c.try(t.Context(), method, path, body)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func (c *client) try(ctx context.Context, method, path, body string) (answer, error) {
	request, err := http.NewRequestWithContext(ctx, method, c.url+path, strings.NewReader(body))
	if err != nil {
		return answer{}, err
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	if c.key != "" {
		request.Header.Set("Authorization", "Bearer "+c.key)
	}
	response, err := c.Do(request)
	if err != nil {
		return answer{}, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: response.StatusCode, header: response.Header}
	if strings.Contains(response.Header.Get("Content-Type"), "json") {
		var into any = &a.body
		if bytes.HasPrefix(bytes.TrimSpace(text), []byte("[")) {
			into = &a.list
		}
		if err := json.Unmarshal(text, into); err != nil {
			return a, err
		}
	}
	return a, nil
}

// await asks until done is true, at most for the patience that a person has.
func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !done() {
		select {
		case <-ticker.C:
		case <-ctx.Done():
			t.Fatalf("waited a minute in vain: %s", what)
		}
	}
}
