package main

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"

	"example.com/todo/service/credentials"
	"example.com/todo/service/emf"
	"example.com/todo/service/httpapi"
	"example.com/todo/service/postgres"
	"example.com/todo/service/trace"
)

// Traces and metrics are off unless these say otherwise. Those of OpenTelemetry are
// specified, and the rest of its variables is not read:
// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
const (
	envTracesExporter     = "OTEL_TRACES_EXPORTER" // otlp, or none
	envOTLPEndpoint       = "OTEL_EXPORTER_OTLP_ENDPOINT"
	envOTLPTracesEndpoint = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	envOTLPProtocol       = "OTEL_EXPORTER_OTLP_PROTOCOL" // grpc
	envOTLPTracesProtocol = "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"
	envTracesSampler      = "OTEL_TRACES_SAMPLER"
	envTracesSamplerArg   = "OTEL_TRACES_SAMPLER_ARG"
	envServiceName        = "OTEL_SERVICE_NAME"
	envResourceAttributes = "OTEL_RESOURCE_ATTRIBUTES"
	envMetrics            = "METRICS" // emf, or none
	envMetricsNamespace   = "METRICS_NAMESPACE"
)

const (
	switchedOff             = "none"
	defaultOTLPEndpoint     = "http://localhost:4317" // where App Runner's collector is
	defaultSampler          = "parentbased_always_on"
	defaultServiceName      = "todo"
	defaultMetricsNamespace = "Todo"
	maxMetricsNamespace     = 255
	attributeServiceName    = "service.name"
	attributeServiceVersion = "service.version"
)

// tracing is nil when traces are off; then nothing else about them counts.
func (r *reader) tracing() *trace.Config {
	switch r.getenv(envTracesExporter) {
	case "", switchedOff:
		return nil
	case "otlp":
	default:
		r.report(envTracesExporter, "must be otlp or none")
		return nil
	}
	for _, name := range []string{envOTLPProtocol, envOTLPTracesProtocol} {
		if protocol := r.getenv(name); protocol != "" && protocol != "grpc" {
			r.report(name, "must be grpc")
		}
	}
	service, others := r.resource()
	return &trace.Config{
		Endpoint: cmp.Or(r.endpoint(envOTLPTracesEndpoint), r.endpoint(envOTLPEndpoint), defaultOTLPEndpoint),
		Sampler:  r.sampler(),
		Resource: append(others, trace.String(attributeServiceName, service)),
	}
}

func (r *reader) endpoint(name string) string {
	const rule = "must be http://host:port or https://host:port"
	value := r.getenv(name)
	if value == "" {
		return ""
	}
	u, err := url.Parse(value)
	switch {
	case strings.Contains(value, "@"): // a password would be in every warning
		r.problems = append(r.problems, fmt.Errorf("%s=%v %s", name, credentials.Secret(value), rule))
	case err != nil, u.Host == "", u.Scheme != "http" && u.Scheme != "https":
		r.report(name, rule)
	}
	return value
}

func (r *reader) sampler() trace.Sampler {
	ratio := 1.0
	if arg := r.getenv(envTracesSamplerArg); arg != "" {
		var err error
		if ratio, err = strconv.ParseFloat(arg, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
			r.report(envTracesSamplerArg, "must be a ratio from 0 to 1")
		}
	}
	s, ok := trace.NewSampler(cmp.Or(r.getenv(envTracesSampler), defaultSampler), ratio)
	if !ok {
		r.report(envTracesSampler, "must be one of "+strings.Join(trace.Samplers, ", "))
	}
	return s
}

// resource is what OpenTelemetry's variables say about this service.
func (r *reader) resource() (service string, others []trace.Attribute) {
	service = r.getenv(envServiceName)
	if r.getenv(envResourceAttributes) == "" {
		return cmp.Or(service, defaultServiceName), nil
	}
	for pair := range strings.SplitSeq(r.getenv(envResourceAttributes), ",") {
		key, value, found := strings.Cut(pair, "=")
		key = strings.TrimSpace(key)
		value, err := url.PathUnescape(strings.TrimSpace(value))
		if !found || key == "" || err != nil {
			r.report(envResourceAttributes, "must be key=value pairs with commas between, and the values percent-encoded")
			break
		}
		if key == attributeServiceName {
			service = cmp.Or(service, value)
			continue
		}
		others = append(others, trace.String(key, value))
	}
	return cmp.Or(service, defaultServiceName), others
}

// metrics is nil when they are off.
func (r *reader) metrics() *emf.Config {
	switch r.getenv(envMetrics) {
	case "", switchedOff:
		return nil
	case "emf":
	default:
		r.report(envMetrics, "must be emf or none")
		return nil
	}
	namespace := cmp.Or(r.getenv(envMetricsNamespace), defaultMetricsNamespace)
	// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/API_PutMetricData.html
	if len(namespace) > maxMetricsNamespace || strings.HasPrefix(namespace, "AWS/") || strings.ContainsFunc(namespace, notInNamespace) {
		r.report(envMetricsNamespace, "must be up to 255 letters, digits, spaces and any of .-_/#:, and not begin with AWS/")
	}
	return &emf.Config{Namespace: namespace, Service: cmp.Or(r.getenv(envServiceName), defaultServiceName)}
}

func notInNamespace(c rune) bool {
	return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune(".-_/#: ", c)
}

// telemetry is what tells others how the service does. The zero telemetry tells nothing.
type telemetry struct {
	tracer  *trace.Tracer
	metrics *emf.Metrics
}

// startTelemetry starts what the configuration switches on.
func startTelemetry(cfg config, build httpapi.Build, db *postgres.DB, log *slog.Logger, out io.Writer) telemetry {
	var t telemetry
	if cfg.tracing != nil {
		c := *cfg.tracing
		c.Resource = append(slices.Clip(c.Resource), trace.String(attributeServiceVersion, build.Version))
		t.tracer = trace.New(c, log)
	}
	if cfg.metrics != nil {
		c := *cfg.metrics
		c.Out = out
		c.Gauges = func() []emf.Gauge {
			busy, waiting := db.Load()
			return []emf.Gauge{{Name: "DatabaseBusy", Value: busy}, {Name: "DatabaseWaiting", Value: waiting}}
		}
		t.metrics = emf.New(c)
	}
	return t
}

// around gives the store its spans, if there are any.
func (t telemetry) around(tasks httpapi.Tasks) httpapi.Tasks {
	if t.tracer == nil {
		return tasks
	}
	return tracedTasks{tasks}
}

// stop sends what there still is, while ctx lasts.
func (t telemetry) stop(ctx context.Context) {
	t.metrics.Close()
	t.tracer.Shutdown(ctx)
}

// lineWriter lets the logger and what else writes lines share the output.
type lineWriter struct {
	mu  sync.Mutex
	out io.Writer
}

func (w *lineWriter) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(line)
}
