// Package batch runs operations for concurrent requests, a bounded number at a time.
// Requests that have to wait are served together.
//
// While fewer than the bound are running, a request runs at once, together with those that
// are made at the same moment. Otherwise it waits, and when an operation ends, the request
// that has waited longest runs next, together with all that wait for the same [Operation].
// No request waits for a timer to make a batch larger, and none joins an operation that has
// begun: a read sees every write that was acknowledged before the read was asked for.
//
// Requests that run again after [ErrAlone] may wait for something that others hold. They have
// a quarter of the places at most, so that all else goes on.
package batch

import (
	"context"
	"runtime"
	"sync"
)

// Queue runs a bounded number of operations and holds the requests that are waiting.
type Queue struct {
	limit      int
	aloneLimit int
	closing    context.Context
	close      context.CancelFunc
	background sync.WaitGroup

	mu       sync.Mutex
	running  int  // operations, including one that has not taken its requests yet
	alone    int  // of them, for requests that run again
	starting bool // a goroutine was started that has not taken its requests yet
	waiting  int  // requests of all operations
	arrived  uint64
	lines    []line
	watched  map[<-chan struct{}]struct{} // contexts, by what Done returns
}

// line is what the queue needs of an [Operation], without its type parameters. The caller
// holds the queue's lock.
type line interface {
	// first returns when the first request that may run now arrived.
	first() (arrived uint64, ok bool)
	// take removes that request and those that run together with it, and returns the
	// function that runs them.
	take() (run func())
	// expire ends the requests whose context has ended, which closes that channel.
	expire(done <-chan struct{})
}

// NewQueue returns an empty queue that runs at most limit operations at a time, at least 1.
func NewQueue(limit int) *Queue {
	q := &Queue{limit: limit, aloneLimit: max(1, limit/4), watched: map[<-chan struct{}]struct{}{}}
	q.closing, q.close = context.WithCancel(context.Background())
	return q
}

// Close cancels the context of every operation, and waits until they have ended.
func (q *Queue) Close() {
	q.close()
	q.background.Wait()
}

// Load returns how many operations are running and how many requests are waiting.
func (q *Queue) Load() (running, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.running, q.waiting
}

// start starts a goroutine for the requests that are waiting, unless as many as may are
// running. The caller holds the lock.
func (q *Queue) start() {
	if q.starting || q.running >= q.limit || q.oldest() == nil {
		return
	}
	q.starting = true
	q.running++
	q.background.Go(q.run)
}

// run runs what has waited longest, one operation after another, until nothing waits.
// Before it looks it yields once, so that the requests that are being read at this moment
// join: that costs nothing while there are none, and saves a statement for each otherwise.
func (q *Queue) run() {
	runtime.Gosched()
	q.mu.Lock()
	defer q.mu.Unlock()
	q.starting = false
	for next := q.oldest(); next != nil; next = q.oldest() {
		run := next.take()
		q.start()
		q.mu.Unlock()
		run()
		runtime.Gosched()
		q.mu.Lock()
	}
	q.running--
}

// oldest returns the line whose first request that may run now has waited longest, or nil.
func (q *Queue) oldest() (next line) {
	var oldest uint64
	for _, l := range q.lines {
		if arrived, ok := l.first(); ok && (next == nil || arrived < oldest) {
			next, oldest = l, arrived
		}
	}
	return next
}

// watch expires the requests that wait with this context when it ends. Many requests share
// one context; if each waited for its end by itself, they would contend for its lock.
func (q *Queue) watch(ctx context.Context) {
	done := ctx.Done()
	if _, watched := q.watched[done]; watched || done == nil {
		return
	}
	q.watched[done] = struct{}{}
	context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.watched, done)
		for _, l := range q.lines {
			l.expire(done)
		}
	})
}
