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
	atLeast float64
	atMost  float64 // used when atLeast is 0
}

func targets() []target {
	var all []target
	for _, t := range []struct {
		scenario           string
		overGin, overLimit float64
	}{{load.List, 6, 3}, {load.Create, 8, 3.5}, {load.Update, 7, 2.5}} {
		c := Case{t.scenario, 500}
		all = append(all,
			target{Case: c, metric: rate, against: subject.Gin, atLeast: t.overGin},
			target{Case: c, metric: rate, against: subject.FastHTTP, atLeast: t.overLimit},
			target{Case: c, metric: p99, against: subject.Gin, atMost: 0.1},
			target{Case: c, metric: p99, against: subject.FastHTTP, atMost: 0.5},
		)
	}
	for _, scenario := range load.Names() {
		all = append(all, target{Case: Case{scenario, 64}, metric: rate, against: subject.FastHTTP, atLeast: 1.2})
	}
	for _, scenario := range load.Names() {
		all = append(all, target{Case: Case{scenario, 1}, metric: p50, against: subject.FastHTTP, atMost: 1.15})
	}
	return all
}

// Judge holds what was measured against the targets, and says which were not measured.
func (r Report) Judge() (verdicts []Verdict, missing []string) {
	j := judge{report: r}
	for _, t := range targets() {
		j.ratio(t)
	}
	// Errors of the others would make the comparison worthless.
	for _, name := range []string{subject.Service, subject.Gin, subject.FastHTTP} {
		errors := r.errors(name)
		j.add(Verdict{What: "errors of " + name + ", all runs", Ours: fmt.Sprint(errors), Got: float64(errors), Wanted: "0", Passed: errors == 0})
	}
	j.atMostTheirs("peak memory", r.peak, func(v float64) string { return fmt.Sprintf("%.1f MiB", v/(1<<20)) })
	j.atMostTheirs("exec to first 200", r.start, func(v float64) string { return millis(time.Duration(v)) + " ms" })
	j.image()
	return j.verdicts, j.missing
}

type judge struct {
	report   Report
	verdicts []Verdict
	missing  []string
}

func (j *judge) add(v Verdict) { j.verdicts = append(j.verdicts, v) }

func (j *judge) ratio(t target) {
	what := fmt.Sprintf("%s, %s", t.Case, t.metric.name)
	ours, ok := j.report.summary(subject.Service, t.Case)
	theirs, also := j.report.summary(t.against, t.Case)
	// A median of nothing is no measurement: then all answers were errors.
	if !ok || !also || t.metric.value(ours) == 0 || t.metric.value(theirs) == 0 {
		j.missing = append(j.missing, what+" against "+t.against)
		return
	}
	v := Verdict{
		What: what, Against: t.against, Ours: t.metric.format(ours), Theirs: t.metric.format(theirs),
		Got: t.metric.value(ours) / t.metric.value(theirs),
	}
	if t.atLeast > 0 {
		v.Wanted, v.Passed = fmt.Sprintf(">= %g ×", t.atLeast), v.Got >= t.atLeast
	} else {
		v.Wanted, v.Passed = fmt.Sprintf("<= %g ×", t.atMost), v.Got <= t.atMost
	}
	j.add(v)
}

// atMostTheirs compares what does not belong to a case, and is 0 when it was not measured.
func (j *judge) atMostTheirs(what string, value func(subject string) float64, format func(float64) string) {
	ours, theirs := value(subject.Service), value(subject.FastHTTP)
	if ours == 0 || theirs == 0 {
		j.missing = append(j.missing, what)
		return
	}
	j.add(Verdict{
		What: what, Against: subject.FastHTTP, Ours: format(ours), Theirs: format(theirs),
		Got: ours / theirs, Wanted: "<= 1 ×", Passed: ours <= theirs,
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
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "  target\tagainst\tmeasured\tother\tratio\twanted\tverdict")
	for _, v := range verdicts {
		verdict, ratio := "pass", "-"
		if !v.Passed {
			verdict = "MISS"
			missed++
		}
		if v.Theirs != "" {
			ratio = fmt.Sprintf("%.2f", v.Got)
		}
		fmt.Fprintf(w, "  %s\t%s\t%s\t%s\t%s\t%s\t%s\n", v.What, dash(v.Against), v.Ours, dash(v.Theirs), ratio, v.Wanted, verdict)
	}
	if err := w.Flush(); err != nil {
		return missed, err
	}
	_, err = fmt.Fprintf(out, "%d of %d passed, %d not measured\n", len(verdicts)-missed, len(verdicts), len(missing))
	return missed, err
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}
