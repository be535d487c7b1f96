package report_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"example.com/todo/bench/load"
	"example.com/todo/bench/report"
	"example.com/todo/bench/subject"
)

// reached is a report that just reaches every target.
func reached() report.Report {
	var r report.Report
	add := func(name string, c report.Case, rate float64, p50, p99 time.Duration, peak int64) {
		for round, factor := range []float64{0.5, 1, 7} { // the median is the one that counts
			run := report.Run{Round: round + 1, Subject: name, Case: c, Rate: rate * factor, PeakMemory: int64(float64(peak) * factor)}
			run.Latencies = load.Latencies{P50: time.Duration(float64(p50) * factor), P99: time.Duration(float64(p99) * factor)}
			r.Runs = append(r.Runs, run)
		}
	}
	const (
		other = 1000 // requests/s of fasthttp+pgx
		ms    = time.Millisecond
	)
	for _, l := range []struct {
		distance                                             time.Duration
		connections                                          int
		create, read, update, pages, idempotent, mix, mixP99 float64
		ginList, ginCreate, ginUpdate                        float64 // what the service is to it; 0 without a target
		list                                                 float64
	}{
		{0, 64, 1.5, 1.5, 1.5, 0.8, 1, 1.3, 1, 0, 0, 0, 0},
		{0, 500, 3, 1.8, 2.5, 1, 2, 2.5, 0.8, 5, 4, 4, 3},
		{1 * ms, 64, 2, 2, 2, 1, 1, 1.5, 1, 2, 2, 2, 1},
		{1 * ms, 500, 3, 3, 3, 1.5, 2, 2.5, 0.7, 0, 0, 0, 0},
		{5 * ms, 64, 2.5, 2.5, 2.5, 1.1, 1.5, 2.2, 0.8, 2, 2, 2, 1},
		{5 * ms, 500, 6, 6, 6, 2, 4, 5, 0.4, 0, 0, 0, 0},
	} {
		for scenario, ratio := range map[string]float64{
			load.Create: l.create, load.Read: l.read, load.Update: l.update, load.Pages: l.pages, load.Idempotent: l.idempotent, load.Mix: l.mix,
			load.List: l.list,
		} {
			c := report.Case{Scenario: scenario, Connections: l.connections, Distance: l.distance}
			if ratio == 0 {
				continue
			}
			add(subject.Service, c, ratio*other, ms, time.Duration(l.mixP99*float64(100*ms)), 40<<20)
			if scenario != load.Idempotent {
				add(subject.FastHTTP, c, other, ms, 100*ms, 40<<20)
			}
			if gin := map[string]float64{load.List: l.ginList, load.Create: l.ginCreate, load.Update: l.ginUpdate}[scenario]; gin > 0 {
				add(subject.Gin, c, ratio*other/gin, ms, ms, 60<<20)
			}
		}
	}
	for _, scenario := range report.Alone {
		c := report.Case{Scenario: scenario, Connections: 1}
		add(subject.Service, c, other, 200*time.Microsecond, ms, 10<<20)
		add(subject.Gin, c, other, 200*time.Microsecond, ms, 10<<20)
		add(subject.FastHTTP, c, other, 100*time.Microsecond, ms, 10<<20)
	}
	one := report.Case{Scenario: load.Mix, Connections: 64, Processors: 1} // without a target
	add(subject.Service, one, 500, ms, ms, 10<<20)
	add(subject.FastHTTP, one, 1000, ms, ms, 10<<20)
	for name, factor := range map[string]time.Duration{subject.Service: 7, subject.Gin: 10} {
		for _, took := range []time.Duration{9, 5, 6} {
			r.Launches = append(r.Launches, report.Launch{Subject: name, Took: took * factor * time.Millisecond})
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

const (
	ratios   = 6*7 + 1 + 3 + 2*3 + 5*2
	programs = 3 + 3 // errors; memory, start, image
)

func TestTargetsJustReached(t *testing.T) {
	verdicts, missing := reached().Judge()
	if len(verdicts) != ratios+programs || len(missing) != 0 {
		t.Errorf("%d verdicts, missing %v", len(verdicts), missing)
	}
	if names := missed(reached()); names != nil {
		t.Errorf("missed %v", names)
	}
}

// Each way of falling short is a miss of just what it is about.
func TestTargetsJustMissed(t *testing.T) {
	const ms = time.Millisecond
	runs := func(name, scenario string, connections int, distance time.Duration, change func(*report.Run)) func(*report.Report) {
		return func(r *report.Report) {
			for i := range r.Runs {
				c := report.Case{Scenario: scenario, Connections: connections, Distance: distance}
				if r.Runs[i].Subject == name && r.Runs[i].Case == c {
					change(&r.Runs[i])
				}
			}
		}
	}
	slower := func(r *report.Run) { r.Rate *= 0.999 }
	faster := func(r *report.Run) { r.Rate *= 1.001 }
	later := func(r *report.Run) { r.Latencies.P99 = r.Latencies.P99 * 1001 / 1000 }
	later50 := func(r *report.Run) { r.Latencies.P50 = r.Latencies.P50 * 1001 / 1000 }
	fail := func(r *report.Run) { r.Errors = map[string]int{"status 503": 1} }
	larger := func(r *report.Run) { r.PeakMemory += 1 << 20 }
	for _, tc := range []struct {
		name   string
		change func(*report.Report)
		want   []string
	}{
		{"rate", runs(subject.Service, load.Create, 500, 0, slower), []string{
			"create, 500 connections, 0 ms, requests/s fasthttp+pgx", "create, 500 connections, 0 ms, requests/s gin+gorm",
		}},
		{"rate against one", runs(subject.Gin, load.List, 500, 0, faster), []string{"list, 500 connections, 0 ms, requests/s gin+gorm"}},
		{"lists that are alike", runs(subject.FastHTTP, load.List, 500, 0, faster), []string{"list, 500 connections, 0 ms, requests/s fasthttp+pgx"}},
		{"lists that differ", runs(subject.Service, load.Pages, 64, 5*ms, slower), []string{"pages, 64 connections, 5 ms, requests/s fasthttp+pgx"}},
		{"64 connections", runs(subject.Service, load.Read, 64, 0, slower), []string{"read, 64 connections, 0 ms, requests/s fasthttp+pgx"}},
		{"far away", runs(subject.Service, load.Update, 64, 5*ms, slower), []string{
			"update, 64 connections, 5 ms, requests/s fasthttp+pgx", "update, 64 connections, 5 ms, requests/s gin+gorm",
		}},
		{"idempotent", runs(subject.Service, load.Idempotent, 500, 1*ms, slower), []string{"idempotent, 500 connections, 1 ms, requests/s fasthttp+pgx, create"}},
		{"against plain creates", runs(subject.FastHTTP, load.Create, 64, 0, faster), []string{
			"create, 64 connections, 0 ms, requests/s fasthttp+pgx", "idempotent, 64 connections, 0 ms, requests/s fasthttp+pgx, create",
		}},
		{"mix", runs(subject.Service, load.Mix, 500, 5*ms, slower), []string{"mix, 500 connections, 5 ms, requests/s fasthttp+pgx"}},
		{"p99", runs(subject.Service, load.Mix, 500, 5*ms, later), []string{"mix, 500 connections, 5 ms, p99 fasthttp+pgx"}},
		{"p99 without target", runs(subject.Service, load.Update, 500, 0, later), nil},
		{"1", runs(subject.Service, load.List, 1, 0, later50), []string{"list, 1 connection, 0 ms, p50 gin+gorm", "list, 1 connection, 0 ms, p50 fasthttp+pgx"}},
		{"errors", runs(subject.Service, load.Read, 1, 0, fail), []string{"errors of service, all runs "}},
		{"errors of another", runs(subject.FastHTTP, load.Read, 500, 0, fail), []string{"errors of fasthttp+pgx, all runs "}},
		{"memory", runs(subject.Service, load.Read, 500, 0, larger), []string{"peak memory fasthttp+pgx"}},
		{"start", func(r *report.Report) {
			for i := range r.Launches {
				if r.Launches[i].Subject == subject.Service {
					r.Launches[i].Took += time.Millisecond
				}
			}
		}, []string{"exec to first 200 gin+gorm"}},
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
	if len(missing) != ratios+2 || len(verdicts) != 3 {
		t.Errorf("%d verdicts, missing %q", len(verdicts), missing)
	}
	dead := reached()
	for i := range dead.Runs {
		if dead.Runs[i].Subject == subject.FastHTTP {
			dead.Runs[i].Rate, dead.Runs[i].Latencies = 0, load.Latencies{}
		}
	}
	if _, missing := dead.Judge(); len(missing) != 6*7+1+5 {
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
	for line := range strings.Lines(out.String()) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 120 {
			t.Errorf("%d columns: %s", n, line)
		}
	}
	text := regexp.MustCompile(` +`).ReplaceAllString(out.String(), " ")
	for _, want := range []string{
		"\ncreate, 500 connections, 1 ms\n", "\nlist, 1 connection, 0 ms\n", "\nmix, 64 connections, 0 ms, 1 processor\n",
		"\n service 3000 1500 21000 1.00 80.00 0 0.00 0.00 0.00 40.0 3.00\n",
		"\n create, 500 connections, 0 ms, requests/s gin+gorm 3000 750 4.00 >= 4 × pass\n",
		"\n idempotent, 64 connections, 5 ms, requests/s fasthttp+pgx, create 1500 1000 1.50 >= 1.5 × pass\n",
		"\n errors of service, all runs - 0 - - 0 pass\n",
		"\n compressed image - 5.42 MB - - <= 5.42 MB MISS\n",
		fmt.Sprintf("\n%d of %d passed, 0 not measured\n", ratios+programs-1, ratios+programs),
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestMarkdown(t *testing.T) {
	r := reached()
	r.Runs[0].Errors = map[string]int{"status 503": 2}
	r.Runs = append(r.Runs, report.Run{Subject: subject.Unbounded, Case: report.Case{Scenario: load.List, Connections: 500}, Rate: 7})
	r.Runs = append(r.Runs, report.Run{Subject: subject.Service, Case: report.Case{Scenario: load.Read, Connections: 9}, Rate: 7})
	var out bytes.Buffer
	if err := r.Markdown(&out); err != nil {
		t.Fatal(err)
	}
	text := regexp.MustCompile(` +`).ReplaceAllString(out.String(), " ")
	for _, want := range []string{
		"| round trip | connections | requests | service | gin+gorm | fasthttp+pgx | ratio | target | verdict |\n",
		"| 0 ms | 500 | update, requests/s | 2500 | 625 | 1000 | 2.50 | >= 2.5 × | pass |\n",
		"| 0 ms | 500 | update, requests/s | 2500 | 625 | 1000 | 4.00 to gin+gorm | >= 4 × | pass |\n",
		"| 5 ms | 500 | mix, p99 | 40.00 ms | - | 100.00 ms | 0.40 | <= 0.4 × | pass |\n",
		"| 1 ms | 500 | idempotent, requests/s | 2000 | - | - | 2.00 to create | >= 2 × | pass |\n",
		"| 0 ms | 1 | read, p50 | 0.20 ms | 0.20 ms | 0.10 ms | 2.00 | <= 2 × | pass |\n",
		"| 0 ms | 64 | mix, requests/s, 1 processor | 500 | - | 1000 | 0.50 | - | - |\n",
		"| 0 ms | 9 | read, requests/s | 7 | - | - | - | - | - |\n",
		" | 3000 | 600 (unbounded 7) | 1000 | 3.00 | >= 3 × | pass |\n",
		" (2 errors) |",
		"| errors of service, all runs | - | 2 | - | - | 0 | MISS |\n",
		"| compressed image | - | 5.42 MB | - | - | <= 5.42 MB | pass |\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %q", want)
		}
	}
	if t.Failed() {
		t.Log(out.String())
	}
}
