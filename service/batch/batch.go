// Package batch lets requests that have to wait share their work.
//
// A [Queue] does a few pieces of work at a time. While it is doing fewer, a request is
// done at once and alone. Otherwise requests wait, and when a piece of work ends, the one
// that has waited longest comes next, and with it all that wait for the same kind of
// work. Nothing is ever delayed to make a batch larger, and nobody joins work that has
// begun: who reads sees what was written before.
//
// More work at a time would only mean smaller batches, as long as work is quick. What
// takes longer than [SlowAfter], because it waits for something itself, does not count
// any more, so that it keeps nobody waiting.
package batch

import (
	"context"
	"runtime"
	"slices"
	"sync"
	"time"
)

// SlowAfter is when work is no longer quick: later than the largest batch should take,
// and soon for somebody who waits.
const SlowAfter = 25 * time.Millisecond

// Queue is the work under way and who waits.
type Queue struct {
	Limits
	ended context.Context
	end   context.CancelFunc
	work  sync.WaitGroup // that has no caller

	mu      sync.Mutex
	running []*lane
	quick   int  // of them
	coming  bool // the last of them is about to take what it does
	waiting int  // requests, of all kinds
	arrived uint64
	kinds   []line
	ends    map[<-chan struct{}]struct{} // of contexts, at which requests expire
	timer   *time.Timer                  // for the next lane that becomes slow; nil when nobody waits for it
}

// Limits say what a queue does at a time.
type Limits struct {
	Quick int  // pieces of quick work at most; at least 1
	All   int  // pieces of work at most, slow ones included
	Alone bool // do each request alone
}

// lane is one piece of work under way.
type lane struct {
	began time.Time
	slow  bool
}

// line is a kind of work, to the queue. The queue's lock is held.
type line interface {
	// first tells when the first request that may be done now arrived.
	first() (arrived uint64, ok bool)
	// take removes it and what goes with it, and gives what does them.
	take(*lane) (do func())
	// expire answers the requests whose context has ended, which that channel tells.
	expire(done <-chan struct{})
}

// NewQueue makes a queue with nothing in it.
func NewQueue(l Limits) *Queue {
	q := &Queue{Limits: l, ends: map[<-chan struct{}]struct{}{}}
	q.ended, q.end = context.WithCancel(context.Background())
	return q
}

// Close ends the context of all shared work, and waits for it.
func (q *Queue) Close() {
	q.end()
	q.work.Wait()
}

// Load says how many pieces of work are under way and how many requests wait.
func (q *Queue) Load() (busy, waiting int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.running), q.waiting
}

func (q *Queue) full() bool { return q.quick >= q.Quick || len(q.running) >= q.All }

func (q *Queue) enter() *lane {
	l := &lane{began: time.Now()}
	q.running = append(q.running, l)
	q.quick++
	return l
}

func (q *Queue) leave(l *lane) {
	i := slices.Index(q.running, l)
	q.running = slices.Delete(q.running, i, i+1)
	if !l.slow {
		q.quick--
	}
	q.dispatch()
}

// dispatch begins what waits, as far as the limits let it.
func (q *Queue) dispatch() {
	if !q.coming && !q.full() && q.oldest() != nil {
		q.coming = true
		l := q.enter()
		q.work.Go(func() { q.next(l) })
		return
	}
	q.watch()
}

// next does what has waited longest. Before it looks, it lets those come first who are
// already on their way to the queue: it costs no time when there is nobody, and
// otherwise they need not wait for the end of work that they have just missed.
func (q *Queue) next(l *lane) {
	runtime.Gosched()
	q.mu.Lock()
	q.coming = false
	kind := q.oldest()
	if kind == nil { // whoever it was has left
		q.leave(l)
		q.mu.Unlock()
		return
	}
	do := kind.take(l)
	q.dispatch()
	q.mu.Unlock()
	do()
}

// oldest is the kind whose first request that may be done now has waited longest, or nil.
func (q *Queue) oldest() (next line) {
	var oldest uint64
	for _, kind := range q.kinds {
		if arrived, ok := kind.first(); ok && (next == nil || arrived < oldest) {
			next, oldest = kind, arrived
		}
	}
	return next
}

// watchEnd has those who wait with the context answered when it ends. Many share one, and if
// each waited for its end by itself, that would take more time than all else in waiting.
func (q *Queue) watchEnd(ctx context.Context) {
	done := ctx.Done()
	if _, watched := q.ends[done]; watched || done == nil {
		return
	}
	q.ends[done] = struct{}{}
	context.AfterFunc(ctx, func() {
		q.mu.Lock()
		defer q.mu.Unlock()
		delete(q.ends, done)
		for _, kind := range q.kinds {
			kind.expire(done)
		}
	})
}

// watch has the oldest quick work looked at when it becomes slow, if somebody waits.
func (q *Queue) watch() {
	if q.timer != nil || q.waiting == 0 || q.quick == 0 || len(q.running) >= q.All {
		return
	}
	for _, l := range q.running { // the oldest first
		if !l.slow {
			q.timer = time.AfterFunc(time.Until(l.began.Add(SlowAfter)), q.tell)
			return
		}
	}
}

// tell finds the work that has become slow.
func (q *Queue) tell() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer = nil
	for _, l := range q.running {
		if !l.slow && time.Since(l.began) >= SlowAfter {
			l.slow = true
			q.quick--
		}
	}
	q.dispatch()
}
