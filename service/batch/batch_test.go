package batch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/todo/service/batch"
)

// work is a kind of work that a test lets through piece by piece, and sees.
type work struct {
	kind *batch.Kind[string, string, string]

	mu    sync.Mutex
	done  []string // what each piece did, in their order
	gate  chan struct{}
	wrong map[string]bool // requests that get no answer together with others
	fails error           // of what is done together
}

// newWork adds a kind to the queue; a request is a key, a slash and anything.
func newWork(q *batch.Queue, exclusive bool, most int) *work {
	w := &work{gate: make(chan struct{}), wrong: map[string]bool{}}
	w.kind = batch.NewKind(q, batch.Options[string, string, string]{
		Key:       func(in string) string { key, _, _ := strings.Cut(in, "/"); return key },
		Exclusive: exclusive,
		Most:      most,
		Alone: func(ctx context.Context, in string) (string, error) {
			if err := w.pass(ctx, "alone "+in); err != nil {
				return "", err
			}
			if in == "panic" {
				panic("at the request's word")
			}
			if w.wrong[in] {
				return "", errors.New(in + " is wrong")
			}
			return in + " done", nil
		},
		Together: func(ctx context.Context, ins []string) (func(string) (string, bool), error) {
			if err := w.pass(ctx, strings.Join(ins, " ")); err != nil {
				return nil, err
			}
			if w.fails != nil {
				return nil, w.fails
			}
			outs := map[string]string{}
			for _, in := range ins {
				if key, _, _ := strings.Cut(in, "/"); !w.wrong[in] {
					outs[key] = in + " done"
				}
			}
			return from(outs), nil
		},
	})
	return w
}

func from[Key comparable](outs map[Key]string) func(Key) (string, bool) {
	return func(key Key) (string, bool) {
		out, ok := outs[key]
		return out, ok
	}
}

func (w *work) pass(ctx context.Context, what string) error {
	w.mu.Lock()
	w.done = append(w.done, what)
	w.mu.Unlock()
	select {
	case <-w.gate:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// saw waits until nothing moves, and compares what was begun since the last time.
func (w *work) saw(t *testing.T, want ...string) {
	t.Helper()
	synctest.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !slices.Equal(w.done, want) {
		t.Errorf("begun: %q, want %q", w.done, want)
	}
	w.done = nil
}

// ask makes a request; what it gets is "answer" or "error: text".
func (w *work) ask(ctx context.Context, in string) (answer func() string) {
	got := make(chan string, 1)
	go func() {
		out, err := w.kind.Do(ctx, in)
		if err != nil {
			out = "error: " + err.Error()
		}
		got <- out
	}()
	synctest.Wait() // so that requests arrive in the order of the test
	return sync.OnceValue(func() string { return <-got })
}

func expect(t *testing.T, want string, answers ...func() string) {
	t.Helper()
	for _, answer := range answers {
		if got := answer(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestNothingWaitsWhileALaneIsFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(batch.Limits{Quick: 2, All: 2}), false, 10)
		a, b := w.ask(t.Context(), "a"), w.ask(t.Context(), "b")
		w.saw(t, "alone a", "alone b")
		close(w.gate)
		expect(t, "a done", a)
		expect(t, "b done", b)
	})
}

func TestThoseWhoWaitAreDoneTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(batch.Limits{Quick: 1, All: 1}), false, 3)
		first := w.ask(t.Context(), "first")
		a, b, again := w.ask(t.Context(), "a"), w.ask(t.Context(), "b"), w.ask(t.Context(), "a")
		c, fourth := w.ask(t.Context(), "c"), w.ask(t.Context(), "fourth")
		w.saw(t, "alone first")
		w.gate <- struct{}{}
		expect(t, "first done", first)
		w.saw(t, "a b c")
		late := w.ask(t.Context(), "a") // never by work that has begun
		w.gate <- struct{}{}
		expect(t, "a done", a, again)
		expect(t, "b done", b)
		expect(t, "c done", c)
		w.saw(t, "fourth a")
		w.gate <- struct{}{}
		expect(t, "fourth done", fourth)
		expect(t, "a done", late)
		w.saw(t)
	})
}

func TestWithoutSharingEachIsDoneAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(batch.Limits{Quick: 1, All: 1, Alone: true}), false, 3)
		first, a, b, again := w.ask(t.Context(), "first"), w.ask(t.Context(), "a"), w.ask(t.Context(), "b"), w.ask(t.Context(), "a")
		close(w.gate)
		expect(t, "first done", first)
		expect(t, "a done", a, again)
		expect(t, "b done", b)
		w.saw(t, "alone first", "alone a", "alone b", "alone a")
	})
}

func TestExclusiveRequestsOfOneKeyFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(batch.Limits{Quick: 2, All: 2}), true, 10)
		one, two, other, three := w.ask(t.Context(), "a/1"), w.ask(t.Context(), "a/2"), w.ask(t.Context(), "b"), w.ask(t.Context(), "a/3")
		w.saw(t, "alone a/1", "alone b") // the second lane is free, and a is not
		c := w.ask(t.Context(), "c")
		w.gate <- struct{}{}
		w.gate <- struct{}{}
		expect(t, "a/1 done", one)
		expect(t, "b done", other)
		synctest.Wait()
		close(w.gate)
		expect(t, "a/2 done", two)
		expect(t, "c done", c)
		expect(t, "a/3 done", three)
		w.mu.Lock()
		defer w.mu.Unlock()
		if first, last := slices.Index(w.done, "alone a/3"), len(w.done)-1; first != last {
			t.Errorf("a/3 was not the last: %q", w.done)
		}
	})
}

func TestTheOldestComesFirstOfAllKinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := batch.NewQueue(batch.Limits{Quick: 1, All: 1})
		reads, writes := newWork(q, false, 1), newWork(q, true, 10)
		reads.ask(t.Context(), "first")
		w := writes.ask(t.Context(), "w")
		a, b, again := reads.ask(t.Context(), "a"), reads.ask(t.Context(), "b"), reads.ask(t.Context(), "a")
		if busy, waiting := q.Load(); busy != 1 || waiting != 4 {
			t.Errorf("%d busy, %d waiting", busy, waiting)
		}
		reads.gate <- struct{}{}
		writes.saw(t, "alone w")
		reads.saw(t, "alone first")
		writes.gate <- struct{}{}
		expect(t, "w done", w)
		reads.saw(t, "alone a")
		reads.gate <- struct{}{}
		expect(t, "a done", a, again)
		reads.saw(t, "alone b")
		reads.gate <- struct{}{}
		expect(t, "b done", b)
		synctest.Wait()
		if busy, waiting := q.Load(); busy != 0 || waiting != 0 {
			t.Errorf("%d busy, %d waiting at the end", busy, waiting)
		}
	})
}

func TestOneThatIsWrongFailsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(batch.Limits{Quick: 1, All: 1}), true, 10)
		w.wrong["b"] = true
		first := w.ask(t.Context(), "first")
		a, b, c := w.ask(t.Context(), "a"), w.ask(t.Context(), "b"), w.ask(t.Context(), "c")
		w.gate <- struct{}{}
		expect(t, "first done", first)
		w.saw(t, "alone first", "a b c")
		w.gate <- struct{}{}
		expect(t, "a done", a)
		expect(t, "c done", c)
		w.saw(t, "alone b")
		w.gate <- struct{}{}
		expect(t, "error: b is wrong", b)

		w.fails = errors.New("cut")
		first = w.ask(t.Context(), "first")
		a, b = w.ask(t.Context(), "a"), w.ask(t.Context(), "b")
		close(w.gate)
		expect(t, "first done", first)
		expect(t, "error: cut", a, b)
	})
}

func TestWhoLeavesEndsOnlyWorkForNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := batch.NewQueue(batch.Limits{Quick: 1, All: 1})
		w := newWork(q, false, 10)
		impatient, leave := context.WithCancelCause(t.Context())
		enough := errors.New("enough")
		first := w.ask(t.Context(), "first")
		waits := w.ask(impatient, "waits")
		a, b := w.ask(t.Context(), "a"), w.ask(t.Context(), "b")
		leave(enough)
		expect(t, "error: enough", waits)
		w.gate <- struct{}{}
		expect(t, "first done", first)
		w.saw(t, "alone first", "a b")

		impatient, leave = context.WithCancelCause(t.Context())
		c, d, shared := w.ask(impatient, "c"), w.ask(impatient, "d"), w.ask(t.Context(), "d")
		w.gate <- struct{}{}
		expect(t, "a done", a)
		expect(t, "b done", b)
		w.saw(t, "c d")
		leave(enough)
		expect(t, "error: enough", c, d)
		w.gate <- struct{}{} // somebody waits for d
		expect(t, "d done", shared)

		impatient, leave = context.WithCancelCause(t.Context())
		first = w.ask(t.Context(), "first")
		c, d = w.ask(impatient, "c"), w.ask(impatient, "d")
		w.gate <- struct{}{}
		expect(t, "first done", first)
		leave(enough)
		expect(t, "error: enough", c, d)
		synctest.Wait()
		if busy, waiting := q.Load(); busy != 0 || waiting != 0 {
			t.Errorf("%d busy, %d waiting for nobody", busy, waiting)
		}
	})
}

// Slow work keeps nobody waiting, up to the limit of all.
func TestSlowWorkDoesNotCount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := batch.NewQueue(batch.Limits{Quick: 1, All: 3})
		w := newWork(q, false, 10)
		slow := w.ask(t.Context(), "slow")
		time.Sleep(batch.SlowAfter / 2)
		a, b := w.ask(t.Context(), "a"), w.ask(t.Context(), "b")
		w.saw(t, "alone slow")
		time.Sleep(batch.SlowAfter / 2) // the clock is the test's own
		w.saw(t, "a b")
		c := w.ask(t.Context(), "c")
		time.Sleep(batch.SlowAfter)
		w.saw(t, "alone c")
		d := w.ask(t.Context(), "d")
		time.Sleep(10 * batch.SlowAfter)
		w.saw(t)
		if busy, waiting := q.Load(); busy != 3 || waiting != 1 {
			t.Errorf("%d busy, %d waiting", busy, waiting)
		}
		for range 3 {
			w.gate <- struct{}{}
		}
		w.saw(t, "alone d")
		w.gate <- struct{}{}
		for answer, want := range map[*func() string]string{&slow: "slow done", &a: "a done", &b: "b done", &c: "c done", &d: "d done"} {
			expect(t, want, *answer)
		}
		// What nobody waited for may take its time, and counts until then.
		slow = w.ask(t.Context(), "slow")
		time.Sleep(10 * batch.SlowAfter)
		a, b = w.ask(t.Context(), "a"), w.ask(t.Context(), "b")
		w.saw(t, "alone slow", "alone a")
		close(w.gate)
		expect(t, "slow done", slow)
		expect(t, "a done", a)
		expect(t, "b done", b)
	})
}

func TestAPanicIsTheAnswerToThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := batch.NewQueue(batch.Limits{Quick: 1, All: 1})
		w := newWork(q, false, 1)
		first, panics, after := w.ask(t.Context(), "first"), w.ask(t.Context(), "panic"), w.ask(t.Context(), "after")
		close(w.gate)
		expect(t, "first done", first)
		if got := panics(); !strings.HasPrefix(got, "error: panic: at the request's word") {
			t.Errorf("got %q", got)
		}
		expect(t, "after done", after)
	})
}

func TestCloseEndsSharedWork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := batch.NewQueue(batch.Limits{Quick: 1, All: 1})
		w := newWork(q, false, 10)
		first, a, b := w.ask(t.Context(), "first"), w.ask(t.Context(), "a"), w.ask(t.Context(), "b")
		w.gate <- struct{}{}
		expect(t, "first done", first)
		synctest.Wait()
		q.Close()
		expect(t, "error: context canceled", a, b)
	})
}
