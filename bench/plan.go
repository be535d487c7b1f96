package main

import (
	"slices"
	"time"

	"example.com/todo/bench/load"
	"example.com/todo/bench/report"
	"example.com/todo/bench/subject"
)

// block is a part of a plan: all combinations of its values.
type block struct {
	scenarios   []string
	connections []int
	distances   []time.Duration
	processors  []int
	subjects    []string
}

const ms = time.Millisecond

var (
	allDistances = []time.Duration{0, 1 * ms, 5 * ms}
	all          = []int{subject.AllProcessors}
	compared     = []string{subject.Service, subject.Gin, subject.FastHTTP}
)

// standard is what the targets are about, and what the documents show beside them.
var standard = []block{
	{[]string{load.Create, load.Read, load.Update, load.Pages, load.Mix}, []int{64, 500}, allDistances, all, compared},
	{[]string{load.Idempotent}, []int{64, 500}, allDistances, all, []string{subject.Service}},
	{[]string{load.List}, []int{500}, []time.Duration{0}, all, compared},
	{[]string{load.List}, []int{64}, []time.Duration{1 * ms, 5 * ms}, all, compared},
	{report.Alone, []int{1}, []time.Duration{0}, all, compared},
	{[]string{load.Mix}, []int{64}, allDistances, []int{1}, compared},
	{[]string{load.Mix}, []int{500}, []time.Duration{0}, all, []string{subject.Unbounded}},
}

// quick is for daily use.
var quick = []block{
	{[]string{load.Create, load.Mix}, []int{64}, []time.Duration{0, 1 * ms}, all, []string{subject.Service, subject.FastHTTP}},
}

// plan lists the runs of the blocks. Within a case the subjects follow one another, in each round beginning with another
// one, so that what the machine does meanwhile meets them all.
func plan(blocks []block, subjects []string, rounds int) (runs []report.Run) {
	for round := range rounds {
		for _, b := range blocks {
			taking := slices.DeleteFunc(slices.Clone(subjects), func(name string) bool { return !slices.Contains(b.subjects, name) })
			for _, c := range b.cases() {
				for i := range taking {
					name := taking[(i+round)%len(taking)]
					runs = append(runs, report.Run{Round: round + 1, Subject: name, Case: c})
				}
			}
		}
	}
	return runs
}

func (b block) cases() (cases []report.Case) {
	for _, processors := range b.processors {
		for _, distance := range b.distances {
			for _, connections := range b.connections {
				for _, scenario := range b.scenarios {
					cases = append(cases, report.Case{
						Scenario: scenario, Connections: connections, Distance: distance, Processors: processors,
					})
				}
			}
		}
	}
	return cases
}
