package main

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"
	"testing"

	"example.com/todo/service/emf/emftest"
	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/trace/tracetest"
	"github.com/google/go-cmp/cmp"
	otlp "go.opentelemetry.io/proto/otlp/trace/v1"
)

const (
	traceID    = "4bf92f3577b34da6a3ce929d0e0e4736"
	callerSpan = "00f067aa0ba902b7"
	sampled    = "00-" + traceID + "-" + callerSpan + "-01"
	notSampled = "00-" + traceID + "-" + callerSpan + "-00"
	nowhere    = "postgres://127.0.0.1:1/none"
)

// seen is what a collector knows of a span, but for its time.
type seen struct {
	Trace, Parent, Name string
	Kind                otlp.Span_SpanKind
	Failed              bool
	Attributes          map[string]any
}

func see(s tracetest.Span) seen {
	return seen{
		hex.EncodeToString(s.TraceId), hex.EncodeToString(s.ParentSpanId), s.Name, s.Kind,
		s.GetStatus().GetCode() == otlp.Status_STATUS_CODE_ERROR, tracetest.Attributes(s.Attributes),
	}
}

// traced gives the server's span and, before it, the database's.
func traced(t *testing.T, c *tracetest.Collector) (server, database tracetest.Span) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	spans, err := c.Await(ctx, func(spans []tracetest.Span) bool { return len(spans) == 2 })
	if err != nil {
		t.Fatal(err)
	}
	return spans[1], spans[0]
}

func TestBinaryContinuesATrace(t *testing.T) {
	c := tracetest.Collect(t)
	api, _ := launch(t, env{
		envDatabaseURL: postgrestest.Database(t), envTracesExporter: "otlp", envOTLPEndpoint: c.Endpoint(),
		envServiceName: "todo-dev", envResourceAttributes: "deployment.environment.name=dev%20one",
	})
	r := api.do(t, "POST", tasks, `{"title":"hunter2"}`, header{"Traceparent": sampled, "X-Amzn-Trace-Id": "Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=0"})
	if r.status != 201 {
		t.Fatalf("POST: %d %s", r.status, r.body)
	}
	server, database := traced(t, c)
	host, port, _ := strings.Cut(strings.TrimPrefix(api.url, "http://"), ":")
	want := []seen{
		{traceID, callerSpan, "POST /api/v1/tasks", otlp.Span_SPAN_KIND_SERVER, false, map[string]any{
			"http.request.method": "POST", "http.response.status_code": int64(201), "http.route": "/api/v1/tasks",
			"url.scheme": "http", "url.path": "/api/v1/tasks", "server.address": host, "server.port": int64(atoi(t, port)),
		}},
		{traceID, hex.EncodeToString(server.SpanId), "INSERT tasks", otlp.Span_SPAN_KIND_CLIENT, false, map[string]any{
			"db.system.name": "postgresql", "db.operation.name": "INSERT", "db.collection.name": "tasks",
		}},
	}
	if diff := cmp.Diff(want, []seen{see(server), see(database)}); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	resource := map[string]any{"service.name": "todo-dev", "service.version": testVersion, "deployment.environment.name": "dev one"}
	if diff := cmp.Diff(resource, server.Resource); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	accesses := api.log.with(t, "trace_id", traceID)
	if len(accesses) != 1 || accesses[0]["msg"] != "request" || accesses[0]["request_id"] != r.header.Get("X-Request-Id") {
		t.Errorf("logged %v", accesses)
	}
	if told := api.log.String() + fmt.Sprint(c.Spans()); strings.Contains(told, "hunter2") {
		t.Errorf("a title is in the log or in a span:\n%s", told)
	}
}

