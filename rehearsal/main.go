// Command rehearsal deploys this repository's stacks without an AWS account: the real Pulumi engine runs the
// unchanged program against a simulated account, and what the account declares really runs on this machine.
package main

import (
	"bufio"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"time"

	"example.com/todo/infra/output"

	"example.com/todo/rehearsal/cost"
	"example.com/todo/rehearsal/engine"
	"example.com/todo/rehearsal/fault"
	"example.com/todo/rehearsal/stage"
)

const usage = `usage:
  go run ./rehearsal up      [--stack dev] [--once]   deploy, print the outputs, stay until Ctrl-C
                             [--fault FAULT]...       with faults of AWS's APIs, such as rds:CreateDBInstance=throttle*3
                             [--secret ARN=TEXT]...   with a secret that somebody has made before, such as the API's keys
  go run ./rehearsal preview [--stack dev]            show what a first deployment would make
  go run ./rehearsal cost    [--stack dev]            say what a month of it costs, by its plan
  go run ./rehearsal setup                            build what the others need, once, and compile the program`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdin, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) (err error) {
	if len(args) == 0 {
		return errors.New(usage)
	}
	flags := flag.NewFlagSet(args[0], flag.ContinueOnError)
	flags.SetOutput(out)
	name := flags.String("stack", "dev", "the `stack` to deploy; Pulumi.STACK.yaml configures it")
	once := flags.Bool("once", false, "take everything down as soon as the service has answered")
	var faults []fault.Fault
	flags.Func("fault", "what AWS does wrong: an `operation=error*times`, such as rds:CreateDBInstance=throttle*3", func(text string) error {
		f, err := fault.Parse(text)
		faults = append(faults, f)
		return err
	})
	secrets := map[string]string{}
	flags.Func("secret", "a secret that somebody has made before: its whole `ARN=text`", func(text string) error {
		arn, value, found := strings.Cut(text, "=")
		if !found {
			return errors.New("must be ARN=TEXT")
		}
		secrets[arn] = value
		return nil
	})
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unknown argument %q\n%s", flags.Arg(0), usage)
	}
	act := map[string]func(*session) error{
		"up":      func(s *session) error { return s.up(*once) },
		"preview": func(s *session) error { return s.stack.Preview(s.ctx, s.out) },
		"cost":    func(s *session) error { return s.cost() },
	}[args[0]]
	setup := args[0] == "setup"
	if act == nil && !setup {
		return fmt.Errorf("unknown command %q\n%s", args[0], usage)
	}

	here, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	root, err := stage.Root(here)
	if err != nil {
		return err
	}
	if setup {
		_, err := stage.Prepare(ctx, root, out)
		return err
	}
	opened, err := stage.Open(ctx, root, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, opened.Close()) }()
	stack, err := opened.Stack(ctx, *name)
	if err != nil {
		return err
	}
	for arn, text := range secrets {
		if err := opened.Host.Account.PutSecret(arn, text); err != nil {
			return err
		}
	}
	for _, f := range faults {
		opened.Faults.Inject(f)
	}
	return act(&session{ctx: ctx, in: in, out: out, stage: opened, stack: stack})
}

// A session is one run of a command.
type session struct {
	ctx   context.Context
	in    io.Reader
	out   io.Writer
	stage *stage.Stage
	stack *engine.Stack
}

// up deploys, deploys again whenever Enter is pressed, and does what else is typed, until it is interrupted.
func (s *session) up(once bool) error {
	told := s.stage.Faults.Pending() > 0
	if err := s.deploy(); once || err != nil && (!told || s.ctx.Err() != nil) {
		return err
	} else if err != nil {
		fmt.Fprintf(s.out, "%v\nAWS was told to fail. Enter tries again.\n", err)
	}
	fmt.Fprint(s.out, "\nEnter deploys again what has changed, help lists what else you may type; Ctrl-C takes everything down.\n")
	lines := make(chan string)
	go func() {
		for typed := bufio.NewScanner(s.in); typed.Scan(); {
			lines <- typed.Text()
		}
	}()
	for {
		select {
		case line := <-lines:
			if line != "" {
				s.obey(line)
				continue
			}
			// A mistake in what is being edited is the editor's to mend, not a reason to take the service down.
			if err := s.deploy(); err != nil && s.ctx.Err() == nil {
				fmt.Fprintf(s.out, "%v\nWhat ran before still runs. Enter tries again.\n", err)
			}
		case <-s.ctx.Done():
			fmt.Fprintln(s.out, "taking everything down")
			return nil
		}
	}
}

func (s *session) deploy() error {
	started := time.Now()
	fmt.Fprintf(s.out, "pulumi up of stack %s\n", s.stack.Name)
	if err := s.stack.Up(s.ctx, s.out); err != nil {
		return err
	}
	outputs, err := s.stack.Outputs(s.ctx)
	if err != nil {
		return err
	}
	if err := s.stage.Ready(s.ctx, outputs[output.URL]); err != nil {
		return err
	}
	fmt.Fprintf(s.out, "\nStack %s stands after %s; %s is ready.\n\n", s.stack.Name, time.Since(started).Round(time.Second), outputs[output.URL])
	for _, name := range slices.Sorted(maps.Keys(outputs)) {
		fmt.Fprintf(s.out, "  %-18s %s\n", name, outputs[name])
	}
	var made []cost.Resource
	var region string
	for _, r := range s.stage.Host.Account.Resources() {
		region = r.Region
		made = append(made, cost.Resource{Type: r.Token, ID: r.ID, Inputs: r.Inputs.Mappable()})
	}
	s.bill(region, made)
	ca, tasks := s.stage.Host.RootCertificates(), outputs[output.URL]+"/api/v1/tasks"
	fmt.Fprintf(s.out, "\nTry it:\n  curl --cacert %s %s -H 'Content-Type: application/json' -d '{\"title\":\"buy milk\"}'\n  curl --cacert %s %s\n", ca, tasks, ca, tasks)
	return nil
}

// cost estimates what the stack's plan would cost, without making anything.
func (s *session) cost() error {
	plan, err := s.stack.Plan(s.ctx)
	if err != nil {
		return err
	}
	var planned []cost.Resource
	var region string
	for _, step := range plan.Steps {
		if step.NewState == nil {
			continue
		}
		if step.Type() == "pulumi:providers:aws" {
			region, _ = step.NewState.Inputs["region"].(string)
		}
		planned = append(planned, cost.Resource{Type: step.Type(), Inputs: step.NewState.Inputs})
	}
	s.bill(region, planned)
	fmt.Fprintf(s.out, "\n%s\n", cost.Assumptions)
	return nil
}

// bill prints what resources cost in a month. A region without prices is no reason to fail.
func (s *session) bill(region string, resources []cost.Resource) {
	estimate, err := cost.Of(region, resources)
	if err != nil {
		fmt.Fprintf(s.out, "\n  no costs: %v\n", err)
		return
	}
	fmt.Fprintf(s.out, "\n%s", estimate)
}
