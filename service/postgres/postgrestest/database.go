package postgrestest

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5"
)

// EnvURL names a server to use instead of starting one. Its user must be allowed to
// create databases.
const EnvURL = "DATABASE_URL"

// TB is what [Database] needs of [testing.TB]. The package does not import testing,
// so that commands can use it.
type TB interface {
	Helper()
	Context() context.Context
	Cleanup(func())
	Fatalf(format string, args ...any)
	Errorf(format string, args ...any)
}

// shared is the one server of a test binary, started by the first test that needs
// it. Its guard ends it with the process, since a package's tests have no last one.
var shared = sync.OnceValues(func() (*Server, error) {
	return Start(context.Background(), Options{Log: os.Stderr})
})

// Database gives the URL of a new empty database for one test, which is dropped
// after it. It is on the server of DATABASE_URL when that is set, else on a server
// that all tests of this process share.
func Database(t TB) string {
	t.Helper()
	admin := os.Getenv(EnvURL)
	if admin == "" {
		server, err := shared()
		if err != nil {
			t.Fatalf("start PostgreSQL: %v", err)
		}
		admin = server.DSN("postgres")
	}
	name := "test_" + strings.ToLower(rand.Text())
	if err := execute(t.Context(), admin, "CREATE DATABASE "+name); err != nil {
		t.Fatalf("create database %s: %v", name, err)
	}
	t.Cleanup(func() {
		if err := execute(context.Background(), admin, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("drop database %s: %v", name, err)
		}
	})
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatalf("%s must be a URL", EnvURL)
	}
	u.Path = "/" + name
	return u.String()
}

func execute(ctx context.Context, dsn, sql string) error {
	conn, err := pgx.Connect(ctx, dsn)
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, sql)
	return err
}
