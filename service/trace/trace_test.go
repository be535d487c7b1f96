package trace_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"example.com/todo/service/trace"
	"example.com/todo/service/trace/tracetest"
	"github.com/google/go-cmp/cmp"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
)

// patience bounds every wait for a condition; a test that needs it all has failed.
const patience = 60 * time.Second

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func sampler(t *testing.T, name string, ratio float64) trace.Sampler {
	t.Helper()
	s, ok := trace.NewSampler(name, ratio)
	if !ok {
		t.Fatalf("no sampler %s", name)
	}
	return s
}

func start(t *testing.T, endpoint string, s trace.Sampler, log *strings.Builder) *trace.Tracer {
	t.Helper()
	return trace.New(trace.Config{
		Endpoint: endpoint, Sampler: s, Resource: []trace.Attribute{trace.String("service.name", "todo")},
	}, slog.New(slog.NewTextHandler(log, nil)))
}

// shutdown gives the log of a tracer that has ended.
func shutdown(t *testing.T, tracer *trace.Tracer, log *strings.Builder) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tracer.Shutdown(ctx)
	return log.String()
}

func TestSpansReachTheCollector(t *testing.T) {
	c := tracetest.Collect(t)
	var log strings.Builder
	tracer := start(t, c.Endpoint(), sampler(t, "parentbased_always_on", 0), &log)
	before := time.Now()
	ctx, server := tracer.Start(trace.Extract(t.Context(), "00-"+traceID+"-"+spanID+"-01", ""))
	client := trace.StartClient(ctx)
	client.Fail("unavailable")
	client.End("SELECT tasks", trace.String("db.system.name", "postgresql"))
	server.End("GET /tasks/:id", trace.Int("http.response.status_code", 200), trace.String("url.path", "/\xff"+strings.Repeat("ä", 200)), trace.Int("negative", -1))
	if log := shutdown(t, tracer, &log); log != "" {
		t.Errorf("logged %s", log)
	}
	spans := c.Spans()
	if len(spans) != 2 {
		t.Fatalf("%d spans", len(spans))
	}
	db, http := spans[0], spans[1]
	type seen struct {
		Trace, Parent, Name string
		Kind                otlp.Span_SpanKind
		Status              otlp.Status_StatusCode
		Flags               uint32
		Attributes          map[string]any
		Resource            map[string]any
	}
	see := func(s tracetest.Span) seen {
		return seen{
			hex.EncodeToString(s.TraceId), hex.EncodeToString(s.ParentSpanId), s.Name, s.Kind, s.GetStatus().GetCode(), s.Flags,
			tracetest.Attributes(s.Attributes), s.Resource,
		}
	}
	resource := map[string]any{"service.name": "todo"}
	want := []seen{
		{
			traceID, hex.EncodeToString(http.SpanId), "SELECT tasks", otlp.Span_SPAN_KIND_CLIENT, otlp.Status_STATUS_CODE_ERROR,
			0x101, map[string]any{"db.system.name": "postgresql", "error.type": "unavailable"}, resource,
		},
		{
			traceID, spanID, "GET /tasks/:id", otlp.Span_SPAN_KIND_SERVER, otlp.Status_STATUS_CODE_UNSET,
			0x301, map[string]any{
				"http.response.status_code": int64(200), "negative": int64(-1),
				"url.path": "/\uFFFD" + strings.Repeat("ä", 127),
			}, resource,
		},
	}
	if diff := cmp.Diff(want, []seen{see(db), see(http)}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if len(db.SpanId) != 8 || len(http.SpanId) != 8 || string(db.SpanId) == string(http.SpanId) {
		t.Errorf("span ids %x and %x", db.SpanId, http.SpanId)
	}
	times := []uint64{
		uint64(before.UnixNano()), http.StartTimeUnixNano, db.StartTimeUnixNano, db.EndTimeUnixNano, http.EndTimeUnixNano,
		uint64(time.Now().UnixNano()),
	}
	for i := range times[1:] {
		if times[i] > times[i+1] {
			t.Errorf("times are not in order: %d", times)
		}
	}
}

// X-Ray reads the time from the first four bytes.
func TestATraceThatBeginsHereHasTheTimeInItsID(t *testing.T) {
	c := tracetest.Collect(t)
	var log strings.Builder
	tracer := start(t, c.Endpoint(), sampler(t, "always_on", 0), &log)
	before := time.Now().Unix()
	ctx, span := tracer.Start(t.Context())
	span.End("GET")
	shutdown(t, tracer, &log)
	s := c.Spans()[0]
	if got := hex.EncodeToString(s.TraceId); got != trace.ID(ctx) || len(s.ParentSpanId) != 0 || s.Flags != 0x101 {
		t.Errorf("trace %s with the parent %x and flags %x, want %s", got, s.ParentSpanId, s.Flags, trace.ID(ctx))
	}
	var seconds int64
	if _, err := fmt.Sscanf(trace.ID(ctx)[:8], "%x", &seconds); err != nil || seconds < before || seconds > time.Now().Unix() {
		t.Errorf("%s begins with the second %d: %v", trace.ID(ctx), seconds, err)
	}
}

func TestSamplers(t *testing.T) {
	sampled, left := "00-"+traceID+"-"+spanID+"-01", "00-"+traceID+"-"+spanID+"-00"
	// The random part of the first id is in the lower tenth, of the second not.
	low, high := "00-4bf92f3577b34da60ccccccccccccccb-"+spanID+"-01", "00-4bf92f3577b34da61fffffffffffffff-"+spanID+"-01"
	const undecided = "Root=1-5759e988-bd862e3fe1be46a994272793"
	for _, tc := range []struct {
		name                string
		ratio               float64
		traceparent, amazon string
		want                bool
	}{
		{"always_on", 0, left, "", true},
		{"always_off", 1, sampled, "", false},
		{"traceidratio", 0.1, low, "", true},
		{"traceidratio", 0.1, high, "", false},
		{"traceidratio", 1, high, "", true},
		{"traceidratio", 0, low, "", false},
		{"parentbased_always_on", 0, "", "", true},
		{"parentbased_always_on", 0, left, "", false},
		{"parentbased_always_on", 0, "", undecided + ";Sampled=0", false},
		{"parentbased_always_on", 0, "", undecided, true},
		{"parentbased_always_off", 1, "", "", false},
		{"parentbased_always_off", 1, "", undecided, false},
		{"parentbased_always_off", 1, sampled, "", true},
		{"parentbased_traceidratio", 0.1, high, "", true},
		{"parentbased_traceidratio", 0, "", "", false},
		{"parentbased_traceidratio", 1, left, "", false},
	} {
		var log strings.Builder
		tracer := start(t, "http://127.0.0.1:1", sampler(t, tc.name, tc.ratio), &log)
		ctx, span := tracer.Start(trace.Extract(t.Context(), tc.traceparent, tc.amazon))
		if (span != nil) != tc.want || (trace.StartClient(ctx) != nil) != tc.want {
			t.Errorf("%s %v, %q %q: a span %v, want %v", tc.name, tc.ratio, tc.traceparent, tc.amazon, span != nil, tc.want)
		}
		shutdown(t, tracer, &log)
	}
	if _, ok := trace.NewSampler("parentbased_jaeger_remote", 1); ok {
		t.Error("a sampler that is not there")
	}
}

func TestWithoutATracer(t *testing.T) {
	var tracer *trace.Tracer
	ctx, span := tracer.Start(trace.Extract(t.Context(), "00-"+traceID+"-"+spanID+"-01", ""))
	if span != nil || trace.StartClient(ctx) != nil || trace.ID(ctx) != traceID {
		t.Errorf("span %v, trace %s", span, trace.ID(ctx))
	}
	span.Fail("x")
	span.End("nothing")
	tracer.Shutdown(t.Context())
}
