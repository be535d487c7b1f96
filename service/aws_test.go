package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

const databaseHost = "db.todo.test" // resolves nowhere; DATABASE_HOSTADDR leads there

// cloud is what AWS gives the service: a database that insists on TLS and on the
// password of a secret, and the endpoints for that secret and the role.
type cloud struct {
	database *postgrestest.Server
	caFile   string
	secrets  *httptest.Server

	mu     sync.Mutex
	secret map[string]any
	reads  int
}

func startCloud(t *testing.T) *cloud {
	t.Helper()
	return cloudWith(t, "todo", postgrestest.Options{User: "todo", Password: "one", Database: "todo"})
}

// cloudWith has its database started so, with TLS, and of that master a secret as RDS manages it.
func cloudWith(t *testing.T, master string, o postgrestest.Options) *cloud {
	t.Helper()
	c := &cloud{secret: map[string]any{"username": master, "password": "one"}}
	dir := t.TempDir()
	var err error
	c.caFile, o.CertFile, o.KeyFile = certificates(t, dir, databaseHost)
	if c.database, err = postgrestest.Start(t.Context(), o); err != nil {
		t.Fatal(err)
	}
	c.secrets = httptest.NewServer(c)
	t.Cleanup(func() {
		c.secrets.Close()
		if err := c.database.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

func (c *cloud) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if r.URL.Path == "/role" {
		fmt.Fprint(w, `{"AccessKeyId":"AKID","SecretAccessKey":"k","Token":"t","Expiration":"2100-01-01T00:00:00Z"}`)
		return
	}
	c.reads++
	secret, _ := json.Marshal(c.secret) // a map of strings and numbers
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	_ = json.NewEncoder(w).Encode(map[string]string{"Name": "todo-db", "SecretString": string(secret)})
}

// env is what App Runner and the stack give the service.
func (c *cloud) env() env {
	return env{
		envSecretName: "todo-db", envRegion: "eu-west-1",
		envDatabaseHost: databaseHost, envDatabaseName: "todo", envDatabaseHostAddr: c.database.Addr,
		"SSL_CERT_FILE":                      c.caFile,
		"AWS_ENDPOINT_URL_SECRETS_MANAGER":   c.secrets.URL,
		"AWS_CONTAINER_CREDENTIALS_FULL_URI": c.secrets.URL + "/role",
	}
}

// dsn is for the database's owner, with that password.
func (c *cloud) dsn(password string) string {
	return strings.Replace(c.database.DSN("todo"), "todo:one@", "todo:"+password+"@", 1)
}

// admin runs SQL as the database's owner, with that password.
func (c *cloud) admin(ctx context.Context, password, sql string) error {
	conn, err := pgx.Connect(ctx, c.dsn(password))
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}

// change sets the database's password and proves that the old one is refused. As
// with any change of a password, the sessions that it opened stay.
func (c *cloud) change(t *testing.T, from, to string) {
	t.Helper()
	if err := c.admin(t.Context(), from, "ALTER ROLE todo PASSWORD '"+to+"'"); err != nil {
		t.Fatal(err)
	}
	var pg *pgconn.PgError
	if err := c.admin(t.Context(), from, "SELECT 1"); !errors.As(err, &pg) || pg.Code != "28P01" {
		t.Fatalf("the old password still works: %v", err)
	}
}

// rotate changes the database's password and cuts the sessions that the old one opened.
func (c *cloud) rotate(t *testing.T, from, to string) {
	t.Helper()
	c.change(t, from, to)
	const cut = "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'todo' AND pid <> pg_backend_pid()"
	if err := c.admin(t.Context(), to, cut); err != nil {
		t.Fatal(err)
	}
}

// password is what the secret holds.
func (c *cloud) password() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.secret["password"].(string)
}

// put changes the password in the secret.
func (c *cloud) put(password string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.secret["password"] = password
}

func (c *cloud) timesRead() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.reads
}

