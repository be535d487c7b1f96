package verify

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"example.com/todo/deploy/cloud"
)

// Evidence is what App Runner wrote about a deployment.
type Evidence struct {
	Operation cloud.Operation
	// Events are App Runner's own lines, Application those of the service's instances.
	Events, Application []cloud.Line
	// Engine is what Pulumi printed. It is not told again.
	Engine []string
	// Unknown is what could not be read.
	Unknown []error
}

const (
	// slack is how far the clocks of those who write may be apart.
	slack = time.Second
	// lookBack is how long before an operation the instances of before are sure to have been asked for their health.
	lookBack = time.Minute
)

// shown is how many lines of each log a person is shown.
const shown = 30

// A witness has App Runner's records. *cloud.Account is one.
type witness interface {
	LastOperation(ctx context.Context, serviceARN string) (cloud.Operation, error)
	Log(ctx context.Context, group string, since time.Time) ([]cloud.Line, error)
}

// Gather reads what there is about the operation that came after another one of a service, which is empty for the first. What
// cannot be read is no reason to stop. Where there is none, App Runner has refused it, and there is nothing to read.
// https://docs.aws.amazon.com/apprunner/latest/dg/monitor-cwl.html
func Gather(ctx context.Context, of witness, serviceARN string, before cloud.Operation) Evidence {
	var e Evidence
	var err error
	note := func(err error) {
		if err != nil {
			e.Unknown = append(e.Unknown, err)
		}
	}
	e.Operation, err = of.LastOperation(ctx, serviceARN)
	note(err)
	if err == nil && before.Type != "" && e.Operation.Started.Equal(before.Started) {
		return Evidence{}
	}
	since := e.Operation.Started.Add(-slack)
	if e.Operation.Started.IsZero() {
		since = time.Now().Add(-time.Hour)
	}
	// The ARN ends in service/NAME/ID, and so do the names of the groups begin.
	_, name, _ := strings.Cut(serviceARN, ":service/")
	e.Events, err = of.Log(ctx, "/aws/apprunner/"+name+"/service", since)
	note(err)
	e.Application, err = of.Log(ctx, "/aws/apprunner/"+name+"/application", since.Add(-lookBack))
	note(err)
	e.Application = ofNewInstances(e.Application, since)
	return e
}

// ofNewInstances leaves out what instances say that were there before: their clients are not the health check, and what they
// say is not about a new version. Each instance has a stream of its own.
func ofNewInstances(lines []cloud.Line, since time.Time) []cloud.Line {
	old := map[string]bool{}
	for _, l := range lines {
		if l.At.Before(since) {
			old[l.Stream] = true
		}
	}
	return slices.DeleteFunc(slices.Clone(lines), func(l cloud.Line) bool { return old[l.Stream] })
}

// Tell writes the likely causes first and then what they were taken from.
func (e Evidence) Tell(out io.Writer) {
	for _, cause := range e.Causes() {
		fmt.Fprintf(out, "likely cause: %s\n", cause)
	}
	if e.Operation.Type != "" {
		fmt.Fprintf(out, "App Runner's last operation: %s %s\n", e.Operation.Type, e.Operation.Status)
	}
	tell(out, "what App Runner logged", e.Events)
	tell(out, "what the service logged", e.Application)
	for _, err := range e.Unknown {
		fmt.Fprintf(out, "not known: %v\n", err)
	}
}

func tell(out io.Writer, title string, lines []cloud.Line) {
	if len(lines) == 0 {
		fmt.Fprintf(out, "%s: nothing\n", title)
		return
	}
	fmt.Fprintf(out, "%s:\n", title)
	if skipped := len(lines) - shown; skipped > 0 {
		fmt.Fprintf(out, "  (%d lines before)\n", skipped)
		lines = lines[skipped:]
	}
	for _, l := range lines {
		fmt.Fprintf(out, "  %s %s\n", l.At.UTC().Format(time.RFC3339), l.Text)
	}
}
