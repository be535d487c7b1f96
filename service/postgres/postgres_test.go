package postgres_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/todo/service/credentials"
	"example.com/todo/service/postgres"
	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// open gives a database that is closed, and has left no goroutine, after the test.
func open(t *testing.T, dsn string) *postgres.DB {
	t.Helper()
	return openWith(t, postgres.Config{URL: credentials.Secret(dsn), MaxConns: 2})
}

func openWith(t *testing.T, cfg postgres.Config) *postgres.DB {
	t.Helper()
	before := goleak.IgnoreCurrent()
	db, err := postgres.Open(cfg, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	db.Migrate()
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
		goleak.VerifyNone(t, before)
	})
	return db
}

// all is a patch of every field.
func all(title string, completed bool) task.Patch {
	return task.Patch{Title: &title, Completed: &completed}
}

func ask(t *testing.T, dsn, sql string) (answer int) {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if err := conn.QueryRow(t.Context(), sql).Scan(&answer); err != nil {
		t.Fatal(err)
	}
	return answer
}

func TestManyInstancesMigrateAtOnce(t *testing.T) {
	dsn := postgrestest.Database(t)
	var wg sync.WaitGroup
	for range 8 {
		db := open(t, dsn)
		wg.Go(func() {
			if _, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := ask(t, dsn, "SELECT count(*) FROM tasks"); n != 8 {
		t.Errorf("%d tasks of 8", n)
	}
	if n := ask(t, dsn, "SELECT count(*) FROM (SELECT version_id FROM goose_db_version GROUP BY 1 HAVING count(*) > 1) AS twice"); n != 0 {
		t.Errorf("%d migrations were applied twice", n)
	}
	if n := ask(t, dsn, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"); n != 0 {
		t.Errorf("%d advisory locks are still held", n)
	}
}

// During a deployment the old version runs on the new one's schema, and may be
// started again on it.
func TestANewerSchemaIsAccepted(t *testing.T) {
	dsn := postgrestest.Database(t)
	old := open(t, dsn)
	made, err := old.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{})
	if err != nil {
		t.Fatal(err)
	}
	// These prepare the statements.
	if made, err = old.Tasks().Update(t.Context(), made.ID, all("x", false), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := old.Tasks().Get(t.Context(), made.ID); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `ALTER TABLE tasks ADD COLUMN priority int NOT NULL DEFAULT 0;
		INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)`); err != nil {
		t.Fatal(err)
	}
	for name, db := range map[string]*postgres.DB{"running": old, "restarted": open(t, dsn)} {
		if got, err := db.Tasks().Get(t.Context(), made.ID); err != nil || got != made {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
		if _, err := db.Tasks().Update(t.Context(), made.ID, all(made.Title, false), nil); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := db.Tasks().List(t.Context(), task.Filter{Limit: 2}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		other, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{Key: name})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := db.Tasks().Delete(t.Context(), other.ID, []task.Version{other.Version()}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		made, err = db.Tasks().Get(t.Context(), made.ID)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The request gives up, the wake-up goes on: one connection, no second try.
func TestConnectingOutlivesTheRequestThatBeganIt(t *testing.T) {
	dsn, door := behindDoor(t, postgrestest.Database(t))
	db := open(t, dsn)
	impatient, cancel := context.WithCancel(t.Context())
	listed := make(chan error)
	go func() { _, err := db.Tasks().List(impatient, task.Filter{Limit: 1}); listed <- err }()
	<-door.knocked
	cancel()
	var unavailable *task.UnavailableError
	if err := <-listed; !errors.As(err, &unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("the impatient request got %v", err)
	}
	close(door.open)
	if err := db.Ready(t.Context()); err != nil {
		t.Error(err)
	}
	if n := door.knocks.Load(); n != 1 {
		t.Errorf("%d connections were opened", n)
	}
}

func TestAQueryEndsWithItsRequest(t *testing.T) {
	dsn := postgrestest.Database(t)
	db := open(t, dsn+"&lock_timeout=0") // else the database ends it itself
	made, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{})
	if err != nil {
		t.Fatal(err)
	}
	lock := begin(t, dsn, "SELECT * FROM tasks FOR UPDATE")
	ctx, cancel := context.WithCancel(t.Context())
	deleted := make(chan error, 1)
	go func() { deleted <- db.Tasks().Delete(ctx, made.ID, nil) }()
	const waiting = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
	await := func(wanted int) {
		t.Helper()
		deadline, stop := context.WithTimeout(t.Context(), patience)
		defer stop()
		for ask(t, dsn, waiting) != wanted {
			if deadline.Err() != nil {
				t.Fatalf("%d queries wait for the lock, want %d", ask(t, dsn, waiting), wanted)
			}
		}
	}
	await(1)
	cancel()
	var unavailable *task.UnavailableError
	if err := <-deleted; !errors.As(err, &unavailable) || !errors.Is(err, context.Canceled) {
		t.Errorf("a delete of a locked row got %v", err)
	}
	await(0)
	lock.end(t)
}

func TestOpenRefusesABadURLWithoutQuotingIt(t *testing.T) {
	_, err := postgres.Open(postgres.Config{URL: "postgres://u:hunter2@h:x/d", MaxConns: 1}, slog.New(slog.DiscardHandler))
	if err == nil || err.Error() != "database URL must be a PostgreSQL URL or keyword=value string" {
		t.Errorf("got %v", err)
	}
}

// door is a way to the database that can be shut: who knocks is let in, and waits.
type door struct {
	knocked chan struct{} // closed by the first
	knocks  atomic.Int32
	open    chan struct{} // close it to let everyone through
}

// behindDoor gives the URL that leads through the door.
func behindDoor(t *testing.T, dsn string) (string, *door) {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &door{knocked: make(chan struct{}), open: make(chan struct{})}
	server := u.Host
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if d.knocks.Add(1) == 1 {
				close(d.knocked)
			}
			wg.Go(func() { d.pass(in, server) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	u.Host = l.Addr().String()
	return u.String(), d
}

// pass copies both ways until either side ends.
func (d *door) pass(in net.Conn, server string) {
	defer in.Close()
	<-d.open
	out, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = io.Copy(out, in)
		out.Close()
	}()
	_, _ = io.Copy(in, out)
	in.Close()
	<-done
}
