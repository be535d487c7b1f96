package report

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/todo/bench/load"
	"example.com/todo/bench/subject"
)

// Markdown writes the medians beside the targets as tables, for documents.
func (r Report) Markdown(out io.Writer) error {
	head := []string{"round trip", "connections", "requests", subject.Service, subject.Gin, subject.FastHTTP, "ratio", "target", "verdict"}
	if err := writeTable(out, head, 3, r.caseRows()); err != nil {
		return err
	}
	if _, err := fmt.Fprintln(out); err != nil {
		return err
	}
	j := judge{report: r}
	j.programs()
	var rows [][]string
	for _, v := range j.verdicts {
		rows = append(rows, []string{v.What, dash(v.Against), v.Ours, dash(v.Theirs), v.ratio(), v.Wanted, v.verdict()})
	}
	if err := writeTable(out, []string{"", "against", "measured", "other", "ratio", "target", "verdict"}, 2, rows); err != nil {
		return err
	}
	_, err := fmt.Fprintf(out, "\nRatios without a name are to %s. Measured %s:\n\n```\n%s\n```\n", subject.FastHTTP, r.About.Time.Format("2006-01-02"), r.About)
	return err
}

// caseRows has a row for each target that was measured, and one for each case without.
func (r Report) caseRows() (rows [][]string) {
	cases := r.cases()
	names := load.Names()
	slices.SortStableFunc(cases, func(a, b Case) int {
		return cmp.Or(
			cmp.Compare(a.Processors, b.Processors), cmp.Compare(a.Distance, b.Distance), cmp.Compare(a.Connections, b.Connections),
			cmp.Compare(slices.Index(names, a.Scenario), slices.Index(names, b.Scenario)))
	})
	for _, c := range cases {
		for _, m := range shown(c) {
			rows = append(rows, r.metricRows(c, m)...)
		}
	}
	return rows
}

// shown are the metrics of a case that documents show: one connection is about latency alone.
func shown(c Case) []metric {
	switch {
	case c.Connections == 1:
		return []metric{p50}
	case c.Scenario == load.Mix:
		return []metric{rate, p99}
	}
	return []metric{rate}
}

func (r Report) metricRows(c Case, m metric) (rows [][]string) {
	connections, requests := fmt.Sprint(c.Connections), c.Scenario+", "+m.name
	if c.Processors != subject.AllProcessors {
		requests += ", " + count(c.Processors, "processor")
	}
	row := func(ratio, wanted, verdict string) {
		rows = append(rows, []string{
			distance(c.Distance), connections, requests,
			r.cell(subject.Service, c, m), r.cell(subject.Gin, c, m), r.cell(subject.FastHTTP, c, m), ratio, wanted, verdict,
		})
	}
	for _, t := range targets() {
		if t.Case != c || t.metric.name != m.name {
			continue
		}
		v, ok := r.judge(t)
		if !ok {
			continue
		}
		ratio := v.ratio()
		switch {
		case t.theirs != "":
			ratio += " to " + t.theirs
		case t.against != subject.FastHTTP:
			ratio += " to " + t.against
		}
		row(ratio, v.Wanted, v.verdict())
	}
	if rows == nil {
		v, _ := r.judge(target{Case: c, metric: m, against: subject.FastHTTP})
		row(v.ratio(), "-", "-")
	}
	return rows
}

// cell is a subject's median, with what must not be overlooked.
func (r Report) cell(name string, c Case, m metric) string {
	s, ok := r.summary(name, c)
	if !ok {
		return "-"
	}
	text := m.format(s)
	if s.errors > 0 {
		text += fmt.Sprintf(" (%s)", count(s.errors, "error"))
	}
	if s, ok := r.summary(subject.Unbounded, c); ok && name == subject.Gin {
		text += fmt.Sprintf(" (unbounded %s)", m.format(s))
	}
	return text
}

// writeTable writes a table that can be read as it is. After the first columns, those of words, numbers are at the right.
func writeTable(out io.Writer, head []string, words int, rows [][]string) error {
	widths := slices.Repeat([]int{3}, len(head)) // the least that Markdown takes
	for _, row := range append([][]string{head}, rows...) {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var text strings.Builder
	write := func(row []string) {
		for i, cell := range row {
			padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
			if i < words {
				text.WriteString("| " + cell + padding + " ")
			} else {
				text.WriteString("| " + padding + cell + " ")
			}
		}
		text.WriteString("|\n")
	}
	write(head)
	for i, width := range widths {
		end := "-"
		if i >= words {
			end = ":"
		}
		text.WriteString("| " + strings.Repeat("-", width-1) + end + " ")
	}
	text.WriteString("|\n")
	for _, row := range rows {
		write(row)
	}
	_, err := io.WriteString(out, text.String())
	return err
}
