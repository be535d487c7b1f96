package trace

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"
)

// sink is where an exporter sends to, in place of a collector whose network the bubble's
// clock would not know.
type sink struct {
	mu      sync.Mutex
	err     error
	batches []int // how many spans each attempt had
}

func (s *sink) send(_ context.Context, request []byte) (int, string, error) {
	var r otlp.ExportTraceServiceRequest
	if err := proto.Unmarshal(request[prefix:], &r); err != nil {
		return 0, "", err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.batches = append(s.batches, len(r.ResourceSpans[0].ScopeSpans[0].Spans))
	return 0, "", s.err
}

func (s *sink) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

// attempts gives those since the last time.
func (s *sink) attempts() []int {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	batches := s.batches
	s.batches = nil
	return batches
}

// bubble runs with a clock that stands still while anything is to be done.
func bubble(t *testing.T, s *sink, test func(*testing.T, *exporter, *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		e := newExporter(s.send, nil, slog.New(slog.NewTextHandler(&log, nil)))
		test(t, e, &log)
		select {
		case <-e.stop:
		default:
			e.shutdown(t.Context())
		}
	})
}

func addSpans(e *exporter, n int) {
	for range n {
		newSpan(e, kindServer, place{}, time.Now()).End("GET")
	}
}

func TestSpansLeaveEveryFiveSecondsOrByTheBatch(t *testing.T) {
	s := &sink{}
	bubble(t, s, func(t *testing.T, e *exporter, log *bytes.Buffer) {
		addSpans(e, 3)
		time.Sleep(interval - time.Nanosecond)
		if got := s.attempts(); len(got) != 0 {
			t.Errorf("sent %v early", got)
		}
		time.Sleep(time.Nanosecond)
		if got := s.attempts(); !slices.Equal(got, []int{3}) {
			t.Errorf("sent %v in time", got)
		}
		addSpans(e, maxBatch)
		if got := s.attempts(); !slices.Equal(got, []int{maxBatch}) { // and no time has passed
			t.Errorf("sent %v at once", got)
		}
		if log.Len() > 0 {
			t.Errorf("logged %s", log)
		}
	})
}

// An idle instance is given no processor, and needs none.
func TestWithoutSpansNothingHappens(t *testing.T) {
	s := &sink{}
	bubble(t, s, func(t *testing.T, e *exporter, _ *bytes.Buffer) {
		addSpans(e, 1)
		time.Sleep(time.Minute)
		if got := s.attempts(); len(got) != 1 {
			t.Errorf("sent %v", got)
		}
		time.Sleep(24 * time.Hour)
		if got := s.attempts(); len(got) != 0 {
			t.Errorf("sent %v", got)
		}
	})
}

func TestTheQueueIsBounded(t *testing.T) {
	s := &sink{err: errors.New("connection refused")}
	bubble(t, s, func(t *testing.T, e *exporter, log *bytes.Buffer) {
		for range 100 {
			addSpans(e, 1000)
			time.Sleep(time.Second)
			if n := e.queued(); n > maxQueue {
				t.Fatalf("%d spans are kept", n)
			}
		}
		if got := s.attempts(); len(got) > 21 {
			t.Errorf("%d attempts in 100 s", len(got))
		}
		e.shutdown(context.Background())
		// At once, a minute later and in the end.
		dropped := regexp.MustCompile(`dropped=(\d+)`).FindAllStringSubmatch(log.String(), -1)
		sum := 0
		for _, d := range dropped {
			n, err := strconv.Atoi(d[1])
			if err != nil {
				t.Error(err)
			}
			sum += n
		}
		if len(dropped) != 3 || sum != 100_000 {
			t.Errorf("%d dropped spans were told of in:\n%s", sum, log)
		}
	})
}

// A collector that was away, or a process that was not given the processor in time,
// costs no span.
func TestABatchIsTriedAgain(t *testing.T) {
	s := &sink{err: context.DeadlineExceeded}
	bubble(t, s, func(t *testing.T, e *exporter, log *bytes.Buffer) {
		addSpans(e, 3)
		time.Sleep(2*interval + time.Second)
		s.fail(nil)
		time.Sleep(interval)
		if got := s.attempts(); !slices.Equal(got, []int{3, 3, 3}) || e.queued() != 0 {
			t.Errorf("attempts %v, %d left", got, e.queued())
		}
		if strings.Count(log.String(), "\n") != 1 || !strings.Contains(log.String(), `error="context deadline exceeded" dropped=0`) {
			t.Errorf("logged %s", log)
		}
	})
}

func TestABatchIsGivenUp(t *testing.T) {
	for name, tc := range map[string]struct {
		err      error
		attempts int
	}{
		"what may pass":     {&statusError{code: codeUnavailable}, maxAttempts},
		"what will not":     {&statusError{code: 3, message: "no"}, 1},
		"what HTTP refuses": {&statusError{code: codeUnknown}, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := &sink{err: tc.err}
			bubble(t, s, func(t *testing.T, e *exporter, _ *bytes.Buffer) {
				addSpans(e, 3)
				time.Sleep(time.Hour)
				if got := s.attempts(); len(got) != tc.attempts || e.queued() != 0 {
					t.Errorf("%d attempts, %d spans left", len(got), e.queued())
				}
			})
		})
	}
}
