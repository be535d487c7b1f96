package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"
)

// behindEndpoint gives the environment in which the secret is asked for through an
// endpoint that answers with the handler, and with the secret while there is none.
func (c *cloud) behindEndpoint(t *testing.T) (env, *atomic.Pointer[http.HandlerFunc]) {
	t.Helper()
	instead := &atomic.Pointer[http.HandlerFunc]{}
	endpoint := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if h := instead.Load(); h != nil {
			(*h)(w, r)
			return
		}
		c.ServeHTTP(w, r)
	}))
	t.Cleanup(endpoint.Close)
	e := c.env()
	e["AWS_ENDPOINT_URL_SECRETS_MANAGER"] = endpoint.URL
	return e, instead
}

// The database is reached with what was read before.
func TestTheSecretsEndpointFailsUnderTheService(t *testing.T) {
	c := startCloud(t)
	e, instead := c.behindEndpoint(t)
	api, _ := launch(t, e)
	if r := api.do(t, "POST", tasks, `{"title":"before"}`, nil); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	failing := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusInternalServerError) })
	instead.Store(&failing)

	// While new tasks are kept by a trigger, each of these needs a connection of its own.
	conn, err := pgx.Connect(t.Context(), c.database.DSN("todo"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(t.Context())
	if _, err := conn.Exec(t.Context(), `CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
		'BEGIN WHILE NOT pg_try_advisory_xact_lock_shared(7) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END';
		CREATE TRIGGER keep BEFORE INSERT ON tasks FOR EACH STATEMENT EXECUTE FUNCTION keep();
		SELECT pg_advisory_lock(7)`); err != nil {
		t.Fatal(err)
	}
	const requests = 6
	var wg sync.WaitGroup
	for i := range requests {
		const kept = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
		if !comesTrue(t, patience, func() bool {
			var n int
			if err := conn.QueryRow(t.Context(), kept).Scan(&n); err != nil {
				t.Fatal(err)
			}
			return n == i
		}) {
			t.Fatalf("request %d does not reach the database", i)
		}
		wg.Go(func() {
			r, err := api.try(t.Context(), "POST", tasks, fmt.Sprintf(`{"title":"task %d"}`, i), nil)
			if err != nil || r.status != 201 {
				t.Errorf("%d %s %v", r.status, r.body, err)
			}
		})
	}
	if _, err := conn.Exec(t.Context(), "SELECT pg_advisory_unlock(7)"); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if r := api.do(t, "GET", tasks, "", nil); r.status != 200 || strings.Count(r.body, `"title"`) != requests+1 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestTheSecretsEndpointAnswersNonsenseFromTheStart(t *testing.T) {
	c := startCloud(t)
	e, instead := c.behindEndpoint(t)
	nonsense := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>hunter2</html>") })
	instead.Store(&nonsense)
	api, _ := launch(t, e)

	r := api.do(t, "GET", tasks, "", nil)
	if r.status != 503 || r.header.Get("Retry-After") == "" || r.json(t)["code"] != "unavailable" ||
		strings.Contains(r.body, "todo-db") || !strings.Contains(r.body, "credentials for the database") {
		t.Errorf("%d Retry-After %q %s", r.status, r.header.Get("Retry-After"), r.body)
	}
	id := r.header.Get("X-Request-Id")
	api.log.await(t, func() bool { return len(api.log.with(t, "request_id", id)) >= 2 })
	var causes []string
	for _, record := range api.log.with(t, "request_id", id) { // the cause, and the access
		if cause, ok := record["error"].(string); ok {
			causes = append(causes, cause)
		}
	}
	if len(causes) != 1 || !strings.Contains(causes[0], "read secret todo-db: POST "+e["AWS_ENDPOINT_URL_SECRETS_MANAGER"]+"/: the answer is not the JSON of GetSecretValue") {
		t.Errorf("the log says %q", causes)
	}
	if r := api.do(t, "GET", "/", "", nil); r.status != 200 {
		t.Errorf("GET /: %d", r.status)
	}

	instead.Store(nil)
	api.await(t, tasks, func(r response) bool { return r.status == 200 })
	if strings.Contains(api.log.String(), "hunter2") {
		t.Error("the log shows what was read")
	}
}
