package load

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"time"
)

const (
	connectTimeout = 5 * time.Second
	// pause keeps a server that refuses everything from being asked in a tight loop.
	pause = 10 * time.Millisecond
)

// worker is one client with its connection.
type worker struct {
	addr     string
	scenario scenario
	client   client
	conn     net.Conn // nil when there is none
	reader   answerReader
	// deadline is of all requests. One for each would cost a timer each time.
	deadline time.Time

	answers   int
	latencies []time.Duration
	errors    map[string]int
}

func newWorker(cfg Config, number int) (*worker, error) {
	s, ok := scenarios[cfg.Scenario]
	if !ok {
		return nil, fmt.Errorf("unknown scenario %q", cfg.Scenario)
	}
	return &worker{
		addr: cfg.Addr, scenario: s, errors: map[string]int{},
		client: client{
			host: cfg.Addr, number: number, ids: cfg.IDs, updated: map[string]bool{},
			random: rand.New(rand.NewPCG(uint64(number), 0)), // everybody meets the same clients
		},
		reader: answerReader{buffer: make([]byte, 16<<10)},
	}, nil
}

func (w *worker) connect() error {
	conn, err := net.DialTimeout("tcp", w.addr, connectTimeout)
	if err != nil {
		return err
	}
	w.conn = conn
	return conn.SetDeadline(w.deadline)
}

func (w *worker) close() {
	if w.conn != nil {
		_ = w.conn.Close() // nothing is lost
		w.conn = nil
	}
}

// run sends requests until last, and measures from first on.
func (w *worker) run(first, last time.Time) {
	w.deadline = last.Add(Drain)
	_ = w.conn.SetDeadline(w.deadline) // fails on a closed connection, as the request will
	for now := time.Now(); now.Before(last); {
		start := now
		err := w.ask()
		now = time.Now()
		switch {
		case err != nil:
			w.errors[reason(err)]++
			w.close()
			time.Sleep(pause)
			now = time.Now()
		case now.After(first):
			if now.Before(last) {
				w.answers++
			}
			if !start.Before(first) {
				w.latencies = append(w.latencies, now.Sub(start))
			}
		}
	}
}

// ask sends the next request and checks its answer.
func (w *worker) ask() error {
	if w.conn == nil {
		if err := w.connect(); err != nil {
			return err
		}
	}
	w.scenario.next(&w.client)
	if _, err := w.conn.Write(w.client.request); err != nil {
		return err
	}
	a, err := w.reader.read(w.conn)
	if err != nil {
		return err
	}
	if a.last {
		w.close()
	}
	return w.scenario.check(&w.client, a)
}

// reason tells errors apart that say the same of different connections.
func reason(err error) string {
	var network *net.OpError
	if errors.As(err, &network) {
		return network.Op + ": " + network.Err.Error()
	}
	return err.Error()
}
