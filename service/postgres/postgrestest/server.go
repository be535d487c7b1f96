// Package postgrestest runs real PostgreSQL servers for tests and rehearsals. Each
// has its own folder and port, listens on loopback only, and goes away with the
// process that started it, even when that is killed.
package postgrestest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	// startTimeout bounds Start, once PostgreSQL is installed, and Restart.
	startTimeout = 2 * time.Minute
	loopback     = "127.0.0.1"
)

// Options say how to start a server. The zero value works.
type Options struct {
	User     string // the superuser; "postgres" when empty
	Password string // its password; random when empty
	Database string // created beside "postgres" when not empty

	// CertFile and KeyFile (PEM) turn TLS on. Connections without it are then refused.
	CertFile, KeyFile string

	Settings map[string]string // more of postgresql.conf, over the defaults for speed
	Log      io.Writer         // progress: what is installed or started; none when nil
}

// Server is a running or stopped server. Its methods may be called by many goroutines.
type Server struct {
	Addr string // 127.0.0.1:port, the same for the server's whole life

	options Options
	bin     string // the folder of postgres and initdb
	dir     string // everything this server writes
	owner   *owner // nil when it runs as ourselves
	guard   *guard

	mu      sync.Mutex
	process *process // nil when stopped
}

// Start finds PostgreSQL, or installs it, and starts a server on an empty folder.
// The server answers when Start returns. Close it.
func Start(ctx context.Context, o Options) (*Server, error) {
	if o.User == "" {
		o.User = "postgres"
	}
	if o.Password == "" {
		o.Password = rand.Text()
	}
	if o.Log == nil {
		o.Log = io.Discard
	}
	bin, err := binaries(ctx, o.Log)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s := &Server{options: o, bin: bin}
	if s.owner, err = unprivileged(); err != nil {
		return nil, err
	}
	if s.dir, err = os.MkdirTemp(tempRoot(s.owner != nil), "todo-postgres-"); err != nil {
		return nil, fmt.Errorf("make a folder for PostgreSQL: %w", err)
	}
	if s.guard, err = startGuard(s.dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(s.dir))
	}
	if err := s.create(ctx); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	fmt.Fprintf(o.Log, "postgres: %s listens on %s\n", bin, s.Addr)
	return s, nil
}

// DSN is the URL of one of the server's databases for the superuser.
func (s *Server) DSN(database string) string {
	tls := "disable"
	if s.options.CertFile != "" {
		tls = "require"
	}
	u := url.URL{
		Scheme: "postgres", User: url.UserPassword(s.options.User, s.options.Password),
		Host: s.Addr, Path: "/" + database, RawQuery: "sslmode=" + tls,
	}
	return u.String()
}

// Stop shuts the server down fast: sessions are cut, data is kept. It does nothing
// on a stopped one.
func (s *Server) Stop(ctx context.Context) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(ctx, syscall.SIGINT)
}

// Kill ends the server as a crash would, with kill -9. Data is kept.
func (s *Server) Kill() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.end(context.Background(), syscall.SIGKILL)
}

// Restart starts the server again on the same data and port, after stopping it if
// it runs. It answers when Restart returns.
func (s *Server) Restart(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.end(ctx, syscall.SIGINT); err != nil {
		return err
	}
	return s.run(ctx)
}

// Close ends the server and removes everything it wrote.
func (s *Server) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return errors.Join(s.end(context.Background(), syscall.SIGQUIT), s.guard.release())
}

// create makes the data folder, starts the server and makes the database.
func (s *Server) create(ctx context.Context) error {
	password := s.path("password")
	if err := os.WriteFile(password, []byte(s.options.Password), 0o600); err != nil {
		return fmt.Errorf("write the password for initdb: %w", err)
	}
	if err := s.install(s.options.CertFile, "server.crt"); err != nil {
		return err
	}
	if err := s.install(s.options.KeyFile, "server.key"); err != nil {
		return err
	}
	if err := s.owner.own(s.dir); err != nil {
		return err
	}
	initdb := s.command("initdb", "--pgdata", s.path("data"), "--username", s.options.User, "--pwfile", password,
		"--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("%s: %w\n%s", initdb, err, out)
	}
	access := "host all all " + loopback + "/32 scram-sha-256\n"
	if s.options.CertFile != "" {
		access = "hostssl" + strings.TrimPrefix(access, "host")
	}
	if err := os.WriteFile(s.path("data", "pg_hba.conf"), []byte(access), 0o600); err != nil {
		return fmt.Errorf("write pg_hba.conf: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.runOnFreePort(ctx); err != nil {
		return err
	}
	if s.options.Database == "" {
		return nil
	}
	return s.exec(ctx, "CREATE DATABASE "+pgx.Identifier{s.options.Database}.Sanitize())
}

// install copies a file of the options next to the data, because PostgreSQL insists
// on owning its key.
func (s *Server) install(from, as string) error {
	if from == "" {
		return nil
	}
	b, err := os.ReadFile(from)
	if err != nil {
		return fmt.Errorf("read the server's certificate: %w", err)
	}
	if err := os.WriteFile(s.path(as), b, 0o600); err != nil {
		return fmt.Errorf("install the server's certificate: %w", err)
	}
	return nil
}

func (s *Server) path(elements ...string) string {
	return filepath.Join(append([]string{s.dir}, elements...)...)
}
