package httpapi

import (
	"context"
	"fmt"
	"time"

	"github.com/valyala/fasthttp"
)

const (
	// drainTime is what clients get that keep their connections: each is told with its
	// next answer that the connection ends, rather than finds it cut under a request.
	drainTime = time.Second
	drainPoll = 10 * time.Millisecond
	// lastCall is what requests get to end when the server stops. Those that still wait
	// for the database are then told that it is unavailable.
	lastCall = 4 * time.Second
)

// Shutdown waits for the requests under way while ctx lasts, and closes every
// connection. The listener has to be closed before, so that clients turn elsewhere.
func (s *Server) Shutdown(ctx context.Context) error {
	defer s.cancelRequests()
	defer time.AfterFunc(lastCall, s.cancelRequests).Stop()
	s.drain(ctx)
	if err := s.app.ShutdownWithContext(ctx); err != nil {
		return fmt.Errorf("wait for the requests under way: %w", err)
	}
	return nil
}

// drain returns when no connection is open, or ctx ends.
func (s *Server) drain(ctx context.Context) {
	s.leaving.Store(true)
	begun := time.Now()
	poll := time.NewTicker(drainPoll)
	defer poll.Stop()
	for s.connections.any() {
		select {
		case now := <-poll.C:
			if now.Sub(begun) > drainTime {
				s.connections.stopReading()
			}
		case <-ctx.Done():
			return
		}
	}
}

// leavesWith tells each client with its answer that the connection ends, once the server
// is leaving.
func (s *Server) leavesWith(next fasthttp.RequestHandler) fasthttp.RequestHandler {
	return func(c *fasthttp.RequestCtx) {
		next(c)
		if s.leaving.Load() {
			c.SetConnectionClose()
		}
	}
}
