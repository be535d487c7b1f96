package report

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"example.com/todo/bench/load"
	"example.com/todo/bench/subject"
)

// maxImage is the size of the image of the walkthrough that this service re-does, in bytes.
const maxImage = 5_420_000

// Verdict is one target with what was measured against it.
type Verdict struct {
	What    string  `json:"what"`
	Against string  `json:"against,omitempty"` // the subject that the ratio is to
	Ours    string  `json:"ours"`
	Theirs  string  `json:"theirs,omitempty"`
	Got     float64 `json:"got"` // the ratio, or without another subject the value
	Wanted  string  `json:"wanted"`
	Passed  bool    `json:"passed"`
}

// a metric is what a target is about, as the medians have it.
type metric struct {
	name   string
	value  func(summary) float64
	format func(summary) string
}

var (
	rate = metric{"requests/s", func(s summary) float64 { return s.rate }, func(s summary) string { return fmt.Sprintf("%.0f", s.rate) }}
	p50  = metric{"p50", func(s summary) float64 { return float64(s.p50) }, func(s summary) string { return millis(s.p50) + " ms" }}
	p99  = metric{"p99", func(s summary) float64 { return float64(s.p99) }, func(s summary) string { return millis(s.p99) + " ms" }}
)

// a target wants a ratio of the service to another subject in one case.
type target struct {
	Case
	metric  metric
	against string
	theirs  string // the other subject's scenario, where it is not the same
	atLeast float64
	atMost  float64 // used when atLeast is 0
}

// limit is what the service must reach against the practical limit of one statement per request, [subject.FastHTTP], at one
// distance to the database with one number of connections. All are ratios: of p99 at most, of the rest at least.
type limit struct {
	distance    time.Duration
	connections int

	create, read, update float64
	pages                float64
	idempotent           float64 // to the other's plain creates, since only the service has these
	mix, mixP99          float64
}

const ms = time.Millisecond

var limits = []limit{
	{0 * ms, 64, 1.5, 1.5, 1.5, 0.8, 1, 1.3, 1},
	{0 * ms, 500, 3, 1.8, 2.5, 1, 2, 2.5, 0.8},
	{1 * ms, 64, 2, 2, 2, 1, 1, 1.5, 1},
	{1 * ms, 500, 3, 3, 3, 1.5, 2, 2.5, 0.7},
	{5 * ms, 64, 2.5, 2.5, 2.5, 1.1, 1.5, 2.2, 0.8},
	{5 * ms, 500, 6, 6, 6, 2, 4, 5, 0.4},
}

func targets() []target {
	var all []target
	rates := func(against string, atLeast float64, connections int, distance time.Duration, scenarios ...string) {
		for _, scenario := range scenarios {
			c := Case{Scenario: scenario, Connections: connections, Distance: distance}
			all = append(all, target{Case: c, metric: rate, against: against, atLeast: atLeast})
		}
	}
	for _, l := range limits {
		for _, t := range []struct {
			scenario string
			atLeast  float64
		}{{load.Create, l.create}, {load.Read, l.read}, {load.Update, l.update}, {load.Pages, l.pages}} {
			rates(subject.FastHTTP, t.atLeast, l.connections, l.distance, t.scenario)
		}
		rates(subject.FastHTTP, l.idempotent, l.connections, l.distance, load.Idempotent)
		all[len(all)-1].theirs = load.Create
		rates(subject.FastHTTP, l.mix, l.connections, l.distance, load.Mix)
		c := Case{Scenario: load.Mix, Connections: l.connections, Distance: l.distance}
		all = append(all, target{Case: c, metric: p99, against: subject.FastHTTP, atMost: l.mixP99})
	}
	rates(subject.FastHTTP, 3, 500, 0, load.List)
	rates(subject.Gin, 5, 500, 0, load.List)
	rates(subject.Gin, 4, 500, 0, load.Create, load.Update)
	for _, distance := range []time.Duration{1 * ms, 5 * ms} {
		rates(subject.Gin, 2, 64, distance, load.List, load.Create, load.Update)
	}
	for _, scenario := range Alone {
		c := Case{Scenario: scenario, Connections: 1}
		all = append(all,
			target{Case: c, metric: p50, against: subject.Gin, atMost: 1},
			target{Case: c, metric: p50, against: subject.FastHTTP, atMost: 2})
	}
	return all
}

// Alone lists the scenarios that have targets with one connection.
var Alone = []string{load.List, load.Pages, load.Create, load.Update, load.Read}

// Judge holds what was measured against the targets, and says which were not measured.
func (r Report) Judge() (verdicts []Verdict, missing []string) {
	j := judge{report: r}
	for _, t := range targets() {
		j.ratio(t)
	}
	j.programs()
	return j.verdicts, j.missing
}

