package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/todo/service/batch"
	"example.com/todo/service/credentials"
	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5"
	"gorm.io/gorm"
)

const patience = 30 * time.Second

// counted is a database that counts its statements.
type counted struct {
	*DB
	statements atomic.Int64
	blocks     *batch.Operation[int, block, struct{}]
}

// block takes a place in the queue until its channel is closed.
type block struct {
	place int
	until <-chan struct{}
}

func openCounted(t *testing.T, dsn string, conns int32) *counted {
	t.Helper()
	db, err := Open(Config{URL: credentials.Secret(dsn), MaxConns: conns}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &counted{DB: db}
	c.blocks = batch.NewOperation(db.queue, batch.Config[int, block, struct{}]{
		Key: func(b block) int { return b.place }, Most: 1,
		Run: func(_ context.Context, blocks []block, _ bool) ([]batch.Result[struct{}], error) {
			<-blocks[0].until
			return make([]batch.Result[struct{}], 1), nil
		},
	})
	count := func(*gorm.DB) { c.statements.Add(1) }
	callbacks := db.gorm.Callback()
	err = errors.Join(
		callbacks.Query().Before("gorm:query").Register("count", count),
		callbacks.Row().Before("gorm:row").Register("count", count),
		callbacks.Create().Before("gorm:create").Register("count", count),
		callbacks.Delete().Before("gorm:delete").Register("count", count),
	)
	if err != nil {
		t.Fatal(err)
	}
	// The first request has expired keys removed, beside what it asks for.
	if _, err := db.Tasks().List(t.Context(), task.Filter{Limit: 1}); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *counted) await(t *testing.T, running, waiting int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		r, w := c.Load()
		if r == running && w == waiting {
			return
		}
		if pause(ctx, time.Millisecond) != nil {
			t.Fatalf("%d running and %d waiting, want %d and %d", r, w, running, waiting)
		}
	}
}

// together runs functions, each of which makes one request, while every connection is taken,
// and returns how many statements they then take together.
func (c *counted) together(t *testing.T, requests ...func()) int64 {
	t.Helper()
	c.await(t, 0, 0)
	places := int(c.pool.Config().MaxConns)
	free := make(chan struct{})
	var wg sync.WaitGroup
	for place := range places {
		wg.Go(func() {
			if _, err := c.blocks.Do(t.Context(), block{place, free}); err != nil {
				t.Error(err)
			}
		})
	}
	c.await(t, places, 0)
	before := c.statements.Load()
	for _, request := range requests {
		wg.Go(request)
	}
	c.await(t, places, len(requests))
	close(free)
	wg.Wait()
	return c.statements.Load() - before
}

