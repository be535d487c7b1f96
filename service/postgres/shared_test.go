package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/credentials"
	"example.com/todo/service/postgres"
	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/task"
	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
)

// patience bounds every wait for a condition.
const patience = 30 * time.Second

// busy is a database that has one connection.
type busy struct {
	*postgres.DB
	dsn   string
	alone bool // operations follow one another
}

// inBothWays runs a test with statements that are shared and without.
func inBothWays(t *testing.T, test func(*testing.T, busy)) {
	for name, alone := range map[string]bool{"together": false, "alone": true} {
		t.Run(name, func(t *testing.T) {
			dsn := postgrestest.Database(t)
			test(t, busy{DB: openWith(t, postgres.Config{URL: credentials.Secret(dsn), MaxConns: 1}), dsn: dsn, alone: alone})
		})
	}
}

// atOnce does the operations while the one connection is busy, so that all of them wait
// when it becomes free. With alone, each finds the connection free.
func (db busy) atOnce(t *testing.T, operations ...func()) {
	t.Helper()
	if db.alone {
		for _, operation := range operations {
			operation()
		}
		return
	}
	// The first request also has expired keys removed.
	if _, err := db.Tasks().List(t.Context(), task.Filter{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	db.await(t, 0, 0)
	lock := begin(t, db.dsn, "LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
	var wg sync.WaitGroup
	wg.Go(func() {
		if _, err := db.Tasks().List(t.Context(), task.Filter{Limit: 1}); err != nil {
			t.Errorf("what the others wait for: %v", err)
		}
	})
	db.await(t, 1, 0)
	for _, operation := range operations {
		wg.Go(operation)
	}
	db.await(t, 1, len(operations))
	lock.end(t)
	wg.Wait()
}

func (db busy) await(t *testing.T, busy, waiting int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		b, w := db.Load()
		if b == busy && w == waiting {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%d busy and %d waiting, want %d and %d", b, w, busy, waiting)
		}
	}
}

// transaction is somebody else's.
type transaction struct{ conn *pgx.Conn }

func begin(t *testing.T, dsn, sql string) transaction {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(context.Background()) })
	if _, err := conn.Exec(t.Context(), "BEGIN; "+sql); err != nil {
		t.Fatal(err)
	}
	return transaction{conn}
}

func (tx transaction) end(t *testing.T) {
	t.Helper()
	if _, err := tx.conn.Exec(t.Context(), "COMMIT"); err != nil {
		t.Error(err)
	}
}

