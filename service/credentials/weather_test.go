package credentials_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/credentials"
)

const (
	one = `{"username":"app","password":"one-hunter2"}`
	two = `{"username":"app","password":"two-hunter2"}`
)

// cut ends the connection in the middle of an answer.
func cut(w http.ResponseWriter, _ *http.Request, _ string) {
	w.Header().Set("Content-Length", "100")
	_, _ = w.Write([]byte(`{"SecretString":"hunter2`))
	_ = http.NewResponseController(w).Flush()
	panic(http.ErrAbortHandler)
}

// failures are what an endpoint may do instead of giving the secret.
var failures = []struct {
	name   string
	answer func(http.ResponseWriter, *http.Request, string)
	tries  int
	want   []string // in the error
}{
	{"failing", refuse(500, "InternalServiceError"), 3, []string{"POST http://127.0.0.1:", "500 InternalServiceError", "AWS says why"}},
	{"unavailable, by a proxy", respond(503, "<html>hunter2</html>"), 3, []string{"503 Service Unavailable"}},
	{"throttling", refuse(400, "ThrottlingException"), 3, []string{"ThrottlingException"}},
	{"cutting connections", cut, 3, []string{"no answer", "unexpected EOF"}},
	{"denying", refuse(400, "AccessDeniedException"), 1, []string{"AccessDeniedException", "AWS says why", "secretsmanager:GetSecretValue"}},
	{"missing the secret", refuse(400, "ResourceNotFoundException"), 1, []string{"ResourceNotFoundException", "this region"}},
	{"with a namespace", refuse(400, "com.amazonaws.secretsmanager#DecryptionFailure"), 1, []string{" DecryptionFailure", "kms:Decrypt"}},
	{"redirecting", func(w http.ResponseWriter, r *http.Request, _ string) {
		http.Redirect(w, r, "http://127.0.0.1:1/hunter2", http.StatusTemporaryRedirect)
	}, 1, []string{"307 Temporary Redirect"}},
	{"answering nonsense", respond(200, "hunter2"), 1, []string{"POST http://127.0.0.1:", "not the JSON of GetSecretValue"}},
	{"answering another type", respond(200, `{"SecretString":["hunter2"]}`), 1, []string{"POST http://127.0.0.1:", "not the JSON of GetSecretValue"}},
	{"answering nothing", respond(200, `{}`), 1, []string{"holds no SecretString"}},
	{"answering without end", respond(200, strings.Repeat("hunter2", 1<<18)), 1, []string{"larger than 1048576 bytes"}},
	{"giving another secret", respond(200, `{"SecretString":"hunter2"}`), 1, []string{"must be a JSON object"}},
}

func TestTheFirstReadFails(t *testing.T) {
	for _, tc := range failures {
		t.Run(tc.name, func(t *testing.T) {
			a := startAWS(t, one)
			a.answer = tc.answer
			l := a.logins(t)
			for range 20 { // at once, without asking again and again
				_, err := l.Login(t.Context())
				if err == nil || slices.ContainsFunc(append(tc.want, "read secret db-secret"), func(s string) bool { return !strings.Contains(err.Error(), s) }) {
					t.Fatalf("got %v, want %q", err, tc.want)
				}
				if strings.Contains(err.Error(), "hunter2") {
					t.Errorf("it quotes the secret: %v", err)
				}
			}
			if a.count() != tc.tries {
				t.Errorf("%d reads, want %d", a.count(), tc.tries)
			}
			if log := a.logged(); log != "" {
				t.Errorf("logged what the caller heard:\n%s", log)
			}
			a.set(func() { a.answer = nil })
			a.pass(time.Second)
			if got := password(t, l); got != "one-hunter2" {
				t.Errorf("got %q after the endpoint healed", got)
			}
		})
	}
}

