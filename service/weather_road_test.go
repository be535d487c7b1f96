package main

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// road leads to a database, and is what can be wrong on the way there. It begins
// open; stalled, it takes connections and carries nothing, as before an Aurora that
// wakes up.
type road struct {
	dsn  string       // of the database, by this road
	ever atomic.Int32 // connections that came
	now  atomic.Int32 // connections that their client has not closed

	target string
	jitter atomic.Int64 // longest delay of what the database answers, in nanoseconds
	wg     sync.WaitGroup

	mu      sync.Mutex
	hold    *held // what becomes of the next answer; nil when it passes
	stalled bool
	passage chan struct{}   // closed while the road is open
	whole   context.Context // ends when what is on the road is cut
	cutAll  context.CancelFunc
}

// newRoad leads to the database of that URL, which need not exist.
func newRoad(t *testing.T, dsn string) *road {
	t.Helper()
	u, err := url.Parse(dsn)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &road{target: u.Host, stalled: true, passage: make(chan struct{})}
	u.Host = l.Addr().String()
	r.dsn = u.String()
	r.whole, r.cutAll = context.WithCancel(context.Background())
	r.open()
	r.wg.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			r.ever.Add(1)
			r.now.Add(1)
			r.mu.Lock()
			whole := r.whole
			r.mu.Unlock()
			r.wg.Go(func() { r.carry(whole, in) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		r.cut()
		r.wg.Wait()
	})
	return r
}

// stall holds back all traffic, of old connections and new ones.
func (r *road) stall() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.stalled {
		r.stalled, r.passage = true, make(chan struct{})
	}
}

// open lets through what was held back and all that comes.
func (r *road) open() {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stalled {
		r.stalled = false
		close(r.passage)
	}
}

// cut ends every connection that is on the road.
func (r *road) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.cutAll()
	r.whole, r.cutAll = context.WithCancel(context.Background())
}

// held is an answer of the database that is on its way.
type held struct{ came, released chan struct{} }

// holdNext keeps back the next answer, and only that one.
func (r *road) holdNext() *held {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.hold = &held{make(chan struct{}), make(chan struct{})}
	return r.hold
}

func (r *road) takeHold() *held {
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.hold
	r.hold = nil
	return h
}

func (h *held) wait(ctx context.Context) {
	close(h.came)
	select {
	case <-h.released:
	case <-ctx.Done():
	}
}

// carry copies both ways until either side ends or the road is cut.
func (r *road) carry(whole context.Context, in net.Conn) {
	ctx, end := context.WithCancel(whole)
	defer end()
	context.AfterFunc(ctx, func() { in.Close() })
	sent := make(chan []byte, 64)
	r.wg.Go(func() { // also while stalled, to see the client close
		defer r.now.Add(-1)
		defer end()
		for {
			b := make([]byte, 4096)
			n, err := in.Read(b)
			if err != nil {
				return
			}
			select {
			case sent <- b[:n]:
			case <-ctx.Done():
				return
			}
		}
	})
	if !r.passes(ctx) {
		return
	}
	out, err := net.Dial("tcp", r.target)
	if err != nil {
		return
	}
	context.AfterFunc(ctx, func() { out.Close() })
	r.wg.Go(func() {
		for {
			select {
			case b := <-sent:
				if !r.passes(ctx) {
					return
				}
				if _, err := out.Write(b); err != nil {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	})
	_, _ = io.Copy(in, readerFunc(func(b []byte) (int, error) { // how it ends is the weather's affair
		n, err := out.Read(b)
		if held := r.takeHold(); held != nil {
			held.wait(ctx)
		}
		if longest := r.jitter.Load(); longest > 0 {
			time.Sleep(time.Duration(rand.Int64N(longest)))
		}
		r.passes(ctx)
		return n, err
	}))
}

// passes waits until the road is open, and says whether the connection still is.
func (r *road) passes(ctx context.Context) bool {
	r.mu.Lock()
	passage := r.passage
	r.mu.Unlock()
	select {
	case <-passage:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(b []byte) (int, error) { return f(b) }