func TestTheDatabasesCertificateIsVerified(t *testing.T) {
	c := startCloud(t)
	otherCA, _, _ := certificates(t, t.TempDir(), databaseHost)
	for _, tc := range []struct {
		name, variable, value, cause string
	}{
		{"unknown authority", "SSL_CERT_FILE", otherCA, "certificate signed by unknown authority"},
		{"another name", envDatabaseHost, "other.todo.test", "certificate is valid for " + databaseHost + ", not other.todo.test"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			e := c.env()
			e[tc.variable] = tc.value
			api, _ := launch(t, e)
			r := api.do(t, "GET", tasks, "", nil)
			if r.status != 503 || strings.Contains(r.body, "certificate") {
				t.Errorf("%d %s", r.status, r.body)
			}
			api.log.await(t, func() bool { return strings.Contains(api.log.String(), tc.cause) })
		})
	}
	t.Run("the right one", func(t *testing.T) {
		api, _ := launch(t, c.env())
		if r := api.do(t, "POST", tasks, `{"title":"x"}`, nil); r.status != 201 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("address from the secret", func(t *testing.T) {
		c.mu.Lock()
		c.secret["host"], c.secret["dbname"], c.secret["port"] = databaseHost, "todo", 1
		c.mu.Unlock()
		e := c.env()
		delete(e, envDatabaseHost)
		delete(e, envDatabaseName)
		api, _ := launch(t, e)
		if r := api.do(t, "GET", tasks, "", nil); r.status != 200 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
}

func TestThePasswordIsRotatedUnderTheService(t *testing.T) {
	c := startCloud(t)
	api, _ := launch(t, c.env())
	if r := api.do(t, "POST", tasks, `{"title":"before"}`, nil); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if n := c.timesRead(); n != 1 {
		t.Errorf("the secret was read %d times", n)
	}

	c.rotate(t, "one", "two")
	// The secret lags behind for a moment, as it may during a rotation.
	r := api.await(t, "/readyz", func(r response) bool { return strings.Contains(r.body, "refused the service's credentials") })
	if r.status != 503 {
		t.Errorf("with the old secret: %d %s", r.status, r.body)
	}
	c.put("two")
	if r := api.do(t, "GET", tasks, "", nil); r.status != 200 || !strings.Contains(r.body, "before") {
		t.Errorf("with the new secret: %d %s", r.status, r.body)
	}

	// The usual case: the secret is new already, and only our memory of it is old. No
	// request may notice, save one whose session was cut.
	refused := func() int { return strings.Count(api.log.String(), "28P01") }
	before := refused()
	c.rotate(t, "two", "three")
	c.put("three")
	r = api.await(t, tasks, func(r response) bool { return r.status == 200 })
	api.log.await(t, func() bool { return len(api.log.with(t, "request_id", r.header.Get("X-Request-Id"))) == 1 })
	if after := refused(); after != before {
		t.Errorf("%d requests were refused with the old password in memory", after-before)
	}
	if log := api.log.String(); strings.Contains(log, `"one"`) || strings.Contains(log, `"two"`) {
		t.Error("the log shows a password")
	}
}

// certificates makes an authority and a server's certificate for one name.
func certificates(t *testing.T, dir, name string) (caFile, certFile, keyFile string) {
	t.Helper()
	caKey, key := newKey(t), newKey(t)
	ca := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), KeyUsage: x509.KeyUsageCertSign,
	}
	server := &x509.Certificate{
		SerialNumber: big.NewInt(2), Subject: pkix.Name{CommonName: name}, DNSNames: []string{name},
		NotBefore: ca.NotBefore, NotAfter: ca.NotAfter, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	keyDER, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(file, kind string, der []byte) string {
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	sign := func(template, parent *x509.Certificate, public *ecdsa.PublicKey) []byte {
		der, err := x509.CreateCertificate(rand.Reader, template, parent, public, caKey)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	return write("ca.pem", "CERTIFICATE", sign(ca, ca, &caKey.PublicKey)),
		write("server.pem", "CERTIFICATE", sign(server, ca, &key.PublicKey)),
		write("server.key", "PRIVATE KEY", keyDER)
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}
