package main

import (
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/google/go-cmp/cmp"
)

// backTime is within what everybody is served again, once the database is back.
const backTime = 2 * time.Second

// startDatabase gives a server of its own to a test that harms it.
func startDatabase(t *testing.T, settings map[string]string) *postgrestest.Server {
	t.Helper()
	server, err := postgrestest.Start(t.Context(), postgrestest.Options{Database: "todo", Settings: settings})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	return server
}

func TestTheDatabaseIsAbsentAtFirst(t *testing.T) {
	t.Parallel()
	server := startDatabase(t, nil)
	if err := server.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	api, _ := launch(t, env{envDatabaseURL: server.DSN("todo")})

	for _, path := range []string{tasks, "/readyz"} {
		r := api.do(t, "GET", path, "", nil)
		id := r.header.Get("X-Request-Id")
		want := map[string]any{
			"type": "about:blank", "title": "Service Unavailable", "status": 503.0, "code": "unavailable",
			"detail": "the database cannot be reached", "request_id": id,
		}
		if diff := cmp.Diff(want, r.json(t)); r.status != 503 || diff != "" || r.header.Get("Retry-After") == "" {
			t.Errorf("GET %s: %d Retry-After %q (-want +got):\n%s", path, r.status, r.header.Get("Retry-After"), diff)
		}
		api.log.await(t, func() bool { return len(api.log.with(t, "request_id", id)) >= 2 })
		for _, rec := range api.log.with(t, "request_id", id) { // the cause, and the access
			if rec["msg"] == "request" {
				continue
			}
			if rec["level"] != "WARN" || !strings.Contains(rec["error"].(string), "connection refused") {
				t.Errorf("logged %v", rec)
			}
		}
	}
	if r := api.do(t, "GET", "/", "", nil); r.status != 200 {
		t.Errorf("GET / without the database: %d", r.status)
	}

	if err := server.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	// The first request after that, not a time: it begins an attempt itself.
	if r := api.do(t, "POST", tasks, `{"title":"late"}`, nil); r.status != 201 {
		t.Errorf("POST when the database is there: %d %s", r.status, r.body)
	}
}

func TestTheDatabaseIsKilledUnderLoad(t *testing.T) {
	t.Parallel()
	server := startDatabase(t, nil)
	api, _ := launch(t, env{envDatabaseURL: server.DSN("todo"), envDatabaseMaxConns: "4"})
	here := serve(t, env{envDatabaseURL: server.DSN("todo"), envDatabaseMaxConns: "4"}) // before the race detector
	tr := drive(t, 24, true, api, here)
	for range 3 {
		tr.flows(t, patience)
		before := tr.refused.Load()
		if err := server.Kill(); err != nil {
			t.Fatal(err)
		}
		if r := api.do(t, "GET", "/", "", nil); r.status != 200 {
			t.Errorf("GET / without the database: %d", r.status)
		}
		if !comesTrue(t, patience, func() bool { return tr.refused.Load() > before+100 }) {
			t.Fatal("nobody notices that the database is gone")
		}
		if err := server.Restart(t.Context()); err != nil {
			t.Fatal(err)
		}
		tr.flows(t, backTime)
	}
	tr.verify(t)
	if n := strings.Count(api.log.String()+here.log.String(), `"level":"ERROR"`); n > 0 {
		t.Errorf("%d errors were logged that are no weather", n)
	}
}

// asleep is how long Aurora takes to wake, when it has not slept for a day.
const asleep = 15 * time.Second

// Before its first connection nothing is known of the schema, and one tries for all.
func TestTheDatabaseSleepsAtFirst(t *testing.T) {
	t.Parallel()
	road := newRoad(t, postgrestest.Database(t))
	road.stall()
	api, _ := launch(t, env{envDatabaseURL: road.dsn})
	var wg sync.WaitGroup
	for _, path := range []string{tasks, "/readyz"} {
		wg.Go(func() {
			for _, r := range api.crowd(t, 20, path) {
				if err := unavailable(r); err != nil || !strings.Contains(r.body, "may be waking up") {
					t.Errorf("GET %s: %v %s", path, err, r.body)
				}
			}
		})
	}
	wg.Wait()
	if n := road.ever.Load(); n != 1 {
		t.Errorf("%d connections were opened", n)
	}
	road.open()
	if r := api.ask(t, "POST", tasks, `{"title":"x"}`); r.status != http.StatusCreated {
		t.Errorf("when it has woken: %d %s", r.status, r.body)
	}
}

