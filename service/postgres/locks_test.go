package postgres

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5"
)

// lock runs a statement in a transaction of another session, which lasts until release or the
// end of the test.
func (c *counted) lock(t *testing.T, sql string, arguments ...any) (release func()) {
	t.Helper()
	other, err := pgx.ConnectConfig(t.Context(), c.pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { other.Close(context.Background()) })
	tx, err := other.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tx.Exec(t.Context(), sql, arguments...); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := tx.Commit(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// What somebody else has locked is tried again alone and behind the others, and given up
// after the time that is promised. Nobody else waits for it.
func TestALockedTaskDelaysNoOther(t *testing.T) {
	db := openCounted(t, postgrestest.Database(t), 1)
	made := db.make(t, 4)
	db.lock(t, "SELECT FROM tasks WHERE id = $1 FOR UPDATE", made[0].ID.String())
	title := "changed"
	var others atomic.Int64
	requests := []func(){func() {
		var unavailable *task.UnavailableError
		_, err := db.Tasks().Update(t.Context(), made[0].ID, task.Patch{Title: &title}, nil)
		if !errors.As(err, &unavailable) || !isPgError(err, lockNotAvailable) {
			t.Errorf("update of the locked task: %v", err)
		}
		if n := others.Load(); n != 4 {
			t.Errorf("%d of 4 others were served before it was given up", n)
		}
	}}
	for _, m := range made[1:] {
		requests = append(requests, func() {
			if _, err := db.Tasks().Update(t.Context(), m.ID, task.Patch{Title: &title}, nil); err != nil {
				t.Errorf("update: %v", err)
			}
			others.Add(1)
		})
	}
	// The updates, the read that came after them, and only then the locked one again.
	requests = append(requests, func() {
		if _, err := db.Tasks().Get(t.Context(), made[0].ID); err != nil {
			t.Errorf("get: %v", err)
		}
		others.Add(1)
	})
	if n := db.together(t, requests...); n != 3 {
		t.Errorf("%d statements, want the updates, the read and the locked one's", n)
	}
}

// However many tasks another session has locked, and however many requests wait for them, all
// else goes on.
func TestManyLockedTasksDelayNoOther(t *testing.T) {
	const locked = 20
	db := openCounted(t, postgrestest.Database(t)+"&lock_timeout=0", 8) // so that they wait until the end
	made := db.make(t, locked+1)
	release := db.lock(t, "SELECT FROM tasks WHERE id <> $1 FOR UPDATE", made[locked].ID.String())
	title := "changed"
	var wg sync.WaitGroup
	for _, m := range made[:locked] {
		wg.Go(func() {
			if _, err := db.Tasks().Update(t.Context(), m.ID, task.Patch{Title: &title}, nil); err != nil {
				t.Errorf("update of a locked task: %v", err)
			}
		})
	}
	db.await(t, 2, locked-2)
	for _, request := range db.every(t, made[locked:], "a") {
		request()
	}
	db.await(t, 2, locked-2)
	release()
	wg.Wait()
}

// A key that another session is claiming delays those who want it, and no other new task.
func TestAClaimedKeyDelaysNoOther(t *testing.T) {
	db := openCounted(t, postgrestest.Database(t), 1)
	db.lock(t, `INSERT INTO idempotent_requests VALUES ('createTask', 'claimed', '',
		json_build_object('id', gen_random_uuid(), 'title', 'x', 'completed', true, 'created_at', now()), now() + interval '1 hour')`)
	var requests []func()
	for _, key := range []string{"a", "claimed", "z"} {
		requests = append(requests, func() {
			_, err := db.Tasks().Create(t.Context(), task.Draft{Title: key}, task.Once{Key: key})
			if (key == "claimed") != isPgError(err, lockNotAvailable) || key != "claimed" && err != nil {
				t.Errorf("key %s: %v", key, err)
			}
		})
	}
	db.together(t, requests...)
}
