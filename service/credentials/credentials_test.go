package credentials_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"example.com/todo/service/credentials"
	"github.com/google/go-cmp/cmp"
)

func TestLoginIsReadOnceAndSignedByTheContainersRole(t *testing.T) {
	a := startAWS(t, `{"username":"app","password":"one","host":"db","port":5433,"dbname":"todo","engine":"postgres"}`)
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte("from-file\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := credentials.NewLogins(a.client(t, map[string]string{"AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": token}), "db-secret")
	want := credentials.Login{Username: "app", Password: "one", Host: "db", Port: 5433, Database: "todo"}
	for range 3 {
		if got, err := l.Login(t.Context()); err != nil || got != want {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if diff := cmp.Diff([]map[string]string{{"SecretId": "db-secret"}}, a.reads); diff != "" {
		t.Errorf("reads (-want +got):\n%s", diff)
	}
	if a.token != "from-file" || a.roles != 1 {
		t.Errorf("asked %d times for credentials, with token %q", a.roles, a.token)
	}
}

func TestKeysInTheEnvironmentComeFirst(t *testing.T) {
	a := startAWS(t, `{"username":"app","password":"one"}`)
	l := credentials.NewLogins(a.client(t, map[string]string{
		"AWS_ACCESS_KEY_ID": a.key, "AWS_SECRET_ACCESS_KEY": secretOf(a.key), "AWS_SESSION_TOKEN": roleToken,
	}), "db-secret")
	if got := password(t, l); got != "one" || a.roles != 0 {
		t.Errorf("got %q, asked %d times for credentials", got, a.roles)
	}
}

func TestRejectAsksAnewOnlyForThePasswordInUse(t *testing.T) {
	a := startAWS(t, `{"username":"app","password":"one"}`)
	l := a.logins(t)
	password(t, l)
	a.set(func() { a.secret = `{"username":"app","password":"two"}` })
	l.Reject("older")
	if got := password(t, l); got != "one" {
		t.Errorf("got %q after another password was rejected", got)
	}
	l.Reject("one")
	if got := password(t, l); got != "two" {
		t.Errorf("got %q after a rejection", got)
	}
	l.Reject("one") // late: a connection that began before
	if got := password(t, l); got != "two" || a.count() != 2 {
		t.Errorf("got %q after %d reads", got, a.count())
	}
}

func TestAStampedeMakesOneCall(t *testing.T) {
	a := startAWS(t, `{"username":"app","password":"one"}`)
	open := make(chan struct{})
	a.answer = func(w http.ResponseWriter, r *http.Request, secret string) {
		<-open
		respond(http.StatusOK, fmt.Sprintf(`{"SecretString":%q}`, secret))(w, r, secret)
	}
	l := a.logins(t)

	impatient, cancel := context.WithCancel(t.Context())
	first := make(chan error)
	go func() { _, err := l.Login(impatient); first <- err }()
	cancel()
	if err := <-first; !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "db-secret") {
		t.Errorf("got %v from a cancelled wait", err)
	}

	var wg sync.WaitGroup
	for range 20 {
		wg.Go(func() {
			if l, err := l.Login(t.Context()); err != nil || l.Password != "one" {
				t.Errorf("got %v, %v", l, err)
			}
		})
	}
	close(open)
	wg.Wait()
	if a.count() != 1 {
		t.Errorf("%d reads", a.count())
	}
}

func TestWhatIsWrongWithASecretIsSaidWithoutIt(t *testing.T) {
	for _, tc := range []struct{ name, secret, want string }{
		{"not JSON", "hunter2", "must be a JSON object"},
		{"no password", `{"username":"hunter2"}`, "must hold username and password"},
		{"bad port", `{"username":"a","password":"hunter2","port":70000}`, "port must be"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, err := startAWS(t, tc.secret).logins(t).Login(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), "db-secret") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %s about db-secret", err, tc.want)
			}
		})
	}
}

func TestConfigurationIsRefusedEarly(t *testing.T) {
	for name, env := range map[string]map[string]string{
		"no keys":         {},
		"plain http":      {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://example.com/credentials"},
		"not a scheme":    {"AWS_CONTAINER_CREDENTIALS_FULL_URI": "ftp://localhost/credentials"},
		"endpoint no URL": {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_ENDPOINT_URL": "localhost:4566"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := secretsManager("eu-west-1", env); err == nil {
				t.Error("accepted")
			}
		})
	}
}

func secretsManager(region string, env map[string]string) (*credentials.SecretsManager, error) {
	getenv := func(k string) string { return env[k] }
	signer, err := credentials.NewSigner(region, getenv, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	return credentials.NewSecretsManager(signer, getenv)
}

func TestEndpoint(t *testing.T) {
	for _, tc := range []struct{ region, variable, value, want string }{
		{"eu-west-1", "", "", "https://secretsmanager.eu-west-1.amazonaws.com/"},
		{"cn-north-1", "", "", "https://secretsmanager.cn-north-1.amazonaws.com.cn/"},
		{"eu-west-1", "AWS_ENDPOINT_URL", "http://localhost:4566", "http://localhost:4566/"},
		{"eu-west-1", "AWS_ENDPOINT_URL_SECRETS_MANAGER", "https://vpce-1.secretsmanager.eu-west-1.vpce.amazonaws.com/", "https://vpce-1.secretsmanager.eu-west-1.vpce.amazonaws.com/"},
	} {
		env := map[string]string{"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", tc.variable: tc.value}
		s, err := secretsManager(tc.region, env)
		if err != nil {
			t.Fatal(err)
		}
		if s.Endpoint() != tc.want {
			t.Errorf("%s with %s=%s: %s, want %s", tc.region, tc.variable, tc.value, s.Endpoint(), tc.want)
		}
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
