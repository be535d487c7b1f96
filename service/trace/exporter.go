package trace

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"
)

// OpenTelemetry's defaults for exporting in batches:
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/#batch-span-processor
const (
	maxQueue = 2048
	maxBatch = 512
	interval = 5 * time.Second
)

const (
	// maxAttempts gives a batch up after about a minute.
	maxAttempts = 12
	// quiet is between two warnings.
	quiet = time.Minute
)

var errQueueFull = errors.New("spans end faster than the collector takes them")

// exporter keeps the spans that ended until the collector has them. When there are
// none, it does nothing at all.
type exporter struct {
	send     func(ctx context.Context, request []byte) (refused int, reason string, err error)
	resource []Attribute
	log      *slog.Logger

	mu      sync.Mutex
	queue   []*Span // the oldest first, with those under way; at most maxQueue
	dropped int     // since the last warning

	some, full chan struct{} // hold one signal each: the queue has a span, has a batch
	stop, done chan struct{}
	ctx        context.Context // of every export
	cancel     context.CancelFunc

	// What only the goroutine knows.
	buffer   []byte
	attempts int // that failed, with the oldest batch
	warned   time.Time
}

func newExporter(
	send func(context.Context, []byte) (int, string, error), resource []Attribute, log *slog.Logger,
) *exporter {
	e := &exporter{
		send: send, resource: resource, log: log,
		some: make(chan struct{}, 1), full: make(chan struct{}, 1),
		stop: make(chan struct{}), done: make(chan struct{}),
	}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	go e.run()
	return e
}

// add never waits: a span that finds the queue full is dropped.
func (e *exporter) add(s *Span) {
	e.mu.Lock()
	if len(e.queue) == maxQueue {
		e.dropped++
		e.mu.Unlock()
		return
	}
	e.queue = append(e.queue, s)
	n := len(e.queue)
	e.mu.Unlock()
	e.signal(n)
}

func (e *exporter) signal(queued int) {
	if queued > 0 {
		put(e.some)
	}
	if queued >= maxBatch {
		put(e.full)
	}
}

func put(signal chan struct{}) {
	select {
	case signal <- struct{}{}:
	default:
	}
}

// shutdown sends what is queued, once and no longer than ctx lasts.
func (e *exporter) shutdown(ctx context.Context) {
	defer e.cancel()
	defer context.AfterFunc(ctx, e.cancel)()
	close(e.stop)
	<-e.done
}

func (e *exporter) run() {
	defer close(e.done)
	for failed := false; ; {
		select {
		case <-e.some:
		case <-e.stop:
		}
		stopping := e.gather(failed)
		err := e.flush()
		failed = err != nil
		left := e.queued()
		if stopping {
			e.remove(left, left)
			e.warn(err, true)
			return
		}
		e.warn(err, false)
		e.signal(left)
	}
}

// gather waits until it is time to send, which a full batch hastens unless the last one
// failed. It says whether the exporter has been told to stop.
func (e *exporter) gather(failed bool) (stopping bool) {
	full := e.full
	if failed {
		full = nil
	}
	timer := time.NewTimer(interval)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-full:
	case <-e.stop:
	}
	select {
	case <-e.stop:
		return true
	default:
		return false
	}
}

// flush sends what is queued now. What failed and may pass stays in the queue.
func (e *exporter) flush() error {
	var failure error
	for left := e.queued(); left > 0; {
		batch := e.oldest()
		left -= len(batch)
		e.buffer = appendRequest(append(e.buffer[:0], make([]byte, prefix)...), e.resource, batch)
		refused, reason, err := e.send(e.ctx, e.buffer)
		var status *statusError
		switch {
		case err == nil:
			e.remove(len(batch), refused)
			if refused > 0 {
				failure = errors.New("the collector refused spans: " + reason)
			}
		case errors.As(err, &status) && status.permanent():
			e.remove(len(batch), len(batch))
			failure = err
		default:
			if e.attempts++; e.attempts == maxAttempts {
				e.remove(len(batch), len(batch))
			}
			return err
		}
	}
	return failure
}

func (e *exporter) queued() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.queue)
}

func (e *exporter) oldest() []*Span {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.queue[:min(len(e.queue), maxBatch)] // to which others only append
}

// remove takes the oldest n spans from the queue, of which some were lost.
func (e *exporter) remove(n, lost int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.queue = append(make([]*Span, 0, len(e.queue)-n), e.queue[n:]...)
	e.dropped += lost
	e.attempts = 0
}

// warn says what was lost and why: at once, then once a minute, and in the end.
func (e *exporter) warn(err error, last bool) {
	if !last && !e.warned.IsZero() && time.Since(e.warned) < quiet {
		return
	}
	e.mu.Lock()
	dropped := e.dropped
	e.dropped = 0
	e.mu.Unlock()
	if err == nil {
		if dropped == 0 {
			return
		}
		err = errQueueFull
	}
	e.warned = time.Now()
	e.log.Warn("export of traces failed", "error", err.Error(), "dropped", dropped)
}
