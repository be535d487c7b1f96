package batch

import (
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
)

// Options describe a kind of work.
type Options[Key comparable, In, Out any] struct {
	// Key tells requests apart. Of those with the same key one is done, and its answer is
	// all their answer; or, if they are Exclusive, they are done one after the other.
	Key       func(In) Key
	Exclusive bool
	// Most is how many keys are done together.
	Most int

	// Alone does one request. Its context is the request's, or ends when nobody waits for
	// the answer any more.
	Alone func(context.Context, In) (Out, error)
	// Together does several that have different keys. Those that it has no answer to
	// are done alone, one by one, which is all of them if answer is nil; its error is the
	// answer to all.
	Together func(context.Context, []In) (answer func(Key) (Out, bool), err error)
}

// Kind is a kind of work in a queue.
type Kind[Key comparable, In, Out any] struct {
	Options[Key, In, Out]
	queue         *Queue
	waiting       []*request[Key, In, Out] // in the order of their arrival, but for those that were not answered together
	batches       []*batch[Key, In, Out]   // under way
	spareRequests sync.Pool
	spareBatches  sync.Pool
	under         map[Key]bool // work, the keys of what is exclusive
	taken         map[Key]bool // what take has taken; empty between
}

// request is one that has to wait.
type request[Key comparable, In, Out any] struct {
	ctx     context.Context
	key     Key
	in      In
	arrived uint64
	alone   bool // since it has got no answer together with others

	out      Out
	err      error
	answered chan struct{} // has room for one, which says that out and err are set
}

// answer ends the waiting. From then on the request may be another one.
func (r *request[Key, In, Out]) answer(out Out, err error) {
	r.out, r.err = out, err
	r.answered <- struct{}{}
}

// batch is requests that are done together.
type batch[Key comparable, In, Out any] struct {
	requests []*request[Key, In, Out] // nil for those whose context ended
	keys     []Key
	ins      []In // of the keys
	waited   int  // requests that are waited for
	ctx      context.Context
	cancel   context.CancelFunc
}

// NewKind adds a kind of work to the queue.
func NewKind[Key comparable, In, Out any](q *Queue, o Options[Key, In, Out]) *Kind[Key, In, Out] {
	k := &Kind[Key, In, Out]{Options: o, queue: q, under: map[Key]bool{}, taken: map[Key]bool{}}
	k.spareRequests.New = func() any { return &request[Key, In, Out]{answered: make(chan struct{}, 1)} }
	k.spareBatches.New = func() any { return &batch[Key, In, Out]{} }
	q.mu.Lock()
	defer q.mu.Unlock()
	q.kinds = append(q.kinds, k)
	return k
}

// Do gives the answer to the request, or the cause of the end of ctx. Work on it that
// others share goes on then.
func (k *Kind[Key, In, Out]) Do(ctx context.Context, in In) (Out, error) {
	q, key := k.queue, k.Key(in)
	q.mu.Lock()
	if !q.coming && !q.full() && !k.under[key] {
		l := q.enter()
		k.begin(key)
		q.mu.Unlock()
		defer k.end(l, key)
		return k.Alone(ctx, in)
	}
	r := k.spareRequests.Get().(*request[Key, In, Out])
	r.ctx, r.key, r.in, r.arrived = ctx, key, in, q.arrived
	q.arrived++
	q.waiting++
	k.waiting = append(k.waiting, r)
	q.watchEnd(ctx)
	q.watch()
	q.mu.Unlock()

	<-r.answered
	out, err := r.out, r.err
	*r = request[Key, In, Out]{answered: r.answered}
	k.spareRequests.Put(r)
	return out, err
}

func (k *Kind[Key, In, Out]) begin(key Key) {
	if k.Exclusive {
		k.under[key] = true
	}
}

func (k *Kind[Key, In, Out]) end(l *lane, keys ...Key) {
	k.queue.mu.Lock()
	defer k.queue.mu.Unlock()
	for _, key := range keys {
		delete(k.under, key)
	}
	k.queue.leave(l)
}

