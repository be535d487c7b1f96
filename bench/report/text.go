package report

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"example.com/todo/bench/subject"
)

// Print writes the medians as text.
func (r Report) Print(out io.Writer) error {
	for _, c := range r.cases() {
		fmt.Fprintf(out, "\n%s, %d connections\n", c.Scenario, c.Connections)
		w := tabwriter.NewWriter(out, 0, 0, 3, ' ', tabwriter.AlignRight)
		fmt.Fprintln(w, "\trequests/s\tslowest\tfastest\tp50 ms\tp99 ms\terrors\tCPU s\tload's CPU s\tpeak MiB\t×\t")
		base, _ := r.summary(subject.FastHTTP, c)
		for _, name := range subject.Names() {
			if s, ok := r.summary(name, c); ok {
				fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.0f\t%s\t%s\t%d\t%.2f\t%.2f\t%.1f\t%.2f\t\n", name, s.rate, s.slowest, s.fast,
					millis(s.p50), millis(s.p99), s.errors, s.cpu.Seconds(), s.other.Seconds(), float64(s.peak)/(1<<20), s.rate/base.rate)
			}
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func (r Report) cases() []Case {
	var cases []Case
	for _, run := range r.Runs {
		if !slices.Contains(cases, run.Case) {
			cases = append(cases, run.Case)
		}
	}
	return cases
}

func millis(d time.Duration) string { return fmt.Sprintf("%.2f", float64(d.Microseconds())/1000) }
