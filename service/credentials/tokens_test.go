package credentials_test

import (
	"context"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"example.com/todo/service/credentials"
	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
)

const endpoint = "todo.cluster-abc.eu-west-1.rds.amazonaws.com"

func TestATokenIsTheSDKs(t *testing.T) {
	for name, keys := range map[string]sdk.Credentials{
		"of a role": {AccessKeyID: "ASIAROLE", SecretAccessKey: "secret/of+role", SessionToken: strings.Repeat("session/+=", 90)},
		"of a user": {AccessKeyID: "AKIDUSER", SecretAccessKey: "secret"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { // both see one time
				env := map[string]string{
					"AWS_ACCESS_KEY_ID": keys.AccessKeyID, "AWS_SECRET_ACCESS_KEY": keys.SecretAccessKey, "AWS_SESSION_TOKEN": keys.SessionToken,
				}
				signer, err := credentials.NewSigner("eu-west-1", func(k string) string { return env[k] }, slog.New(slog.DiscardHandler))
				if err != nil {
					t.Fatal(err)
				}
				got, err := credentials.NewTokens(signer, endpoint, 5433, "my role").Login(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				provider := sdk.CredentialsProviderFunc(func(context.Context) (sdk.Credentials, error) { return keys, nil })
				want, err := auth.BuildAuthToken(t.Context(), endpoint+":5433", "eu-west-1", "my role", provider)
				if err != nil {
					t.Fatal(err)
				}
				// AWS's own example has a slash, which is signed even where it is left out:
				// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.Connecting.AWSCLI.PostgreSQL.html
				want = strings.Replace(want, endpoint+":5433?", endpoint+":5433/?", 1)
				if string(got.Password) != want || got.Username != "my role" {
					t.Errorf("got  %s\nwant %s\nfor %s", string(got.Password), want, got.Username)
				}
			})
		})
	}
}

// tokens signs as the container's role, by the clock of a.
func (a *aws) tokens(t *testing.T) *credentials.Tokens {
	t.Helper()
	return credentials.NewTokens(a.signer(t, nil), endpoint, 5432, "todo")
}

// token is what l gives as the password, taken apart.
func token(t *testing.T, l *credentials.Tokens) url.Values {
	t.Helper()
	login, err := l.Login(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse("https://" + string(login.Password))
	if err != nil || u.Host != endpoint+":5432" {
		t.Fatalf("got %q, %v", string(login.Password), err)
	}
	return u.Query()
}

func TestATokenIsFreshAndItsKeysAreRead(t *testing.T) {
	a := startAWS(t, "")
	l := a.tokens(t)
	for minute := range 3 {
		got := token(t, l)
		want := time.Date(2030, 1, 1, 0, minute, 0, 0, time.UTC).Format("20060102T150405Z")
		if got.Get("X-Amz-Date") != want || got.Get("X-Amz-Expires") != "900" || got.Get("X-Amz-Security-Token") != roleToken {
			t.Errorf("got %v, want %s", got, want)
		}
		a.pass(time.Minute)
	}
	if a.roles != 1 || a.count() != 0 {
		t.Errorf("asked %d times for the role's credentials and %d times for a secret", a.roles, a.count())
	}
	a.set(func() { a.key = "AKIDNEW" })
	a.pass(time.Hour)
	if got := token(t, l).Get("X-Amz-Credential"); got != "AKIDNEW/20300101/eu-west-1/rds-db/aws4_request" {
		t.Errorf("signed with %s when the keys had expired", got)
	}
}

func TestARefusedTokenHasTheKeysReadAnewButNotEachTime(t *testing.T) {
	a := startAWS(t, "")
	l := a.tokens(t)
	key := func() string { id, _, _ := strings.Cut(token(t, l).Get("X-Amz-Credential"), "/"); return id }
	key()
	a.set(func() { a.key = "AKIDNEW" })
	a.pass(time.Minute)
	l.Reject("")
	if got := key(); got != "AKIDNEW" {
		t.Errorf("signed with %s after a refusal", got)
	}
	for range 20 {
		l.Reject("")
		key()
	}
	if a.roles != 2 {
		t.Errorf("asked %d times for the role's credentials", a.roles)
	}
	a.set(func() { a.role = func(w http.ResponseWriter) { w.WriteHeader(http.StatusInternalServerError) } })
	a.pass(time.Minute)
	l.Reject("")
	if got := key(); got != "AKIDNEW" {
		t.Errorf("signed with %s when there were no newer ones", got)
	}
}
