package postgrestest_test

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"go.uber.org/goleak"
)

// envVictim makes this test binary start a server and wait to be killed.
const envVictim = "POSTGRESTEST_VICTIM"

func TestMain(m *testing.M) {
	if os.Getenv(envVictim) != "" {
		s, err := postgrestest.Start(context.Background(), postgrestest.Options{})
		if err != nil {
			os.Stdout.WriteString(err.Error())
			os.Exit(1)
		}
		os.Stdout.WriteString(s.Addr + "\n")
		select {}
	}
	os.Exit(m.Run())
}

func start(t *testing.T, o postgrestest.Options) *postgrestest.Server {
	t.Helper()
	s, err := postgrestest.Start(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func query(t *testing.T, dsn, sql string) (answer string, err error) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		return "", err
	}
	defer conn.Close(context.Background())
	rows, err := conn.Query(t.Context(), sql)
	if err != nil {
		return "", err
	}
	values, err := pgx.CollectRows(rows, pgx.RowTo[string])
	return strings.Join(values, ","), err
}

func TestServersSideBySide(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Cleanup(func() { goleak.VerifyNone(t, before) })
	a := start(t, postgrestest.Options{})
	b := start(t, postgrestest.Options{
		User: "ada", Password: "p@ss/word", Database: "todo", Settings: map[string]string{"application_name": "second"},
	})
	if a.Addr == b.Addr {
		t.Fatalf("both on %s", a.Addr)
	}
	if got, err := query(t, b.DSN("todo"), "SELECT current_user || current_database() || current_setting('application_name')"); err != nil || got != "adatodosecond" {
		t.Errorf("got %q, %v", got, err)
	}
	refused := strings.Replace(b.DSN("todo"), "p%40ss", "wrong", 1)
	var pg *pgconn.PgError
	if _, err := query(t, refused, "SELECT 'x'"); !errors.As(err, &pg) || pg.Code != "28P01" {
		t.Errorf("a wrong password got %v", err)
	}
}

func TestDataOutlivesStopAndKill(t *testing.T) {
	s := start(t, postgrestest.Options{})
	dsn, addr := s.DSN("postgres"), s.Addr
	if _, err := query(t, dsn, "CREATE TABLE kept AS SELECT 'yes' AS answer"); err != nil {
		t.Fatal(err)
	}
	for name, end := range map[string]func() error{
		"stop":    func() error { return s.Stop(t.Context()) },
		"kill":    s.Kill,
		"restart": func() error { return nil },
	} {
		if err := end(); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if name != "restart" {
			if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
				t.Errorf("after %s, dialling gave %v", name, err)
			}
		}
		if err := s.Restart(t.Context()); err != nil {
			t.Fatalf("restart after %s: %v", name, err)
		}
		if got, err := query(t, dsn, "SELECT answer FROM kept"); err != nil || got != "yes" || s.Addr != addr {
			t.Errorf("after %s: %q, %v at %s", name, got, err, s.Addr)
		}
	}
}

func TestNothingRemains(t *testing.T) {
	tmp := openFolder(t)
	t.Setenv("TMPDIR", tmp)

	t.Run("after Close", func(t *testing.T) {
		s := start(t, postgrestest.Options{})
		if entries(t, tmp) == 0 {
			t.Fatal("the server does not use TMPDIR, so this test proves nothing")
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := entries(t, tmp); n != 0 {
			t.Errorf("%d entries left", n)
		}
	})

	t.Run("after kill -9 of the process that started it", func(t *testing.T) {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), envVictim+"=1")
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		buf := make([]byte, 64)
		n, err := out.Read(buf)
		addr := strings.TrimSpace(string(buf[:n]))
		if err != nil {
			t.Fatalf("%s: %v", addr, err)
		}
		if _, err := net.Dial("tcp", addr); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, out)
		_ = cmd.Wait() // says that it was killed
		deadline, cancel := context.WithTimeout(t.Context(), 30*time.Second)
		defer cancel()
		for entries(t, tmp) > 0 {
			if deadline.Err() != nil {
				t.Fatalf("%d entries left", entries(t, tmp))
			}
		}
		if _, err := net.Dial("tcp", addr); !errors.Is(err, syscall.ECONNREFUSED) {
			t.Errorf("dialling gave %v", err)
		}
	})
}

// openFolder is a temporary folder that the server's user can walk to, which those
// of testing are not.
func openFolder(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "postgrestest-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir
}

func entries(t *testing.T, dir string) int {
	t.Helper()
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return len(found)
}

// The same test binary once more as an ordinary user, since developers are not root.
func TestAsOrdinaryUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("already one")
	}
	nobody, err := user.Lookup("nobody")
	if err != nil {
		t.Skip(err)
	}
	home := openFolder(t)
	binary, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	program := filepath.Join(home, "test")
	if err := os.WriteFile(program, binary, 0o755); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("setpriv", "--reuid", nobody.Uid, "--regid", nobody.Gid, "--clear-groups",
		program, "-test.v", "-test.run", "SideBySide|Remains")
	cmd.Dir, cmd.Env = home, append(os.Environ(), "TMPDIR="+home, "HOME="+home)
	out, err := cmd.CombinedOutput()
	if err != nil || strings.Count(string(out), "\n--- PASS: Test") != 2 {
		t.Errorf("%v\n%s", err, out)
	}
}

func TestDatabaseIsEmptyAndGoes(t *testing.T) {
	t.Setenv(postgrestest.EnvURL, start(t, postgrestest.Options{}).DSN("postgres"))
	var dsn string
	t.Run("inner", func(t *testing.T) {
		dsn = postgrestest.Database(t)
		if got, err := query(t, dsn, "SELECT count(*)::text FROM pg_tables WHERE schemaname = 'public'"); err != nil || got != "0" {
			t.Errorf("got %q, %v", got, err)
		}
	})
	var pg *pgconn.PgError
	if _, err := query(t, dsn, "SELECT 'x'"); !errors.As(err, &pg) || pg.Code != "3D000" {
		t.Errorf("after the test: %v", err)
	}
}
