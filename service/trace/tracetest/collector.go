// Package tracetest is an OpenTelemetry collector for tests: OTLP as grpc-go and the
// published protobuf types understand it.
package tracetest

import (
	"context"
	"fmt"
	"net"
	"sync"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// Answer is what a collector says to an export. Its spans count as taken when it is nil.
type Answer func(context.Context, *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error)

// Collector takes spans until it is closed.
type Collector struct {
	collector.UnimplementedTraceServiceServer
	server *grpc.Server
	served chan error
	addr   string

	mu      sync.Mutex
	answer  Answer
	spans   []Span
	changed chan struct{} // closed with the next export
}

// Span is a span as it came, with the resource it came from.
type Span struct {
	*trace.Span
	Resource map[string]any
}

// Start listens on a loopback address, such as 127.0.0.1:0.
func Start(addr string) (*Collector, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("listen on %s: %w", addr, err)
	}
	c := &Collector{server: grpc.NewServer(), served: make(chan error, 1), addr: l.Addr().String(), changed: make(chan struct{})}
	collector.RegisterTraceServiceServer(c.server, c)
	go func() { c.served <- c.server.Serve(l) }()
	return c, nil
}

// Close ends the collector and every export under way.
func (c *Collector) Close() error {
	c.server.Stop()
	return <-c.served
}

// Addr is where it listens, and Endpoint the same as a URL.
func (c *Collector) Addr() string { return c.addr }

// Endpoint is what OTEL_EXPORTER_OTLP_ENDPOINT has to be.
func (c *Collector) Endpoint() string { return "http://" + c.addr }

// Answer has the collector answer so from now on; nil takes everything.
func (c *Collector) Answer(a Answer) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = a
}

// Export implements OTLP's TraceService.
func (c *Collector) Export(
	ctx context.Context, req *collector.ExportTraceServiceRequest,
) (*collector.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	answer := c.answer
	c.mu.Unlock()
	if answer != nil {
		return answer(ctx, req)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range req.ResourceSpans {
		for _, scope := range r.ScopeSpans {
			for _, s := range scope.Spans {
				c.spans = append(c.spans, Span{s, Attributes(r.GetResource().GetAttributes())})
			}
		}
	}
	close(c.changed)
	c.changed = make(chan struct{})
	return &collector.ExportTraceServiceResponse{}, nil
}

// Spans are those that were taken.
func (c *Collector) Spans() []Span {
	spans, _ := c.state()
	return spans
}

func (c *Collector) state() ([]Span, chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.spans[:len(c.spans):len(c.spans)], c.changed
}

// Await waits until the spans are as wanted, and gives them.
func (c *Collector) Await(ctx context.Context, wanted func([]Span) bool) ([]Span, error) {
	for {
		spans, changed := c.state()
		if wanted(spans) {
			return spans, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return spans, fmt.Errorf("%d spans came, not those wanted: %w", len(spans), context.Cause(ctx))
		}
	}
}

// Attributes are those of a span or a resource, as Go values.
func Attributes(pairs []*common.KeyValue) map[string]any {
	m := map[string]any{}
	for _, kv := range pairs {
		switch v := kv.GetValue().GetValue().(type) {
		case *common.AnyValue_StringValue:
			m[kv.Key] = v.StringValue
		case *common.AnyValue_IntValue:
			m[kv.Key] = v.IntValue
		default:
			m[kv.Key] = fmt.Sprintf("unexpected %T", v)
		}
	}
	return m
}
