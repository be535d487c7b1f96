// Package trace makes the spans of requests and brings them to an OpenTelemetry
// collector. It is what this service needs of OpenTelemetry, in a few kilobytes of the
// image where the SDK and its exporter take 1.8 MB.
//
// Traces cost nothing where they are off: a nil [Tracer] starts nil spans, and a nil
// [Span] records nothing.
package trace

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"log/slog"
	"math/rand/v2"
	"time"
)

// Config says which traces are kept and where they go.
type Config struct {
	// Endpoint of the collector, which takes OTLP over gRPC: http://host:port, or https.
	Endpoint string
	Sampler  Sampler
	// Resource describes this process; service.name has to be in it.
	Resource []Attribute
}

// Tracer starts the spans of requests. Nil starts none.
type Tracer struct {
	sampler   Sampler
	collector *collector
	exporter  *exporter
}

// New starts exporting in the background, whether the collector is there or not.
// Shutdown ends it.
func New(cfg Config, log *slog.Logger) *Tracer {
	c := newCollector(cfg.Endpoint)
	return &Tracer{sampler: cfg.Sampler, collector: c, exporter: newExporter(c.export, cfg.Resource, log)}
}

// Shutdown sends what has ended and gives up with ctx. Nothing is exported afterwards.
func (t *Tracer) Shutdown(ctx context.Context) {
	if t == nil {
		return
	}
	t.exporter.shutdown(ctx)
	t.collector.transport.CloseIdleConnections()
}

// Start begins the span of a request that this process serves. It continues the trace
// of ctx, see [Extract], or else begins one. Where the sampler wants no span it is nil.
// The context is for [StartClient] and [ID].
func (t *Tracer) Start(ctx context.Context) (context.Context, *Span) {
	if t == nil {
		return ctx, nil
	}
	now := time.Now()
	var caller place
	if s := current(ctx); s != nil {
		caller = s.place
	} else {
		caller.traceID = newTraceID(now)
	}
	if !t.sampler.wants(caller) {
		return ctx, nil
	}
	s := newSpan(t.exporter, kindServer, caller, now)
	s.remote = s.parent != [8]byte{}
	return context.WithValue(ctx, contextKey{}, s), s
}

// StartClient begins the span of a call that the request of ctx makes to another
// service. It is nil when the request has none.
func StartClient(ctx context.Context) *Span {
	s := current(ctx)
	if s == nil || s.exporter == nil {
		return nil
	}
	return newSpan(s.exporter, kindClient, s.place, time.Now())
}

// ID is the trace that the request of ctx belongs to, in hexadecimal; empty if none.
func ID(ctx context.Context) string {
	if s := current(ctx); s != nil {
		return hex.EncodeToString(s.traceID[:])
	}
	return ""
}

// Span is one operation, from its start to its end. Nil records nothing. It is not
// for several goroutines at once.
type Span struct {
	place
	exporter   *exporter // nil in the caller's span, which is not ours to record
	kind       kind
	parent     [8]byte
	remote     bool // the parent is another process's
	name       string
	start, end time.Time
	attributes []Attribute
	errorType  string
}

// place is where in which trace a span is, and whether the trace is kept.
type place struct {
	traceID [16]byte
	spanID  [8]byte // zero when the caller names the trace alone
	sampled decision
}

type decision int8

const (
	undecided decision = iota
	keep
	leave
)

// kind has the numbers of OTLP's SpanKind.
type kind int8

const (
	kindServer kind = 2
	kindClient kind = 3
)

// Attribute is a key with a text or a number.
type Attribute struct {
	key     string
	text    string
	number  int64
	numeric bool
}

// String is an attribute that is text.
func String(key, value string) Attribute { return Attribute{key: key, text: value} }

// Int is an attribute that is a number.
func Int(key string, value int) Attribute {
	return Attribute{key: key, number: int64(value), numeric: true}
}

// Fail says that the operation failed, and how in one word: the attribute error.type.
func (s *Span) Fail(errorType string) {
	if s != nil {
		s.errorType = errorType
	}
}

// End completes the span, which must not be touched afterwards. No text of a client
// belongs into the name.
func (s *Span) End(name string, attributes ...Attribute) {
	if s == nil {
		return
	}
	s.name, s.attributes = name, attributes
	s.end = s.start.Add(time.Since(s.start)) // by the monotonic clock
	s.exporter.add(s)
}

type contextKey struct{}

func current(ctx context.Context) *Span {
	s, _ := ctx.Value(contextKey{}).(*Span)
	return s
}

func newSpan(e *exporter, k kind, parent place, start time.Time) *Span {
	s := &Span{exporter: e, kind: k, parent: parent.spanID, start: start}
	s.traceID, s.sampled = parent.traceID, keep
	for s.spanID == ([8]byte{}) {
		binary.BigEndian.PutUint64(s.spanID[:], rand.Uint64())
	}
	return s
}

// newTraceID begins with the time in seconds, which X-Ray reads from the id:
// https://docs.aws.amazon.com/xray/latest/devguide/xray-api-sendingdata.html#xray-api-traceids
func newTraceID(now time.Time) (id [16]byte) {
	binary.BigEndian.PutUint32(id[:4], uint32(now.Unix()))
	binary.BigEndian.PutUint32(id[4:8], rand.Uint32())
	binary.BigEndian.PutUint64(id[8:], rand.Uint64())
	return id
}
