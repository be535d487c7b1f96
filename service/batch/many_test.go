package batch_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"

	"example.com/todo/service/batch"
)

// haste is a context that many share, until one of them has had enough.
type haste struct {
	mu  sync.Mutex
	ctx context.Context
	end context.CancelCauseFunc
}

var errEnough = errors.New("enough")

func (h *haste) now() context.Context {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.ctx
}

func (h *haste) enough() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.end != nil {
		h.end(errEnough)
	}
	h.ctx, h.end = context.WithCancelCause(context.Background())
}

// Many clients of few keys: every request is answered, by work of its own key that
// began after it was made, or by the end of its own context.
func TestEveryRequestIsAnswered(t *testing.T) {
	for _, shared := range []bool{false, true} {
		q := batch.NewQueue(3)
		var mu sync.Mutex
		begun := 0
		number := func() int {
			for range 20 { // long enough that contexts end meanwhile
				runtime.Gosched()
			}
			mu.Lock()
			defer mu.Unlock()
			begun++
			return begun
		}
		var running atomic.Int64
		var busy [5]atomic.Int64
		operation := batch.NewOperation(q, batch.Config[int, int, string]{
			Key: func(in int) int { return in % 5 }, Shared: shared, Most: 4,
			Run: func(_ context.Context, ins []int, _ bool) ([]batch.Result[string], error) {
				if n := running.Add(1); n > 3 {
					t.Errorf("%d run at a time, want 3 at most", n)
				}
				defer running.Add(-1)
				seen := map[int]bool{}
				for _, in := range ins {
					if seen[in%5] {
						t.Errorf("one run has a key twice: %v", ins)
					}
					seen[in%5] = true
					if n := busy[in%5].Add(1); n > 1 && !shared {
						t.Errorf("%d run at a time for one key", n)
					}
					defer busy[in%5].Add(-1)
				}
				if len(ins) > 4 {
					t.Errorf("%d keys run together, want 4 at most", len(ins))
				}
				results, n := make([]batch.Result[string], len(ins)), number()
				for i, in := range ins {
					results[i].Out = fmt.Sprintf("%d %d", in%5, n)
					if in%7 == 0 && len(ins) > 1 {
						results[i].Err = batch.ErrAlone
					}
				}
				return results, nil
			},
		})
		var wg sync.WaitGroup
		var hasty haste
		hasty.enough()
		var left atomic.Int64
		for client := range 50 {
			wg.Go(func() {
				for i := range 200 {
					in, ctx := client*1000+i, t.Context()
					switch i % 8 {
					case 2, 5:
						ctx = hasty.now()
					case 7:
						hasty.enough()
					}
					mu.Lock()
					before := begun
					mu.Unlock()
					out, err := operation.Do(ctx, in)
					if ctx != t.Context() && errors.Is(err, errEnough) {
						left.Add(1)
						continue
					}
					var key, n int
					if _, scanErr := fmt.Sscan(out, &key, &n); err != nil || scanErr != nil || key != in%5 || n <= before {
						t.Errorf("%d got %q after %d: %v", in, out, before, errors.Join(err, scanErr))
					}
				}
			})
		}
		wg.Wait()
		hasty.enough()
		q.Close()
		if left.Load() == 0 {
			t.Error("no context ended while its request waited")
		}
		if busy, waiting := q.Load(); busy != 0 || waiting != 0 {
			t.Errorf("%d busy, %d waiting at the end", busy, waiting)
		}
	}
}