// programs judges what does not belong to a case.
func (j *judge) programs() {
	r := j.report
	// Errors of the others would make the comparison worthless.
	for _, name := range []string{subject.Service, subject.Gin, subject.FastHTTP} {
		errors := r.errors(name)
		j.add(Verdict{What: "errors of " + name + ", all runs", Ours: fmt.Sprint(errors), Got: float64(errors), Wanted: "0", Passed: errors == 0})
	}
	j.program("peak memory", subject.FastHTTP, 1, r.peak, func(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) })
	j.program("exec to first 200", subject.Gin, 0.7, r.start, func(v float64) string { return millis(time.Duration(v)) + " ms" })
	j.image()
}

type judge struct {
	report   Report
	verdicts []Verdict
	missing  []string
}

func (j *judge) add(v Verdict) { j.verdicts = append(j.verdicts, v) }

func (j *judge) ratio(t target) {
	if v, ok := j.report.judge(t); ok {
		j.add(v)
	} else {
		j.missing = append(j.missing, v.What+" against "+v.Against)
	}
}

// judge holds the medians against a target; false when they were not measured.
func (r Report) judge(t target) (v Verdict, ok bool) {
	v = Verdict{What: fmt.Sprintf("%s, %s", t.Case, t.metric.name), Against: t.against, Wanted: t.wanted()}
	other := t.Case
	if t.theirs != "" {
		other.Scenario = t.theirs
		v.Against += ", " + t.theirs
	}
	ours, haveOurs := r.summary(subject.Service, t.Case)
	theirs, haveTheirs := r.summary(t.against, other)
	// A median of nothing is no measurement: then all answers were errors.
	if !haveOurs || !haveTheirs || t.metric.value(ours) == 0 || t.metric.value(theirs) == 0 {
		return v, false
	}
	v.Ours, v.Theirs = t.metric.format(ours), t.metric.format(theirs)
	v.Got = t.metric.value(ours) / t.metric.value(theirs)
	v.Passed = v.Got <= t.atMost
	if t.atLeast > 0 {
		v.Passed = v.Got >= t.atLeast
	}
	return v, true
}

func (t target) wanted() string {
	if t.atLeast > 0 {
		return fmt.Sprintf(">= %g ×", t.atLeast)
	}
	return fmt.Sprintf("<= %g ×", t.atMost)
}

// program compares what does not belong to a case, and is 0 when it was not measured.
func (j *judge) program(what, against string, atMost float64, value func(subject string) float64, format func(float64) string) {
	ours, theirs := value(subject.Service), value(against)
	if ours == 0 || theirs == 0 {
		j.missing = append(j.missing, what+" against "+against)
		return
	}
	j.add(Verdict{
		What: what, Against: against, Ours: format(ours), Theirs: format(theirs),
		Got: ours / theirs, Wanted: fmt.Sprintf("<= %g ×", atMost), Passed: ours/theirs <= atMost,
	})
}

func (j *judge) image() {
	for _, s := range j.report.Sizes {
		if s.Subject == subject.Service {
			j.add(Verdict{
				What: "compressed image", Ours: megabytes(s.Image), Got: float64(s.Image),
				Wanted: "<= " + megabytes(maxImage), Passed: s.Image <= maxImage,
			})
		}
	}
}

// errors of all runs of a subject.
func (r Report) errors(name string) (n int) {
	for _, run := range r.Runs {
		if run.Subject == name {
			n += run.Failed()
		}
	}
	return n
}

// peak is the largest of a subject's medians of peak memory, in bytes.
func (r Report) peak(name string) float64 {
	var most int64
	for _, c := range r.cases() {
		s, _ := r.summary(name, c)
		most = max(most, s.peak)
	}
	return float64(most)
}

// start is the median of a subject's starts, in nanoseconds.
func (r Report) start(name string) float64 {
	var launches []Launch
	for _, l := range r.Launches {
		if l.Subject == name {
			launches = append(launches, l)
		}
	}
	if len(launches) == 0 {
		return 0
	}
	return float64(median(launches, func(l Launch) time.Duration { return l.Took }))
}

// PrintTargets writes the verdicts as text, and says how many of them are a miss.
func (r Report) PrintTargets(out io.Writer) (missed int, err error) {
	verdicts, missing := r.Judge()
	fmt.Fprintln(out, "\ntargets: medians of the service against those of another subject")
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "  target\tagainst\tmeasured\tother\tratio\twanted\tverdict")
	for _, v := range verdicts {
		if !v.Passed {
			missed++
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.What, dash(v.Against), v.Ours, dash(v.Theirs), v.ratio(), v.Wanted, v.verdict())
	}
	if err := w.Flush(); err != nil {
		return missed, err
	}
	_, err = fmt.Fprintf(out, "%d of %d passed, %d not measured\n", len(verdicts)-missed, len(verdicts), len(missing))
	return missed, err
}

// ratio is a dash when there is no other subject.
func (v Verdict) ratio() string {
	if v.Theirs == "" {
		return "-"
	}
	return fmt.Sprintf("%.2f", v.Got)
}

func (v Verdict) verdict() string {
	if v.Passed {
		return "pass"
	}
	return "MISS"
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
