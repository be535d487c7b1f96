package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// session is a session of somebody else in the database.
type session struct {
	t    *testing.T
	conn *pgx.Conn
}

func connect(t *testing.T, dsn string) session {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // closed before when the test did
	return session{t, conn}
}

func (s session) exec(sql string) {
	s.t.Helper()
	if _, err := s.conn.Exec(s.t.Context(), sql); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
}

func (s session) count(sql string) (n int) {
	s.t.Helper()
	if err := s.conn.QueryRow(s.t.Context(), "SELECT count(*) FROM "+sql).Scan(&n); err != nil {
		s.t.Fatalf("%s: %v", sql, err)
	}
	return n
}

// waiting are the sessions in this database that wait for a lock.
const waiting = "pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"

func TestMoreRequestsThanThePoolServes(t *testing.T) {
	t.Parallel()
	for each, seconds := range map[string]float64{"STATEMENT": 0.3, "ROW": 0.05} {
		t.Run("each "+each+" takes long", func(t *testing.T) {
			const people = 400
			dsn := postgrestest.Database(t)
			api, _ := launch(t, env{envDatabaseURL: dsn, envDatabaseMaxConns: "2"})
			api.create(t, "first", false)
			db := connect(t, dsn)
			db.exec(fmt.Sprintf(`CREATE FUNCTION wait() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(%g); RETURN NULL; END';
				CREATE TRIGGER slow AFTER INSERT ON tasks FOR EACH %s EXECUTE FUNCTION wait()`, seconds, each))
			var wg sync.WaitGroup
			var mu sync.Mutex
			made := map[string]bool{}
			for n := range people {
				wg.Go(func() {
					title := fmt.Sprint(n)
					r := api.ask(t, "POST", tasks, `{"title":"`+title+`"}`)
					if r.status == http.StatusCreated {
						mu.Lock()
						defer mu.Unlock()
						made[title] = true
					} else if err := unavailable(r); err != nil {
						t.Error(err)
					}
				})
			}
			if r := api.ask(t, "GET", "/", ""); r.status != http.StatusOK {
				t.Errorf("GET /: %d", r.status)
			}
			wg.Wait()
			t.Logf("%d of %d were served", len(made), people)
			if len(made) == 0 {
				t.Error("nobody was served")
			}
			db.exec("DROP TRIGGER slow ON tasks")
			titles, _ := api.page(t, tasks+"?limit=500")
			for _, title := range titles {
				delete(made, title)
			}
			if len(made) > 0 {
				t.Errorf("%d tasks were acknowledged and are not there", len(made))
			}
			for _, r := range api.crowd(t, people, tasks+"?limit=1") {
				if r.status != http.StatusOK {
					t.Errorf("afterwards: %d %s", r.status, r.body)
				}
			}
		})
	}
}

// All of the pool waits for rows that somebody else has locked.
func TestLockedRowsHoldUpThePool(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.Database(t)
	api, _ := launch(t, env{envDatabaseURL: dsn, envDatabaseMaxConns: "2"})
	other := api.create(t, "other", false)
	locked := []string{api.create(t, "locked", false), api.create(t, "locked", false)}
	db, lock := connect(t, dsn), connect(t, dsn)
	lock.exec("BEGIN; SELECT FROM tasks WHERE title = 'locked' FOR UPDATE")
	var wg sync.WaitGroup
	for _, path := range locked {
		wg.Go(func() {
			if err := unavailable(api.ask(t, "PUT", path, `{"title":"changed","completed":true}`)); err != nil {
				t.Errorf("a locked row: %v", err)
			}
		})
	}
	if !comesTrue(t, patience, func() bool { return db.count(waiting) > 0 }) {
		t.Fatal("nobody waits for the rows")
	}
	for range 100 {
		wg.Go(func() {
			if r := api.ask(t, "GET", other, ""); r.status != http.StatusOK && unavailable(r) != nil {
				t.Errorf("beside locked rows: %d %s", r.status, r.body)
			}
		})
	}
	if r := api.ask(t, "GET", "/", ""); r.status != http.StatusOK {
		t.Errorf("GET /: %d", r.status)
	}
	wg.Wait()
	lock.exec("ROLLBACK")
	for _, path := range append(locked, other) {
		for _, r := range api.crowd(t, 20, path) {
			if r.status != http.StatusOK {
				t.Errorf("afterwards: %d %s", r.status, r.body)
			}
		}
	}
}

