package main

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
)

// A failure is repeated, as far as that depends on us, with the seed that it prints;
// more steps search longer.
const (
	envSeed  = "PROPERTY_SEED"
	envSteps = "PROPERTY_STEPS"
)

func number(t *testing.T, name string, missing uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return missing
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// world is what many clients share: the service, and some tasks that all of them write.
type world struct {
	instances []instance
	client    *http.Client
	shared    [3]atomic.Pointer[history] // who deletes one puts another in its place
	mu        sync.Mutex
	histories map[string]*history // of every shared task that there was, by id
}

func newWorld(t *testing.T, instances []instance) *world {
	w := &world{instances: instances, client: keepAlive(t), histories: map[string]*history{}}
	maker := &person{world: w, name: "maker", rand: rand.New(rand.NewPCG(0, 0))}
	for slot := range w.shared {
		if err := maker.share(slot); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

func (w *world) history(id string) *history {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.histories[id]
}

// check is about the shared tasks; what is a client's own is checked by each answer.
func (w *world) check(t *testing.T) {
	t.Helper()
	for _, h := range w.histories {
		if err := h.check(); err != nil {
			t.Error(err)
		}
	}
}

// Random sequences of all operations from many clients at once. Each has tasks of its
// own, of which it predicts every answer, and shares some with the others, of which
// every answer must be consistent with one order of all that was done.
func TestRandomOperations(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct {
		name      string
		instances int
		jitter    time.Duration
	}{
		{"one instance", 1, 0},
		{"one instance, answers overtake one another", 1, 10 * time.Millisecond},
		{"two instances", 2, 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			seed, steps := number(t, envSeed, rand.Uint64()), number(t, envSteps, 120)
			t.Logf("%s=%d %s=%d", envSeed, seed, envSteps, steps)
			road := newRoad(t, postgrestest.Database(t))
			road.jitter.Store(int64(tc.jitter))
			var instances []instance
			for range tc.instances { // with few connections, so that requests wait
				instances = append(instances, serve(t, env{envDatabaseURL: road.dsn, envDatabaseMaxConns: "4"}))
			}
			w := newWorld(t, instances)
			var wg sync.WaitGroup
			for n := range 16 {
				p := &person{world: w, name: fmt.Sprintf("person %d", n), rand: rand.New(rand.NewPCG(seed, uint64(n)))}
				wg.Go(func() {
					for step := range steps {
						if err := p.step(); err != nil {
							t.Errorf("%s, step %d: %v", p.name, step, err)
							return
						}
					}
				})
			}
			wg.Wait()
			w.check(t)
		})
	}
}

// Requests may share a statement, but never one that was sent before they came: a read
// sees every write that was acknowledged before it.
func TestAReadSeesTheWritesBeforeIt(t *testing.T) {
	t.Parallel()
	road := newRoad(t, postgrestest.Database(t))
	api := serve(t, env{envDatabaseURL: road.dsn, envDatabaseMaxConns: "4"})
	path := api.create(t, "0", false)
	for n, read := range []string{path, tasks, tasks + "?limit=1&completed=false"} {
		api.crowd(t, 20, path) // the sessions are there
		early := road.holdNext()
		done := make(chan response, 1)
		go func() { done <- api.ask(t, "GET", read, "") }()
		<-early.came
		title := fmt.Sprint(n + 1)
		if r := api.ask(t, "PUT", path, `{"title":"`+title+`","completed":false}`); r.status != http.StatusOK {
			t.Errorf("PUT: %d %s", r.status, r.body)
		}
		if r := api.ask(t, "GET", read, ""); r.status != http.StatusOK || !strings.Contains(r.body, `"title":"`+title+`"`) {
			t.Errorf("GET %s after the title %s: %d %s", read, title, r.status, r.body)
		}
		close(early.released)
		if r := <-done; r.status != http.StatusOK {
			t.Errorf("GET %s: %d %s", read, r.status, r.body)
		}
	}
}

// Few rows, many writers, two instances: nobody fails, nobody is lost, and the database
// never has to break a deadlock.
func TestManyWritersOfFewRows(t *testing.T) {
	t.Parallel()
	const people, writes = 64, 30
	dsn := postgrestest.Database(t)
	db := connect(t, dsn)
	one, first := launch(t, env{envDatabaseURL: dsn})
	other, second := launch(t, env{envDatabaseURL: dsn})
	w := newWorld(t, []instance{one, other})
	// Among many rows, few are found by their ids, in the order of those who ask.
	db.exec(`INSERT INTO tasks (id, title, completed, created_at, updated_at)
		SELECT gen_random_uuid(), 'x', true, now(), now() FROM generate_series(1, 5000)`)
	db.exec("ANALYZE tasks")
	var wg sync.WaitGroup
	for n := range people {
		p := &person{world: w, name: fmt.Sprintf("person %d", n), rand: rand.New(rand.NewPCG(number(t, envSeed, 0), uint64(n)))}
		wg.Go(func() {
			for range writes {
				h := w.shared[p.rand.IntN(len(w.shared))].Load()
				method := []string{"PUT", "PATCH"}[p.rand.IntN(2)]
				if err := p.writeShared(h, method, nil); err != nil {
					t.Errorf("%s: %v", p.name, err)
					return
				}
			}
		})
	}
	wg.Wait()
	reader := &person{world: w, name: "reader", rand: rand.New(rand.NewPCG(0, 0))}
	for slot := range w.shared {
		if err := reader.readShared(w.shared[slot].Load(), nil); err != nil {
			t.Error(err)
		}
	}
	w.check(t)
	stop(t, first)
	stop(t, second) // the sessions have told what they counted when they end
	var deadlocks int
	err := db.conn.QueryRow(t.Context(), "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()").Scan(&deadlocks)
	if err != nil || deadlocks > 0 {
		t.Errorf("%d deadlocks, %v", deadlocks, err)
	}
}
