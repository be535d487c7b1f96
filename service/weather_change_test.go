package main

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
)

func TestEightInstancesStartAtOnce(t *testing.T) {
	t.Parallel()
	const eight = 8
	dsn := postgrestest.Database(t)
	road := newRoad(t, dsn)
	road.stall()
	var instances []instance
	for range eight {
		i, _ := begin(t, env{envDatabaseURL: road.dsn, envDatabaseMaxConns: "2"})
		instances = append(instances, i)
	}
	if !comesTrue(t, patience, func() bool { return road.ever.Load() == eight }) {
		t.Fatalf("%d connections of %d instances", road.ever.Load(), eight)
	}
	road.open()
	var wg sync.WaitGroup
	for n, i := range instances {
		wg.Go(func() {
			if r := i.ask(t, "POST", tasks, fmt.Sprintf(`{"title":"%d"}`, n)); r.status != http.StatusCreated {
				t.Errorf("instance %d: %d %s", n, r.status, r.body)
			}
		})
	}
	wg.Wait()
	for n, i := range instances {
		titles, _ := i.page(t, tasks)
		if len(titles) != eight {
			t.Errorf("instance %d sees %v", n, titles)
		}
	}
	db := connect(t, dsn)
	if n := db.count("(SELECT version_id FROM goose_db_version GROUP BY 1 HAVING count(*) > 1) AS twice"); n != 0 {
		t.Errorf("%d migrations were applied twice", n)
	}
	const held = "pg_locks WHERE locktype = 'advisory' AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
	if n := db.count(held); n != 0 {
		t.Errorf("%d advisory locks are still held", n)
	}
	for _, i := range instances {
		for _, level := range []string{"WARN", "ERROR"} {
			if records := i.log.with(t, "level", level); len(records) > 0 {
				t.Errorf("logged %v", records)
			}
		}
	}
}

// A new release brings its schema while the old one serves, and both serve until the
// old one is stopped.
func TestANewReleaseMigratesUnderLoad(t *testing.T) {
	t.Parallel()
	dsn := postgrestest.Database(t)
	before, _ := launch(t, env{envDatabaseURL: dsn, envDatabaseMaxConns: "4"})
	tr := drive(t, 16, false, before)
	tr.flows(t, patience)
	db := connect(t, dsn)
	for _, migration := range []string{
		"ALTER TABLE tasks ADD COLUMN priority int NOT NULL DEFAULT 0",
		"CREATE INDEX CONCURRENTLY tasks_by_priority ON tasks (priority, id)",
		"ALTER TABLE tasks ALTER COLUMN completed SET DEFAULT false",
		"ALTER TABLE idempotency_keys ADD COLUMN priority int NOT NULL DEFAULT 0",
		"ALTER TABLE tasks ALTER COLUMN priority SET DEFAULT 1",
		"INSERT INTO goose_db_version (version_id, is_applied) VALUES (99999, true)",
	} {
		db.exec(migration)
		tr.flows(t, backTime)
	}
	after, _ := launch(t, env{envDatabaseURL: dsn, envDatabaseMaxConns: "4"})
	tr.grow(t, 16, after)
	tr.flows(t, patience)
	tr.verify(t)
	if strings.Contains(before.log.String(), "cached plan") {
		t.Error("a statement met a schema that it was not prepared for")
	}
}

// Sessions stay open when their password changes; it is the new ones that need the new
// password. Here the old ones are kept by a trigger, so that everybody else needs new ones.
func TestThePasswordIsRotatedUnderLoad(t *testing.T) {
	t.Parallel()
	const (
		sessions = "pg_stat_activity WHERE backend_type = 'client backend'"
		sleeping = sessions + " AND wait_event = 'PgSleep'"
	)
	c := startCloud(t)
	for name, rotate := range map[string]func(old, next string){
		"the secret first": func(old, next string) {
			c.put(next)
			c.change(t, old, next)
		},
		"the database first": func(old, next string) {
			c.change(t, old, next)
			c.put(next)
		},
		"the database first, the secret a second later": func(old, next string) {
			c.change(t, old, next)
			time.AfterFunc(time.Second, func() { c.put(next) })
		},
	} {
		t.Run(name, func(t *testing.T) {
			old := c.password()
			next := old + "1"
			e := c.env()
			e[envDatabaseMaxConns] = "8"
			api, _ := launch(t, e)
			kept := []string{api.create(t, "kept", false), api.create(t, "kept", false)}
			db, gate := connect(t, c.dsn(old)), connect(t, c.dsn(old))
			gate.exec(`CREATE OR REPLACE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
				'BEGIN WHILE NOT pg_try_advisory_xact_lock_shared(7) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END';
				CREATE OR REPLACE TRIGGER keep BEFORE UPDATE ON tasks FOR EACH ROW WHEN (OLD.title = 'kept') EXECUTE FUNCTION keep();
				SELECT pg_advisory_lock(7)`)
			var wg sync.WaitGroup
			for n, path := range kept {
				if !comesTrue(t, patience, func() bool { return db.count(sleeping) == n }) {
					t.Fatal("the old sessions are not kept")
				}
				wg.Go(func() {
					if r := api.ask(t, "PATCH", path, `{"title":"free"}`); r.status != http.StatusOK {
						t.Errorf("over the rotation: %d %s", r.status, r.body)
					}
				})
			}
			if !comesTrue(t, patience, func() bool { return db.count(sleeping) == len(kept) }) {
				t.Fatal("the old sessions are not kept")
			}
			before := db.count(sessions)
			rotate(old, next)
			tr := drive(t, 32, false, api)
			tr.flows(t, patience)
			if after := db.count(sessions); after <= before {
				t.Errorf("%d sessions, before the rotation %d", after, before)
			}
			gate.exec("SELECT pg_advisory_unlock(7)")
			wg.Wait()
			tr.stop()
			if c.password() != next {
				t.Error("the rotation had not ended")
			}
		})
	}
}
