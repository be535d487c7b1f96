package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/todo/bench/subject"
)

// Print writes the medians as text, at most 120 columns wide.
func (r Report) Print(out io.Writer) error {
	fmt.Fprintf(out, "\nmedians; a ratio is that of requests/s to %s in the same case\n", subject.FastHTTP)
	for _, c := range r.cases() {
		fmt.Fprintf(out, "\n%s\n", c)
		w := columns(out)
		fmt.Fprintln(w, "\trequests/s\tslowest\tfastest\tp50 ms\tp99 ms\terrors\tCPU s\tload's\tproxy's\tpeak MiB\tratio\t")
		base, compared := r.summary(subject.FastHTTP, c)
		for _, name := range subject.Names() {
			s, ok := r.summary(name, c)
			if !ok {
				continue
			}
			relative := "-"
			if compared {
				relative = fmt.Sprintf("%.2f", s.rate/base.rate)
			}
			fmt.Fprintf(w, "  %s\t%.0f\t%.0f\t%.0f\t%s\t%s\t%d\t%.2f\t%.2f\t%.2f\t%.1f\t%s\t\n", name, s.rate, s.slowest, s.fastest,
				millis(s.p50), millis(s.p99), s.errors, s.cpu.Seconds(), s.loadCPU.Seconds(), s.proxyCPU.Seconds(),
				float64(s.peak)/(1<<20), relative)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	return r.printPrograms(out)
}

// printPrograms writes what does not depend on the load.
func (r Report) printPrograms(out io.Writer) error {
	fmt.Fprintln(out, "\nprograms")
	w := columns(out)
	fmt.Fprintln(w, "\tstart ms\tbinary MB\tcompressed image MB\t")
	for _, s := range r.Sizes {
		fmt.Fprintf(w, "  %s\t%s\t%.2f\t%.2f\t\n", s.Subject, millis(time.Duration(r.start(s.Subject))), float64(s.Binary)/1e6, float64(s.Image)/1e6)
	}
	return w.Flush()
}

func columns(out io.Writer) *tabwriter.Writer {
	return tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
}

// cases gives what was run, in that order.
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

func megabytes(n int64) string { return fmt.Sprintf("%.2f MB", float64(n)/1e6) }

// String is a paragraph about what is measured.
func (a About) String() string {
	return fmt.Sprintf(`service %s, %s, PostgreSQL %s with fsync
%d × %s, %s, load average %s
%d tasks, %d connections to the database; medians of %s, runs of %s after %s
%s`,
		a.Service, a.Go, a.PostgreSQL,
		a.CPUs, a.Processor, a.System, a.Load,
		a.Tasks, a.Connections, count(a.Rounds, "round"), a.Duration, a.Warmup, a.distances())
}

// distances is a line with the round trip that was measured at each distance.
func (a About) distances() string {
	var all []string
	for _, d := range a.Distances {
		all = append(all, fmt.Sprintf("%s ms with %s added", millis(d.Measured), distance(d.Added)))
	}
	return "median round trip of a SELECT 1: " + strings.Join(all, ", ")
}
