// Package preflight tells before a deployment what would stop it half-way.
package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"example.com/todo/deploy/cloud"
	"example.com/todo/deploy/pulumi"
)

// An Outcome is how a check ended.
type Outcome string

// A check that is skipped could not be made, because one that it needs has failed.
const (
	Passed  Outcome = "ok"
	Noted   Outcome = "note"
	Failed  Outcome = "FAILED"
	Skipped Outcome = "skipped"
)

// A Result is what a check found. Remedy says what to do, unless it has passed.
type Result struct {
	Check          string
	Outcome        Outcome
	Detail, Remedy string
}

func (r Result) String() string {
	text := fmt.Sprintf("%-8s %-12s %s", r.Outcome, r.Check, strings.ReplaceAll(r.Detail, "\n", "\n"+indent))
	if r.Remedy != "" {
		text += "\n" + indent + "-> " + r.Remedy
	}
	return text
}

var indent = strings.Repeat(" ", 22)

// Run makes every check and reports each as it ends. Its error names those that failed.
func Run(ctx context.Context, stack pulumi.Stack, project string, report func(Result)) error {
	f := &flight{stack: stack, project: project}
	var failed []string
	down := map[string]bool{} // failed or skipped
	for _, c := range checks {
		r := Result{Check: c.name, Outcome: Skipped, Detail: "needs what failed above"}
		if !slices.ContainsFunc(c.needs, func(name string) bool { return down[name] }) {
			r = c.make(ctx, f)
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
		down[c.name] = r.Outcome == Failed || r.Outcome == Skipped
		if r.Outcome == Failed {
			failed = append(failed, c.name)
		}
		report(r)
	}
	if len(failed) > 0 {
		return fmt.Errorf("not ready to deploy %s: %s", stack.Name, strings.Join(failed, ", "))
	}
	return nil
}

// A flight is what the checks find out for one another.
type flight struct {
	stack   pulumi.Stack
	project string

	login   pulumi.Login
	outputs map[string]string // none before the first deployment
	config  map[string]string
	account *cloud.Account
}

// A check answers what it found. Its error is a *finding when it says what to do.
type check struct {
	name  string
	needs []string
	run   func(*flight, context.Context) (detail string, err error)
}

func (c check) make(ctx context.Context, f *flight) Result {
	detail, err := c.run(f, ctx)
	var found *finding
	switch {
	case err == nil:
		return Result{Check: c.name, Outcome: Passed, Detail: detail}
	case errors.As(err, &found):
		return Result{Check: c.name, Outcome: found.outcome, Detail: found.Error(), Remedy: found.remedy}
	default:
		return Result{Check: c.name, Outcome: Failed, Detail: err.Error()}
	}
}

// A finding is something that somebody should do something about.
type finding struct {
	outcome Outcome
	what    error
	remedy  string
}

func (f *finding) Error() string { return f.what.Error() }

func fails(what error, remedy string, args ...any) error {
	return &finding{Failed, what, fmt.Sprintf(remedy, args...)}
}

func notes(what error, remedy string, args ...any) error {
	return &finding{Noted, what, fmt.Sprintf(remedy, args...)}
}
