// Package emf counts requests and tells CloudWatch about them in the log: it makes
// metrics of lines in its embedded metric format by itself.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
//
// The metrics are Requests, Errors (answers from 500 on) and Latency, by Service and
// Route, and gauges by Service. A minute without requests leaves no line and costs
// nothing.
package emf

import (
	"encoding/json"
	"io"
	"strconv"
	"sync"
	"time"
)

// period is the resolution of CloudWatch's metrics.
const period = time.Minute

// Config says under which names to report, and where.
type Config struct {
	Namespace string // of all metrics
	Service   string // the value of the dimension Service
	// Gauges tells what is so now; nil for nothing. It is asked at most once a minute.
	Gauges func() []Gauge
	// Out takes each document, which is a line, in one Write. There may be several at once.
	Out io.Writer
}

// Gauge is how many of something there are.
type Gauge struct {
	Name  string
	Value int
}

// Metrics counts requests. Nil counts none.
type Metrics struct {
	cfg   Config
	timer *time.Timer

	mu      sync.Mutex
	current *window // nil while nothing is counted
	closed  bool
}

// window is what one period saw.
type window struct {
	began  time.Time
	series map[key]*series
}

// key is what is counted together: a class of statuses, 2 for 2xx, of a route.
type key struct {
	route string
	class int
}

type series struct {
	requests, errors int
	latency          histogram
}

// New counts from now on. Close it.
func New(cfg Config) *Metrics {
	m := &Metrics{cfg: cfg}
	m.timer = time.AfterFunc(period, m.expire)
	m.timer.Stop() // until there is a request
	return m
}

// Count counts a request. The route is one of few, not a path.
func (m *Metrics) Count(route string, status int, took time.Duration) {
	if m == nil {
		return
	}
	m.write(m.count(key{route, status / 100}, took))
}

// count gives the window that has ended. A process without the processor between
// requests finds its timer late, and the request first.
func (m *Metrics) count(k key, took time.Duration) (ended *window) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	now := time.Now()
	ended = m.take(now)
	if m.current == nil {
		m.current = &window{began: now, series: map[key]*series{}}
		m.timer.Reset(period)
	}
	s := m.current.series[k]
	if s == nil {
		s = &series{}
		m.current.series[k] = s
	}
	s.requests++
	if k.class >= 5 {
		s.errors++
	}
	s.latency.add(float64(took) / float64(time.Millisecond))
	return ended
}

// take gives the window if its period is over.
func (m *Metrics) take(now time.Time) *window {
	w := m.current
	if w == nil || now.Sub(w.began) < period {
		return nil
	}
	m.current = nil
	return w
}

func (m *Metrics) expire() {
	m.mu.Lock()
	ended := m.take(time.Now())
	m.mu.Unlock()
	m.write(ended)
}

// Close reports what was counted last; afterwards nothing is.
func (m *Metrics) Close() {
	if m == nil {
		return
	}
	m.mu.Lock()
	m.timer.Stop()
	ended := m.current
	m.current, m.closed = nil, true
	m.mu.Unlock()
	m.write(ended)
}

// What a document holds: the names are what dashboards and alarms ask for.
const (
	service  = "Service"
	route    = "Route"
	requests = "Requests"
	failures = "Errors"
	latency  = "Latency"

	count        = "Count"
	milliseconds = "Milliseconds"
)

func (m *Metrics) write(w *window) {
	if w == nil {
		return
	}
	for k, s := range w.series {
		m.writeDocument(w.began, map[string]any{
			service:  m.cfg.Service,
			route:    k.route,
			"Status": strconv.Itoa(k.class) + "xx", // to search for: as a dimension it would multiply the metrics
			requests: s.requests,
			failures: s.errors,
			latency:  s.latency.values(),
		}, []string{service, route}, metric{requests, count}, metric{failures, count}, metric{latency, milliseconds})
	}
	if m.cfg.Gauges == nil {
		return
	}
	document := map[string]any{service: m.cfg.Service}
	var metrics []metric
	for _, g := range m.cfg.Gauges() {
		document[g.Name] = g.Value
		metrics = append(metrics, metric{g.Name, count})
	}
	m.writeDocument(w.began, document, []string{service}, metrics...)
}

// metric is EMF's MetricDefinition.
type metric struct{ Name, Unit string }

func (m *Metrics) writeDocument(at time.Time, document map[string]any, dimensions []string, metrics ...metric) {
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	document["_aws"] = struct {
		Timestamp         int64
		CloudWatchMetrics []directive
	}{at.UnixMilli(), []directive{{m.cfg.Namespace, [][]string{dimensions}, metrics}}}
	line, err := json.Marshal(document)
	if err != nil { // strings and numbers always marshal
		panic(err)
	}
	_, _ = m.cfg.Out.Write(append(line, '\n')) // there is nowhere to say that the log fails
}
