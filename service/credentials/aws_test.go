package credentials_test

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/credentials"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds every wait for a condition; a test that needs it all has failed.
const patience = 30 * time.Second

// aws serves the container's credentials and one secret, and counts the reads. It
// refuses what is not signed with the role's key.
type aws struct {
	*httptest.Server
	mu     sync.Mutex
	now    time.Time // of the clients
	secret string
	answer func(w http.ResponseWriter, r *http.Request, secret string) // instead of the secret, when not nil
	role   func(w http.ResponseWriter)                                 // instead of the credentials, when not nil
	key    string                                                      // of the role: its id and, prefixed, its secret
	roles  int                                                         // requests for its credentials
	token  string                                                      // Authorization of the last
	reads  []map[string]string                                         // the bodies of GetSecretValue
	log    bytes.Buffer                                                // of the clients
}

const roleToken = "session"

func startAWS(t *testing.T, secret string) *aws {
	a := &aws{secret: secret, key: "AKIDROLE", now: time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)}
	a.Server = httptest.NewServer(a)
	t.Cleanup(func() {
		a.Close()
		http.DefaultTransport.(*http.Transport).CloseIdleConnections()
		if t.Failed() {
			t.Logf("log:\n%s", a.logged())
		}
	})
	return a
}

func (a *aws) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if r.URL.Path == "/credentials" {
		a.roles++
		a.token = r.Header.Get("Authorization")
		if a.role != nil {
			a.role(w)
			return
		}
		fmt.Fprintf(w, `{"AccessKeyId":%q,"SecretAccessKey":%q,"Token":%q,"Expiration":%q}`,
			a.key, secretOf(a.key), roleToken, a.now.Add(time.Hour).Format(time.RFC3339))
		return
	}
	raw, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	var body map[string]string
	switch {
	case r.Method != http.MethodPost || r.URL.Path != "/" || json.Unmarshal(raw, &body) != nil,
		r.Header.Get("X-Amz-Target") != "secretsmanager.GetSecretValue" || r.Header.Get("Content-Type") != "application/x-amz-json-1.1":
		refuse(http.StatusBadRequest, "UnknownOperationException")(w, r, "")
		return
	case !signed(r, raw, a.key):
		refuse(http.StatusBadRequest, "InvalidSignatureException")(w, r, "")
		return
	}
	a.reads = append(a.reads, body)
	answer := a.answer
	if answer == nil {
		answer = func(w http.ResponseWriter, _ *http.Request, secret string) {
			w.Header().Set("Content-Type", "application/x-amz-json-1.1")
			_ = json.NewEncoder(w).Encode(map[string]string{"SecretString": secret})
		}
	}
	secret := a.secret
	a.mu.Unlock()
	defer a.mu.Lock()
	answer(w, r, secret)
}

// refuse answers as AWS does.
func refuse(status int, code string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		fmt.Fprintf(w, `{"__type":%q,"Message":"AWS says why"}`, code)
	}
}

// respond answers with that text.
func respond(status int, text string) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, _ *http.Request, _ string) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, text)
	}
}

func secretOf(id string) string { return "secret of " + id }

// signed computes the signature by its specification alone:
// https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html
func signed(r *http.Request, body []byte, id string) bool {
	fields := map[string]string{}
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	for field := range strings.SplitSeq(rest, ", ") {
		name, value, _ := strings.Cut(field, "=")
		fields[name] = value
	}
	_, scope, _ := strings.Cut(fields["Credential"], "/")
	date := r.Header.Get("X-Amz-Date")
	if fields["Credential"] != id+"/"+scope || scope != date[:8]+"/eu-west-1/secretsmanager/aws4_request" {
		return false
	}
	canonical := r.Method + "\n" + r.URL.EscapedPath() + "\n\n"
	for name := range strings.SplitSeq(fields["SignedHeaders"], ";") {
		value := r.Header.Get(name)
		switch name {
		case "host":
			value = r.Host
		case "content-length":
			value = fmt.Sprint(len(body))
		}
		canonical += name + ":" + value + "\n"
	}
	canonical += "\n" + fields["SignedHeaders"] + "\n" + digest(body)
	mac := []byte("AWS4" + secretOf(id))
	for _, part := range append(strings.Split(scope, "/"), strings.Join([]string{scheme, date, scope, digest([]byte(canonical))}, "\n")) {
		h := hmac.New(sha256.New, mac)
		h.Write([]byte(part))
		mac = h.Sum(nil)
	}
	return scheme == "AWS4-HMAC-SHA256" && fields["Signature"] == hex.EncodeToString(mac) &&
		r.Header.Get("X-Amz-Security-Token") == roleToken &&
		strings.Contains(fields["SignedHeaders"], "host;x-amz-date;x-amz-security-token;x-amz-target")
}

func digest(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (a *aws) clock() time.Time {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.now
}

func (a *aws) pass(d time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.now = a.now.Add(d)
}

func (a *aws) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *aws) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.reads)
}

func (a *aws) Write(p []byte) (int, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.Write(p)
}

func (a *aws) logged() string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log.String()
}

// warnings are the log's lines.
func (a *aws) warnings() []string {
	return strings.FieldsFunc(a.logged(), func(r rune) bool { return r == '\n' })
}

// signer signs in a's time, as the container's role.
func (a *aws) signer(t *testing.T, more map[string]string) *credentials.Signer {
	t.Helper()
	s, err := credentials.NewSigner("eu-west-1", a.env(more), slog.New(slog.NewJSONHandler(a, nil)))
	if err != nil {
		t.Fatal(err)
	}
	s.SetClock(a.clock)
	return s
}

// client asks a, in its time and as the container's role.
func (a *aws) client(t *testing.T, more map[string]string) *credentials.SecretsManager {
	t.Helper()
	s, err := credentials.NewSecretsManager(a.signer(t, more), a.env(more))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func (a *aws) env(more map[string]string) func(string) string {
	env := map[string]string{
		"AWS_ENDPOINT_URL_SECRETS_MANAGER":   a.URL,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": a.URL + "/credentials",
	}
	maps.Copy(env, more)
	return func(k string) string { return env[k] }
}

func (a *aws) logins(t *testing.T) *credentials.Logins {
	t.Helper()
	return credentials.NewLogins(a.client(t, nil), "db-secret")
}

// password is what l gives; it must give one.
func password(t *testing.T, l *credentials.Logins) string {
	t.Helper()
	login, err := l.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(login.Password)
}

func await(t *testing.T, what string, reached func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !reached() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("waited in vain for %s", what)
		}
	}
}