func (k *Kind[Key, In, Out]) expire(done <-chan struct{}) {
	var none Out
	expired := func(r *request[Key, In, Out]) bool {
		if r == nil || r.ctx.Done() != done {
			return false
		}
		r.answer(none, context.Cause(r.ctx))
		return true
	}
	waiting := len(k.waiting)
	k.waiting = slices.DeleteFunc(k.waiting, expired)
	k.queue.waiting -= waiting - len(k.waiting)
	for _, b := range k.batches {
		for i, r := range b.requests {
			if expired(r) {
				b.requests[i] = nil
				b.waited--
			}
		}
		if b.waited == 0 {
			b.cancel()
		}
	}
}

func (k *Kind[Key, In, Out]) first() (arrived uint64, ok bool) {
	for _, r := range k.waiting {
		if !k.under[r.key] {
			return r.arrived, true
		}
	}
	return 0, false
}

func (k *Kind[Key, In, Out]) take(l *lane) (do func()) {
	b := k.spareBatches.Get().(*batch[Key, In, Out])
	defer clear(k.taken)
	most, left := k.Most, k.waiting[:0]
	for _, r := range k.waiting {
		switch {
		case k.under[r.key],
			k.taken[r.key] && (k.Exclusive || k.queue.Alone),
			!k.taken[r.key] && (len(b.keys) == most || r.alone && len(b.keys) > 0):
			left = append(left, r)
			continue
		case !k.taken[r.key]:
			k.taken[r.key] = true
			b.keys, b.ins = append(b.keys, r.key), append(b.ins, r.in)
		}
		if r.alone || k.queue.Alone {
			most = 1
		}
		b.requests = append(b.requests, r)
	}
	clear(k.waiting[len(left):])
	k.waiting = left
	for _, key := range b.keys {
		k.begin(key)
	}
	b.waited = len(b.requests)
	k.queue.waiting -= b.waited
	b.ctx, b.cancel = context.WithCancel(k.queue.ended)
	k.batches = append(k.batches, b)
	return func() { k.do(l, b) }
}

func (k *Kind[Key, In, Out]) do(l *lane, b *batch[Key, In, Out]) {
	defer k.reuse(b)
	defer func() { k.end(l, b.keys...) }()
	defer b.cancel()
	answer, err := k.answers(b)
	k.settle(b)
	var unanswered []*request[Key, In, Out]
	for _, r := range b.requests {
		if r == nil {
			continue
		}
		var out Out
		answered := err != nil
		if !answered && answer != nil {
			out, answered = answer(r.key)
		}
		if answered {
			r.answer(out, err)
		} else {
			unanswered = append(unanswered, r)
		}
	}
	k.again(unanswered)
}

// reuse forgets the batch, but for its memory.
func (k *Kind[Key, In, Out]) reuse(b *batch[Key, In, Out]) {
	clear(b.requests)
	clear(b.keys)
	clear(b.ins)
	*b = batch[Key, In, Out]{requests: b.requests[:0], keys: b.keys[:0], ins: b.ins[:0]}
	k.spareBatches.Put(b)
}

// settle lets none of the requests expire any more.
func (k *Kind[Key, In, Out]) settle(b *batch[Key, In, Out]) {
	k.queue.mu.Lock()
	defer k.queue.mu.Unlock()
	i := slices.Index(k.batches, b)
	k.batches = slices.Delete(k.batches, i, i+1)
}

func (k *Kind[Key, In, Out]) answers(b *batch[Key, In, Out]) (answer func(Key) (Out, bool), err error) {
	defer func() {
		if v := recover(); v != nil { // there is no caller who could
			err = fmt.Errorf("panic: %v\n%s", v, debug.Stack())
		}
	}()
	if len(b.keys) > 1 {
		return k.Together(b.ctx, b.ins)
	}
	out, err := k.Alone(b.ctx, b.ins[0])
	return func(Key) (Out, bool) { return out, true }, err
}

// again puts requests first in line, to be done alone.
func (k *Kind[Key, In, Out]) again(requests []*request[Key, In, Out]) {
	k.queue.mu.Lock()
	defer k.queue.mu.Unlock()
	for _, r := range requests {
		r.alone = true
		k.queue.watchEnd(r.ctx) // which may have come since they were settled
	}
	k.waiting = slices.Concat(requests, k.waiting)
	k.queue.waiting += len(requests)
}
