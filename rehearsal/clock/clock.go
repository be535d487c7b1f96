// Package clock is the time of a simulated AWS, which passes faster than real time and can be told to skip some.
package clock

import (
	"context"
	"sync"
	"time"
)

// Speed is how many of AWS's seconds pass in one real second.
const Speed = 10

// A Clock tells AWS's time. Its methods may be called by many goroutines; make one with New.
type Clock struct {
	started time.Time

	mu      sync.Mutex
	skipped time.Duration
	skips   chan struct{} // closed by the next Skip
}

// New starts a clock at the present time.
func New() *Clock {
	return &Clock{started: time.Now(), skips: make(chan struct{})}
}

// Now is AWS's time.
func (c *Clock) Now() time.Time {
	now, _ := c.now()
	return now
}

func (c *Clock) now() (time.Time, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.started.Add(time.Since(c.started)*Speed + c.skipped), c.skips
}

// Skip lets d of AWS's time pass at once.
func (c *Clock) Skip(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.skipped += d
	close(c.skips)
	c.skips = make(chan struct{})
}

// Until waits until AWS's time is t; its error is that of ctx.
func (c *Clock) Until(ctx context.Context, t time.Time) error {
	for {
		now, skips := c.now()
		left := t.Sub(now)
		if left <= 0 {
			return ctx.Err()
		}
		timer := time.NewTimer(Real(left))
		select {
		case <-timer.C:
		case <-skips:
		case <-ctx.Done():
		}
		timer.Stop()
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// Sleep waits until d of AWS's time has passed; its error is that of ctx.
func (c *Clock) Sleep(ctx context.Context, d time.Duration) error {
	return c.Until(ctx, c.Now().Add(d))
}

// WithTimeout is a context that ends when d of AWS's time has passed, or with ctx; cancel it.
func (c *Clock) WithTimeout(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	until := c.Now().Add(d)
	go func() {
		_ = c.Until(ctx, until) // which also fails when the context is cancelled
		cancel()
	}()
	return ctx, cancel
}

// Real is how long d of AWS's time takes here.
func Real(d time.Duration) time.Duration {
	// Rounded up, so that nothing comes before its time.
	return (d + Speed - 1) / Speed
}