// Aurora pauses only while no connection is open. The minute is the design's; this
// is the one test that has to wait for it.
func TestTheDatabaseSleepsAfterAQuietMinute(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for most of a minute")
	}
	t.Parallel()
	const pool, people = 3, 100
	road := newRoad(t, postgrestest.Database(t))
	api, cmd := launch(t, env{envDatabaseURL: road.dsn, envDatabaseMaxConns: "3"})
	path := api.create(t, "kept", false)
	api.crowd(t, people, path)
	files := besides(t, road, cmd)
	if road.now.Load() == 0 {
		t.Fatal("no connection was kept at all, so this test proves nothing")
	}
	if !comesTrue(t, time.Minute, func() bool { return road.now.Load() == 0 }) {
		t.Fatalf("%d connections after a quiet minute", road.now.Load())
	}

	road.stall()
	waking := time.AfterFunc(asleep, road.open)
	defer waking.Stop()
	before := road.ever.Load()
	for _, r := range api.crowd(t, people, path) {
		if err := unavailable(r); err != nil {
			t.Errorf("while it sleeps: %v", err)
		}
	}
	// It is awake before these have waited in vain.
	for _, r := range api.crowd(t, people, path) {
		if r.status != http.StatusOK {
			t.Errorf("when it has woken: %d %s", r.status, r.body)
		}
	}
	if n := road.ever.Load() - before; n > pool {
		t.Errorf("%d connections were opened for %d requests, with a pool of %d", n, 2*people, pool)
	}
	if !comesTrue(t, patience, func() bool { return besides(t, road, cmd) <= files }) {
		t.Errorf("%d files are open, before it were %d", besides(t, road, cmd), files)
	}
}

// The sessions are there, and what is asked of them does not come back.
func TestTheDatabaseStalls(t *testing.T) {
	t.Parallel()
	const pool, people = 3, 50
	road := newRoad(t, postgrestest.Database(t))
	api, cmd := launch(t, env{envDatabaseURL: road.dsn, envDatabaseMaxConns: "3"})
	path := api.create(t, "kept", false)
	api.crowd(t, people, path)
	files := besides(t, road, cmd)

	road.stall()
	before := road.ever.Load()
	for _, path := range []string{path, "/readyz"} {
		for _, r := range api.crowd(t, people, path) {
			if err := unavailable(r); err != nil {
				t.Errorf("GET %s while it stalls: %v", path, err)
			}
		}
		if r := api.do(t, "GET", "/", "", nil); r.status != 200 {
			t.Errorf("GET / while it stalls: %d", r.status)
		}
	}
	// Beside a session that is given up, another connection asks to cancel its query.
	if n := road.ever.Load() - before; n > 2*pool {
		t.Errorf("%d connections were opened for %d requests, with a pool of %d", n, 2*people, pool)
	}
	road.open()
	if !comesTrue(t, backTime, func() bool { return api.do(t, "GET", path, "", nil).status == http.StatusOK }) {
		t.Error("not served when the database is back")
	}
	for _, r := range api.crowd(t, people, path) {
		if r.status != http.StatusOK {
			t.Errorf("when it is back: %d %s", r.status, r.body)
		}
	}
	if !comesTrue(t, patience, func() bool { return besides(t, road, cmd) <= files }) {
		t.Errorf("%d files are open, before it were %d", besides(t, road, cmd), files)
	}
}

// besides counts what the service holds open beside its sessions.
func besides(t *testing.T, road *road, cmd *exec.Cmd) int {
	t.Helper()
	return descriptors(t, cmd) - int(road.now.Load())
}
