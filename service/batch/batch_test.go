package batch_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"example.com/todo/service/batch"
)

// work is an operation that a test lets through piece by piece, and sees.
type work struct {
	operation *batch.Operation[string, string, string]

	mu    sync.Mutex
	done  []string // the inputs of each run, in their order
	gate  chan struct{}
	wrong map[string]bool // inputs that fail, and that must run alone
	fails error           // of a run for several
}

// newWork adds an operation to the queue; a request is a key, a slash and anything.
func newWork(q *batch.Queue, shared bool, most int) *work {
	w := &work{gate: make(chan struct{}), wrong: map[string]bool{}}
	w.operation = batch.NewOperation(q, batch.Config[string, string, string]{
		Key:    func(in string) string { key, _, _ := strings.Cut(in, "/"); return key },
		Shared: shared,
		Most:   most,
		Run:    w.run,
	})
	return w
}

func (w *work) run(ctx context.Context, ins []string, again bool) ([]batch.Result[string], error) {
	alone := len(ins) == 1
	what := strings.Join(ins, " ")
	if again && !alone {
		return nil, errors.New("several run again together")
	}
	if alone {
		what = "alone " + what
	}
	if err := w.pass(ctx, what); err != nil {
		return nil, err
	}
	if !alone && w.fails != nil {
		return nil, w.fails
	}
	results := make([]batch.Result[string], len(ins))
	for i, in := range ins {
		switch {
		case in == "panic":
			panic("at the request's word")
		case w.wrong[in] && alone:
			results[i].Err = errors.New(in + " is wrong")
		case w.wrong[in]:
			results[i].Err = batch.ErrAlone
		default:
			results[i].Out = in + " done"
		}
	}
	return results, nil
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
		out, err := w.operation.Do(ctx, in)
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

func TestNothingWaitsBelowTheLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(2), true, 10)
		a, b := w.ask(t.Context(), "a"), w.ask(t.Context(), "b")
		w.saw(t, "alone a", "alone b")
		close(w.gate)
		expect(t, "a done", a)
		expect(t, "b done", b)
	})
}

func TestThoseWhoWaitAreDoneTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(1), true, 3)
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

func TestExclusiveRequestsOfOneKeyFollowEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(2), false, 10)
		one, two, other, three := w.ask(t.Context(), "a/1"), w.ask(t.Context(), "a/2"), w.ask(t.Context(), "b"), w.ask(t.Context(), "a/3")
		w.saw(t, "alone a/1", "alone b") // there is room for a second, but not for a second of a
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
		q := batch.NewQueue(1)
		reads, writes := newWork(q, true, 1), newWork(q, false, 10)
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
		w := newWork(batch.NewQueue(1), false, 10)
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
		q := batch.NewQueue(1)
		w := newWork(q, true, 10)
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

func TestAPanicIsTheAnswerToThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := batch.NewQueue(1)
		w := newWork(q, true, 1)
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
		q := batch.NewQueue(1)
		w := newWork(q, true, 10)
		first, a, b := w.ask(t.Context(), "first"), w.ask(t.Context(), "a"), w.ask(t.Context(), "b")
		w.gate <- struct{}{}
		expect(t, "first done", first)
		synctest.Wait()
		q.Close()
		expect(t, "error: context canceled", a, b)
	})
}

// What must run alone is put behind the others, so that it holds up nobody.
func TestWhatMustRunAloneWaitsBehindTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := batch.NewQueue(1)
		w := newWork(q, false, 3)
		w.wrong["b"], w.wrong["c"] = true, true
		first := w.ask(t.Context(), "first")
		a, b, c, d, e := w.ask(t.Context(), "a"), w.ask(t.Context(), "b"), w.ask(t.Context(), "c"), w.ask(t.Context(), "d"), w.ask(t.Context(), "e")
		w.gate <- struct{}{}
		w.saw(t, "alone first", "a b c")
		w.gate <- struct{}{}
		expect(t, "a done", a)
		w.saw(t, "d e")
		if running, waiting := q.Load(); running != 1 || waiting != 2 {
			t.Errorf("%d running, %d waiting", running, waiting)
		}
		close(w.gate)
		expect(t, "first done", first)
		expect(t, "d done", d)
		expect(t, "e done", e)
		expect(t, "error: b is wrong", b)
		expect(t, "error: c is wrong", c)
		w.saw(t, "alone b", "alone c")
	})
}

