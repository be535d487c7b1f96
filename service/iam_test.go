package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"testing"

	"example.com/todo/service/check"
)

// quiet says what the instances complain about.
func quiet(t *testing.T, instances ...instance) {
	t.Helper()
	for _, i := range instances {
		for _, level := range []string{"WARN", "ERROR"} {
			if records := i.log.with(t, "level", level); len(records) > 0 {
				t.Errorf("logged %v", records)
			}
		}
	}
}

func TestAServiceWithoutAPassword(t *testing.T) {
	t.Parallel()
	r := startRDS(t)
	api, cmd := launch(t, r.iam(t))
	err := check.Run(t.Context(), client, api.url, func(rule string, err error) {
		if err != nil {
			t.Errorf("%s:\n%v", rule, err)
		}
	})
	if err != nil {
		t.Error(err)
	}
	if got := r.owned(t); got != "todo_owner in tasks" {
		t.Errorf("the tables are of %s", got)
	}
	for what, query := range map[string]string{
		"roles that the service's is a member of": "SELECT string_agg(roleid::regrole::text, ' ' ORDER BY roleid::regrole::text) = 'rds_iam todo_owner' FROM pg_auth_members WHERE member = 'todo'::regrole",
		"what the service's role may do":          "SELECT NOT (rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls) FROM pg_roles WHERE rolname = 'todo'",
		"what it owns by itself":                  "SELECT NOT EXISTS (SELECT FROM pg_class WHERE relowner = 'todo'::regrole) AND NOT EXISTS (SELECT FROM pg_namespace WHERE nspowner = 'todo'::regrole)",
		"the schemas that its owner has":          "SELECT string_agg(nspname, ' ') = 'tasks' FROM pg_namespace WHERE nspowner = 'todo_owner'::regrole",
		"that the owner cannot log in":            "SELECT NOT rolcanlogin FROM pg_roles WHERE rolname = 'todo_owner'",
		"what it may in the schema public":        "SELECT NOT has_schema_privilege('todo', 'public', 'CREATE')",
	} {
		if !ask[bool](t, r.superuser("todo"), query) {
			t.Errorf("%s is not as it should be", what)
		}
	}
	quiet(t, api)
	stop(t, cmd)
	if log := api.log.String(); strings.Contains(log, `"one"`) || strings.Contains(log, "X-Amz-Signature") {
		t.Errorf("the log shows the master's password or a token:\n%s", log)
	}

	// The master's password is changed every few days, and the environment keeps the old one.
	e := r.iam(t)
	r.changeMaster(t, "two")
	again, _ := launch(t, e)
	if r := again.do(t, "POST", tasks, `{"title":"x"}`, nil); r.status != http.StatusCreated {
		t.Errorf("after the master's password was changed: %d %s", r.status, r.body)
	}
	delete(e, envAdminSecret)
	without, _ := launch(t, e)
	if r := without.do(t, "GET", tasks, "", nil); r.status != http.StatusOK {
		t.Errorf("without the master: %d %s", r.status, r.body)
	}
	quiet(t, again, without)
}

func TestEightInstancesMakeTheRoleAtOnce(t *testing.T) {
	t.Parallel()
	const eight = 8
	r := startRDS(t)
	road := newRoad(t, r.superuser("todo"))
	u, err := url.Parse(road.dsn)
	if err != nil {
		t.Fatal(err)
	}
	road.stall()
	var instances []instance
	for range eight {
		e := r.iam(t)
		e[envDatabaseHostAddr], e[envDatabaseMaxConns] = u.Host, "2"
		i, _ := begin(t, e)
		instances = append(instances, i)
	}
	if !comesTrue(t, patience, func() bool { return road.ever.Load() == eight }) {
		t.Fatalf("%d connections of %d instances", road.ever.Load(), eight)
	}
	road.open()
	for n, i := range instances {
		i.log.await(t, func() bool { return len(i.log.with(t, "msg", "database schema is up to date")) == 1 })
		if r := i.ask(t, "POST", tasks, fmt.Sprintf(`{"title":"%d"}`, n)); r.status != http.StatusCreated {
			t.Errorf("instance %d: %d %s", n, r.status, r.body)
		}
	}
	for n, i := range instances {
		if titles, _ := i.page(t, tasks); len(titles) != eight {
			t.Errorf("instance %d sees %v", n, titles)
		}
	}
	const held = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'"
	if n := ask[int](t, r.superuser("todo"), held); n != 0 {
		t.Errorf("%d advisory locks are still held", n)
	}
	if got := r.owned(t); got != "todo_owner in tasks" {
		t.Errorf("the tables are of %s", got)
	}
	quiet(t, instances...)
}

