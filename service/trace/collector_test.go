package trace_test

import (
	"context"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"example.com/todo/service/trace"
	"example.com/todo/service/trace/tracetest"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

func endSpans(t *testing.T, tracer *trace.Tracer, n int) {
	t.Helper()
	for range n {
		_, span := tracer.Start(t.Context())
		span.End("GET")
	}
}

func TestManySpansReachTheCollector(t *testing.T) {
	c := tracetest.Collect(t)
	before := goleak.IgnoreCurrent()
	var log strings.Builder
	tracer := start(t, c.Endpoint(), sampler(t, "always_on", 0), &log)
	const many = 2000
	endSpans(t, tracer, many)
	if log := shutdown(t, tracer, &log); log != "" {
		t.Errorf("logged %s", log)
	}
	ids := map[string]bool{}
	for _, s := range c.Spans() {
		ids[string(s.SpanId)] = true
	}
	if len(ids) != many {
		t.Errorf("%d of %d spans came", len(ids), many)
	}
	goleak.VerifyNone(t, before) // no connection is left at either end
}

// What the collector says is told once, in its words.
func TestWhatTheCollectorRefuses(t *testing.T) {
	for name, tc := range map[string]struct {
		answer tracetest.Answer
		want   []string
	}{
		"some spans": {
			func(context.Context, *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
				return &collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{
					RejectedSpans: 2, ErrorMessage: "two are too old",
				}}, nil
			}, []string{"two are too old", "dropped=2"},
		},
		"no span, with a warning": {
			func(context.Context, *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
				return &collector.ExportTraceServiceResponse{PartialSuccess: &collector.ExportTracePartialSuccess{ErrorMessage: "fine, but"}}, nil
			}, nil,
		},
		"all of them": {
			func(context.Context, *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
				return nil, status.Error(codes.InvalidArgument, "100% wrong: é")
			}, []string{"gRPC status 3: 100% wrong: é", "dropped=3"},
		},
		"for now": {
			func(context.Context, *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
				return nil, status.Error(codes.Unavailable, "later")
			}, []string{"gRPC status 14: later", "dropped=3"}, // at shutdown there is no later
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := tracetest.Collect(t)
			c.Answer(tc.answer)
			var log strings.Builder
			tracer := start(t, c.Endpoint(), sampler(t, "always_on", 0), &log)
			endSpans(t, tracer, 3)
			got := shutdown(t, tracer, &log)
			if lines := strings.Count(got, "\n"); tc.want == nil && got != "" || tc.want != nil && lines != 1 {
				t.Errorf("%d lines of log:\n%s", lines, got)
			}
			for _, want := range tc.want {
				if !strings.Contains(got, want) {
					t.Errorf("%q is not in %s", want, got)
				}
			}
		})
	}
}

// Spans wait for a collector that comes later than they.
func TestTheCollectorMayComeLater(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	tracer := start(t, "http://"+addr, sampler(t, "always_on", 0), &log)
	endSpans(t, tracer, 600) // a batch, and the attempt that fails
	c, err := tracetest.Start(addr)
	if err != nil {
		t.Fatal(err)
	}
	endSpans(t, tracer, 1)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := c.Await(ctx, func(spans []tracetest.Span) bool { return len(spans) == 601 }); err != nil {
		t.Error(err)
	}
	shutdown(t, tracer, &log)
	if err := c.Close(); err != nil {
		t.Error(err)
	}
}

// A collector that takes and does not answer holds up nobody, and no shutdown for
// longer than it is given.
func TestACollectorThatHangs(t *testing.T) {
	c := tracetest.Collect(t)
	reached := make(chan struct{}, 1)
	c.Answer(func(ctx context.Context, _ *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
		reached <- struct{}{}
		<-ctx.Done()
		return nil, ctx.Err()
	})
	var log strings.Builder
	tracer := start(t, c.Endpoint(), sampler(t, "always_on", 0), &log)
	endSpans(t, tracer, 512)
	<-reached
	endSpans(t, tracer, 10_000) // while the export is under way
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	tracer.Shutdown(ctx)
	// What was kept is no more than the queue holds.
	if got := log.String(); !strings.Contains(got, "context canceled") || !strings.HasSuffix(got, "dropped=2048\n") {
		t.Errorf("logged %s", got)
	}
}

// What listens on the port may be no collector at all.
func TestWhatIsNoCollector(t *testing.T) {
	web := httptest.NewUnstartedServer(http.NotFoundHandler())
	web.Config.Protocols = new(http.Protocols)
	web.Config.Protocols.SetUnencryptedHTTP2(true)
	web.Start()
	defer web.Close()
	var log strings.Builder
	tracer := start(t, web.URL, sampler(t, "always_on", 0), &log)
	endSpans(t, tracer, 1)
	if got := shutdown(t, tracer, &log); !strings.Contains(got, "HTTP 404 Not Found without a gRPC status") || !strings.Contains(got, "dropped=1") {
		t.Errorf("logged %s", got)
	}
}
