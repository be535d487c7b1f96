package batch

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
)

// ErrAlone is the error of a request that could not be served together with others. The
// request runs again, by itself and behind those that are waiting.
var ErrAlone = errors.New("not to be served together with others")

// Config describes an operation. Every field but Shared is required.
type Config[Key comparable, In, Out any] struct {
	// Key identifies what a request is about.
	Key func(In) Key
	// Shared lets requests of one key that wait together have one result. Otherwise they
	// run one after another, never at the same time.
	Shared bool
	// Most is how many keys run together at most.
	Most int
	// Run serves requests of different keys, and returns a result for each, in their order.
	// An error of its own is the result of them all. Its context ends when nobody waits for
	// the results any more. Alone is true for one request that runs again after [ErrAlone].
	Run func(ctx context.Context, ins []In, alone bool) ([]Result[Out], error)
}

// Result is what one request gets. [ErrAlone] runs the request again.
type Result[Out any] struct {
	Out Out
	Err error
}

// Operation is one kind of work in a queue.
type Operation[Key comparable, In, Out any] struct {
	Config[Key, In, Out]
	queue    *Queue
	requests sync.Pool

	// The fields below are guarded by the queue's lock.
	waiting []*request[Key, In, Out] // in the order of their arrival
	batches []*batch[Key, In, Out]   // running
	busy    map[Key]struct{}         // keys that run and are not shared
}

// request is one call of Do.
type request[Key comparable, In, Out any] struct {
	ctx     context.Context
	key     Key
	in      In
	arrived uint64
	alone   bool
	result  Result[Out]
	ended   chan struct{} // receives one value when result is set
}

// end sets the result. The request may serve another caller from then on.
func (r *request[Key, In, Out]) end(result Result[Out]) {
	r.result = result
	r.ended <- struct{}{}
}

// batch is requests that run together.
type batch[Key comparable, In, Out any] struct {
	ctx      context.Context
	cancel   context.CancelFunc
	ins      []In
	keys     []Key                    // of ins
	requests []*request[Key, In, Out] // nil for one whose context has ended
	of       []int                    // for each request the place of its input in ins
	awaited  int                      // requests that are not nil
	alone    bool
}

// NewOperation adds an operation to the queue.
func NewOperation[Key comparable, In, Out any](q *Queue, cfg Config[Key, In, Out]) *Operation[Key, In, Out] {
	o := &Operation[Key, In, Out]{Config: cfg, queue: q, busy: map[Key]struct{}{}}
	o.requests.New = func() any { return &request[Key, In, Out]{ended: make(chan struct{}, 1)} }
	q.mu.Lock()
	defer q.mu.Unlock()
	q.lines = append(q.lines, o)
	return o
}

// Do serves one request. Its error is that of Run, or the cause of ctx as soon as that ends;
// the run goes on while another request waits for it. It must not be called after Close.
func (o *Operation[Key, In, Out]) Do(ctx context.Context, in In) (Out, error) {
	q := o.queue
	r := o.requests.Get().(*request[Key, In, Out])
	r.ctx, r.key, r.in = ctx, o.Key(in), in
	q.mu.Lock()
	o.enqueue(r)
	q.start()
	q.mu.Unlock()
	<-r.ended
	result := r.result
	*r = request[Key, In, Out]{ended: r.ended}
	o.requests.Put(r)
	return result.Out, result.Err
}

func (o *Operation[Key, In, Out]) begin(key Key) {
	if !o.Shared {
		o.busy[key] = struct{}{}
	}
}

// enqueue puts a request behind those that are waiting.
func (o *Operation[Key, In, Out]) enqueue(r *request[Key, In, Out]) {
	r.arrived = o.queue.arrived
	o.queue.arrived++
	o.queue.waiting++
	o.waiting = append(o.waiting, r)
	o.queue.watch(r.ctx)
}

func (o *Operation[Key, In, Out]) first() (arrived uint64, ok bool) {
	for _, r := range o.waiting {
		if o.mayRun(r) {
			return r.arrived, true
		}
	}
	return 0, false
}

