package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/todo/bench/load"
	"example.com/todo/bench/report"
	"example.com/todo/bench/subject"
	"go.uber.org/goleak"
)

// liar is the name under which this test binary is a program that answers without doing anything.
const liar = "liar"

func TestMain(m *testing.M) {
	switch {
	case filepath.Base(os.Args[0]) == liar:
		lie()
	case len(os.Args) == 2 && os.Args[1] == loadCommand:
		main()
	default:
		// The race detector would let each process of the load sleep for a second before it ends.
		if err := os.Setenv("GORACE", "atexit_sleep_ms=0"); err != nil {
			panic(err)
		}
		goleak.VerifyTestMain(m)
	}
}

func lie() {
	err := http.ListenAndServe(net.JoinHostPort("127.0.0.1", os.Getenv("PORT")), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Title string }
		_ = json.NewDecoder(r.Body).Decode(&body) // GET / has none
		if r.Method == http.MethodPost {
			w.WriteHeader(http.StatusCreated)
		}
		fmt.Fprintf(w, `{"id":%q,"title":%q}`, filepath.Base(r.URL.Path), body.Title)
	}))
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

// All of it, shortly: whoever is measured does what it must, and everything is measured.
func TestEndToEnd(t *testing.T) {
	file, tables := filepath.Join(t.TempDir(), "report.json"), filepath.Join(t.TempDir(), "report.md")
	var out bytes.Buffer
	err := run(t.Context(), []string{
		"-rounds", "1", "-starts", "2", "-tasks", "1000", "-warmup", "50ms", "-duration", "500ms", "-connections", "1", "-distances", "0,1",
		"-subjects", strings.Join(subject.Names(), ","), "-gate=false", "-json", file, "-markdown", tables,
	}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	t.Logf("%s", &out)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var r report.Report
	if err := json.Unmarshal(content, &r); err != nil {
		t.Fatal(err)
	}

	seen := map[string]int{}
	for _, run := range r.Runs {
		seen[run.Subject]++
		if run.Answers == 0 || run.Rate <= 0 || run.Latencies.P50 <= run.Distance || run.CPU <= 0 || run.PeakMemory < 1<<20 || run.Failed() > 0 {
			t.Errorf("run %+v", run)
		}
		writes := run.Scenario != load.List && run.Scenario != load.Pages && run.Scenario != load.Read
		if writes != (run.Written > 0) {
			t.Errorf("%s wrote %d", run.Scenario, run.Written)
		}
	}
	for _, name := range subject.Names() {
		if want := 2 * len(load.Names()); seen[name] != want {
			t.Errorf("%d runs of %s, not %d", seen[name], name, want)
		}
		if !slices.ContainsFunc(r.Sizes, func(s report.Size) bool { return s.Subject == name && s.Binary > 1<<20 && s.Image > 1<<20 }) {
			t.Errorf("no size of %s: %v", name, r.Sizes)
		}
	}
	if len(r.Launches) != 2*len(subject.Names()) || slices.ContainsFunc(r.Launches, func(l report.Launch) bool { return l.Took <= 0 }) {
		t.Errorf("launches %v", r.Launches)
	}
	// Of the targets these are measured: p50 with one connection against two, errors, memory, start, image.
	if len(r.Verdicts) != 2*len(report.Alone)+3+3 {
		t.Errorf("verdicts %+v", r.Verdicts)
	}
	if r.About.PostgreSQL == "" || r.About.Rounds != 1 || r.About.Tasks != 1000 {
		t.Errorf("about %+v", r.About)
	}
	if d := r.About.Distances; len(d) != 2 || d[0].Added != 0 || d[0].Measured <= 0 || d[1].Added != time.Millisecond || d[1].Measured < d[1].Added {
		t.Errorf("distances %+v", d)
	}
	written, err := os.ReadFile(tables)
	if err != nil || bytes.Count(written, []byte("| 1 ms ")) != len(load.Names()) {
		t.Errorf("tables %s, %v", written, err)
	}
}

func TestGate(t *testing.T) {
	b := bench{options: options{gate: true}, out: io.Discard}
	if err := b.conclude(); err != nil {
		t.Errorf("without a miss: %v", err)
	}
	b.report.Sizes = []report.Size{{Subject: subject.Service, Image: 1 << 30}}
	if err := b.conclude(); err == nil || !strings.Contains(err.Error(), "1 targets missed") {
		t.Errorf("with a miss: %v", err)
	}
	b.gate = false
	if err := b.conclude(); err != nil {
		t.Errorf("with a miss that is allowed: %v", err)
	}
}

// Writes that were acknowledged are looked for.
func TestLiarIsFoundOut(t *testing.T) {
	o := options{tasks: 100, duration: 100 * time.Millisecond, blocks: []block{{distances: []time.Duration{time.Millisecond}}}}
	b, err := newBench(t.Context(), o, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.close(); err != nil {
			t.Error(err)
		}
	})
	root, err := repository(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if b.programs, err = subject.Build(t.Context(), filepath.Join(root, "service"), ".", dir); err != nil {
		t.Fatal(err)
	}
	if err := b.fill(t.Context(), b.programs[subject.Service]); err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(program, filepath.Join(dir, liar)); err != nil {
		t.Fatal(err)
	}
	b.programs[liar] = subject.Subject{Name: liar, Binary: filepath.Join(dir, liar)}
	for _, scenario := range []string{load.Create, load.Idempotent, load.Update} {
		r := report.Run{Subject: liar, Case: report.Case{Scenario: scenario, Connections: 2}}
		if err := b.run(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Answers == 0 || r.Errors["acknowledged and not stored"] != r.Written || r.Written == 0 {
			t.Errorf("%s: %+v", scenario, r)
		}
	}
	// The service itself passes, under all conditions of a case, and whenever the database has been put back.
	honest := report.Case{Scenario: load.Idempotent, Connections: 2, Distance: time.Millisecond, Processors: 1}
	for range 2 {
		r := report.Run{Subject: subject.Service, Case: honest}
		if err := b.run(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Answers == 0 || r.Failed() > 0 || r.Latencies.P50 < honest.Distance || r.ProxyCPU <= 0 {
			t.Errorf("%+v", r)
		}
	}
}

func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "default.pgo")
	var out bytes.Buffer
	err := run(t.Context(), []string{"-profile", file, "-tasks", "100", "-warmup", "0s", "-duration", "300ms", "-connections", "8"}, &out)
	if err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	zip, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	profile, err := io.ReadAll(zip)
	for _, function := range []string{"example.com/todo/service/httpapi", "example.com/todo/service/postgres"} {
		if err != nil || !bytes.Contains(profile, []byte(function)) {
			t.Errorf("nothing of %s in the profile, %v", function, err)
		}
	}
}

func TestOptions(t *testing.T) {
	parse := func(args ...string) options {
		t.Helper()
		o, err := parseOptions(args, io.Discard)
		if err != nil {
			t.Errorf("%q: %v", args, err)
		}
		return o
	}
	if o := parse("-quick", "-rounds", "2"); o.rounds != 2 || o.gate || o.duration != 2*time.Second || len(plan(o.blocks, o.subjects, 1)) != 2*2*2 {
		t.Errorf("quick: %+v", o)
	}
	if o := parse(); !o.gate || o.rounds < 3 || o.duration < 3*time.Second || o.tasks != 100_000 {
		t.Errorf("default: %+v", o)
	}
	o := parse("-scenarios", "list,read", "-distances", "0,20", "-processors", "all,1", "-connections", "7")
	runs := plan(o.blocks, o.subjects, 1)
	for _, scenario := range []string{load.List, load.Read} {
		for _, d := range []time.Duration{0, 20 * time.Millisecond} {
			for _, processors := range []int{subject.AllProcessors, 1} {
				for _, name := range []string{subject.Service, subject.Gin, subject.FastHTTP} {
					c := report.Case{Scenario: scenario, Connections: 7, Distance: d, Processors: processors}
					if !slices.ContainsFunc(runs, func(r report.Run) bool { return r.Subject == name && r.Case == c }) {
						t.Errorf("no run of %s in %s", name, c)
					}
				}
			}
		}
	}
	if len(runs) != 2*2*2*3 {
		t.Errorf("%d runs", len(runs))
	}
	if o := parse("-subjects", "service,gin+gorm unbounded", "-connections", "2", "-scenarios", "read", "-distances", "0"); len(plan(o.blocks, o.subjects, 1)) != 2 {
		t.Errorf("subjects: %+v", o)
	}
	for _, args := range [][]string{
		{"-scenarios", "delete"}, {"-subjects", "rails"}, {"-connections", "0"}, {"-connections", "many"},
		{"-rounds", "0"}, {"-duration", "0s"}, {"-warmup", "-1s"}, {"now"},
		{"-distances", "-1"}, {"-distances", "0.5"}, {"-distances", "far"}, {"-processors", "0"}, {"-processors", "some"}, {"-processors", "100000"},
		{"-tasks", "0"}, {"-quick", "-subjects", "gin+gorm unbounded"},
	} {
		if o, err := parseOptions(args, io.Discard); err == nil {
			t.Errorf("%q gave %+v", args, o)
		}
	}
}

// A whole run measures everything that has a target, well within forty minutes.
func TestPlanHasAllTargets(t *testing.T) {
	o, err := parseOptions(nil, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	runs := plan(o.blocks, o.subjects, o.rounds)
	if took := time.Duration(len(runs)) * (o.warmup + o.duration + overhead); took > 35*time.Minute {
		t.Errorf("%d runs take %v", len(runs), took)
	}
	r := report.Report{}
	for _, run := range runs {
		run.Rate, run.Latencies, run.PeakMemory = 1, load.Latencies{P50: 1, P99: 1}, 1
		r.Runs = append(r.Runs, run)
	}
	for _, name := range []string{subject.Service, subject.Gin} {
		r.Launches = append(r.Launches, report.Launch{Subject: name, Took: 1})
	}
	if _, missing := r.Judge(); len(missing) > 0 {
		t.Errorf("nothing measures %q", missing)
	}
	first := map[report.Case]map[string]bool{} // of the rounds
	for i, run := range runs {
		if i == 0 || runs[i-1].Case != run.Case {
			if first[run.Case] == nil {
				first[run.Case] = map[string]bool{}
			}
			first[run.Case][run.Subject] = true
		}
	}
	if c := (report.Case{Scenario: load.Mix, Connections: 64}); len(first[c]) != 3 {
		t.Errorf("in %s each round begins with one of %v", c, first[c])
	}
}

// Of the service the benchmark knows the binary, and how tests start PostgreSQL.
func TestImports(t *testing.T) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-deps", "./...")
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for dep := range strings.FieldsSeq(string(out)) {
		if strings.HasPrefix(dep, "example.com/todo/") && !strings.HasPrefix(dep, "example.com/todo/bench") {
			found = append(found, dep)
		}
	}
	if !slices.Equal(found, []string{"example.com/todo/service/postgres/postgrestest"}) {
		t.Errorf("it depends on %v", found)
	}
}