func (c *counted) make(t *testing.T, n int) []task.Task {
	t.Helper()
	made := make([]task.Task, n)
	for i := range made {
		var err error
		if made[i], err = c.Tasks().Create(t.Context(), task.Draft{Title: fmt.Sprint("task ", i)}, task.Once{}); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

// every returns requests of each operation, n of most, that all do what they are for.
func (c *counted) every(t *testing.T, made []task.Task, key string) (requests []func()) {
	check := func(what string, err error) {
		if err != nil {
			t.Errorf("%s: %v", what, err)
		}
	}
	store, completed, title := c.Tasks(), true, "changed"
	for i, m := range made {
		requests = append(requests, func() {
			_, err := store.Get(t.Context(), m.ID)
			check("get", err)
		}, func() {
			_, err := store.List(t.Context(), task.Filter{Limit: 1 + i, After: &m.ID})
			check("list", err)
		}, func() {
			_, err := store.List(t.Context(), task.Filter{Limit: 1 + i, Completed: &completed})
			check("list of one state", err)
		}, func() {
			_, err := store.Create(t.Context(), task.Draft{Title: "made"}, task.Once{})
			check("create", err)
		}, func() {
			_, err := store.Create(t.Context(), task.Draft{Title: "made once"}, task.Once{Key: fmt.Sprint(key, i%2), Fingerprint: [32]byte{1}})
			check("create once", err)
		}, func() {
			versions := []task.Version{m.Version()}
			for n := range i {
				versions = append(versions, task.Version(fmt.Sprint(n)))
			}
			_, err := store.Update(t.Context(), m.ID, task.Patch{Title: &title}, versions)
			check("update", err)
		}, func() {
			check("delete", ignoring(store.Delete(t.Context(), task.NewID(time.Now()), nil), task.ErrNotFound))
		})
	}
	return requests
}

func ignoring(err, expected error) error {
	if errors.Is(err, expected) {
		return nil
	}
	return err
}

// A client must not be able to fill the database's sessions with prepared statements: one
// needed as many as there were numbers of entity tags, and took a session to 117 MB.
func TestStatementsHaveOneTextForAnyNumberOfThings(t *testing.T) {
	db := openCounted(t, postgrestest.Database(t), 1)
	prepared := func() (n int) {
		t.Helper()
		if err := db.pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_prepared_statements").Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	for _, request := range db.every(t, db.make(t, 1), "a") {
		request()
	}
	db.together(t, db.every(t, db.make(t, 3), "b")...)
	once := prepared()
	for n := 4; n < 20; n += 4 {
		db.together(t, db.every(t, db.make(t, n), fmt.Sprint(n))...)
	}
	if n := prepared(); n != once || n < 7 {
		t.Errorf("%d prepared statements became %d", once, n)
	}
}

// Writes to tasks that are not there, or that have another version, must not be done again one
// by one: with them one client held up all others.
func TestWritesThatFindNothingShareTheirStatement(t *testing.T) {
	const many = 100
	db := openCounted(t, postgrestest.Database(t), 1)
	made := db.make(t, many)
	title := "changed"
	var requests []func()
	for i, m := range made {
		id, versions, want := m.ID, []task.Version{"other"}, task.ErrChanged
		if i%2 == 0 {
			id, versions, want = task.NewID(time.Now()), nil, task.ErrNotFound
		}
		requests = append(requests, func() {
			if _, err := db.Tasks().Update(t.Context(), id, task.Patch{Title: &title}, versions); !errors.Is(err, want) {
				t.Errorf("update: %v, want %v", err, want)
			}
		}, func() {
			if err := db.Tasks().Delete(t.Context(), id, versions); !errors.Is(err, want) {
				t.Errorf("delete: %v, want %v", err, want)
			}
		})
	}
	if n := db.together(t, requests...); n != 2 {
		t.Errorf("%d writes took %d statements, want one for the updates and one for the deletes", len(requests), n)
	}
}

// Lists of different pages, reads and new tasks with a key share their statements too.
func TestRequestsThatDifferShareAStatement(t *testing.T) {
	db := openCounted(t, postgrestest.Database(t), 1)
	made := db.make(t, mostPages)
	for what, request := range map[string]func(i int, m task.Task) error{
		"lists": func(i int, m task.Task) error {
			got, err := db.Tasks().List(t.Context(), task.Filter{Limit: 100, After: &m.ID})
			if len(got) != i {
				t.Errorf("%d tasks are older than number %d", len(got), i)
			}
			return err
		},
		"reads": func(_ int, m task.Task) error {
			got, err := db.Tasks().Get(t.Context(), m.ID)
			if got != m {
				t.Errorf("got %v, want %v", got, m)
			}
			return err
		},
		"new tasks with a key": func(i int, _ task.Task) error {
			_, err := db.Tasks().Create(t.Context(), task.Draft{Title: "once"}, task.Once{Key: fmt.Sprint(i)})
			return err
		},
	} {
		var requests []func()
		for i, m := range made {
			requests = append(requests, func() {
				if err := request(i, m); err != nil {
					t.Errorf("%s: %v", what, err)
				}
			})
		}
		if n := db.together(t, requests...); n != 1 {
			t.Errorf("%d %s took %d statements, want 1", len(requests), what, n)
		}
	}
}

// A session that the database has ended because it was idle has not run what comes next.
func TestTheEndOfAnIdleSessionCostsNoRequest(t *testing.T) {
	dsn := postgrestest.Database(t)
	db := openCounted(t, dsn, 2)
	watch, err := pgx.ConnectConfig(t.Context(), db.pool.Config().ConnConfig)
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Close(context.Background())
	for _, request := range db.every(t, db.make(t, 1), "a") {
		db.await(t, 0, 0)
		if _, err := db.pool.Exec(t.Context(), "SET idle_session_timeout = '50ms'"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		for sessions := 1; sessions > 0; {
			err := watch.QueryRow(ctx, `SELECT count(*) FROM pg_stat_activity
				WHERE datname = current_database() AND pid <> pg_backend_pid() AND query LIKE 'SET idle%'`).Scan(&sessions)
			if err != nil {
				t.Fatal(err)
			}
		}
		cancel()
		request()
	}
}

func TestManyWhoAskForReadinessShareTheAnswer(t *testing.T) {
	db := openCounted(t, postgrestest.Database(t), 2)
	db.await(t, 0, 0)
	before := db.statements.Load()
	var wg sync.WaitGroup
	for range 300 {
		wg.Go(func() {
			if err := db.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if n := db.statements.Load() - before; n < 1 || n > 2 { // two when the first answer has grown old meanwhile
		t.Errorf("300 questions took %d statements", n)
	}
}

// Sessions of a writer that has lost its role stay open, and refuse every write from then on.
func TestASessionThatBecameReadOnlyIsClosed(t *testing.T) {
	db := openCounted(t, postgrestest.Database(t), 1)
	made := db.make(t, 1)[0]
	title := "changed"
	for what, use := range map[string]func() error{
		"create": func() error {
			_, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{})
			return err
		},
		"create once": func() error {
			_, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{Key: "k"})
			return err
		},
		"update": func() error {
			_, err := db.Tasks().Update(t.Context(), made.ID, task.Patch{Title: &title}, nil)
			return err
		},
		"delete": func() error {
			return ignoring(db.Tasks().Delete(t.Context(), task.NewID(time.Now()), nil), task.ErrNotFound)
		},
		"readiness": func() error {
			db.readiness.seen.Store(0) // so that it asks now
			return db.Ready(t.Context())
		},
	} {
		db.await(t, 0, 0)
		if _, err := db.pool.Exec(t.Context(), "SET default_transaction_read_only = on"); err != nil {
			t.Fatal(err)
		}
		var unavailable *task.UnavailableError
		if err := use(); !errors.As(err, &unavailable) {
			t.Errorf("%s in a read-only session: %v, want that the database is unavailable", what, err)
		}
		if err := use(); err != nil {
			t.Errorf("%s, again: %v", what, err)
		}
	}
}

// What a URL may ask of pgx works, or is refused at the start.
func TestQueryModes(t *testing.T) {
	for _, mode := range []string{"cache_statement", "cache_describe", "describe_exec", "exec", "simple_protocol"} {
		t.Run(mode, func(t *testing.T) {
			db := openCounted(t, postgrestest.Database(t)+"&default_query_exec_mode="+mode, 1)
			db.together(t, db.every(t, db.make(t, 3), "a")...)
			for _, request := range db.every(t, db.make(t, 2), "b") {
				request()
			}
			if err := db.Ready(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	for _, refused := range []string{"statement_cache_capacity=0", "default_query_exec_mode=cache_describe&description_cache_capacity=0", "default_query_exec_mode=some"} {
		url := credentials.Secret("postgres://u:hunter2@127.0.0.1:1/none?" + refused)
		_, err := Open(Config{URL: url, MaxConns: 1}, slog.New(slog.DiscardHandler))
		for _, err := range []error{err, CheckURL(url)} {
			if err == nil || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s: %v", refused, err)
			}
		}
	}
}

// A migration that changes a column's type must not fail the next use of each session's
// prepared statements.
func TestAColumnsTypeMayChange(t *testing.T) {
	db := openCounted(t, postgrestest.Database(t), 1)
	db.together(t, db.every(t, db.make(t, 2), "a")...)
	made := db.make(t, 2)
	if _, err := db.migrating.ExecContext(t.Context(), "ALTER TABLE tasks ALTER title TYPE varchar(600)"); err != nil {
		t.Fatal(err)
	}
	for _, request := range db.every(t, made, "b") {
		request()
	}
}

// Few of many rows must not cost a scan of them all, also where the planner does not know how
// many there are.
func TestStatementsFindTheirRowsByAnIndex(t *testing.T) {
	db := openCounted(t, postgrestest.Database(t), 1)
	made := db.make(t, 1)[0]
	if _, err := db.pool.Exec(t.Context(), `INSERT INTO tasks (id, title, completed, created_at, updated_at)
		SELECT lpad(to_hex(n), 32, '0')::uuid, 'x', n % 1000 = 0, now(), now() FROM generate_series(1, 20000) AS n`); err != nil {
		t.Fatal(err)
	}
	one := asJSON([]wantedTask{{ID: made.ID, Patch: map[string]any{"title": "y"}}})
	page := func(completed string) string {
		return `[{"page":0,"before":"` + lastID.String() + `","completed":` + completed + `,"most":101}]`
	}
	for _, tc := range []struct {
		statement string
		arguments []any
		index     string
	}{
		{pages, []any{page("null")}, "tasks_pkey"},
		{pages, []any{page("true")}, "tasks_by_completed"},
		{fmt.Sprintf(updateTasks, ""), []any{one, time.Now()}, "tasks_pkey"},
		{fmt.Sprintf(updateTasks, "SKIP LOCKED"), []any{one, time.Now()}, "tasks_pkey"},
		{fmt.Sprintf(deleteTasks, "SKIP LOCKED"), []any{one}, "tasks_pkey"},
		{"SELECT * FROM tasks WHERE id = ANY(?)", []any{uuids([]task.ID{made.ID})}, "tasks_pkey"},
	} {
		for _, analyzed := range []string{"", "ANALYZE tasks"} {
			if _, err := db.pool.Exec(t.Context(), analyzed); err != nil {
				t.Fatal(err)
			}
			var lines []string
			err := db.gorm.Raw("EXPLAIN "+tc.statement, tc.arguments...).Scan(&lines).Error
			plan := strings.Join(lines, "\n")
			if err != nil || !strings.Contains(plan, tc.index) || strings.Contains(plan, "Seq Scan on tasks") {
				t.Errorf("%v, %s\n%s", err, tc.statement, plan)
			}
		}
	}
}