func TestTheOldLoginServesOnWhileTheEndpointFails(t *testing.T) {
	for _, tc := range failures {
		t.Run(tc.name, func(t *testing.T) {
			a := startAWS(t, one)
			l := a.logins(t)
			password(t, l)
			a.set(func() { a.answer, a.secret = tc.answer, two })
			serves := func() {
				t.Helper()
				for range 20 {
					if got := password(t, l); got != "one-hunter2" {
						t.Fatalf("got %q", got)
					}
				}
			}
			a.pass(6 * time.Minute)
			serves()
			await(t, "the failed read", func() bool { return len(a.warnings()) == 1 })
			a.pass(9 * time.Second)
			serves() // without another read
			a.pass(7 * time.Second)
			serves()
			await(t, "the next", func() bool { return len(a.warnings()) == 2 })
			if n := a.count(); n != 1+2*tc.tries {
				t.Errorf("%d reads, want 1 and twice %d", n, tc.tries)
			}
			for _, line := range a.warnings() {
				for _, want := range append(tc.want, `"level":"WARN"`, "read secret db-secret", `"old_one_is_served":true`, `"next_try":"15s"`) {
					if !strings.Contains(line, want) {
						t.Errorf("no %s in the log's line %s", want, line)
					}
				}
			}
			if strings.Contains(a.logged(), "hunter2") {
				t.Error("the log shows the secret")
			}
			a.set(func() { a.answer = nil })
			a.pass(16 * time.Second)
			await(t, "the new login", func() bool { return password(t, l) == "two-hunter2" })
		})
	}
}

// slow answers when the test says so, or never if the client leaves before.
func slow(release <-chan struct{}, then func(http.ResponseWriter, *http.Request, string)) func(http.ResponseWriter, *http.Request, string) {
	return func(w http.ResponseWriter, r *http.Request, secret string) {
		select {
		case <-release:
			then(w, r, secret)
		case <-r.Context().Done():
		}
	}
}

func TestASlowEndpoint(t *testing.T) {
	ended, cancel := context.WithCancel(context.Background())
	cancel()

	t.Run("delays nobody who has a login", func(t *testing.T) {
		a := startAWS(t, one)
		l := a.logins(t)
		password(t, l)
		release := make(chan struct{})
		defer close(release)
		a.set(func() { a.answer = slow(release, respond(200, "{}")) })
		a.pass(6 * time.Minute)
		for range 3 {
			if got, err := l.Login(ended); err != nil || got.Password != "one-hunter2" {
				t.Errorf("got %v, %v", got, err)
			}
		}
	})
	t.Run("is logged when nobody waits for it any more", func(t *testing.T) {
		a := startAWS(t, one)
		release := make(chan struct{})
		a.set(func() { a.answer = slow(release, refuse(400, "AccessDeniedException")) })
		if _, err := a.logins(t).Login(ended); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
		close(release)
		await(t, "the log", func() bool { return len(a.warnings()) == 1 })
		if log := a.logged(); !strings.Contains(log, "AccessDeniedException") || !strings.Contains(log, `"old_one_is_served":false`) {
			t.Error(log)
		}
	})
	t.Run("is asked again", func(t *testing.T) {
		a := startAWS(t, one)
		release := make(chan struct{})
		defer close(release)
		a.set(func() {
			a.answer = func(w http.ResponseWriter, r *http.Request, secret string) {
				a.set(func() { a.answer = nil })
				slow(release, respond(500, ""))(w, r, secret)
			}
		})
		s := a.client(t, nil)
		s.SetTryTimeout(200 * time.Millisecond)
		if got := password(t, credentials.NewLogins(s, "db-secret")); got != "one-hunter2" || a.count() != 2 {
			t.Errorf("got %q after %d reads", got, a.count())
		}
	})
}

func TestARejectedLoginIsNotServedAgain(t *testing.T) {
	a := startAWS(t, one)
	l := a.logins(t)
	password(t, l)
	a.set(func() { a.answer, a.secret = refuse(400, "AccessDeniedException"), two })
	a.pass(6 * time.Minute)
	password(t, l)
	await(t, "the failed read", func() bool { return len(a.warnings()) == 1 })
	l.Reject("one-hunter2") // asks at once, although a read has just failed
	for range 2 {
		if got, err := l.Login(t.Context()); err == nil {
			t.Errorf("got %q", string(got.Password))
		}
	}
	if a.count() != 3 {
		t.Errorf("%d reads", a.count())
	}
	a.set(func() { a.answer = nil })
	a.pass(time.Second)
	if got := password(t, l); got != "two-hunter2" {
		t.Errorf("got %q", got)
	}
}

func TestManyRejectionsMakeOneRead(t *testing.T) {
	a := startAWS(t, one)
	l := a.logins(t)
	password(t, l)
	a.set(func() { a.secret = two })
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			l.Reject("one-hunter2")
			if got := password(t, l); got != "two-hunter2" {
				t.Errorf("got %q", got)
			}
		})
	}
	wg.Wait()
	if a.count() != 2 {
		t.Errorf("%d reads", a.count())
	}
}

