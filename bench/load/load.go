// Package load drives a server as a number of impatient clients would: each has one connection, sends a request, checks
// the answer, and sends the next. It measures what the answers take and counts every answer that is not right.
//
// It shares the machine with what it measures, so it spends as little as it can: requests are appended to buffers that
// stay, of answers it reads what it must, and latencies are kept as they are and sorted when all is over.
package load

import (
	"crypto/rand"
	"fmt"
	"maps"
	"slices"
	"time"
)

// Scenarios.
const (
	List       = "list"       // the newest Limit tasks
	Pages      = "pages"      // Limit tasks after a random cursor, which no other client uses
	Create     = "create"     // one task
	Idempotent = "idempotent" // one task, with an Idempotency-Key of its own
	Update     = "update"     // a random one of the tasks that are there, wholly
	Read       = "read"       // a random one of the tasks that are there
	Mix        = "mix"        // at random a fifth Create, two fifths Read, a fifth Pages, a fifth Update
)

// Limit is how many tasks a list has.
const Limit = 50

// TitlePrefix begins every title that is sent.
const TitlePrefix = "water the plants, round "

// Drain is what the last answers may take after the end.
const Drain = 15 * time.Second

// Config says what to send. Every field is required.
type Config struct {
	Addr        string // host:port
	Scenario    string
	Connections int
	Warmup      time.Duration // sent first and not measured, though its errors count
	Duration    time.Duration
	IDs         []string // of tasks that are there, the oldest first; at least Limit, for pages and the mix Limit + Connections
}

// Result is what was seen.
type Result struct {
	// Answers are those that came, right, within the duration.
	Answers int `json:"answers"`
	// Latencies are of right answers to requests that were sent within the duration, also of those that came after it.
	Latencies Latencies `json:"latencies"`
	// Written is how many tasks a right answer said to be written at least once, from the first to the last answer: in
	// the database, at least so many titles begin with TitlePrefix.
	Written int `json:"written"`
	// Errors counts what went wrong by what it was, from the first connection to the last answer.
	Errors map[string]int `json:"errors"`
}

// Latencies are percentiles: exact ones, no estimates.
type Latencies struct {
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	Max time.Duration `json:"max_ns"`
}

// Failed is how many errors there were.
func (r Result) Failed() int {
	n := 0
	for _, count := range r.Errors {
		n += count
	}
	return n
}

// Run connects, warms up, and measures. It calls begin and end when the measured time begins and ends. Its error is
// about the configuration or a server that cannot be connected to; what goes wrong later is in the result.
func Run(cfg Config, begin, end func()) (Result, error) {
	if paged := cfg.Scenario == Pages || cfg.Scenario == Mix; paged && len(cfg.IDs) < Limit+cfg.Connections {
		return Result{}, fmt.Errorf("%d connections need at least %d tasks to ask for different pages, not %d", cfg.Connections, Limit+cfg.Connections, len(cfg.IDs))
	}
	workers := make([]*worker, cfg.Connections)
	run := rand.Text()
	for i := range workers {
		w, err := newWorker(cfg, i, run)
		if err != nil {
			return Result{}, err
		}
		workers[i] = w
	}
	l, err := newLoop(cfg.Addr, workers)
	if err != nil {
		return Result{}, fmt.Errorf("connect to %s: %w", cfg.Addr, err)
	}
	defer l.close()
	if err := l.open(); err != nil {
		return Result{}, err
	}
	first := time.Now().Add(cfg.Warmup)
	last := first.Add(cfg.Duration)
	if err := l.run(first, last, last.Add(Drain), begin, end); err != nil {
		return Result{}, err
	}
	return merge(workers), nil
}

func merge(workers []*worker) Result {
	r := Result{Errors: map[string]int{}}
	var all []time.Duration
	written := map[string]bool{}
	for _, w := range workers {
		r.Answers += w.answers
		r.Written += w.client.created
		maps.Copy(written, w.client.updated)
		all = append(all, w.latencies...)
		for what, count := range w.errors {
			r.Errors[what] += count
		}
	}
	r.Written += len(written)
	slices.Sort(all)
	r.Latencies = Latencies{P50: percentile(all, 50), P99: percentile(all, 99), Max: percentile(all, 100)}
	return r
}

// percentile gives the smallest value that p percent of the sorted values do not exceed; 0 when there are none.
func percentile(sorted []time.Duration, p int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[max(0, (len(sorted)*p+99)/100-1)]
}

// Names gives the scenarios.
func Names() []string { return slices.Sorted(maps.Keys(scenarios)) }
