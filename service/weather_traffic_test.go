package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// todo is a task as clients see it.
type todo struct {
	ID        string `json:"id"`
	Title     string `json:"title"`
	Completed bool   `json:"completed"`
	CreatedAt string `json:"created_at"`
	UpdatedAt string `json:"updated_at"`
}

func parseTodo(r response) (todo, error) {
	var read todo
	err := json.Unmarshal([]byte(r.body), &read)
	return read, err
}

// nextPage is the path and query of the page after this one, or nothing.
func nextPage(r response) string {
	return strings.TrimSuffix(strings.TrimPrefix(r.header.Get("Link"), "<"), `>; rel="next"`)
}

// keepAlive is a client that keeps its connections until the test ends.
func keepAlive(t *testing.T) *http.Client {
	transport := &http.Transport{MaxIdleConnsPerHost: 1000}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

// unavailable says what is wrong with an answer that must be 503.
func unavailable(r response) error {
	var p struct{ Code, Title, Detail string }
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		return fmt.Errorf("%d %q: %w", r.status, r.body, err)
	}
	if r.status != http.StatusServiceUnavailable || p.Code != "unavailable" || p.Title != "Service Unavailable" || p.Detail == "" ||
		r.header.Get("Retry-After") == "" || r.header.Get("Content-Type") != "application/problem+json" {
		return fmt.Errorf("not the problem of an unavailable database: %d %v %s", r.status, r.header, r.body)
	}
	return nil
}

// ask sends a request that must be answered, whatever the answer; see answerTime.
func (i instance) ask(t *testing.T, method, path, body string) response {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	r, err := i.try(ctx, method, path, body, nil)
	if err != nil {
		t.Errorf("%s %s: %v", method, path, err)
	}
	return r
}

// crowd asks for the same that many times at once.
func (i instance) crowd(t *testing.T, n int, path string) []response {
	t.Helper()
	answers := make([]response, n)
	var wg sync.WaitGroup
	for k := range answers {
		wg.Go(func() { answers[k] = i.ask(t, "GET", path, "") })
	}
	wg.Wait()
	return answers
}

// traffic is clients with connections that they keep. Each makes, reads, changes and
// removes tasks of its own, one request after another, and holds the service to what
// it was told.
type traffic struct {
	instances []instance
	client    *http.Client
	stormy    bool // 503 is an answer, too
	refused   atomic.Int64

	stopped chan struct{}
	wg      sync.WaitGroup
	clients []*walker
}

// drive starts traffic of n clients, which ends with the test at the latest.
func drive(t *testing.T, n int, stormy bool, instances ...instance) *traffic {
	t.Helper()
	tr := &traffic{instances: instances, client: keepAlive(t), stormy: stormy, stopped: make(chan struct{})}
	t.Cleanup(tr.stop)
	tr.grow(t, n)
	return tr
}

// grow adds clients, which also use the given instances.
func (tr *traffic) grow(t *testing.T, n int, instances ...instance) {
	tr.instances = slices.Concat(tr.instances, instances)
	for range n {
		w := &walker{traffic: tr, instances: tr.instances, name: fmt.Sprintf("walker %d", len(tr.clients)), known: map[string][]content{}}
		tr.clients = append(tr.clients, w)
		tr.wg.Go(func() {
			for {
				select {
				case <-tr.stopped:
					return
				default:
				}
				if err := w.step(); err != nil {
					t.Errorf("%s: %v", w.name, err)
					return
				}
			}
		})
	}
}

// stop waits for the requests under way.
func (tr *traffic) stop() {
	select {
	case <-tr.stopped:
	default:
		close(tr.stopped)
	}
	tr.wg.Wait()
}

// flows waits until each client was served with a request that it began from now on.
func (tr *traffic) flows(t *testing.T, within time.Duration) {
	t.Helper()
	now := time.Now()
	if !comesTrue(t, within, func() bool {
		return t.Failed() || !slices.ContainsFunc(tr.clients, func(w *walker) bool {
			began := w.served.Load()
			return began == nil || began.Before(now)
		})
	}) {
		t.Error("not every client is served")
	}
}

// verify stops the traffic and finds in the database what was acknowledged, and
// nothing that nobody asked for.
func (tr *traffic) verify(t *testing.T) {
	t.Helper()
	tr.stop()
	for _, w := range tr.clients {
		for w.key != nil && !t.Failed() {
			if err := w.createOnce(); err != nil {
				t.Errorf("%s: %v", w.name, err)
			}
		}
	}
	found := map[string]content{}
	for next := tasks + "?limit=500"; next != ""; {
		r := tr.instances[0].do(t, "GET", next, "", nil)
		var list []todo
		if err := json.Unmarshal([]byte(r.body), &list); err != nil || r.status != http.StatusOK {
			t.Fatalf("%d %s %v", r.status, r.body, err)
		}
		for _, task := range list {
			found[task.ID] = content{task.Title, task.Completed}
		}
		next = nextPage(r)
	}
	for _, w := range tr.clients {
		for id, possible := range w.known {
			if !slices.Contains(possible, found[id]) {
				t.Errorf("%s: task %s is %v, acknowledged was %v", w.name, id, found[id], possible)
			}
			delete(found, id)
		}
	}
	for id, is := range found {
		// A request that was answered with 503 may have made it, once.
		i := slices.IndexFunc(tr.clients, func(w *walker) bool { return slices.Contains(w.unsure, is) })
		if i < 0 {
			t.Errorf("nobody asked for task %s, %v", id, is)
			continue
		}
		w := tr.clients[i]
		w.unsure = slices.DeleteFunc(w.unsure, func(c content) bool { return c == is })
	}
}

