// Package report turns the runs of the benchmark into medians, ratios and verdicts.
package report

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"example.com/todo/bench/load"
	"example.com/todo/bench/subject"
)

// Case is what a subject is asked for, and under which conditions.
type Case struct {
	Scenario    string        `json:"scenario"`
	Connections int           `json:"connections"`
	Distance    time.Duration `json:"round_trip_ns"` // added to every exchange with the database
	Processors  int           `json:"processors"`    // of the subject; subject.AllProcessors or a number
}

func (c Case) String() string {
	s := fmt.Sprintf("%s, %s, %s", c.Scenario, count(c.Connections, "connection"), distance(c.Distance))
	if c.Processors != subject.AllProcessors {
		s += ", " + count(c.Processors, "processor")
	}
	return s
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

// distance is a round trip in whole milliseconds.
func distance(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// Distance is one distance to the database with the round trip that was really measured.
type Distance struct {
	Added    time.Duration `json:"added_ns"`
	Measured time.Duration `json:"measured_ns"` // median of a SELECT 1 on one connection
}

// Run is one run of one subject.
type Run struct {
	Round   int    `json:"round"`
	Subject string `json:"subject"`
	Case
	load.Measured
	Rate       float64       `json:"requests_per_second"`
	SubjectCPU time.Duration `json:"cpu_ns"`       // within the measured time
	ProxyCPU   time.Duration `json:"proxy_cpu_ns"` // of the process that has the proxy, within the measured time
	PeakMemory int64         `json:"peak_bytes"`   // resident, in bytes, since the program started
}

// Launch is one measured start of one subject.
type Launch struct {
	Subject string        `json:"subject"`
	Took    time.Duration `json:"took_ns"` // from exec to the first 200 on GET /
}

// Size is how large a subject is, in bytes.
type Size struct {
	Subject string `json:"subject"`
	Binary  int64  `json:"binary_bytes"`
	Image   int64  `json:"image_bytes"` // compressed, with the root certificates
}

// About says what was measured, on what.
type About struct {
	Time        time.Time     `json:"time"`
	Service     string        `json:"service"` // the commit of its source
	Processor   string        `json:"processor"`
	CPUs        int           `json:"cpus"`
	Load        string        `json:"load_average"` // when it began, which should be near zero
	System      string        `json:"system"`
	Go          string        `json:"go"`
	PostgreSQL  string        `json:"postgresql"`
	Rounds      int           `json:"rounds"`
	Warmup      time.Duration `json:"warmup_ns"`
	Duration    time.Duration `json:"duration_ns"`
	Tasks       int           `json:"tasks"`
	Connections int           `json:"database_connections"`
	Distances   []Distance    `json:"distances"`
}

// Report is everything that was measured.
type Report struct {
	About    About     `json:"about"`
	Runs     []Run     `json:"runs"`
	Launches []Launch  `json:"launches"`
	Sizes    []Size    `json:"sizes"`
	Verdicts []Verdict `json:"verdicts"`
}

// summary has the medians of all rounds of a subject in a case; its errors are all of them.
type summary struct {
	rate, slowest, fastest float64
	p50, p99               time.Duration
	cpu, loadCPU, proxyCPU time.Duration
	peak                   int64
	errors                 int
}

// summary is false when there was no such run.
func (r Report) summary(subject string, c Case) (s summary, ok bool) {
	var runs []Run
	for _, run := range r.Runs {
		if run.Subject == subject && run.Case == c {
			runs = append(runs, run)
			s.errors += run.Failed()
		}
	}
	if len(runs) == 0 {
		return s, false
	}
	rates := func(r Run) float64 { return r.Rate }
	s.rate = median(runs, rates)
	s.slowest = rates(slices.MinFunc(runs, byRate))
	s.fastest = rates(slices.MaxFunc(runs, byRate))
	s.p50 = median(runs, func(r Run) time.Duration { return r.Latencies.P50 })
	s.p99 = median(runs, func(r Run) time.Duration { return r.Latencies.P99 })
	s.cpu = median(runs, func(r Run) time.Duration { return r.SubjectCPU })
	s.loadCPU = median(runs, func(r Run) time.Duration { return r.CPU })
	s.proxyCPU = median(runs, func(r Run) time.Duration { return r.ProxyCPU })
	s.peak = median(runs, func(r Run) int64 { return r.PeakMemory })
	return s, true
}

func byRate(a, b Run) int { return cmp.Compare(a.Rate, b.Rate) }

// median gives the middle value, of an even number the lower of the two.
func median[T any, V cmp.Ordered](all []T, value func(T) V) V {
	values := make([]V, len(all))
	for i, one := range all {
		values[i] = value(one)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2]
}
