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

	"example.com/todo/bench/database"
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
	file := filepath.Join(t.TempDir(), "report.json")
	var out bytes.Buffer
	err := run(t.Context(), []string{
		"-rounds", "1", "-starts", "2", "-warmup", "100ms", "-duration", "200ms", "-connections", "1,8", "-gate=false", "-json", file,
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
		if run.Answers == 0 || run.Rate <= 0 || run.Latencies.P50 <= 0 || run.CPU <= 0 || run.PeakMemory < 1<<20 || run.Failed() > 0 {
			t.Errorf("run %+v", run)
		}
		if writes := run.Scenario == load.Create || run.Scenario == load.Update; writes != (run.Written > 0) {
			t.Errorf("%s wrote %d", run.Scenario, run.Written)
		}
	}
	for _, name := range subject.Names() {
		want := 2 * len(load.Names())
		if name == subject.Unbounded {
			want /= 2 // only with the most connections
		}
		if seen[name] != want {
			t.Errorf("%d runs of %s, not %d", seen[name], name, want)
		}
		if !slices.ContainsFunc(r.Sizes, func(s report.Size) bool { return s.Subject == name && s.Binary > 1<<20 && s.Image > 1<<20 }) {
			t.Errorf("no size of %s: %v", name, r.Sizes)
		}
	}
	if len(r.Launches) != 2*len(subject.Names()) || slices.ContainsFunc(r.Launches, func(l report.Launch) bool { return l.Took <= 0 }) {
		t.Errorf("launches %v", r.Launches)
	}
	// Of the targets these are measured: p50 with one connection, errors, memory, start, image.
	if len(r.Verdicts) != len(load.Names())+3+3 {
		t.Errorf("verdicts %+v", r.Verdicts)
	}
	if r.About.PostgreSQL == "" || r.About.Rounds != 1 {
		t.Errorf("about %+v", r.About)
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
	db, err := database.Start(t.Context(), io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	b := &bench{options: options{duration: 100 * time.Millisecond}, out: io.Discard, db: db}
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
	for _, scenario := range []string{load.Create, load.Update} {
		r := report.Run{Subject: liar, Case: report.Case{Scenario: scenario, Connections: 2}}
		if err := b.run(t.Context(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Answers == 0 || r.Errors["acknowledged and not stored"] != r.Written || r.Written == 0 {
			t.Errorf("%s: %+v", scenario, r)
		}
	}
}

func TestProfile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "default.pgo")
	var out bytes.Buffer
	err := run(t.Context(), []string{"-profile", file, "-warmup", "0s", "-duration", "300ms", "-connections", "8"}, &out)
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
	o, err := parseOptions([]string{"-quick", "-rounds", "2", "-scenarios", "list,read"}, io.Discard)
	if err != nil || o.rounds != 2 || o.gate || o.duration != 2*time.Second || !slices.Equal(o.connections, []int{500}) || !slices.Equal(o.scenarios, []string{"list", "read"}) {
		t.Errorf("%+v, %v", o, err)
	}
	if o, err := parseOptions(nil, io.Discard); err != nil || !o.gate || o.rounds < 3 || o.duration < 8*time.Second || !slices.Equal(o.connections, []int{1, 64, 500}) {
		t.Errorf("%+v, %v", o, err)
	}
	for _, args := range [][]string{
		{"-scenarios", "delete"}, {"-subjects", "rails"}, {"-connections", "0"}, {"-connections", "many"},
		{"-rounds", "0"}, {"-duration", "0s"}, {"-warmup", "-1s"}, {"now"},
	} {
		if o, err := parseOptions(args, io.Discard); err == nil {
			t.Errorf("%q gave %+v", args, o)
		}
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