// A stack is changed from password to iam and back while it serves: instances of both
// kinds are there, old ones with the sessions they had and new ones.
func TestAChangeToIAMAndBackUnderLoad(t *testing.T) {
	t.Parallel()
	r := startRDS(t)
	start := func(e env) instance {
		e[envDatabaseMaxConns] = "4"
		i, _ := launch(t, e)
		return i
	}
	before := start(r.env())
	tr := drive(t, 16, false, before)
	tr.flows(t, patience)
	if got := r.owned(t); got != master+" in public" {
		t.Errorf("by password, the tables are of %s", got)
	}

	after := start(r.iam(t))
	if r := after.do(t, "GET", "/readyz", "", nil); r.status != http.StatusOK {
		t.Errorf("by token: %d %s", r.status, r.body)
	}
	tr.grow(t, 16, after)
	tr.flows(t, patience)
	if got := r.owned(t); got != "todo_owner in tasks" {
		t.Errorf("by token, the tables are of %s", got)
	}

	// As in the release that brings a table, or an older one that is started again.
	back := start(r.env())
	tr.grow(t, 16, back)
	tr.flows(t, patience)
	tr.verify(t)
	quiet(t, before, after, back)

	connect(t, r.superuser("todo")).exec(`DROP TABLE tasks.idempotent_requests;
		DROP FUNCTION tasks.idempotency_key_to_request, tasks.idempotent_requests_to_keys, tasks.idempotent_requests_without_keys CASCADE;
		DELETE FROM tasks.goose_db_version WHERE version_id > 3`)
	newer := start(r.env())
	if r := newer.do(t, "POST", tasks, `{"title":"x"}`, header{"Idempotency-Key": "x"}); r.status != http.StatusCreated {
		t.Errorf("by password, after a migration: %d %s", r.status, r.body)
	}
	if r := after.do(t, "POST", tasks, `{"title":"x"}`, header{"Idempotency-Key": "y"}); r.status != http.StatusCreated {
		t.Errorf("by token, after a migration by password: %d %s", r.status, r.body)
	}
	if got := r.owned(t); got != "todo_owner in tasks" {
		t.Errorf("after a migration by password, the tables are of %s", got)
	}
}

// What the environment holds of the master is as old as the deployment.
func TestTheMastersPasswordIsStaleBeforeTheRoleIsMade(t *testing.T) {
	t.Parallel()
	const requests = 40
	r := startRDS(t)
	r.access(t, "hostssl all "+master+" 127.0.0.1/32 "+r.byDirectory(t)) // which counts
	r.directory.set(func() { r.directory.passwords[master] = "two" })
	api, _ := launch(t, r.iam(t))
	for range requests {
		if err := unavailable(api.ask(t, "GET", tasks, "")); err != nil {
			t.Error(err)
		}
	}
	// One by itself, and one every few seconds while somebody asks.
	if n := r.directory.asked(master); n < 1 || n > requests/4 {
		t.Errorf("the master tried to log in %d times", n)
	}
	for _, record := range api.log.with(t, "level", "WARN") {
		if said := record["error"].(string); !strings.Contains(said, "make the database's role todo") || !strings.Contains(said, "deploy again") {
			t.Errorf("logged %s", said)
		}
	}

	r.put("two")
	fresh, _ := launch(t, r.iam(t))
	if r := fresh.do(t, "POST", tasks, `{"title":"x"}`, nil); r.status != http.StatusCreated {
		t.Errorf("deployed again: %d %s", r.status, r.body)
	}
	if r := api.do(t, "GET", tasks, "", nil); r.status != http.StatusOK {
		t.Errorf("the stale one, now that the role is there: %d %s", r.status, r.body)
	}
}