func (db busy) make(t *testing.T, titles ...string) []task.Task {
	t.Helper()
	made := make([]task.Task, len(titles))
	for i, title := range titles {
		var err error
		if made[i], err = db.Tasks().Create(t.Context(), task.Draft{Title: title}, task.Once{}); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

func TestTasks(t *testing.T) {
	inBothWays(t, func(t *testing.T, db busy) { operations(t, db.Tasks()) })
}

// What one statement writes has one transaction id.
const transactions = "SELECT count(DISTINCT xmin::text) FROM tasks"

func TestWaitingCreatesAreOneCommit(t *testing.T) {
	inBothWays(t, func(t *testing.T, db busy) {
		made := make([]task.Task, 20)
		var creates []func()
		for i := range made {
			creates = append(creates, func() {
				var err error
				made[i], err = db.Tasks().Create(t.Context(), task.Draft{Title: fmt.Sprint("task ", i), Completed: i%2 == 0}, task.Once{})
				if err != nil {
					t.Error(err)
				}
			})
		}
		db.atOnce(t, creates...)
		for i, m := range made {
			if got, err := db.Tasks().Get(t.Context(), m.ID); err != nil || got != m || m.Title != fmt.Sprint("task ", i) || m.Completed != (i%2 == 0) {
				t.Errorf("%d: made %+v, got %+v, %v", i, m, got, err)
			}
		}
		want := 1
		if db.alone {
			want = len(made)
		}
		if n := ask(t, db.dsn, transactions); n != want {
			t.Errorf("%d commits, want %d", n, want)
		}
	})
}

func TestWaitingReadsAreAnsweredEach(t *testing.T) {
	inBothWays(t, func(t *testing.T, db busy) {
		made := db.make(t, "a", "b", "c", "d")
		none := task.NewID(time.Now())
		var reads []func()
		for i, m := range slices.Concat(made, made[:2]) {
			reads = append(reads, func() {
				if got, err := db.Tasks().Get(t.Context(), m.ID); err != nil || got != m {
					t.Errorf("%d: %+v, %v", i, got, err)
				}
			}, func() {
				if got, err := db.Tasks().List(t.Context(), task.Filter{Limit: i + 1}); err != nil || len(got) != min(i+1, 4) || got[0] != made[3] {
					t.Errorf("list of %d: %v, %v", i+1, got, err)
				}
			})
		}
		completed := true
		reads = append(reads, func() {
			if _, err := db.Tasks().Get(t.Context(), none); !errors.Is(err, task.ErrNotFound) {
				t.Errorf("nothing: %v", err)
			}
		}, func() {
			if got, err := db.Tasks().List(t.Context(), task.Filter{Limit: 2, Completed: &completed}); err != nil || len(got) != 0 {
				t.Errorf("completed: %v, %v", got, err)
			}
		}, func() {
			if got, err := db.Tasks().List(t.Context(), task.Filter{Limit: 2, After: &made[2].ID}); err != nil || len(got) != 2 || got[0] != made[1] {
				t.Errorf("older: %v, %v", got, err)
			}
		})
		db.atOnce(t, reads...)
	})
}

// Each is answered for itself: found or not, of the right version or not, and two of one
// task one after the other.
func TestWaitingWritesAreAnsweredEach(t *testing.T) {
	inBothWays(t, func(t *testing.T, db busy) {
		made := db.make(t, "plain", "guarded", "changed", "twice", "patched", "gone", "kept", "last")
		other := task.Version(strings.Split(string(made[0].Version()), "-")[0] + "-0123456789abcdef")
		none := task.NewID(time.Now())
		title, completed := "new", true
		update := func(id task.ID, p task.Patch, versions []task.Version, want error, wanted func(task.Task) bool) func() {
			return func() {
				got, err := db.Tasks().Update(t.Context(), id, p, versions)
				if !errors.Is(err, want) || err == nil && (!wanted(got) || !got.UpdatedAt.After(got.CreatedAt)) {
					t.Errorf("update of %s: %+v, %v, want error %v", id, got, err, want)
				}
			}
		}
		remove := func(id task.ID, versions []task.Version, want error) func() {
			return func() {
				if err := db.Tasks().Delete(t.Context(), id, versions); !errors.Is(err, want) {
					t.Errorf("delete of %s: %v, want %v", id, err, want)
				}
			}
		}
		isNew := func(got task.Task) bool { return got.Title == title && got.Completed }
		db.atOnce(t,
			update(made[0].ID, all(title, true), nil, nil, isNew),
			update(made[1].ID, all(title, true), []task.Version{other, made[1].Version()}, nil, isNew),
			update(made[2].ID, all(title, true), []task.Version{other, made[1].Version()}, task.ErrChanged, nil),
			update(made[3].ID, task.Patch{Title: &title}, nil, nil, func(got task.Task) bool { return got.Title == title }),
			update(made[3].ID, task.Patch{Completed: &completed}, nil, nil, func(got task.Task) bool { return got.Completed }),
			update(made[4].ID, task.Patch{Completed: &completed}, nil, nil, func(got task.Task) bool { return got.Title == "patched" && got.Completed }),
			update(none, all(title, true), nil, task.ErrNotFound, nil),
			update(none, all(title, true), []task.Version{other}, task.ErrNotFound, nil),
			remove(made[5].ID, nil, nil),
			remove(made[6].ID, []task.Version{}, task.ErrChanged),
			remove(made[7].ID, []task.Version{made[7].Version()}, nil),
			remove(none, nil, task.ErrNotFound),
		)
		left, err := db.Tasks().List(t.Context(), task.Filter{Limit: 10})
		var titles []string
		for _, l := range left {
			titles = append(titles, fmt.Sprintf("%s %t", l.Title, l.Completed))
		}
		want := []string{"kept false", "patched true", "new true", "changed false", "new true", "new true"}
		if diff := cmp.Diff(want, titles); err != nil || diff != "" {
			t.Errorf("%v, left (-want +got):\n%s", err, diff)
		}
	})
}

func TestOneBadWriteFailsNoOther(t *testing.T) {
	inBothWays(t, func(t *testing.T, db busy) {
		made := db.make(t, "0", "1", "2")
		admin, err := pgx.Connect(t.Context(), db.dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer admin.Close(context.Background())
		if _, err := admin.Exec(t.Context(), "ALTER TABLE tasks ADD CHECK (title <> 'poison')"); err != nil {
			t.Fatal(err)
		}
		var writes []func()
		for i, title := range []string{"a", "poison", "c"} {
			bad := title == "poison"
			writes = append(writes, func() {
				if _, err := db.Tasks().Create(t.Context(), task.Draft{Title: title}, task.Once{}); bad != (err != nil) {
					t.Errorf("create %s: %v", title, err)
				}
			}, func() {
				if _, err := db.Tasks().Update(t.Context(), made[i].ID, all(title, true), nil); bad != (err != nil) {
					t.Errorf("update to %s: %v", title, err)
				}
			})
		}
		db.atOnce(t, writes...)
		if n := ask(t, db.dsn, "SELECT count(*) FROM tasks WHERE title IN ('a', 'c')"); n != 4 {
			t.Errorf("%d good writes, want 4", n)
		}
	})
}

// A row that somebody holds delays who wants it, and nobody else.
func TestALockedRowDelaysNoOther(t *testing.T) {
	dsn := postgrestest.Database(t)
	db := busy{DB: openWith(t, postgres.Config{URL: credentials.Secret(dsn), MaxConns: 2}), dsn: dsn}
	made := db.make(t, "locked", "a", "b", "c")
	lock := begin(t, dsn, "SELECT FROM tasks WHERE title = 'locked' FOR UPDATE")
	all1, locked := all("new", true), make(chan error, 1)
	go func() { _, err := db.Tasks().Update(t.Context(), made[0].ID, all1, nil); locked <- err }()
	db.await(t, 1, 0)
	var wg sync.WaitGroup
	for range 5 {
		for _, m := range made[1:] {
			wg.Go(func() {
				if _, err := db.Tasks().Update(t.Context(), m.ID, all1, nil); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			var unavailable *task.UnavailableError
			if _, err := db.Tasks().Update(ctx, made[0].ID, all1, nil); !errors.As(err, &unavailable) {
				t.Errorf("who wants the locked row got %v", err)
			}
		})
	}
	wg.Wait()
	lock.end(t)
	if err := <-locked; err != nil {
		t.Error(err)
	}
}

// Whatever is shared, nobody is shown less than what was written before they asked.
func TestEveryoneReadsTheirOwnWrites(t *testing.T) {
	dsn := postgrestest.Database(t)
	db := busy{DB: openWith(t, postgres.Config{URL: credentials.Secret(dsn), MaxConns: 2}), dsn: dsn}
	var wg sync.WaitGroup
	for range 24 {
		wg.Go(func() {
			for range 20 {
				made, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{})
				if err != nil {
					t.Error(err)
					return
				}
				listed, err := db.Tasks().List(t.Context(), task.Filter{Limit: 500})
				if err != nil || !slices.Contains(listed, made) {
					t.Errorf("the list of %d misses what was made before: %v", len(listed), err)
				}
				updated, err := db.Tasks().Update(t.Context(), made.ID, all("y", true), nil)
				if got, getErr := db.Tasks().Get(t.Context(), made.ID); errors.Join(err, getErr) != nil || got != updated {
					t.Errorf("got %+v after %+v: %v", got, updated, errors.Join(err, getErr))
				}
				if err := db.Tasks().Delete(t.Context(), made.ID, nil); err != nil {
					t.Error(err)
				}
				if _, err := db.Tasks().Get(t.Context(), made.ID); !errors.Is(err, task.ErrNotFound) {
					t.Errorf("after the end: %v", err)
				}
			}
		})
	}
	wg.Wait()
}

// Few rows, many writers, two instances: nobody waits for each other.
func TestManyWritersOfFewRows(t *testing.T) {
	dsn := postgrestest.Database(t)
	one := busy{DB: openWith(t, postgres.Config{URL: credentials.Secret(dsn), MaxConns: 4}), dsn: dsn}
	other := busy{DB: openWith(t, postgres.Config{URL: credentials.Secret(dsn), MaxConns: 4}), dsn: dsn}
	made := one.make(t, "a", "b", "c")
	last := make([]task.Task, len(made))
	var mu sync.Mutex
	var wg sync.WaitGroup
	for writer := range 64 {
		wg.Go(func() {
			db := one
			if writer%2 == 1 {
				db = other
			}
			for i := range 20 {
				n := (writer + i) % len(made)
				got, err := db.Tasks().Update(t.Context(), made[n].ID, all(fmt.Sprintf("%d of %d", i, writer), true), nil)
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				if got.UpdatedAt.After(last[n].UpdatedAt) {
					last[n] = got
				} else if got.UpdatedAt.Equal(last[n].UpdatedAt) {
					t.Errorf("two writes at %v", got.UpdatedAt)
				}
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for n, want := range last {
		if got, err := one.Tasks().Get(t.Context(), made[n].ID); err != nil || got != want {
			t.Errorf("is %+v, %v, the last write was %+v", got, err, want)
		}
	}
	if n := ask(t, dsn, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"); n != 0 {
		t.Errorf("%d deadlocks", n)
	}
}
