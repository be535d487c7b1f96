package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
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
	warmup, duration time.Duration
	connections      []int
	scenarios        []string
	subjects         []string
	gate             bool
	json             string // file, when not empty
	profile          string // file, when not empty
}

// The targets are about these numbers of connections.
var allConnections = []int{1, 64, 500}

func parseOptions(args []string, out io.Writer) (options, error) {
	o := options{connections: allConnections, scenarios: load.Names(), subjects: subject.Names()}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.service, "service", "", "the `folder` of the service's source; the repository's own when empty")
	flags.IntVar(&o.rounds, "rounds", 3, "how many `times` everything is run")
	flags.IntVar(&o.starts, "starts", 21, "how many `times` each program is started to measure that")
	flags.DurationVar(&o.warmup, "warmup", 2*time.Second, "how long a run takes before it counts")
	flags.DurationVar(&o.duration, "duration", 8*time.Second, "how long a run counts")
	flags.Var((*numbers)(&o.connections), "connections", "with how many connections")
	flags.Var(&names{&o.scenarios, load.Names()}, "scenarios", "what is asked for")
	flags.Var(&names{&o.subjects, subject.Names()}, "subjects", "which programs are measured")
	quick := flags.Bool("quick", false, "a look rather than a measurement: one round of 2s at 500 connections, without -gate; what else is given still counts")
	flags.BoolVar(&o.gate, "gate", true, "fail when a target is missed")
	flags.StringVar(&o.json, "json", "", "also write everything to this `file`")
	flags.StringVar(&o.profile, "profile", "", "measure nothing, but write a CPU profile of the service under this load to this `file`")
	if err := flags.Parse(args); err != nil {
		return options{}, err
	}
	if *quick {
		given := map[string]bool{}
		flags.Visit(func(f *flag.Flag) { given[f.Name] = true })
		for name, value := range map[string]string{
			"rounds": "1", "starts": "5", "warmup": "1s", "duration": "2s", "connections": "500", "gate": "false",
		} {
			if !given[name] {
				if err := flags.Set(name, value); err != nil {
					return options{}, err
				}
			}
		}
	}
	switch {
	case flags.NArg() > 0:
		return options{}, fmt.Errorf("unknown argument %q", flags.Arg(0))
	case o.rounds < 1 || o.starts < 1 || o.warmup < 0 || o.duration <= 0:
		return options{}, errors.New("-rounds, -starts and -duration must be positive, and -warmup must not be negative")
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
