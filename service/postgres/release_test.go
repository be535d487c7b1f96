package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/credentials"
	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5"
)

// releaseBefore does what the release before did with an idempotency key. It may serve beside
// this one while a deployment lasts.
type releaseBefore struct{ conn *pgx.Conn }

func (r releaseBefore) createOnce(ctx context.Context, m task.Task, once task.Once) (made task.Task, err error) {
	tag, err := r.conn.Exec(ctx, `
WITH expired AS (
	DELETE FROM idempotency_keys WHERE key IN (
		SELECT key FROM idempotency_keys WHERE expires_at <= now() AND key <> $1
		ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED)
), claimed AS (
	INSERT INTO idempotency_keys AS known (key, fingerprint, task_id, title, completed, created_at, expires_at)
	VALUES ($1, $2, $3, $4, $5, $6, now() + interval '24 hours')
	ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, task_id = excluded.task_id, title = excluded.title,
		completed = excluded.completed, created_at = excluded.created_at, expires_at = excluded.expires_at
	WHERE known.expires_at <= now()
	RETURNING task_id, title, completed, created_at
)
INSERT INTO tasks (id, title, completed, created_at, updated_at)
SELECT task_id, title, completed, created_at, created_at FROM claimed`,
		once.Key, once.Fingerprint[:], m.ID.String(), m.Title, m.Completed, m.CreatedAt)
	if err != nil || tag.RowsAffected() == 1 {
		return m, err
	}
	var fingerprint []byte
	err = r.conn.QueryRow(ctx, `
SELECT fingerprint, task_id::text, title, completed, created_at
FROM idempotency_keys WHERE key = $1 AND expires_at > now()`, once.Key).Scan(&fingerprint, &made.ID, &made.Title, &made.Completed, &made.CreatedAt)
	made.CreatedAt = made.CreatedAt.UTC()
	made.UpdatedAt = made.CreatedAt
	if err == nil && string(fingerprint) != string(once.Fingerprint[:]) {
		err = task.ErrOtherRequest
	}
	return made, err
}

func connectBefore(t *testing.T, dsn string) releaseBefore {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	return releaseBefore{conn}
}

// migratedTo returns a database as an earlier release has left it.
func migratedTo(t *testing.T, version int64) (dsn string) {
	t.Helper()
	dsn = postgrestest.Database(t)
	db, err := Open(Config{URL: credentials.Secret(dsn), MaxConns: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.schema.provider.UpTo(t.Context(), version); err != nil {
		t.Fatal(err)
	}
	return dsn
}

func newTask(t *testing.T, title string) task.Task {
	t.Helper()
	made, err := task.New(task.Draft{Title: title, Completed: true}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func TestKeysOfTheReleaseBeforeGoOn(t *testing.T) {
	dsn := migratedTo(t, 3)
	before := connectBefore(t, dsn)
	first := task.Once{Key: "first", Fingerprint: [32]byte{1}}
	made, err := before.createOnce(t.Context(), newTask(t, "made by the release before"), first)
	if err != nil {
		t.Fatal(err)
	}
	db := openCounted(t, dsn, 2)
	now := func(once task.Once) (task.Task, error) {
		return db.Tasks().Create(t.Context(), task.Draft{Title: "made by this release", Completed: true}, once)
	}
	if again, err := now(first); err != nil || again != made {
		t.Errorf("a key from before the migration: %+v, %v, want %+v", again, err, made)
	}
	other := first
	other.Fingerprint[0]++
	if _, err := now(other); !errors.Is(err, task.ErrOtherRequest) {
		t.Errorf("a key from before the migration for another request: %v", err)
	}

	second := task.Once{Key: "second", Fingerprint: [32]byte{2}}
	if made, err = now(second); err != nil {
		t.Fatal(err)
	}
	if again, err := before.createOnce(t.Context(), newTask(t, "x"), second); err != nil || again != made {
		t.Errorf("a key of this release, repeated at the one before: %+v, %v, want %+v", again, err, made)
	}
	third := task.Once{Key: "third", Fingerprint: [32]byte{3}}
	if made, err = before.createOnce(t.Context(), newTask(t, "x"), third); err != nil {
		t.Fatal(err)
	}
	if again, err := now(third); err != nil || again != made {
		t.Errorf("a key of the release before, repeated at this one: %+v, %v, want %+v", again, err, made)
	}

	// Keys that have expired are new to both.
	for _, table := range []string{"idempotency_keys", "idempotent_requests"} {
		if _, err := before.conn.Exec(t.Context(), "UPDATE "+table+" SET expires_at = now() - interval '1 second'"); err != nil {
			t.Fatal(err)
		}
	}
	if fresh, err := now(third); err != nil || fresh == made {
		t.Errorf("an expired key: %+v, %v", fresh, err)
	}
	fresh, err := before.createOnce(t.Context(), newTask(t, "x"), second)
	if again, nowErr := now(second); err != nil || nowErr != nil || again != fresh {
		t.Errorf("an expired key, renewed by the release before: %+v, %v, want %+v, %v", again, nowErr, fresh, err)
	}
}

// One key makes one task, whichever release its requests reach and in whichever order.
func TestBothReleasesAtOnceMakeOneTask(t *testing.T) {
	dsn := postgrestest.Database(t)
	db := openCounted(t, dsn, 4)
	const keys = 60
	answers := make([][]task.Task, keys)
	for n := range answers {
		answers[n] = make([]task.Task, 4)
	}
	var wg sync.WaitGroup
	for instance := range 4 {
		before := connectBefore(t, dsn)
		wg.Go(func() {
			for n := range keys {
				once := task.Once{Key: fmt.Sprint("key ", n), Fingerprint: [32]byte{byte(n)}}
				var err error
				if instance < 2 {
					answers[n][instance], err = before.createOnce(t.Context(), newTask(t, "x"), once)
				} else {
					answers[n][instance], err = db.Tasks().Create(t.Context(), task.Draft{Title: "x", Completed: true}, once)
				}
				if err != nil {
					t.Errorf("key %d, instance %d: %v", n, instance, err)
				}
			}
		})
	}
	wg.Wait()
	for n, a := range answers {
		if a[0] != a[1] || a[0] != a[2] || a[0] != a[3] {
			t.Errorf("key %d has several answers: %+v", n, a)
		}
	}
	var made int
	if err := db.pool.QueryRow(t.Context(), "SELECT count(*) FROM tasks").Scan(&made); err != nil || made != keys {
		t.Errorf("%d tasks of %d keys, %v", made, keys, err)
	}
}

// One key with one body on two operations is two requests.
func TestKeysBelongToAnOperation(t *testing.T) {
	db := openCounted(t, postgrestest.Database(t), 1)
	once := task.Once{Key: "key", Fingerprint: [32]byte{1}}
	if err := db.gorm.Create(&[]idempotentRequest{{
		Operation: "createNote", Key: once.Key, Fingerprint: once.Fingerprint[:], Answer: []byte(`{"text":"x"}`), ExpiresAt: time.Now().AddDate(0, 0, 1),
	}}).Error; err != nil {
		t.Fatal(err)
	}
	made, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, once)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, once); err != nil || again != made {
		t.Errorf("a repeated request: %+v, %v, want %+v", again, err, made)
	}
	notes, err := db.answered(t.Context(), "createNote", []string{once.Key})
	if err != nil || string(notes[once.Key].Answer) != `{"text":"x"}` {
		t.Errorf("the other operation's answer: %v, %v", notes, err)
	}
}