func TestTheRoleIsMadeWholeOrNotAtAll(t *testing.T) {
	t.Parallel()
	r := startRDS(t)
	r.run(t, "ALTER DATABASE todo OWNER TO rdsadmin") // so that the master makes no schema
	api, _ := launch(t, r.iam(t))
	if err := unavailable(api.ask(t, "GET", tasks, "")); err != nil {
		t.Error(err)
	}
	api.log.await(t, func() bool { return strings.Contains(api.log.String(), "permission denied for database todo") })
	if n := ask[int](t, r.superuser("todo"), "SELECT count(*) FROM pg_roles WHERE rolname LIKE 'todo%'"); n != 0 {
		t.Errorf("%d roles were left behind", n)
	}
	r.run(t, "ALTER DATABASE todo OWNER TO "+master)
	api.await(t, tasks, func(r response) bool { return r.status == http.StatusOK })
}

// AWS's role may not be allowed to connect yet, or no longer.
func TestTokensAreRefused(t *testing.T) {
	t.Parallel()
	r := startRDS(t)
	r.directory.set(func() { r.directory.key = "another" })
	api, _ := launch(t, r.iam(t))
	for range 3 {
		if err := unavailable(api.ask(t, "GET", tasks, "")); err != nil {
			t.Error(err)
		}
	}
	said := 0
	for _, record := range api.log.with(t, "msg", "request failed") {
		said++
		if cause := record["error"].(string); !strings.Contains(cause, "28000") || !strings.Contains(cause, "rds-db:connect") {
			t.Errorf("logged %s", cause)
		}
	}
	if n := len(api.log.with(t, "msg", "database role is there")); said == 0 || n != 1 {
		t.Errorf("%d failures were logged, and %d times that the role is there", said, n)
	}
	r.directory.set(func() { r.directory.key = "k" })
	if r := api.do(t, "POST", tasks, `{"title":"x"}`, nil); r.status != http.StatusCreated {
		t.Errorf("allowed: %d %s", r.status, r.body)
	}
}

func TestTheDatabaseSleepsBeforeTheRoleIsMade(t *testing.T) {
	t.Parallel()
	r := startRDS(t)
	if err := r.database.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	api, _ := launch(t, r.iam(t))
	if err := unavailable(api.ask(t, "GET", tasks, "")); err != nil {
		t.Error(err)
	}
	if err := r.database.Restart(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := api.do(t, "POST", tasks, `{"title":"x"}`, nil); r.status != http.StatusCreated {
		t.Errorf("awake: %d %s", r.status, r.body)
	}
}

// Whoever says to speak no TLS is told nothing.
func TestNoTokenIsSentInTheClear(t *testing.T) {
	t.Parallel()
	r := startRDS(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	heard := make(chan []byte, 100)
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			request := make([]byte, 8) // https://www.postgresql.org/docs/current/protocol-message-formats.html: SSLRequest
			if _, err := io.ReadFull(conn, request); err == nil && binary.BigEndian.Uint32(request[4:]) == 80877103 {
				_, _ = conn.Write([]byte("N"))
			}
			rest, _ := io.ReadAll(conn)
			heard <- rest
			conn.Close()
		}
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	e := r.iam(t)
	e[envDatabaseHostAddr] = l.Addr().String()
	api, _ := launch(t, e)
	if err := unavailable(api.ask(t, "GET", tasks, "")); err != nil {
		t.Error(err)
	}
	if rest := <-heard; len(rest) != 0 {
		t.Errorf("it was told %d bytes: %q", len(rest), rest)
	}
	api.log.await(t, func() bool { return strings.Contains(api.log.String(), "server refused TLS connection") })
}
