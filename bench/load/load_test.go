package load_test

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/bench/load"
	"github.com/google/uuid"
	"go.uber.org/goleak"
)

// envServe makes this test binary the load's process.
const envServe = "LOAD_TEST_SERVE"

func TestMain(m *testing.M) {
	if os.Getenv(envServe) != "" {
		if err := load.Serve(os.Stdin, os.Stdout); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	goleak.VerifyTestMain(m)
}

const brief = 150 * time.Millisecond

// service answers as the contract says, but every so many requests wrongly, in turn of the ways.
type service struct {
	every int
	ways  []way

	mu      sync.Mutex
	asked   int
	wrong   map[string]int // how often, by the error that the client must see
	right   int
	written map[string]bool            // paths of updated, titles of created
	kinds   map[string]int             // how often each kind was asked for
	keys    map[string]int             // how often each idempotency key was sent
	cursors map[string]map[string]bool // by cursor, the connections that asked for it
}

// way answers one request wrongly.
type way struct {
	seen string
	do   func(w http.ResponseWriter, body string)
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	sent, _ := io.ReadAll(r.Body) // what is cut fails below
	body := answer(r, sent)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.asked++
	s.note(r)
	if len(s.ways) > 0 && s.asked%s.every == 0 {
		wrong := s.ways[s.asked/s.every%len(s.ways)]
		s.wrong[wrong.seen]++
		wrong.do(w, body)
		return
	}
	s.right++
	w.Header().Set("Content-Type", "application/json")
	switch r.Method {
	case http.MethodPost:
		s.written[string(sent)] = true
		w.WriteHeader(http.StatusCreated)
	case http.MethodPut:
		s.written[r.URL.Path] = true
	}
	_, _ = io.WriteString(w, body) // a client that is gone has ended the test
}

// note counts what a request is.
func (s *service) note(r *http.Request) {
	cursor := r.URL.Query().Get("after")
	_, _, one := strings.Cut(r.URL.Path, "/tasks/")
	switch {
	case cursor != "":
		s.kinds[load.Pages]++
		if s.cursors[cursor] == nil {
			s.cursors[cursor] = map[string]bool{}
		}
		s.cursors[cursor][r.RemoteAddr] = true
	case r.Method == http.MethodPost:
		s.kinds[load.Create]++
	case r.Method == http.MethodPut:
		s.kinds[load.Update]++
	case one:
		s.kinds[load.Read]++
	default:
		s.kinds[load.List]++
	}
	if key := r.Header.Get("Idempotency-Key"); key != "" {
		s.keys[key]++
	}
}

// connections of a test, and ids of as many tasks as they need.
const (
	connections = 4
	tasks       = load.Limit + 2*connections
)

func id(n int) string { return fmt.Sprintf("01890a5d-ac96-774b-bcce-%012d", n) }

// page is the list of what is older than the cursor's task.
func page(cursor string, task func(id, title string) string) string {
	raw, err := base64.RawURLEncoding.Strict().DecodeString(cursor)
	if err != nil || len(raw) != 17 || raw[0] != 1 {
		return fmt.Sprintf("%q is no cursor: %v", cursor, err)
	}
	after, err := strconv.Atoi(hex.EncodeToString(raw[11:]))
	if err != nil || id(after) != uuid.UUID(raw[1:]).String() || after < load.Limit || after >= tasks {
		return fmt.Sprintf("no page after %x: %v", raw, err)
	}
	var all []string
	for i := range load.Limit {
		all = append(all, task(id(after-1-i), "call the plumber"))
	}
	return "[" + strings.Join(all, ",") + "]"
}

func answer(r *http.Request, sent []byte) string {
	task := func(id, title string) string { return fmt.Sprintf(`{"id":%q,"title":%q,"completed":true}`, id, title) }
	if cursor := r.URL.Query().Get("after"); cursor != "" {
		return page(cursor, task)
	}
	_, id, one := strings.Cut(r.URL.Path, "/tasks/")
	switch {
	case len(sent) > 0:
		var body struct{ Title string }
		if err := json.Unmarshal(sent, &body); err != nil {
			return err.Error()
		}
		return task(id, body.Title)
	case one:
		return task(id, "call the plumber")
	}
	// Long enough that net/http sends it in chunks, as Gin does.
	return "[" + strings.Repeat(task("x", strings.Repeat("long", 50))+",", load.Limit-1) + task("x", "last") + "]"
}

func serve(t *testing.T, every int, ways ...way) (*service, load.Config) {
	t.Helper()
	s := &service{
		every: every, ways: ways, wrong: map[string]int{}, written: map[string]bool{},
		kinds: map[string]int{}, keys: map[string]int{}, cursors: map[string]map[string]bool{},
	}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	var ids []string
	for n := range tasks {
		ids = append(ids, id(n))
	}
	return s, load.Config{Addr: server.Listener.Addr().String(), Connections: connections, Duration: brief, IDs: ids}
}

// tally is what it has seen so far.
func (s *service) tally() (right, written int, wrong map[string]int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.right, len(s.written), maps.Clone(s.wrong)
}

func run(t *testing.T, cfg load.Config) load.Result {
	t.Helper()
	r, err := load.Run(cfg, func() {}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestRightAnswers(t *testing.T) {
	for _, scenario := range load.Names() {
		t.Run(scenario, func(t *testing.T) {
			s, cfg := serve(t, 0)
			cfg.Scenario, cfg.Warmup = scenario, brief
			r := run(t, cfg)
			right, written, _ := s.tally()
			if r.Failed() != 0 || r.Answers == 0 || r.Answers >= right {
				t.Errorf("%d answers of %d with the warm-up, errors %v", r.Answers, right, r.Errors)
			}
			if r.Written != written {
				t.Errorf("%d written, not %d", r.Written, written)
			}
			if l := r.Latencies; l.P50 <= 0 || l.P50 > l.P99 || l.P99 > l.Max {
				t.Errorf("latencies %+v", l)
			}
		})
	}
}

// A page is asked for by one client only, and each asks for all of its own.
func TestPagesDiffer(t *testing.T) {
	s, cfg := serve(t, 0)
	cfg.Scenario = load.Pages
	run(t, cfg)
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.cursors) != tasks-load.Limit {
		t.Errorf("%d pages were asked for, not %d", len(s.cursors), tasks-load.Limit)
	}
	for cursor, by := range s.cursors {
		if len(by) != 1 {
			t.Errorf("%d clients asked for the page after %s", len(by), cursor)
		}
	}
	cfg.IDs = cfg.IDs[:load.Limit+connections-1]
	for _, cfg.Scenario = range []string{load.Pages, load.Mix} {
		if r, err := load.Run(cfg, func() {}, func() {}); err == nil {
			t.Errorf("with too few tasks %s got %+v", cfg.Scenario, r)
		}
	}
}

// An idempotency key is never sent twice, not even by another run against the same server.
func TestKeysDiffer(t *testing.T) {
	s, cfg := serve(t, 0)
	cfg.Scenario = load.Idempotent
	for range 2 {
		run(t, cfg)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.keys) != s.kinds[load.Create] || len(s.keys) == 0 {
		t.Errorf("%d keys of %d requests", len(s.keys), s.kinds[load.Create])
	}
}

func TestMix(t *testing.T) {
	s, cfg := serve(t, 0)
	cfg.Scenario = load.Mix
	run(t, cfg)
	s.mu.Lock()
	defer s.mu.Unlock()
	for kind, fifths := range map[string]float64{load.Create: 1, load.Read: 2, load.Pages: 1, load.Update: 1, load.List: 0} {
		if share := float64(s.kinds[kind]) / float64(s.asked) * 5; share < fifths*0.6 || share > fifths*1.4 {
			t.Errorf("%.2f fifths of %d requests are %s, not %g", share, s.asked, kind, fifths)
		}
	}
}

// Every wrong answer is counted, once and as what it is, and none counts as an answer.
func TestWrongAnswers(t *testing.T) {
	status := func(code int) way {
		return way{fmt.Sprintf("status %d", code), func(w http.ResponseWriter, body string) { http.Error(w, body, code) }}
	}
	cut := way{"unexpected EOF", func(http.ResponseWriter, string) { panic(http.ErrAbortHandler) }}
	short := way{"unexpected EOF", func(w http.ResponseWriter, body string) {
		w.Header().Set("Content-Length", fmt.Sprint(len(body)+1))
		_, _ = io.WriteString(w, body)
	}}
	empty := way{"a response without a body", func(http.ResponseWriter, string) {}}
	says := func(seen, old, wrong string) way {
		return way{seen, func(w http.ResponseWriter, body string) {
			_, _ = io.WriteString(w, strings.Replace(body, old, wrong, 1))
		}}
	}
	otherID := says("not the task that was asked for", "01890a5d", "01890a5e")
	otherPage := says("not the page after the cursor", "01890a5d", "01890a5e")
	otherTitle := says("not the title that was sent", load.TitlePrefix, "water")
	for scenario, ways := range map[string][]way{
		load.List:       {status(503), status(404), cut, short, empty, says("not a list of 50 tasks", `{"id"`, `"id"`), says("not a list of 50 tasks", "[", "")},
		load.Pages:      {status(503), status(400), cut, short, empty, says("not a list of 50 tasks", `{"id"`, `"id"`), otherPage},
		load.Create:     {status(500), status(200), cut, short},
		load.Idempotent: {status(409), status(200), cut, short},
		load.Mix:        {status(500), status(206), cut, short},
		load.Update:     {status(500), status(201), cut, short, empty, otherID, otherTitle},
		load.Read:       {status(500), status(404), cut, short, empty, otherID},
	} {
		t.Run(scenario, func(t *testing.T) {
			s, cfg := serve(t, 5, ways...)
			cfg.Scenario = scenario
			r := run(t, cfg)
			right, written, wrong := s.tally()
			if !maps.Equal(r.Errors, wrong) || len(wrong) < len(ways)/2 {
				t.Errorf("errors %v, not %v", r.Errors, wrong)
			}
			if r.Answers > right || r.Answers == 0 || r.Written != written {
				t.Errorf("%d answers and %d written, of %d right ones and %d written", r.Answers, r.Written, right, written)
			}
		})
	}
}

// What is answered after the end counts for the latencies, since the slowest must not be left out, and not for the rate.
func TestAnswersAfterTheEnd(t *testing.T) {
	ended := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		<-ended
		_, _ = io.WriteString(w, answer(r, nil))
	}))
	defer server.Close()
	cfg := load.Config{Addr: server.Listener.Addr().String(), Scenario: load.List, Connections: 2, Duration: brief}
	r, err := load.Run(cfg, func() {}, func() { close(ended) })
	if err != nil || r.Answers != 0 || r.Failed() != 0 || r.Latencies.P50 == 0 {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestNobodyThere(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l.Close()
	cfg := load.Config{Addr: l.Addr().String(), Scenario: load.List, Connections: 1, Duration: brief}
	if r, err := load.Run(cfg, func() {}, func() {}); err == nil {
		t.Errorf("got %+v", r)
	}
	cfg.Scenario = "delete"
	if _, err := load.Run(cfg, func() {}, func() {}); err == nil || !strings.Contains(err.Error(), "delete") {
		t.Errorf("an unknown scenario: %v", err)
	}
}

func TestProcess(t *testing.T) {
	t.Setenv(envServe, "1")
	s, cfg := serve(t, 7, way{"status 503", func(w http.ResponseWriter, body string) { http.Error(w, body, http.StatusServiceUnavailable) }})
	cfg.Scenario = load.Read
	var said []string
	say := func(what string) func() { return func() { said = append(said, what) } }
	m, err := load.RunProcess(t.Context(), []string{os.Args[0]}, cfg, say("begin"), say("end"))
	if err != nil {
		t.Fatal(err)
	}
	if _, _, wrong := s.tally(); m.Answers == 0 || m.CPU <= 0 || m.Latencies.P50 <= 0 || !maps.Equal(m.Errors, wrong) {
		t.Errorf("%+v, errors of the server %v", m, wrong)
	}
	if !slices.Equal(said, []string{"begin", "end"}) {
		t.Errorf("said %v", said)
	}
	cfg.Scenario = "delete"
	if _, err := load.RunProcess(t.Context(), []string{os.Args[0]}, cfg, func() {}, func() {}); err == nil || !strings.Contains(err.Error(), "delete") {
		t.Errorf("what the process complains of: %v", err)
	}
}