func (o *Operation[Key, In, Out]) mayRun(r *request[Key, In, Out]) bool {
	_, busy := o.busy[r.key]
	return !busy && (!r.alone || o.queue.alone < o.queue.aloneLimit)
}

func (o *Operation[Key, In, Out]) take() (run func()) {
	b := &batch[Key, In, Out]{}
	var places map[Key]int // in b.ins, of keys that are shared
	most := o.Most
	left := o.waiting[:0]
	for _, r := range o.waiting {
		place, shares := places[r.key]
		shares = shares && (!r.alone || b.alone) // not with requests of other keys
		full := len(b.ins) >= most || r.alone && len(b.ins) > 0
		if !shares && (full || !o.mayRun(r)) {
			left = append(left, r)
			continue
		}
		if !shares {
			place = len(b.ins)
			b.ins, b.keys = append(b.ins, r.in), append(b.keys, r.key)
			o.begin(r.key)
			if o.Shared && len(o.waiting) > 1 {
				if places == nil {
					places = make(map[Key]int, min(len(o.waiting), most))
				}
				places[r.key] = place
			}
		}
		if r.alone {
			b.alone, most = true, 1
		}
		b.requests, b.of = append(b.requests, r), append(b.of, place)
	}
	clear(o.waiting[len(left):])
	o.waiting = left
	b.awaited = len(b.requests)
	o.queue.waiting -= b.awaited
	if b.alone {
		o.queue.alone++
	}
	b.ctx, b.cancel = context.WithCancel(o.queue.closing)
	o.batches = append(o.batches, b)
	return func() { o.run(b) }
}

// run serves a batch.
func (o *Operation[Key, In, Out]) run(b *batch[Key, In, Out]) {
	defer b.cancel()
	results := o.guarded(b)
	o.queue.mu.Lock()
	defer o.queue.mu.Unlock()
	o.batches = slices.DeleteFunc(o.batches, func(other *batch[Key, In, Out]) bool { return other == b })
	for _, key := range b.keys {
		delete(o.busy, key)
	}
	if b.alone {
		o.queue.alone--
	}
	for i, r := range b.requests {
		switch result := results[b.of[i]]; {
		case r == nil:
		case errors.Is(result.Err, ErrAlone):
			r.alone = true
			o.enqueue(r)
		default:
			r.end(result)
		}
	}
}

// guarded returns a result for each input, also after a panic, which no caller could recover
// from. Of several requests one may be to blame for that, so each runs again alone.
func (o *Operation[Key, In, Out]) guarded(b *batch[Key, In, Out]) (results []Result[Out]) {
	failed := func(err error) []Result[Out] { return slices.Repeat([]Result[Out]{{Err: err}}, len(b.ins)) }
	defer func() {
		switch v := recover(); {
		case v == nil:
		case len(b.ins) > 1:
			results = failed(ErrAlone)
		default:
			results = failed(fmt.Errorf("panic: %v\n%s", v, debug.Stack()))
		}
	}()
	results, err := o.Run(b.ctx, b.ins, b.alone)
	if err == nil && len(results) != len(b.ins) {
		err = fmt.Errorf("%d results for %d requests", len(results), len(b.ins))
	}
	if err != nil {
		return failed(err)
	}
	return results
}

func (o *Operation[Key, In, Out]) expire(done <-chan struct{}) {
	expired := func(r *request[Key, In, Out]) bool {
		if r == nil || r.ctx.Done() != done {
			return false
		}
		r.end(Result[Out]{Err: context.Cause(r.ctx)})
		return true
	}
	before := len(o.waiting)
	o.waiting = slices.DeleteFunc(o.waiting, expired)
	o.queue.waiting -= before - len(o.waiting)
	for _, b := range o.batches {
		for i, r := range b.requests {
			if expired(r) {
				b.requests[i] = nil
				b.awaited--
			}
		}
		if b.awaited == 0 {
			b.cancel()
		}
	}
}
