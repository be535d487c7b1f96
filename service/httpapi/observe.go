package httpapi

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"example.com/todo/service/trace"
	"github.com/gofiber/fiber/v2"
)

const (
	headerRequestID = "X-Request-Id" // as fasthttp keeps it
	maxRequestID    = 128
	noRoute         = "-" // in the log, where a path that a client made up would be noise
)

// alivePath is asked every few seconds by the platform, for as long as there is an
// instance: it is in the log, but in no trace and no metric.
const alivePath = "/"

// observe is around every request: it gives it an id, a trace and a deadline, turns its
// error into an answer, writes its line of the log and counts it.
func (s *Server) observe(c *fiber.Ctx) error {
	start := time.Now()
	s.prepare(c)
	ctx := traceOf(s.deadlines.next(start), c)
	var span *trace.Span
	if c.Path() != alivePath {
		ctx, span = s.cfg.Tracer.Start(ctx)
	}
	c.SetUserContext(ctx)

	if err := recovered(c); err != nil {
		s.answer(c, err)
	}
	route := c.Route().Path
	if route == "/" && c.Path() != "/" {
		route = noRoute // Fiber leaves the route of this very middleware
	}
	if span != nil {
		endSpan(span, c, route)
	}
	s.record(c, route, start)
	return nil
}

// refused answers what never reached the routes: a request that is too large, too
// slow or not HTTP. It has no span.
func (s *Server) refused(c *fiber.Ctx, err error) error {
	start := time.Now()
	s.prepare(c)
	c.SetUserContext(traceOf(c.UserContext(), c))
	if errors.Is(err, fiber.ErrRequestEntityTooLarge) {
		err = newProblem(http.StatusRequestEntityTooLarge, "the body may have at most "+strconv.Itoa(s.cfg.Settings.BodyLimit)+" bytes")
	}
	s.answer(c, err)
	if c.Response().StatusCode() != http.StatusRequestTimeout { // then nothing more comes
		linger(c)
	}
	s.record(c, noRoute, start)
	return nil
}

// traceOf has the context continue the caller's trace.
func traceOf(ctx context.Context, c *fiber.Ctx) context.Context {
	return trace.Extract(ctx, c.Get(trace.HeaderTraceParent), c.Get(trace.HeaderAmazon))
}

// endSpan describes the request as OpenTelemetry has it for servers, without the path
// that leads nowhere, in which a client may have written anything.
// https://opentelemetry.io/docs/specs/semconv/http/http-spans/#http-server
func endSpan(span *trace.Span, c *fiber.Ctx, route string) {
	// The span outlives the request, whose memory Fiber's strings are.
	name, hostname, status := strings.Clone(c.Method()), strings.Clone(c.Hostname()), c.Response().StatusCode()
	attributes := []trace.Attribute{
		trace.String("http.request.method", name),
		trace.Int("http.response.status_code", status),
		trace.String("url.scheme", strings.Clone(c.Protocol())),
	}
	host, port, err := net.SplitHostPort(hostname)
	if err != nil {
		host = hostname
	}
	attributes = append(attributes, trace.String("server.address", host))
	if n, err := strconv.Atoi(port); err == nil {
		attributes = append(attributes, trace.Int("server.port", n))
	}
	if route != noRoute {
		name += " " + route
		attributes = append(attributes, trace.String("http.route", route), trace.String("url.path", strings.Clone(c.Path())))
	}
	if status >= http.StatusInternalServerError {
		span.Fail(strconv.Itoa(status))
	}
	span.End(name, attributes...)
}

func (s *Server) prepare(c *fiber.Ctx) {
	s.setHeaders(c)
	if id := c.Request().Header.Peek(headerRequestID); sane(id) {
		set(c, headerRequestID, id)
		return
	}
	id := newRequestID()
	set(c, headerRequestID, id[:])
}

// newRequestID need not be hard to guess: it opens nothing.
func newRequestID() (id [32]byte) {
	var random [16]byte
	binary.NativeEndian.PutUint64(random[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(random[8:], rand.Uint64())
	hex.Encode(id[:], random[:])
	return id
}

// sane keeps a client from writing into our log whatever it likes.
func sane(id []byte) bool {
	for _, c := range id {
		if c <= ' ' || c > '~' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= maxRequestID
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

// record leaves the request in the log and in the metrics.
func (s *Server) record(c *fiber.Ctx, route string, start time.Time) {
	now := time.Now()
	a := access{
		method:    c.Method(),
		route:     route,
		status:    c.Response().StatusCode(),
		bytes:     len(c.Response().Body()),
		took:      now.Sub(start),
		requestID: requestID(c),
		traceID:   trace.ID(c.UserContext()),
	}
	if a.method == http.MethodHead {
		a.bytes = 0 // Fiber makes the body of a GET and does not send it
	}
	accessLog{log: s.cfg.Log, out: s.cfg.LogOutput}.write(now, a)
	if route != alivePath {
		s.cfg.Metrics.Count(route, a.status, a.took)
	}
}
