package credentials_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.com/todo/service/credentials"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// aws serves the container's credentials and one secret, and counts the reads.
type aws struct {
	*httptest.Server
	mu     sync.Mutex
	secret string
	status int
	reads  []map[string]string // the bodies of GetSecretValue
	signed string              // Authorization of the last read
	asked  string              // Authorization of the last credentials request
	block  chan struct{}       // reads wait for it to be closed when not nil
}

func startAWS(t *testing.T, secret string) *aws {
	a := &aws{secret: secret, status: http.StatusOK}
	a.Server = httptest.NewServer(a)
	t.Cleanup(func() {
		a.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
	})
	return a
}

func (a *aws) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/credentials" {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.asked = r.Header.Get("Authorization")
		fmt.Fprint(w, `{"AccessKeyId":"AKIDROLE","SecretAccessKey":"k","Token":"t","Expiration":"2100-01-01T00:00:00Z"}`)
		return
	}
	if a.block != nil {
		<-a.block
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	var body map[string]string
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" {
		http.Error(w, "not GetSecretValue", http.StatusBadRequest)
		return
	}
	a.reads = append(a.reads, body)
	a.signed = r.Header.Get("Authorization")
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	w.WriteHeader(a.status)
	if a.status != http.StatusOK {
		fmt.Fprint(w, `{"__type":"ResourceNotFoundException","Message":"no such secret"}`)
		return
	}
	_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": a.secret})
}

func (a *aws) source(t *testing.T, more map[string]string) *credentials.SecretsManager {
	t.Helper()
	env := map[string]string{
		"AWS_ENDPOINT_URL_SECRETS_MANAGER":   a.URL,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": a.URL + "/credentials",
	}
	for k, v := range more {
		env[k] = v
	}
	s, err := credentials.NewSecretsManager("db-secret", "eu-west-1", func(k string) string { return env[k] })
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestLoginIsReadOnceAndSignedByTheContainersRole(t *testing.T) {
	a := startAWS(t, `{"username":"app","password":"one","host":"db","port":5433,"dbname":"todo","engine":"postgres"}`)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := a.source(t, map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token})
	want := credentials.Login{Username: "app", Password: "one", Host: "db", Port: 5433, Database: "todo"}
	for range 3 {
		if got, err := s.Login(t.Context()); err != nil || got != want {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if diff := cmp.Diff([]map[string]string{{"SecretId": "db-secret"}}, a.reads); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
	if !strings.Contains(a.signed, "Credential=AKIDROLE/") || !strings.Contains(a.signed, "/eu-west-1/secretsmanager/aws4_request") {
		t.Errorf("signed with %q", a.signed)
	}
	if a.asked != "from-file" {
		t.Errorf("asked for credentials with token %q", a.asked)
	}
}

func TestRejectAsksAnewOnlyForThePasswordInUse(t *testing.T) {
	a := startAWS(t, `{"username":"app","password":"one"}`)
	s := a.source(t, nil)
	login := func() credentials.Secret {
		t.Helper()
		l, err := s.Login(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return l.Password
	}
	login()
	a.mu.Lock()
	a.secret = `{"username":"app","password":"two"}`
	a.mu.Unlock()
	s.Reject("older")
	if got := login(); got != "one" {
		t.Errorf("got %q after another password was rejected", string(got))
	}
	s.Reject("one")
	if got := login(); got != "two" {
		t.Errorf("got %q after a rejection", string(got))
	}
	s.Reject("one") // late: a connection that began before
	if got := login(); got != "two" || len(a.reads) != 2 {
		t.Errorf("got %q after %d reads", string(got), len(a.reads))
	}
}

func TestAStampedeMakesOneCall(t *testing.T) {
	a := startAWS(t, `{"username":"app","password":"one"}`)
	a.block = make(chan struct{})
	s := a.source(t, nil)

	impatient, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, err := s.Login(impatient); first <- err }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v from a cancelled wait", err)
	}

	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if l, err := s.Login(t.Context()); err != nil || l.Password != "one" {
				t.Errorf("got %v, %v", l, err)
			}
		})
	}
	close(a.block)
	wg.Wait()
	if len(a.reads) != 1 {
		t.Errorf("%d reads", len(a.reads))
	}
}

func TestWhatIsWrongIsSaidWithoutTheSecret(t *testing.T) {
	for _, tc := range []struct {
		name, secret string
		status       int
		want         string
	}{
		{"no such secret", "", http.StatusBadRequest, "ResourceNotFoundException"},
		{"not JSON", "hunter2", http.StatusOK, "must be a JSON object"},
		{"no password", `{"username":"hunter2"}`, http.StatusOK, "must hold username and password"},
		{"bad port", `{"username":"a","password":"hunter2","port":70000}`, http.StatusOK, "port must be"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := startAWS(t, tc.secret)
			a.status = tc.status
			_, err := a.source(t, nil).Login(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "db-secret") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %s about db-secret", err, tc.want)
			}
		})
	}
}

func TestIdentityIsRefusedEarly(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"none":         {},
		"plain http":   {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/credentials"},
		"not a scheme": {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "ftp://localhost/credentials"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := credentials.NewSecretsManager("s", "eu-west-1", func(k string) string { return env[k] }); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func TestSecretIsNeverPrinted(t *testing.T) {
	const hidden = "hunter2"
	login := credentials.Login{Password: hidden}
	var out bytes.Buffer
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%d"} {
		fmt.Fprintf(&out, verb, login)
		fmt.Fprintf(&out, verb, login.Password)
		fmt.Fprintf(&out, verb, &login.Password)
	}
	slog.New(slog.NewJSONHandler(&out, nil)).Info("x", "login", login, "password", login.Password)
	slog.New(slog.NewTextHandler(&out, nil)).Info("x", "login", login, "password", login.Password)
	if s := out.String(); strings.Contains(s, hidden) || strings.Contains(s, fmt.Sprintf("%x", hidden)) {
		t.Error(s)
	}
	if string(login.Password) != hidden {
		t.Error("lost")
	}
}
