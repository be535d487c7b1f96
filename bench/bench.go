package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"slices"
	"time"

	"example.com/todo/bench/database"
	"example.com/todo/bench/distance"
	"example.com/todo/bench/load"
	"example.com/todo/bench/report"
	"example.com/todo/bench/subject"
)

// overhead is about what a run takes beside its load: the database is put back, a program started and stopped.
const overhead = 900 * time.Millisecond

// bench is one run of the command.
type bench struct {
	options
	out       io.Writer
	db        *database.Server
	proxies   []*distance.Proxy
	addresses map[time.Duration]string // of the database, by distance
	programs  map[string]subject.Subject
	ids       []string // of the tasks that every run begins with, the oldest first
	report    report.Report
}

// newBench starts the database and a proxy for each distance. Close it.
func newBench(ctx context.Context, o options, out io.Writer) (*bench, error) {
	db, err := database.Start(ctx, out)
	if err != nil {
		return nil, err
	}
	b := &bench{options: o, out: out, db: db, addresses: map[time.Duration]string{0: db.Addr()}}
	for _, block := range o.blocks {
		for _, d := range block.distances {
			if b.addresses[d] != "" {
				continue
			}
			proxy, err := distance.Start(db.Addr(), d)
			if err != nil {
				return nil, errors.Join(err, b.close())
			}
			b.proxies = append(b.proxies, proxy)
			b.addresses[d] = proxy.Addr
		}
	}
	return b, nil
}

func (b *bench) close() error {
	var err error
	for _, proxy := range b.proxies {
		err = errors.Join(err, proxy.Close())
	}
	return errors.Join(err, b.db.Close())
}

// prepare builds the subjects, makes the database, and makes sure that all that is compared does the same.
func (b *bench) prepare(ctx context.Context, source, dir string) (err error) {
	fmt.Fprintln(b.out, "building the subjects")
	if b.programs, err = subject.Build(ctx, b.service, source, dir); err != nil {
		return err
	}
	if err := b.fill(ctx, b.programs[subject.Service]); err != nil {
		return err
	}
	for _, name := range b.measured() {
		err := b.with(ctx, report.Run{Subject: name}, func(p *subject.Process) error { return subject.Conforms(ctx, p.Addr) })
		if err != nil {
			return fmt.Errorf("%s does not do what it must:\n%w", name, err)
		}
		size := report.Size{Subject: name}
		if size.Binary, size.Image, err = b.programs[name].Size(); err != nil {
			return err
		}
		b.report.Sizes = append(b.report.Sizes, size)
	}
	b.report.About, err = b.about(ctx)
	return err
}

// measured are the subjects that take part in the plan.
func (b *bench) measured() []string {
	runs := plan(b.blocks, b.subjects, 1)
	return slices.DeleteFunc(slices.Clone(b.subjects), func(name string) bool {
		return !slices.ContainsFunc(runs, func(r report.Run) bool { return r.Subject == name })
	})
}

// fill has the service make its schema, and puts in the tasks.
func (b *bench) fill(ctx context.Context, service subject.Subject) error {
	p, err := b.launch(ctx, service, report.Case{})
	if err != nil {
		return err
	}
	err = ready(ctx, p)
	p.Stop()
	if err != nil {
		return err
	}
	b.ids, err = b.db.Fill(ctx, b.tasks)
	return err
}

// launch starts a program under the conditions of a case.
func (b *bench) launch(ctx context.Context, s subject.Subject, c report.Case) (*subject.Process, error) {
	database, err := b.db.URL(b.addresses[c.Distance])
	if err != nil {
		return nil, err
	}
	return s.Launch(ctx, database, c.Processors)
}

// ready waits until the service has its schema.
func ready(ctx context.Context, p *subject.Process) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.Addr+"/readyz", nil)
	if err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return fmt.Errorf("make the schema: %w", err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("make the schema: GET /readyz answered %s", response.Status)
	}
	return nil
}

// with does something with a fresh process, under the conditions of a run, on the database as it is at first.
func (b *bench) with(ctx context.Context, r report.Run, do func(*subject.Process) error) error {
	if err := b.db.Reset(ctx); err != nil {
		return err
	}
	p, err := b.launch(ctx, b.programs[r.Subject], r.Case)
	if err != nil {
		return err
	}
	defer p.Stop()
	return do(p)
}

// measure runs everything.
func (b *bench) measure(ctx context.Context) error {
	runs := plan(b.blocks, b.subjects, b.rounds)
	left := time.Duration(len(runs)) * (b.warmup + b.duration + overhead)
	fmt.Fprintf(b.out, "%s\n%d runs, about %s\n", b.report.About, len(runs), left.Round(time.Second))
	for i, r := range runs {
		fmt.Fprintf(b.out, "%3d/%d  %-39s  %-18s  ", i+1, len(runs), r.Case, r.Subject)
		if err := b.run(ctx, &r); err != nil {
			fmt.Fprintln(b.out)
			return fmt.Errorf("measure %s in %s: %w", r.Subject, r.Case, err)
		}
		b.report.Runs = append(b.report.Runs, r)
		fmt.Fprintf(b.out, "%6.0f/s  p50 %-8s p99 %-8s %d errors", r.Rate, short(r.Latencies.P50), short(r.Latencies.P99), r.Failed())
		for what, count := range r.Errors {
			fmt.Fprintf(b.out, "  %d × %s", count, what)
		}
		fmt.Fprintln(b.out)
	}
	fmt.Fprintf(b.out, "starting each program %d times\n", b.starts)
	return b.launches(ctx)
}

func short(d time.Duration) time.Duration { return d.Round(10 * time.Microsecond) }

// run measures one subject in one case.
func (b *bench) run(ctx context.Context, r *report.Run) error {
	return b.with(ctx, *r, func(p *subject.Process) (err error) {
		var before, after time.Duration
		var beforeErr, afterErr error
		begin := func() {
			before, beforeErr = p.CPU()
			r.ProxyCPU = -load.CPU()
		}
		end := func() {
			after, afterErr = p.CPU()
			r.ProxyCPU += load.CPU()
		}
		if r.Measured, err = b.load(ctx, p, r.Case, begin, end); err != nil {
			return err
		}
		r.Rate = float64(r.Answers) / b.duration.Seconds()
		r.SubjectCPU = after - before
		if r.PeakMemory, err = p.PeakMemory(); err != nil {
			return err
		}
		stored, err := b.db.Titles(ctx, load.TitlePrefix)
		if lost := r.Written - stored; err == nil && lost > 0 {
			r.Errors["acknowledged and not stored"] += lost
		}
		return errors.Join(beforeErr, afterErr, err)
	})
}

// load sends the requests of one run.
func (b *bench) load(ctx context.Context, p *subject.Process, c report.Case, begin, end func()) (load.Measured, error) {
	program, err := os.Executable()
	if err != nil {
		return load.Measured{}, fmt.Errorf("find this program: %w", err)
	}
	return load.RunProcess(ctx, []string{program, loadCommand}, load.Config{
		Addr: p.Addr, Scenario: c.Scenario, Connections: c.Connections,
		Warmup: b.warmup, Duration: b.duration, IDs: b.ids,
	}, begin, end)
}

// launches measures how long the subjects take to start, in turn. None of them writes to the database.
func (b *bench) launches(ctx context.Context) error {
	for range b.starts {
		for _, name := range b.measured() {
			p, err := b.launch(ctx, b.programs[name], report.Case{})
			if err != nil {
				return err
			}
			b.report.Launches = append(b.report.Launches, report.Launch{Subject: name, Took: p.Start})
			p.Stop()
		}
	}
	return nil
}
