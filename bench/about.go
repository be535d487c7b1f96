package main

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"time"

	"example.com/todo/bench/report"
	"example.com/todo/bench/subject"
)

const unknown = "unknown"

// about describes what is measured, and on what.
func (b *bench) about(ctx context.Context) (report.About, error) {
	version, err := b.db.Version(ctx)
	if err != nil {
		return report.About{}, fmt.Errorf("ask PostgreSQL what it is: %w", err)
	}
	var measured []report.Distance
	for _, added := range slices.Sorted(maps.Keys(b.addresses)) {
		roundTrip, err := b.db.RoundTrip(ctx, b.addresses[added])
		if err != nil {
			return report.About{}, err
		}
		measured = append(measured, report.Distance{Added: added, Measured: roundTrip})
	}
	return report.About{
		Time: time.Now().UTC().Truncate(time.Second), Service: commit(ctx, b.service),
		Processor: processor(), CPUs: runtime.NumCPU(), Load: loadAverage(), System: system(),
		Go: runtime.Version(), PostgreSQL: version,
		Rounds: b.rounds, Warmup: b.warmup, Duration: b.duration, Tasks: b.tasks, Connections: subject.MaxConns,
		Distances: measured,
	}, nil
}

// commit is the commit of a folder, and whether it has changed since.
func commit(ctx context.Context, dir string) string {
	cmd := exec.CommandContext(ctx, "git", "describe", "--always", "--dirty", "--exclude=*")
	cmd.Dir = dir
	out, err := cmd.Output()
	if err != nil {
		return unknown
	}
	return strings.TrimSpace(string(out))
}

func processor() string {
	info, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return unknown
	}
	_, after, _ := strings.Cut(string(info), "model name")
	line, _, _ := strings.Cut(after, "\n")
	if name := strings.TrimLeft(line, "\t :"); name != "" {
		return name
	}
	return unknown
}

// system is the kernel's name and version, such as Linux version 6.12.48.
func system() string {
	fields := strings.Fields(firstLine("/proc/version"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

// loadAverage is of the last one, five and fifteen minutes.
func loadAverage() string {
	fields := strings.Fields(firstLine("/proc/loadavg"))
	return strings.Join(fields[:min(3, len(fields))], " ")
}

func firstLine(file string) string {
	content, err := os.ReadFile(file)
	if err != nil {
		return unknown
	}
	line, _, _ := strings.Cut(string(content), "\n")
	return line
}
