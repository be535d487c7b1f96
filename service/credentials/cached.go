package credentials

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// fetchTimeout bounds one read with all its tries. It is shorter than a request,
	// which so hears the reason rather than that its time is up.
	fetchTimeout = 8 * time.Second
	// keptPause is between a failed read and the next while an older value is served,
	// emptyPause while there is none.
	keptPause  = 15 * time.Second
	emptyPause = time.Second
)

// reading is a value and how long it is good. A zero time is never.
type reading[T any] struct {
	value   T
	renewAt time.Time // from then on it is read again, in the background
	waitAt  time.Time // from then on callers wait for that
}

// cached shares a value that is read from elsewhere. A read begins when a caller asks,
// and outlives it; there is one at a time. When it fails, the value that was read
// before is served on.
type cached[T any] struct {
	what string // is read, for errors and the log
	read func(context.Context) (reading[T], error)
	log  *slog.Logger
	now  func() time.Time

	mu      sync.Mutex
	last    reading[T]
	known   bool      // whether last holds a value
	err     error     // of the last read
	readAt  time.Time // when that ended
	tryAt   time.Time // no read begins before
	running *fetch[T] // nil when no read is under way
}

type fetch[T any] struct {
	done    chan struct{} // closed when value and err are set
	value   T
	err     error
	waiting int  // callers that will hear of err
	again   bool // it may bring what was dropped meanwhile
}

// get gives the value, from memory if it can. The error is that of the last read, or
// says that ctx ended.
func (c *cached[T]) get(ctx context.Context) (T, error) {
	c.mu.Lock()
	now := c.now()
	if now.Before(c.tryAt) || c.known && !reached(now, c.last.renewAt) {
		defer c.mu.Unlock()
		return c.outcome()
	}
	f := c.begin()
	if c.known && !reached(now, c.last.waitAt) {
		defer c.mu.Unlock()
		return c.outcome()
	}
	return c.wait(ctx, f)
}

// renew gives the value as it was not longer than age ago, if it can be read.
func (c *cached[T]) renew(ctx context.Context, age time.Duration) (T, error) {
	c.mu.Lock()
	if now := c.now(); now.Before(c.tryAt) || now.Before(c.readAt.Add(age)) {
		defer c.mu.Unlock()
		return c.outcome()
	}
	return c.wait(ctx, c.begin())
}

// drop forgets the value if it is the one that is meant. A read that is under way
// began before, so it is made again.
func (c *cached[T]) drop(meant func(T) bool) (dropped bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.known || !meant(c.last.value) {
		return false
	}
	c.last, c.known, c.readAt, c.tryAt = reading[T]{}, false, time.Time{}, time.Time{}
	if c.running != nil {
		c.running.again = true
	}
	return true
}

func reached(now, t time.Time) bool { return !t.IsZero() && !now.Before(t) }

// outcome is what is known without another read. mu is held.
func (c *cached[T]) outcome() (T, error) {
	if c.known {
		return c.last.value, nil
	}
	var none T
	return none, c.err
}

// begin gives the read that is under way, or a new one. mu is held.
func (c *cached[T]) begin() *fetch[T] {
	if c.running == nil {
		c.running = &fetch[T]{done: make(chan struct{})}
		go c.run(c.running)
	}
	return c.running
}

// wait is called with mu held, and gives it back.
func (c *cached[T]) wait(ctx context.Context, f *fetch[T]) (T, error) {
	f.waiting++
	c.mu.Unlock()
	select {
	case <-f.done:
		return f.value, f.err
	case <-ctx.Done():
		c.mu.Lock()
		defer c.mu.Unlock()
		f.waiting--
		var none T
		return none, fmt.Errorf("wait for %s: %w", c.what, ctx.Err())
	}
}

func (c *cached[T]) run(f *fetch[T]) {
	ctx, cancel := context.WithTimeout(context.Background(), fetchTimeout)
	defer cancel()
	for ended := false; !ended; {
		got, err := c.read(ctx)
		ended = c.end(f, got, err)
	}
}

// end takes in what was read, unless it has to be read again.
func (c *cached[T]) end(f *fetch[T], got reading[T], err error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if f.again {
		f.again = false
		return false
	}
	now := c.now()
	c.running, c.readAt, c.err = nil, now, nil
	if err == nil {
		c.last, c.known, c.tryAt = got, true, time.Time{}
	} else {
		c.err = fmt.Errorf("read %s: %w", c.what, err)
		pause := emptyPause
		if c.known {
			pause = keptPause
		}
		c.tryAt = now.Add(pause)
		// Who waits for the first value hears of the error, and logs it.
		if c.known || f.waiting == 0 {
			c.log.Warn("reading from AWS failed",
				"error", c.err, "old_one_is_served", c.known, "next_try", pause.String())
		}
	}
	f.value, f.err = c.outcome()
	close(f.done)
	return true
}
