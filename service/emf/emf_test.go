package emf

import (
	"math"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"example.com/todo/service/emf/emftest"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// output takes what several goroutines write.
type output struct {
	mu sync.Mutex
	b  strings.Builder
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

// take gives what was written since the last time.
func (o *output) take() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	defer o.b.Reset()
	return o.b.String()
}

// read gives the documents that were written, after checking each against the
// specification.
func read(t *testing.T, out *output) []emftest.Document {
	t.Helper()
	var documents []emftest.Document
	for line := range strings.Lines(out.take()) {
		d, err := emftest.Parse(line)
		if err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		documents = append(documents, d)
	}
	return documents
}

func find(t *testing.T, documents []emftest.Document, properties map[string]any) emftest.Document {
	t.Helper()
	for _, d := range documents {
		if d.Has(properties) {
			return d
		}
	}
	t.Fatalf("no document with %v in %v", properties, documents)
	return emftest.Document{}
}

func TestAMinuteIsReported(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now().UnixMilli()
		var out output
		m := New(Config{Namespace: "Todo", Service: "todo-dev", Out: &out, Gauges: func() []Gauge { return []Gauge{{"DatabaseBusy", 3}} }})
		for range 3 {
			m.Count("/tasks", 200, 2*time.Millisecond)
		}
		m.Count("/tasks", 201, 4*time.Millisecond)
		m.Count("/tasks", 503, 9*time.Second)
		m.Count("-", 404, time.Microsecond)
		time.Sleep(period)
		synctest.Wait()
		documents := read(t, &out)
		if len(documents) != 4 {
			t.Fatalf("%d documents", len(documents))
		}
		for _, d := range documents {
			if d.Namespace != "Todo" || d.Timestamp != began || !d.Has(map[string]any{"Service": "todo-dev"}) {
				t.Errorf("got %+v", d)
			}
		}
		served := find(t, documents, map[string]any{"Route": "/tasks", "Status": "2xx"})
		want := emftest.Document{
			Dimensions: []string{"Service", "Route"},
			Units:      map[string]string{"Requests": "Count", "Errors": "Count", "Latency": "Milliseconds"},
			Metrics: map[string]emftest.Values{
				"Requests": {Sum: 4, Count: 1, Min: 4, Max: 4}, "Errors": {Count: 1}, "Latency": {Sum: 10, Count: 4, Min: 2, Max: 4},
			},
		}
		if diff := cmp.Diff(want, served, cmpopts.IgnoreUnexported(want), cmpopts.IgnoreFields(want, "Namespace", "Timestamp")); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		failed := find(t, documents, map[string]any{"Route": "/tasks", "Status": "5xx"}).Metrics
		if failed["Requests"].Sum != 1 || failed["Errors"].Sum != 1 || failed["Latency"].Max != 9000 {
			t.Errorf("got %+v", failed)
		}
		if lost := find(t, documents, map[string]any{"Route": "-", "Status": "4xx"}).Metrics; lost["Errors"].Sum != 0 || lost["Latency"].Min != 0.001 {
			t.Errorf("got %+v", lost)
		}
		gauge := find(t, documents, map[string]any{"DatabaseBusy": 3.0})
		if len(gauge.Dimensions) != 1 || gauge.Metrics["DatabaseBusy"].Sum != 3 {
			t.Errorf("got %+v", gauge)
		}

		time.Sleep(24 * time.Hour)
		m.Close()
		if wrote := out.take(); wrote != "" {
			t.Errorf("without requests it wrote %s", wrote)
		}
	})
}

// Each request is in exactly one report, the last ones too.
func TestEachRequestIsReportedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var out output
		m := New(Config{Namespace: "Todo", Service: "todo", Out: &out})
		requests, reports := 0, 0
		for range 250 { // a little more than four minutes
			m.Count("/tasks", 200, time.Millisecond)
			time.Sleep(time.Second)
		}
		m.Close()
		m.Count("/tasks", 200, time.Millisecond) // comes too late
		for _, d := range read(t, &out) {
			requests += int(d.Metrics["Requests"].Sum)
			reports++
		}
		if requests != 250 || reports != 5 {
			t.Errorf("%d requests in %d reports", requests, reports)
		}
	})
}

// A process that is not given the processor finds its timer late: the request that comes
// first reports what was before, under its own time.
func TestARequestReportsWhenTheTimerIsLate(t *testing.T) {
	var out output
	m := New(Config{Namespace: "Todo", Service: "todo", Out: &out})
	m.Count("/tasks", 200, time.Millisecond)
	m.timer.Stop()
	asleep := time.Now().Add(-time.Hour)
	m.current.began = asleep
	m.Count("/tasks", 200, time.Millisecond)
	m.Count("/tasks", 200, time.Millisecond)
	late := read(t, &out)
	if len(late) != 1 || late[0].Timestamp != asleep.UnixMilli() || late[0].Metrics["Requests"].Sum != 1 {
		t.Errorf("got %+v", late)
	}
	m.Close()
	if rest := read(t, &out); len(rest) != 1 || rest[0].Metrics["Requests"].Sum != 2 {
		t.Errorf("got %+v", rest)
	}
}

func TestAHistogramIsNearTheTruth(t *testing.T) {
	var h histogram
	for ms := 0.001; ms < 100_000; ms *= 1.01 {
		h.add(ms)
		i := bucket(ms)
		middle := smallest * math.Pow(growth, float64(i)-0.5)
		if ms > smallest && ms < 30_000 && math.Abs(middle-ms)/ms > 0.08 {
			t.Errorf("%v ms counts as %v", ms, middle)
		}
	}
	v := h.values()
	if len(v.Values) != buckets || len(v.Counts) != buckets {
		t.Errorf("%d values, %d counts", len(v.Values), len(v.Counts))
	}
	sum := 0
	for _, n := range v.Counts {
		sum += n
	}
	if sum != v.Count {
		t.Errorf("%d of %d are counted", sum, v.Count)
	}
}

func TestNilCountsNothing(*testing.T) {
	var m *Metrics
	m.Count("/", 200, time.Second)
	m.Close()
}

func BenchmarkCount(b *testing.B) {
	m := New(Config{Namespace: "Todo", Service: "todo", Out: &output{}})
	defer m.Close()
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			m.Count("/api/v1/tasks", 200, 1234*time.Microsecond)
		}
	})
}
