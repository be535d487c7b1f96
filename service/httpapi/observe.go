package httpapi

import (
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"runtime/debug"
	"time"

	"github.com/gofiber/fiber/v2"
)

const (
	headerRequestID = fiber.HeaderXRequestID
	maxRequestID    = 128
	noRoute         = "-" // in the log, where a path that a client made up would be noise
)

// observe is around every request: it gives it an id and a deadline, turns its error
// into an answer and writes its line of the log.
func (s *Server) observe(c *fiber.Ctx) error {
	start := time.Now()
	s.prepare(c)
	ctx, cancel := context.WithTimeout(s.requests, requestTimeout)
	defer cancel()
	c.SetUserContext(ctx)

	if err := recovered(c); err != nil {
		s.answer(c, err)
	}
	route := c.Route().Path
	if route == "/" && c.Path() != "/" {
		route = noRoute // Fiber leaves the route of this very middleware
	}
	s.logAccess(c, route, start)
	return nil
}

// refused answers what never reached the routes: a request that is too large, too
// slow or not HTTP.
func (s *Server) refused(c *fiber.Ctx, err error) error {
	start := time.Now()
	s.prepare(c)
	s.answer(c, err)
	s.logAccess(c, noRoute, start)
	return nil
}

func (s *Server) prepare(c *fiber.Ctx) {
	id := c.Get(headerRequestID)
	if !sane(id) {
		id = rand.Text()
	}
	c.Set(headerRequestID, id)
	c.Set(fiber.HeaderXContentTypeOptions, "nosniff")
	c.Set(fiber.HeaderCacheControl, "no-store")
}

// sane keeps a client from writing into our log whatever it likes.
func sane(id string) bool {
	for _, r := range id {
		if r <= ' ' || r > '~' {
			return false
		}
	}
	return id != "" && len(id) <= maxRequestID
}

func requestID(c *fiber.Ctx) string { return c.GetRespHeader(headerRequestID) }

// panicError is a panic of a handler, for the log.
type panicError struct {
	value any
	stack []byte
}

func (e *panicError) Error() string { return fmt.Sprintf("panic: %v\n%s", e.value, e.stack) }

func recovered(c *fiber.Ctx) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicError{value: v, stack: debug.Stack()}
		}
	}()
	return c.Next()
}

func (s *Server) logAccess(c *fiber.Ctx, route string, start time.Time) {
	s.cfg.Log.LogAttrs(context.Background(), slog.LevelInfo, "request",
		slog.String("method", c.Method()),
		slog.String("route", route),
		slog.Int("status", c.Response().StatusCode()),
		slog.Duration("duration", time.Since(start)),
		slog.Int("bytes", len(c.Response().Body())),
		slog.String("request_id", requestID(c)),
	)
}
