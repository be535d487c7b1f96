// Package batch lets requests that have to wait share their work.
//
// A [Queue] has lanes; a lane does one piece of work at a time. While one is free, a
// request is done at once and alone. While all are busy requests wait, and a lane that
// becomes free takes the one that has waited longest, and with it all that wait for the
// same kind of work. Nothing is ever delayed to make a batch larger, and nobody joins
// work that has begun: who reads sees what was written before.
package batch

import (
	"context"
	"sync"
)

// Queue is the lanes and who waits for them.
type Queue struct {
	lanes  int
	shares bool
	ended  context.Context
	end    context.CancelFunc
	work   sync.WaitGroup

	mu      sync.Mutex
	running int // lanes that are busy
	waiting int // requests, of all kinds
	arrived uint64
	kinds   []line
}

// line is a kind of work, to the queue. The queue's lock is held.
type line interface {
	// first tells when the first request that may be done now arrived.
	first() (arrived uint64, ok bool)
	// take removes it and what goes with it, and gives what does them.
	take() (do func())
}

// NewQueue makes a queue of that many lanes. If it does not share, each request is done
// alone.
func NewQueue(lanes int, shares bool) *Queue {
	q := &Queue{lanes: lanes, shares: shares}
	q.ended, q.end = context.WithCancel(context.Background())
	return q
}

// Close ends the context of all shared work, and waits for it.
func (q *Queue) Close() {
	q.end()
	q.work.Wait()
}

// Load says how many lanes are busy and how many requests wait for one.
func (q *Queue) Load() (busy, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running, q.waiting
}

// dispatch gives the free lanes what waits. So while a lane is free, nothing waits that
// could be done.
func (q *Queue) dispatch() {
	for q.running < q.lanes {
		var next line
		var oldest uint64
		for _, kind := range q.kinds {
			if arrived, ok := kind.first(); ok && (next == nil || arrived < oldest) {
				next, oldest = kind, arrived
			}
		}
		if next == nil {
			return
		}
		q.running++
		q.work.Go(next.take())
	}
}
