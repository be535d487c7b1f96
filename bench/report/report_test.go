package report_test

import (
	"bytes"
	"encoding/json"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/todo/bench/load"
	"example.com/todo/bench/report"
	"example.com/todo/bench/subject"
)

// reached is a report that just reaches every target.
func reached() report.Report {
	var r report.Report
	add := func(name, scenario string, connections int, rate float64, p50, p99 time.Duration, peak int64) {
		for round, factor := range []float64{0.5, 1, 7} { // the median is the one that counts
			run := report.Run{
				Round: round + 1, Subject: name, Case: report.Case{Scenario: scenario, Connections: connections},
				Rate: rate * factor, PeakMemory: int64(float64(peak) * factor),
			}
			run.Latencies = load.Latencies{P50: time.Duration(float64(p50) * factor), P99: time.Duration(float64(p99) * factor)}
			r.Runs = append(r.Runs, run)
		}
	}
	gin := map[string]float64{load.List: 6, load.Create: 8, load.Update: 7, load.Read: 1}
	fast := map[string]float64{load.List: 3, load.Create: 3.5, load.Update: 2.5, load.Read: 1}
	for _, scenario := range load.Names() {
		const rate = 42_000
		add(subject.Service, scenario, 500, rate, time.Millisecond, 10*time.Millisecond, 40<<20)
		add(subject.Gin, scenario, 500, rate/gin[scenario], time.Millisecond, 100*time.Millisecond, 60<<20)
		add(subject.FastHTTP, scenario, 500, rate/fast[scenario], time.Millisecond, 20*time.Millisecond, 40<<20)
		add(subject.Service, scenario, 64, 1200, time.Millisecond, time.Millisecond, 20<<20)
		add(subject.FastHTTP, scenario, 64, 1000, time.Millisecond, time.Millisecond, 20<<20)
		add(subject.Service, scenario, 1, 1000, 115*time.Microsecond, time.Millisecond, 10<<20)
		add(subject.FastHTTP, scenario, 1, 1000, 100*time.Microsecond, time.Millisecond, 10<<20)
	}
	for _, name := range []string{subject.Service, subject.FastHTTP} {
		for _, took := range []time.Duration{9, 5, 6} {
			r.Launches = append(r.Launches, report.Launch{Subject: name, Took: took * time.Millisecond})
		}
	}
	r.Sizes = []report.Size{{Subject: subject.Gin, Image: 9_000_000}, {Subject: subject.Service, Image: 5_420_000}}
	return r
}

func missed(r report.Report) (names []string) {
	verdicts, _ := r.Judge()
	for _, v := range verdicts {
		if !v.Passed {
			names = append(names, v.What+" "+v.Against)
		}
	}
	return names
}

func TestTargetsJustReached(t *testing.T) {
	verdicts, missing := reached().Judge()
	if len(verdicts) != 12+4+4+3+3 || len(missing) != 0 {
		t.Errorf("%d verdicts, missing %v", len(verdicts), missing)
	}
	if names := missed(reached()); names != nil {
		t.Errorf("missed %v", names)
	}
}

// Each way of falling short is a miss of just what it is about.
func TestTargetsJustMissed(t *testing.T) {
	runs := func(name, scenario string, connections int, change func(*report.Run)) func(*report.Report) {
		return func(r *report.Report) {
			for i := range r.Runs {
				if r.Runs[i].Subject == name && r.Runs[i].Case == (report.Case{Scenario: scenario, Connections: connections}) {
					change(&r.Runs[i])
				}
			}
		}
	}
	slower := func(r *report.Run) { r.Rate *= 0.999 }
	later := func(r *report.Run) { r.Latencies.P99 = r.Latencies.P99 * 1001 / 1000 }
	later50 := func(r *report.Run) { r.Latencies.P50 = r.Latencies.P50 * 1001 / 1000 }
	fail := func(r *report.Run) { r.Errors = map[string]int{"status 503": 1} }
	for _, tc := range []struct {
		name   string
		change func(*report.Report)
		want   []string
	}{
		{"rate", runs(subject.Service, load.Create, 500, slower), []string{"create, 500 connections, requests/s gin+gorm", "create, 500 connections, requests/s fasthttp+pgx"}},
		{"rate against one", runs(subject.Gin, load.List, 500, func(r *report.Run) { r.Rate *= 1.001 }), []string{"list, 500 connections, requests/s gin+gorm"}},
		{"p99", runs(subject.Service, load.Update, 500, later), []string{"update, 500 connections, p99 gin+gorm", "update, 500 connections, p99 fasthttp+pgx"}},
		{"read without target", runs(subject.Service, load.Read, 500, slower), nil},
		{"64", runs(subject.Service, load.Read, 64, slower), []string{"read, 64 connections, requests/s fasthttp+pgx"}},
		{"1", runs(subject.Service, load.List, 1, later50), []string{"list, 1 connection, p50 fasthttp+pgx"}},
		{"errors", runs(subject.Service, load.Read, 1, fail), []string{"errors of service, all runs "}},
		{"errors of another", runs(subject.FastHTTP, load.Read, 500, fail), []string{"errors of fasthttp+pgx, all runs "}},
		{"memory", runs(subject.Service, load.Read, 500, func(r *report.Run) { r.PeakMemory += 1 << 20 }), []string{"peak memory fasthttp+pgx"}},
		{"start", func(r *report.Report) { r.Launches[2].Took += time.Millisecond }, []string{"exec to first 200 fasthttp+pgx"}},
		{"image", func(r *report.Report) { r.Sizes[1].Image++ }, []string{"compressed image "}},
	} {
		r := reached()
		tc.change(&r)
		if got := missed(r); !slices.Equal(got, tc.want) {
			t.Errorf("%s: missed %q, not %q", tc.name, got, tc.want)
		}
	}
}

// What was not measured is neither a pass nor a miss, and said.
func TestTargetsNotMeasured(t *testing.T) {
	verdicts, missing := report.Report{}.Judge()
	if len(missing) != 12+4+4+2 || len(verdicts) != 3 {
		t.Errorf("%d verdicts, missing %q", len(verdicts), missing)
	}
	dead := reached()
	for i := range dead.Runs {
		if dead.Runs[i].Subject == subject.FastHTTP {
			dead.Runs[i].Rate, dead.Runs[i].Latencies = 0, load.Latencies{}
		}
	}
	if _, missing := dead.Judge(); len(missing) != 6+4+4 {
		t.Errorf("against one that answers nothing, missing %q", missing)
	}
	dead.Verdicts, _ = dead.Judge()
	if _, err := json.Marshal(dead); err != nil {
		t.Error(err)
	}
}

func TestText(t *testing.T) {
	r := reached()
	r.Sizes[1].Image++
	var out bytes.Buffer
	if err := r.Print(&out); err != nil {
		t.Fatal(err)
	}
	n, err := r.PrintTargets(&out)
	if err != nil || n != 1 {
		t.Errorf("%d missed, %v", n, err)
	}
	text := regexp.MustCompile(` +`).ReplaceAllString(out.String(), " ")
	for _, want := range []string{
		"\nlist, 500 connections\n", "\nlist, 1 connection\n",
		"\n service 42000 21000 294000 1.00 10.00 0 0.00 0.00 40.0 3.00\n",
		"\n create, 500 connections, requests/s gin+gorm 42000 5250 8.00 >= 8 × pass\n",
		"\n errors of service, all runs - 0 - - 0 pass\n",
		"\n compressed image - 5.42 MB - - <= 5.42 MB MISS\n",
		"\n25 of 26 passed, 0 not measured\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}