// While the pool has connections to spare, only who wants a locked row waits for it.
func TestALockedRowHoldsUpNobodyElse(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.Database(t)
	api, _ := launch(t, env{envDatabaseURL: dsn, envDatabaseMaxConns: "4"})
	path := api.create(t, "locked", false)
	db, lock := connect(t, dsn), connect(t, dsn)
	tr := drive(t, 32, false, api)
	tr.flows(t, patience)
	lock.exec("BEGIN; SELECT FROM tasks WHERE title = 'locked' FOR UPDATE")
	for _, request := range [][2]string{{"PATCH", `{"completed":true}`}, {"DELETE", ""}} {
		if err := unavailable(api.ask(t, request[0], path, request[1])); err != nil {
			t.Errorf("%s a locked row: %v", request[0], err)
		}
		tr.flows(t, backTime)
	}
	tr.stop()
	if !comesTrue(t, backTime, func() bool { return db.count(waiting) == 0 }) {
		t.Errorf("%d queries were answered for and go on", db.count(waiting))
	}
	lock.exec("ROLLBACK")
	if r := api.ask(t, "GET", path, ""); r.status != http.StatusOK || r.json(t)["completed"] != false {
		t.Errorf("what was given up is %d %s", r.status, r.body)
	}
}

func TestAQueryThatTakesTooLongIsCancelled(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.Database(t)
	api, _ := launch(t, env{envDatabaseURL: dsn + "&lock_timeout=0"}) // else the database ends them itself
	path := api.create(t, "before", false)
	before := api.do(t, "GET", path, "", nil).body
	db, lock := connect(t, dsn), connect(t, dsn)
	lock.exec("BEGIN; LOCK TABLE tasks IN ACCESS EXCLUSIVE MODE")
	const body = `{"title":"after","completed":true}`
	var wg sync.WaitGroup
	for _, request := range [][3]string{
		{"GET", tasks, ""}, {"GET", path, ""}, {"POST", tasks, body}, {"PUT", path, body}, {"PATCH", path, body}, {"DELETE", path, ""},
	} {
		wg.Go(func() {
			if err := unavailable(api.ask(t, request[0], request[1], request[2])); err != nil {
				t.Errorf("%s %s: %v", request[0], request[1], err)
			}
		})
	}
	if !comesTrue(t, patience, func() bool { return db.count(waiting) > 1 }) {
		t.Fatal("nobody waits for the table")
	}
	wg.Wait()
	if !comesTrue(t, backTime, func() bool { return db.count(waiting) == 0 }) {
		t.Errorf("%d queries were answered for and go on", db.count(waiting))
	}
	lock.exec("ROLLBACK")
	if r := api.do(t, "GET", tasks, "", nil); r.body != "["+before+"]" {
		t.Errorf("was %s, is %s", before, r.body)
	}
}

func TestTheDatabaseHasNoConnectionsLeft(t *testing.T) {
	t.Parallel()
	server := startDatabase(t, map[string]string{"max_connections": "6", "superuser_reserved_connections": "0"})
	dsn := server.DSN("todo")
	// take is as many sessions as there are.
	take := func() (taken []*pgx.Conn) {
		for {
			conn, err := pgx.Connect(t.Context(), dsn)
			if full := new(pgconn.PgError); errors.As(err, &full) && full.Code == "53300" {
				return taken
			}
			if err != nil {
				t.Fatal(err)
			}
			taken = append(taken, conn)
		}
	}
	leave := func(taken []*pgx.Conn) {
		for _, conn := range taken {
			if err := conn.Close(context.Background()); err != nil {
				t.Error(err)
			}
		}
	}
	taken := take()
	api, _ := launch(t, env{envDatabaseURL: dsn, envDatabaseMaxConns: "5"})
	for range 3 {
		if err := unavailable(api.ask(t, "GET", tasks, "")); err != nil {
			t.Error(err)
		}
	}
	leave(taken)
	if !comesTrue(t, backTime, func() bool { return api.ask(t, "GET", tasks, "").status == http.StatusOK }) {
		t.Fatal("not served when there are connections again")
	}

	// A part of the pool has its sessions, the rest of it is refused.
	taken = take()
	tr := drive(t, 32, true, api)
	tr.flows(t, patience)
	if r := api.ask(t, "GET", "/", ""); r.status != http.StatusOK {
		t.Errorf("GET /: %d", r.status)
	}
	leave(taken)
	tr.flows(t, backTime)
	tr.verify(t)
}
