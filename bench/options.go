package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/todo/bench/load"
	"example.com/todo/bench/subject"
)

type options struct {
	service          string // folder
	rounds, starts   int
	tasks            int
	warmup, duration time.Duration
	blocks           []block
	subjects         []string
	gate             bool
	json, markdown   string // files, when not empty
	profile          string // file, when not empty
}

func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{blocks: standard, subjects: subject.Names()}
	chosen := block{scenarios: load.Names(), connections: []int{1, 64, 500}, distances: allDistances, processors: all, subjects: subject.Names()}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.service, "service", "", "the `folder` of the service's source; the repository's own when empty")
	flags.IntVar(&o.rounds, "rounds", 3, "how many `times` everything is run")
	flags.IntVar(&o.starts, "starts", 21, "how many `times` each program is started to measure that")
	flags.IntVar(&o.tasks, "tasks", 100_000, "how many `tasks` there are when a run begins")
	flags.DurationVar(&o.warmup, "warmup", time.Second, "how long a run takes before it counts")
	flags.DurationVar(&o.duration, "duration", 3*time.Second, "how long a run counts")
	const combined = "; with any of -scenarios, -connections, -distances and -processors, all their combinations are run, instead of what has targets"
	flags.Var(&names{&chosen.scenarios, load.Names()}, "scenarios", "what is asked for"+combined)
	flags.Var((*numbers)(&chosen.connections), "connections", "with how many connections")
	flags.Var((*milliseconds)(&chosen.distances), "distances", "with how many milliseconds of round trip added between the programs and the database")
	flags.Var((*processors)(&chosen.processors), "processors", "on how many processors the programs run: numbers, or all")
	flags.Var(&names{&o.subjects, subject.Names()}, "subjects", "which programs are measured")
	look := flags.Bool("quick", false, "a look of two minutes: few cases, short runs, without -gate; what else is given still counts")
	flags.BoolVar(&o.gate, "gate", true, "fail when a target is missed")
	flags.StringVar(&o.json, "json", "", "also write everything to this `file`")
	flags.StringVar(&o.markdown, "markdown", "", "also write the medians and the targets as tables to this `file`")
	flags.StringVar(&o.profile, "profile", "", "measure nothing, but write a CPU profile of the service under this load to this `file`")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	given := map[string]bool{}
	flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if *look {
		o.blocks = quick
		for name, value := range map[string]string{"starts": "5", "warmup": "500ms", "duration": "2s", "gate": "false"} {
			if !given[name] {
				if err := flags.Set(name, value); err != nil {
					return options{}, err
				}
			}
		}
	}
	if given["scenarios"] || given["connections"] || given["distances"] || given["processors"] {
		if !given["subjects"] {
			chosen.subjects = compared
		}
		o.blocks = []block{chosen}
	}
	switch {
	case flags.NArg() > 0:
		return options{}, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.rounds < 1 || o.starts < 1 || o.tasks < 1 || o.warmup < 0 || o.duration <= 0:
		return options{}, errors.New("-rounds, -starts, -tasks and -duration must be positive, and -warmup must not be negative")
	case len(plan(o.blocks, o.subjects, 1)) == 0:
		return options{}, fmt.Errorf("nothing is planned for %s: choose cases too, by -scenarios, for example", strings.Join(o.subjects, ","))
	}
	return o, nil
}

// numbers is a flag of comma-separated numbers.
type numbers []int

func (n *numbers) String() string { return strings.Trim(fmt.Sprint([]int(*n)), "[]") }

func (n *numbers) Set(s string) error {
	*n = nil
	for field := range strings.SplitSeq(s, ",") {
		one, err := strconv.Atoi(field)
		if err != nil || one < 1 {
			return errors.New("must be comma-separated numbers of at least 1")
		}
		*n = append(*n, one)
	}
	return nil
}

// milliseconds is a flag of comma-separated whole milliseconds.
type milliseconds []time.Duration

func (m *milliseconds) String() string {
	var all []string
	for _, d := range *m {
		all = append(all, fmt.Sprint(d.Milliseconds()))
	}
	return strings.Join(all, " ")
}

func (m *milliseconds) Set(s string) error {
	*m = nil
	for field := range strings.SplitSeq(s, ",") {
		one, err := strconv.Atoi(field)
		if err != nil || one < 0 || one > 1000 {
			return errors.New("must be comma-separated numbers from 0 to 1000")
		}
		*m = append(*m, time.Duration(one)*ms)
	}
	return nil
}

// processors is a flag of comma-separated numbers, or "all".
type processors []int

func (p *processors) String() string {
	return strings.ReplaceAll((*numbers)(p).String(), strconv.Itoa(subject.AllProcessors), everyProcessor)
}

const everyProcessor = "all"

func (p *processors) Set(s string) error {
	*p = nil
	for field := range strings.SplitSeq(s, ",") {
		one, err := strconv.Atoi(field)
		switch {
		case field == everyProcessor:
			one = subject.AllProcessors
		case err != nil || one < 1 || one > runtime.NumCPU():
			return fmt.Errorf("must be comma-separated numbers from 1 to %d, or %s", runtime.NumCPU(), everyProcessor)
		}
		*p = append(*p, one)
	}
	return nil
}

// names is a flag of comma-separated names.
type names struct {
	chosen  *[]string
	allowed []string
}

func (n *names) String() string {
	if n.chosen == nil { // of the zero value that package flag compares with
		return ""
	}
	return strings.Join(*n.chosen, ",")
}

func (n *names) Set(s string) error {
	*n.chosen = strings.Split(s, ",")
	for _, name := range *n.chosen {
		if !slices.Contains(n.allowed, name) {
			return fmt.Errorf("must be some of %s", strings.Join(n.allowed, ","))
		}
	}
	return nil
}
