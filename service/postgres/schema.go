package postgres

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/pressly/goose/v3"
)

const (
	// migrateTimeout bounds one attempt, of which waking the database is a part.
	migrateTimeout = 3 * time.Minute
	// The background tries again after firstPause, then twice that, up to longestPause.
	// The longest is well above the 5 minutes after which an idle Aurora may pause, so
	// that a migration that cannot succeed does not keep it awake. Requests do not
	// wait for these pauses: they begin an attempt themselves.
	firstPause   = time.Second
	longestPause = 20 * time.Minute
	// migrationLock is the key of the advisory lock; any number that is only ours.
	migrationLock = 0x746f646f // "todo"
	// lockPause is between two tries to take it.
	lockPause = 100 * time.Millisecond
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

// schema applies the migrations once, in one attempt at a time that all wait for.
type schema struct {
	provider    *goose.Provider
	provisioner *provisioner                        // nil when nobody makes the role
	start       func(attempt func(context.Context)) // runs it in the background

	mu      sync.Mutex
	done    bool
	running *attempt // nil when none is under way
}

type attempt struct {
	ended chan struct{} // closed when err is set
	err   error
}

func migrations(db *sql.DB) (*goose.Provider, error) {
	files, err := fs.Sub(migrationFiles, "migrations")
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	provider, err := goose.NewProvider(goose.DialectPostgres, db, files,
		goose.WithSessionLocker(sessionLock{}), goose.WithDisableGlobalRegistry(true))
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	return provider, nil
}

// ensure returns nil once the schema is up to date. Until then it joins the attempt
// under way, or begins one, and waits for it while ctx lasts; the attempt goes on
// without it. The error is a [*task.UnavailableError].
func (s *schema) ensure(ctx context.Context) error {
	s.mu.Lock()
	if s.done {
		s.mu.Unlock()
		return nil
	}
	a := s.running
	if a == nil {
		a = &attempt{ended: make(chan struct{})}
		s.running = a
		s.start(func(background context.Context) { s.run(background, a) })
	}
	s.mu.Unlock()

	select {
	case <-a.ended:
		return a.err
	case <-ctx.Done():
		return &task.UnavailableError{Reason: "the database is not ready yet; it may be waking up", Err: context.Cause(ctx)}
	}
}

func (s *schema) run(ctx context.Context, a *attempt) {
	ctx, cancel := context.WithTimeout(ctx, migrateTimeout)
	defer cancel()
	if err := s.migrate(ctx); err != nil {
		a.err = fmt.Errorf("migrate the schema: %w", err)
		if u := new(task.UnavailableError); !errors.As(err, &u) {
			a.err = &task.UnavailableError{Reason: "the database's schema could not be brought up to date", Err: a.err}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done, s.running = a.err == nil, nil
	close(a.ended)
}

// migrate makes the role first that logs in, when the database refuses it.
func (s *schema) migrate(ctx context.Context) error {
	_, err := s.provider.Up(ctx)
	failed := new(pgconn.ConnectError)
	if s.provisioner == nil || !loginRefused(err) || !errors.As(err, &failed) {
		return err
	}
	now, provisionErr := s.provisioner.provision(ctx, failed.Config.User)
	if provisionErr != nil {
		return provisionErr
	}
	if now {
		_, err = s.provider.Up(ctx)
	}
	if loginRefused(err) {
		err = fmt.Errorf("%w (the role is there: is it a member of "+iamRole+", and may the service's AWS role rds-db:connect as it?)", err)
	}
	return err
}

// keepMigrating returns when the schema is up to date or ctx ends. From then on
// nothing in the background connects, so that an idle database may pause.
func (db *DB) keepMigrating(ctx context.Context) {
	for wait := firstPause; ; wait = min(2*wait, longestPause) {
		err := db.schema.ensure(ctx)
		if err == nil {
			db.log.InfoContext(ctx, "database schema is up to date")
			return
		}
		if ctx.Err() != nil {
			return
		}
		db.log.WarnContext(ctx, "database is not ready", "error", err, "next_try", wait.String())
		if err := pause(ctx, wait); err != nil {
			return
		}
	}
}

// tryLock takes the lock of migrations, if it is free.
const tryLock = "SELECT pg_try_advisory_lock($1)"

// awaitLock tries again and again rather than wait in the database: CREATE INDEX
// CONCURRENTLY waits for every statement that is older, so it and a waiting
// pg_advisory_lock would wait for each other.
func awaitLock(ctx context.Context, try func(taken *bool) error) error {
	for {
		var taken bool
		if err := try(&taken); err != nil {
			return fmt.Errorf("take the migrations' advisory lock: %w", err)
		}
		if taken {
			return nil
		}
		if err := pause(ctx, lockPause); err != nil {
			return fmt.Errorf("wait for the migrations' advisory lock: %w", err)
		}
	}
}

// pause waits for d, or says why ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// sessionLock lets one instance migrate at a time, and ends with its connection when
// an instance dies.
type sessionLock struct{}

func (sessionLock) SessionLock(ctx context.Context, conn *sql.Conn) error {
	return awaitLock(ctx, func(taken *bool) error { return conn.QueryRowContext(ctx, tryLock, migrationLock).Scan(taken) })
}

func (sessionLock) SessionUnlock(ctx context.Context, conn *sql.Conn) error {
	ctx, cancel := context.WithTimeout(ctx, closeTimeout) // goose gives it none
	defer cancel()
	if _, err := conn.ExecContext(ctx, "SELECT pg_advisory_unlock($1)", migrationLock); err != nil {
		return fmt.Errorf("give back the migrations' advisory lock: %w", err)
	}
	return nil
}