// A run for one request may ask for another run too, until its context ends.
func TestOneThatRunsAgainEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := batch.NewQueue(1)
		tries := 0
		operation := batch.NewOperation(q, batch.Config[string, string, string]{
			Key: func(in string) string { return in }, Most: 3,
			Run: func(ctx context.Context, _ []string, _ bool) ([]batch.Result[string], error) {
				if tries++; tries < 3 {
					return []batch.Result[string]{{Err: batch.ErrAlone}}, nil
				}
				<-ctx.Done()
				return nil, batch.ErrAlone
			},
		})
		enough := errors.New("enough")
		ctx, leave := context.WithCancelCause(t.Context())
		ended := make(chan error)
		go func() { _, err := operation.Do(ctx, "x"); ended <- err }()
		synctest.Wait()
		leave(enough)
		if err := <-ended; !errors.Is(err, enough) || tries < 3 {
			t.Errorf("%v after %d tries", err, tries)
		}
		q.Close()
		if running, waiting := q.Load(); running != 0 || waiting != 0 {
			t.Errorf("%d running, %d waiting at the end", running, waiting)
		}
	})
}

// Also where requests share: one that must run alone joins its own key, and no others.
func TestWhatMustRunAloneSharesWithNoOtherKey(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(1), true, 3)
		w.wrong["a"], w.wrong["a/1"], w.wrong["a/2"] = true, true, true
		first, one, b := w.ask(t.Context(), "first"), w.ask(t.Context(), "a/1"), w.ask(t.Context(), "b")
		w.gate <- struct{}{}
		w.saw(t, "alone first", "a/1 b")
		two, c := w.ask(t.Context(), "a/2"), w.ask(t.Context(), "c")
		w.gate <- struct{}{}
		w.saw(t, "a/2 c")
		close(w.gate)
		expect(t, "first done", first)
		expect(t, "b done", b)
		expect(t, "c done", c)
		expect(t, "error: a/1 is wrong", one, two)
		w.saw(t, "alone a/1")
	})
}

func TestAPanicOfOneFailsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWork(batch.NewQueue(1), false, 3)
		first, a, panics := w.ask(t.Context(), "first"), w.ask(t.Context(), "a"), w.ask(t.Context(), "panic")
		close(w.gate)
		expect(t, "first done", first)
		expect(t, "a done", a)
		if got := panics(); !strings.HasPrefix(got, "error: panic: at the request's word") {
			t.Errorf("got %q", got)
		}
		w.saw(t, "alone first", "a panic", "alone a", "alone panic")
	})
}

func TestAMissingResultIsAnError(t *testing.T) {
	operation := batch.NewOperation(batch.NewQueue(1), batch.Config[string, string, string]{
		Key: func(in string) string { return in }, Most: 1,
		Run: func(context.Context, []string, bool) ([]batch.Result[string], error) { return nil, nil },
	})
	if _, err := operation.Do(t.Context(), "x"); err == nil || err.Error() != "0 results for 1 requests" {
		t.Errorf("got %v", err)
	}
}

// What runs again may wait for what others hold: it leaves places to all else.
func TestWhatRunsAgainHasAQuarterOfThePlaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		q := batch.NewQueue(8)
		held, running := make(chan struct{}), 0
		var mu sync.Mutex
		operation := batch.NewOperation(q, batch.Config[string, string, string]{
			Key: func(in string) string { return in }, Most: 1,
			Run: func(_ context.Context, ins []string, alone bool) ([]batch.Result[string], error) {
				if !alone && ins[0] != "free" {
					return nil, batch.ErrAlone
				}
				mu.Lock()
				running++
				mu.Unlock()
				if alone {
					<-held
				}
				return []batch.Result[string]{{Out: "done"}}, nil
			},
		})
		var waiting sync.WaitGroup
		ask := func(in string) {
			if out, err := operation.Do(t.Context(), in); err != nil || out != "done" {
				t.Errorf("%s: %q, %v", in, out, err)
			}
		}
		for n := range 20 {
			waiting.Go(func() { ask(strings.Repeat("x", n+1)) })
		}
		synctest.Wait()
		if running != 2 {
			t.Errorf("%d run again at a time, want a quarter of 8 places", running)
		}
		ask("free")
		close(held)
		waiting.Wait()
		synctest.Wait()
		if running, waiting := q.Load(); running != 0 || waiting != 0 {
			t.Errorf("%d running, %d waiting at the end", running, waiting)
		}
	})
}