func atoi(t *testing.T, s string) (n int) {
	t.Helper()
	if _, err := fmt.Sscan(s, &n); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestEveryOperationHasASpan(t *testing.T) {
	c := tracetest.Collect(t)
	api, cmd := launch(t, env{envDatabaseURL: postgrestest.Database(t), envTracesExporter: "otlp", envOTLPTracesEndpoint: c.Endpoint() + "/", envOTLPEndpoint: "http://127.0.0.1:1"})
	made := api.do(t, "POST", tasks, `{"title":"x"}`, nil).json(t)
	path := tasks + "/" + made["id"].(string)
	api.do(t, "GET", tasks, "", nil)
	api.do(t, "GET", path, "", nil)
	api.do(t, "PUT", path, `{"title":"y","completed":true}`, nil)
	api.do(t, "PATCH", path, `{"completed":false}`, header{"If-Match": `"0"`}) // 412
	api.do(t, "DELETE", path, "", nil)
	api.do(t, "DELETE", path, "", nil) // 404
	api.do(t, "GET", "/made/up", "", nil)
	api.do(t, "GET", "/", "", nil)
	stop(t, cmd) // sends what there is
	names := map[string]string{}
	servers := map[string]string{}
	var order []string
	for _, s := range c.Spans() {
		if s.Kind == otlp.Span_SPAN_KIND_SERVER {
			servers[string(s.SpanId)] = s.Name
			order = append(order, s.Name)
		} else {
			names[string(s.ParentSpanId)] += s.Name
		}
		if s.GetStatus() != nil {
			t.Errorf("%s failed: %v", s.Name, s)
		}
		for k, v := range tracetest.Attributes(s.Attributes) {
			if strings.Contains(fmt.Sprint(v), "made") {
				t.Errorf("what a client made up is in %s of %s", k, s.Name)
			}
		}
	}
	wantOrder := []string{
		"POST /api/v1/tasks", "GET /api/v1/tasks", "GET /api/v1/tasks/:id", "PUT /api/v1/tasks/:id", "PATCH /api/v1/tasks/:id",
		"DELETE /api/v1/tasks/:id", "DELETE /api/v1/tasks/:id", "GET",
	}
	if diff := cmp.Diff(wantOrder, order); diff != "" {
		t.Errorf("requests (-want +got):\n%s", diff)
	}
	got := map[string]string{}
	for id, name := range servers {
		got[name] = names[id]
	}
	want := map[string]string{
		"POST /api/v1/tasks": "INSERT tasks", "GET /api/v1/tasks": "SELECT tasks", "GET /api/v1/tasks/:id": "SELECT tasks",
		"PUT /api/v1/tasks/:id": "UPDATE tasks", "PATCH /api/v1/tasks/:id": "UPDATE tasks", "DELETE /api/v1/tasks/:id": "DELETE tasks", "GET": "",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("operations (-want +got):\n%s", diff)
	}
	if log := api.log.String(); strings.Contains(log, `"WARN"`) {
		t.Errorf("logged\n%s", log)
	}
}

// A failure is found in the trace from the log, and in the log from the trace.
func TestAFailureIsInItsTrace(t *testing.T) {
	c := tracetest.Collect(t)
	api, cmd := launch(t, env{envDatabaseURL: nowhere, envTracesExporter: "otlp", envOTLPEndpoint: c.Endpoint()})
	if r := api.do(t, "GET", tasks, "", header{"X-Amzn-Trace-Id": "Root=1-4bf92f35-77b34da6a3ce929d0e0e4736"}); r.status != 503 {
		t.Fatalf("GET: %d %s", r.status, r.body)
	}
	stop(t, cmd)
	server, database := traced(t, c)
	for _, s := range []tracetest.Span{server, database} {
		if got := see(s); got.Trace != traceID || !got.Failed {
			t.Errorf("got %+v", got)
		}
	}
	if s, d := see(server).Attributes["error.type"], see(database).Attributes["error.type"]; s != "503" || d != "unavailable" {
		t.Errorf("error.type %v and %v", s, d)
	}
	if len(server.ParentSpanId) != 0 {
		t.Errorf("a parent %x that nobody named", server.ParentSpanId)
	}
	messages := map[any]bool{}
	for _, record := range api.log.with(t, "trace_id", traceID) {
		messages[record["msg"]] = true
	}
	if diff := cmp.Diff(map[any]bool{"request failed": true, "request": true}, messages); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestATraceThatIsNotSampledStaysHere(t *testing.T) {
	c := tracetest.Collect(t)
	api, cmd := launch(t, env{envDatabaseURL: nowhere, envTracesExporter: "otlp", envOTLPEndpoint: c.Endpoint()})
	api.do(t, "GET", tasks, "", header{"Traceparent": notSampled})
	api.do(t, "GET", tasks, "", header{"Traceparent": strings.Replace(sampled, traceID, strings.Repeat("1", 32), 1)})
	stop(t, cmd)
	server, _ := traced(t, c)
	if got := see(server).Trace; got != strings.Repeat("1", 32) {
		t.Errorf("exported %s", got)
	}
	if records := api.log.with(t, "trace_id", traceID); len(records) != 2 {
		t.Errorf("logged %v", records)
	}
}

func TestWithoutItsCollectorTheServiceServes(t *testing.T) {
	api, cmd := launch(t, env{envDatabaseURL: postgrestest.Database(t), envTracesExporter: "otlp", envOTLPEndpoint: "http://127.0.0.1:1"})
	var clients sync.WaitGroup
	for range 20 {
		clients.Go(func() {
			for range 40 {
				if r, err := api.try(t.Context(), "GET", tasks, "", nil); err != nil || r.status != 200 {
					t.Errorf("GET: %d %v", r.status, err)
				}
			}
		})
	}
	clients.Wait()
	stop(t, cmd)
	warnings := api.log.with(t, "msg", "export of traces failed")
	if n := len(warnings); n == 0 || n > 2 {
		t.Fatalf("warned %d times: %v", n, warnings)
	}
	last := warnings[len(warnings)-1]
	if last["level"] != "WARN" || !strings.Contains(last["error"].(string), "connection refused") || last["dropped"] != 1600.0 {
		t.Errorf("warned %v", last)
	}
}

// Nothing is told unless asked for.
func TestTelemetryIsOffByDefault(t *testing.T) {
	c := tracetest.Collect(t)
	api, cmd := launch(t, env{envDatabaseURL: nowhere, envOTLPEndpoint: c.Endpoint(), envTracesSampler: "always_on"})
	api.do(t, "GET", tasks, "", header{"Traceparent": sampled})
	stop(t, cmd)
	if spans := c.Spans(); len(spans) != 0 {
		t.Errorf("exported %v", spans)
	}
	if log := api.log.String(); emftest.IsDocument(log) {
		t.Errorf("logged\n%s", log)
	}
	if records := api.log.with(t, "trace_id", traceID); len(records) != 2 {
		t.Errorf("the caller's trace is in %v", records)
	}
}

func TestBinaryReportsItsMetrics(t *testing.T) {
	api, cmd := launch(t, env{envDatabaseURL: postgrestest.Database(t), envMetrics: "emf", envServiceName: "todo-dev"})
	for range 3 {
		api.do(t, "GET", tasks, "", nil)
	}
	api.do(t, "POST", tasks, `{"title":"x"}`, nil)
	api.do(t, "GET", tasks+"/x", "", nil)
	api.do(t, "GET", "/made/up", "", nil)
	stop(t, cmd)
	type counted struct {
		Requests, Latencies float64
	}
	got, gauges := map[string]counted{}, 0
	for line := range strings.Lines(api.log.String()) {
		if !emftest.IsDocument(line) {
			continue
		}
		d, err := emftest.Parse(line)
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if d.Namespace != "Todo" || !d.Has(map[string]any{"Service": "todo-dev"}) {
			t.Errorf("got %s", line)
		}
		if len(d.Dimensions) == 1 {
			gauges++
			if diff := cmp.Diff(map[string]string{"DatabaseBusy": "Count", "DatabaseWaiting": "Count"}, d.Units); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			continue
		}
		for _, route := range []string{tasks, tasks + "/:id", "-", "/"} {
			for _, class := range []string{"2xx", "4xx"} {
				if d.Has(map[string]any{"Route": route, "Status": class}) {
					got[route+" "+class] = counted{d.Metrics["Requests"].Sum, d.Metrics["Latency"].Count}
				}
			}
		}
	}
	want := map[string]counted{tasks + " 2xx": {4, 4}, tasks + "/:id 4xx": {1, 1}, "- 4xx": {1, 1}}
	if diff := cmp.Diff(want, got); diff != "" || gauges != 1 {
		t.Errorf("%d documents of gauges, (-want +got):\n%s", gauges, diff)
	}
}

// Records of the logger, accesses and metrics share the output, a line each.
func TestLinesOfTheLogStayWhole(t *testing.T) {
	api := serve(t, env{envDatabaseURL: nowhere, envMetrics: "emf", envLogLevel: "debug"})
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			for j := range 20 {
				id := fmt.Sprintf("%d-%d-%s", i, j, strings.Repeat("x", 100))
				if _, err := api.try(t.Context(), "GET", tasks, "", header{"X-Request-Id": id}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	clients.Wait()
	for i := range 8 {
		for j := range 20 {
			id := fmt.Sprintf("%d-%d-%s", i, j, strings.Repeat("x", 100))
			if records := api.log.with(t, "request_id", id); len(records) != 2 {
				t.Errorf("%d records of %s", len(records), id)
			}
		}
	}
}

func TestTelemetryConfiguration(t *testing.T) {
	base := env{envDatabaseURL: nowhere}
	with := func(e env) env {
		for k, v := range base {
			e[k] = v
		}
		return e
	}
	for _, tc := range []struct {
		name string
		env  env
		want []string // all lines of the error
	}{
		{"off", env{envTracesExporter: "none", envOTLPProtocol: "http/protobuf", envTracesSampler: "jaeger_remote", envMetrics: "none", envMetricsNamespace: "AWS/Todo"}, nil},
		{"on", env{
			envTracesExporter: "otlp", envOTLPProtocol: "grpc", envOTLPTracesEndpoint: "https://collector:4317", envTracesSampler: "parentbased_traceidratio",
			envTracesSamplerArg: "0.25", envResourceAttributes: "service.name=x , a=b%2Cc", envMetrics: "emf", envMetricsNamespace: "Team/Todo",
		}, nil},
		{"exporters", env{envTracesExporter: "zipkin", envMetrics: "prometheus"}, []string{
			`OTEL_TRACES_EXPORTER="zipkin" must be otlp or none`,
			`METRICS="prometheus" must be emf or none`,
		}},
		{"malformed", env{
			envTracesExporter: "otlp", envOTLPProtocol: "http/protobuf", envOTLPEndpoint: "localhost:4317", envTracesSampler: "xray",
			envOTLPTracesEndpoint: "https://u:hunter2@collector:port",
			envTracesSamplerArg:   "NaN", envResourceAttributes: "service.name", envMetrics: "emf", envMetricsNamespace: "AWS/Todo",
		}, []string{
			`OTEL_EXPORTER_OTLP_PROTOCOL="http/protobuf" must be grpc`,
			`OTEL_RESOURCE_ATTRIBUTES="service.name" must be key=value pairs with commas between, and the values percent-encoded`,
			`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT=[REDACTED] must be http://host:port or https://host:port`,
			`OTEL_EXPORTER_OTLP_ENDPOINT="localhost:4317" must be http://host:port or https://host:port`,
			`OTEL_TRACES_SAMPLER_ARG="NaN" must be a ratio from 0 to 1`,
			`OTEL_TRACES_SAMPLER="xray" must be one of always_on, always_off, traceidratio, parentbased_always_on, parentbased_always_off, parentbased_traceidratio`,
			`METRICS_NAMESPACE="AWS/Todo" must be up to 255 letters, digits, spaces and any of .-_/#:, and not begin with AWS/`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			cfg, err := readConfig(with(tc.env).get)
			var got []string
			if err != nil {
				got = strings.Split(err.Error(), "\n")
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
			if on := tc.name == "on"; err == nil && ((cfg.tracing != nil) != on || (cfg.metrics != nil) != on) {
				t.Errorf("tracing %v, metrics %v", cfg.tracing, cfg.metrics)
			}
		})
	}
}