// The database has the new password a moment before the secret has.
func TestTheSecretLagsBehindDuringARotation(t *testing.T) {
	a := startAWS(t, one)
	l := a.logins(t)
	password(t, l)
	a.set(func() {
		a.answer = func(w http.ResponseWriter, r *http.Request, secret string) {
			a.set(func() { a.secret, a.answer = two, nil })
			respond(200, fmt.Sprintf(`{"SecretString":%q}`, secret))(w, r, secret)
		}
	})
	l.Reject("one-hunter2")
	if got := password(t, l); got != "two-hunter2" || a.count() != 3 {
		t.Errorf("got %q after %d reads", got, a.count())
	}
}

// What was asked for before the rejection may be the old password still.
func TestAReadFromBeforeTheRejectionIsMadeAgain(t *testing.T) {
	a := startAWS(t, one)
	l := a.logins(t)
	password(t, l)
	reached, release := make(chan struct{}), make(chan struct{})
	a.set(func() {
		a.answer = func(w http.ResponseWriter, r *http.Request, secret string) {
			close(reached)
			<-release
			respond(200, fmt.Sprintf(`{"SecretString":%q}`, secret))(w, r, secret)
		}
	})
	a.pass(6 * time.Minute)
	password(t, l)
	<-reached
	a.set(func() { a.secret, a.answer = two, nil })
	l.Reject("one-hunter2")
	close(release)
	if got := password(t, l); got != "two-hunter2" {
		t.Errorf("got %q", got)
	}
}

func TestTheRolesCredentials(t *testing.T) {
	start := func(t *testing.T) (*aws, *credentials.Logins) {
		a := startAWS(t, one)
		l := a.logins(t)
		password(t, l)
		return a, l
	}
	// again has the secret read again, with credentials that are still or again good.
	again := func(t *testing.T, a *aws, l *credentials.Logins) {
		t.Helper()
		a.set(func() { a.secret = two })
		l.Reject("one-hunter2")
		if got := password(t, l); got != "two-hunter2" {
			t.Errorf("got %q", got)
		}
	}
	t.Run("are renewed before they expire", func(t *testing.T) {
		a, l := start(t)
		a.pass(56 * time.Minute)
		again(t, a, l)
		await(t, "the new ones", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return a.roles == 2 })
	})
	t.Run("are not used when they have expired", func(t *testing.T) {
		a, l := start(t)
		a.set(func() { a.key = "AKIDNEW" })
		a.pass(61 * time.Minute)
		again(t, a, l)
	})
	t.Run("are used while there are no newer ones", func(t *testing.T) {
		a, l := start(t)
		a.set(func() { a.role = func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) } })
		a.pass(56 * time.Minute)
		again(t, a, l)
		await(t, "the log", func() bool { return strings.Contains(a.logged(), "read the AWS credentials") })
	})
	t.Run("are asked for anew when AWS refuses them", func(t *testing.T) {
		a, l := start(t)
		a.set(func() { a.key, a.secret = "AKIDNEW", two })
		l.Reject("one-hunter2")
		if _, err := l.Login(t.Context()); err == nil || !strings.Contains(err.Error(), "InvalidSignatureException") {
			t.Errorf("got %v", err)
		}
		a.pass(time.Second)
		if got := password(t, l); got != "two-hunter2" {
			t.Errorf("got %q", got)
		}
	})
	for name, tc := range map[string]struct {
		role func(http.ResponseWriter)
		want string
	}{
		"refused": {func(w http.ResponseWriter) {
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"code":"InvalidToken","message":"no such role"}`)
		}, "400 InvalidToken: no such role"},
		"nonsense": {func(w http.ResponseWriter) { fmt.Fprint(w, "hunter2") }, "not the JSON of AccessKeyId"},
		"empty":    {func(w http.ResponseWriter) { fmt.Fprint(w, `{"SecretAccessKey":"hunter2"}`) }, "not the JSON of AccessKeyId"},
	} {
		t.Run(name, func(t *testing.T) {
			a := startAWS(t, one)
			a.role = tc.role
			_, err := a.logins(t).Login(t.Context())
			if err == nil || !strings.Contains(err.Error(), tc.want) || !strings.Contains(err.Error(), a.URL+"/credentials") || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
