package clock_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"example.com/todo/rehearsal/clock"
)

func TestTimePassesFaster(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New()
		began, here := c.Now(), time.Now()
		if err := c.Sleep(t.Context(), 15*time.Second); err != nil {
			t.Fatal(err)
		}
		if got := time.Since(here); got != 15*time.Second/clock.Speed {
			t.Errorf("15 s of AWS's took %s", got)
		}
		if got := c.Now().Sub(began); got != 15*time.Second {
			t.Errorf("AWS's clock has moved by %s, want 15 s", got)
		}
	})
}

func TestSkippedTimeHasPassedForThoseWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New()
		here := time.Now()
		woke := make(chan error, 1)
		go func() { woke <- c.Sleep(t.Context(), 8*24*time.Hour) }()
		synctest.Wait()
		c.Skip(7 * 24 * time.Hour)
		synctest.Wait()
		select {
		case err := <-woke:
			t.Fatalf("woke a day early: %v", err)
		default:
		}
		c.Skip(24 * time.Hour)
		if err := <-woke; err != nil || time.Since(here) != 0 {
			t.Errorf("woke with %v after %s, want at once", err, time.Since(here))
		}
	})
}

func TestWaitingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		woke := make(chan error, 1)
		c := clock.New()
		go func() { woke <- c.Sleep(ctx, time.Hour) }()
		synctest.Wait()
		cancel()
		if err := <-woke; !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

func TestATimeoutIsAWSsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clock.New()
		ctx, cancel := c.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c.Skip(59 * time.Second)
		synctest.Wait()
		if ctx.Err() != nil {
			t.Error("it ended early")
		}
		c.Skip(time.Second)
		synctest.Wait()
		if ctx.Err() == nil {
			t.Error("it did not end")
		}
		other, cancel := c.WithTimeout(t.Context(), time.Minute)
		cancel()
		if other.Err() == nil {
			t.Error("it was not cancelled")
		}
	})
}
