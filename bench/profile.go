package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"example.com/todo/bench/report"
	"example.com/todo/bench/subject"
)

// profileTimeout bounds the wait for a profile to be written.
const profileTimeout = 30 * time.Second

// recordProfile writes a profile of the service to the file. It is under each case for the same time, with the database at
// no distance and on all processors.
func (b *bench) recordProfile(ctx context.Context, dir string) error {
	var cases []report.Case
	for _, r := range plan(b.blocks, []string{subject.Service}, 1) {
		if r.Distance == 0 && r.Processors == subject.AllProcessors {
			cases = append(cases, r.Case)
		}
	}
	if len(cases) == 0 {
		return errors.New("record a profile: no case is chosen at 0 ms and on all processors")
	}
	made := filepath.Join(dir, "cpu.pprof")
	service, err := subject.BuildProfiled(ctx, b.service, dir, made)
	if err != nil {
		return err
	}
	b.programs = map[string]subject.Subject{subject.Service: service}
	if err := b.fill(ctx, service); err != nil {
		return err
	}
	return b.with(ctx, report.Run{Subject: subject.Service}, func(p *subject.Process) error {
		for _, c := range cases {
			fmt.Fprintf(b.out, "profile of %s, %s\n", c, b.duration)
			seen, err := b.load(ctx, p, c, func() {}, func() {})
			if err != nil {
				return err
			}
			if seen.Failed() > 0 {
				return fmt.Errorf("the service under profile: %v", seen.Errors)
			}
		}
		if err := p.EndProfile(); err != nil {
			return err
		}
		profile, err := await(ctx, made)
		if err != nil {
			return fmt.Errorf("record a profile: %w", err)
		}
		return os.WriteFile(b.profile, profile, 0o644)
	})
}

// await reads a file as soon as it is there.
func await(ctx context.Context, file string) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, profileTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		content, err := os.ReadFile(file)
		if !errors.Is(err, fs.ErrNotExist) {
			return content, err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return nil, fmt.Errorf("wait for %s: %w", file, ctx.Err())
		}
	}
}
