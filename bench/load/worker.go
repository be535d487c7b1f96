package load

import (
	"fmt"
	"math/rand/v2"
	"time"
)

// worker is one client with its connection.
type worker struct {
	scenario scenario
	client   client
	reader   answerReader

	connection int       // its file descriptor; none when it is negative
	awaited    uint32    // events of the connection
	asked      bool      // an answer is owed
	unsent     []byte    // of the request
	start      time.Time // of the request, or of connecting
	again      time.Time // when to connect again

	answers   int
	latencies []time.Duration
	errors    map[string]int
}

// newWorker returns the client of that number, from 0, without a connection. The text differs between runs.
func newWorker(cfg Config, number int, run string) (*worker, error) {
	s, ok := scenarios[cfg.Scenario]
	if !ok {
		return nil, fmt.Errorf("unknown scenario %q", cfg.Scenario)
	}
	return &worker{
		scenario: s, connection: -1, errors: map[string]int{},
		client: client{
			host: cfg.Addr, number: number, clients: cfg.Connections, run: run, ids: cfg.IDs, updated: map[string]bool{},
			random: rand.New(rand.NewPCG(uint64(number), 0)), // everybody meets the same clients
		},
		reader: answerReader{buffer: make([]byte, 16<<10)},
	}, nil
}

// answered takes note of an answer that was right.
func (w *worker) answered(now, first, last time.Time) {
	if !now.After(first) {
		return
	}
	if now.Before(last) {
		w.answers++
	}
	if !w.start.Before(first) {
		w.latencies = append(w.latencies, now.Sub(w.start))
	}
}
