package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"time"

	"example.com/todo/bench/database"
	"example.com/todo/bench/load"
	"example.com/todo/bench/report"
	"example.com/todo/bench/subject"
)

// bench is one run of the command.
type bench struct {
	options
	out      io.Writer
	programs map[string]subject.Subject
	db       *database.Server
	ids      []string
	report   report.Report
}

// prepare has the service make its schema, and fills it.
func (b *bench) prepare(ctx context.Context) error {
	p, err := b.programs[subject.Service].Launch(ctx, b.db.Origin())
	if err != nil {
		return err
	}
	response, err := http.Get("http://" + p.Addr + "/readyz")
	if err != nil {
		return err
	}
	response.Body.Close()
	p.Stop()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("make the schema: GET /readyz answered %s", response.Status)
	}
	b.ids, err = b.db.Fill(ctx)
	return err
}

// runAll runs every case with one subject after the other, in another order each time.
func (b *bench) runAll(ctx context.Context) error {
	for round := 1; round <= b.rounds; round++ {
		for _, scenario := range b.scenarios {
			for _, connections := range b.connections {
				for i := range b.subjects {
					name := b.subjects[(i+round)%len(b.subjects)]
					r, err := b.run(ctx, name, report.Case{Scenario: scenario, Connections: connections})
					if err != nil {
						return fmt.Errorf("%s of %s with %d connections: %w", scenario, name, connections, err)
					}
					r.Round = round
					b.report.Runs = append(b.report.Runs, r)
					fmt.Fprintf(b.out, "round %d, %s, %d connections, %s: %.0f requests/s %v\n", round, scenario, connections, name, r.Rate, r.Errors)
				}
			}
		}
	}
	return nil
}

// run measures a fresh process on a fresh database.
func (b *bench) run(ctx context.Context, name string, c report.Case) (report.Run, error) {
	r := report.Run{Subject: name, Case: c}
	dsn, err := b.db.Copy(ctx)
	if err != nil {
		return r, err
	}
	p, err := b.programs[name].Launch(ctx, dsn)
	if err != nil {
		return r, err
	}
	defer p.Stop()
	cfg := load.Config{
		Addr: p.Addr, Scenario: c.Scenario, Connections: c.Connections,
		Warmup: b.warmup, Duration: b.duration, IDs: b.ids,
	}
	var before, after time.Duration
	var beforeErr, afterErr error
	r.Measured, err = load.RunProcess(ctx, []string{os.Args[0], loadCommand}, cfg,
		func() { before, beforeErr = p.CPU() }, func() { after, afterErr = p.CPU() })
	if err != nil {
		return r, err
	}
	if beforeErr != nil || afterErr != nil {
		return r, fmt.Errorf("the CPU time: %w %w", beforeErr, afterErr)
	}
	r.SubjectCPU = after - before
	r.Rate = float64(r.Answers) / b.duration.Seconds()
	r.PeakMemory, err = p.PeakMemory()
	return r, err
}