// content is what a client decides about a task; the zero value is that of none.
type content struct {
	title     string
	completed bool
}

// walker is one client.
type walker struct {
	*traffic
	instances []instance
	name      string
	made      int
	served    atomic.Pointer[time.Time] // when the last request that was served began
	known     map[string][]content      // what a task of that id may be: more than one after a 503
	unsure    []content                 // what requests that were answered with 503 may have made
	key       *keyed                    // to be repeated until it is answered
}

type keyed struct {
	key     string
	content content
}

// step is one request, and the error what is wrong with its answer.
func (w *walker) step() error {
	ids := make([]string, 0, len(w.known))
	for id, possible := range w.known {
		if len(possible) > 1 || possible[0] != (content{}) {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	w.made++
	next := content{fmt.Sprintf("%s, %d", w.name, w.made), w.made%3 == 0}
	what := rand.IntN(8)
	switch {
	case w.key != nil || what == 0 && len(ids) < 5:
		w.key = cmp.Or(w.key, &keyed{fmt.Sprintf("%s-%d-%d", w.name[len("walker "):], w.made, rand.Int64()), next})
		return w.createOnce()
	case len(ids) == 0 || what == 1 && len(ids) < 5:
		return w.create(next)
	case what == 2:
		return w.list()
	}
	id := ids[rand.IntN(len(ids))]
	switch what {
	case 3:
		return w.remove(id)
	case 4:
		return w.write(id, "PUT", next, nil)
	case 5:
		return w.write(id, "PATCH", next, header{"If-Match": "*", "Content-Type": mergePatch})
	default:
		return w.read(id)
	}
}

// send gives the answer; ok says that it is not a 503.
func (w *walker) send(method, path string, body any, h header) (r response, ok bool, err error) {
	text := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return response{}, false, err
		}
		text = string(b)
	}
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	r, err = w.instances[rand.IntN(len(w.instances))].tryBy(ctx, w.client, method, path, text, h)
	if err != nil {
		return r, false, fmt.Errorf("%s %s after %v: %w", method, path, time.Since(began), err)
	}
	if w.stormy && r.status == http.StatusServiceUnavailable {
		w.refused.Add(1)
		return r, false, unavailable(r)
	}
	w.served.Store(&began)
	return r, true, nil
}

func (c content) body() map[string]any {
	return map[string]any{"title": c.title, "completed": c.completed}
}

func wrong(what string, r response) error {
	return fmt.Errorf("%s: %d %s", what, r.status, r.body)
}

func (w *walker) create(c content) error {
	r, ok, err := w.send("POST", tasks, c.body(), nil)
	if err != nil {
		return err
	}
	if !ok {
		w.unsure = append(w.unsure, c)
		return nil
	}
	return w.learn("POST", r, http.StatusCreated, c)
}

func (w *walker) createOnce() error {
	r, ok, err := w.send("POST", tasks, w.key.content.body(), header{idempotencyKey: w.key.key})
	if err != nil || !ok {
		return err
	}
	c := w.key.content
	w.key = nil
	return w.learn("POST with a key", r, http.StatusCreated, c)
}

func (w *walker) write(id, method string, c content, h header) error {
	r, ok, err := w.send(method, tasks+"/"+id, c.body(), h)
	switch {
	case err != nil:
		return err
	case !ok:
		w.known[id] = append(w.known[id], c)
		return nil
	case r.status == http.StatusNotFound:
		return w.gone(method, id, r)
	}
	return w.learn(method, r, http.StatusOK, c)
}

func (w *walker) remove(id string) error {
	r, ok, err := w.send("DELETE", tasks+"/"+id, nil, nil)
	switch {
	case err != nil:
		return err
	case !ok:
		w.known[id] = append(w.known[id], content{})
		return nil
	case r.status == http.StatusNoContent:
		w.known[id] = []content{{}}
		return nil
	}
	return w.gone("DELETE", id, r)
}

func (w *walker) read(id string) error {
	r, ok, err := w.send("GET", tasks+"/"+id, nil, nil)
	if err != nil || !ok {
		return err
	}
	if r.status == http.StatusNotFound {
		return w.gone("GET", id, r)
	}
	if read, err := parseTodo(r); err != nil || r.status != http.StatusOK || !slices.Contains(w.known[id], content{read.Title, read.Completed}) {
		return errors.Join(wrong("GET", r), fmt.Errorf("known was %v", w.known[id]), err)
	}
	return nil
}

func (w *walker) list() error {
	r, ok, err := w.send("GET", tasks+"?limit=20&completed="+fmt.Sprint(w.made%2 == 0), nil, nil)
	if err == nil && ok && r.status != http.StatusOK {
		return wrong("list", r)
	}
	return err
}

// gone holds a 404 against what is known.
func (w *walker) gone(what, id string, r response) error {
	if r.status != http.StatusNotFound || !slices.Contains(w.known[id], content{}) {
		return errors.Join(wrong(what, r), fmt.Errorf("known was %v", w.known[id]))
	}
	w.known[id] = []content{{}}
	return nil
}

// learn is told the task by the answer to a write.
func (w *walker) learn(what string, r response, status int, c content) error {
	told, err := parseTodo(r)
	if err != nil || r.status != status || c != (content{told.Title, told.Completed}) {
		return errors.Join(wrong(what, r), err)
	}
	w.known[told.ID] = []content{c}
	return nil
}
