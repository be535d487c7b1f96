// Command bench measures the service beside two others of the same routes, on one machine with one PostgreSQL, and holds
// the ratios against their targets. README.md says how to read what it prints.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"example.com/todo/bench/load"
	"example.com/todo/bench/report"
)

// loadCommand makes this program the load of one run; see [load.Serve].
const loadCommand = "load"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var err error
	if len(os.Args) == 2 && os.Args[1] == loadCommand {
		err = load.Serve(os.Stdin, os.Stdout)
	} else {
		err = run(ctx, os.Args[1:], os.Stdout)
	}
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// run measures. Its error is also a target that was missed, unless that is allowed.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o, err := parseOptions(args, out)
	if err != nil {
		return err
	}
	root, err := repository(ctx)
	if err != nil {
		return err
	}
	if o.service == "" {
		o.service = filepath.Join(root, "service")
	}
	dir, err := os.MkdirTemp("", "todo-bench-")
	if err != nil {
		return fmt.Errorf("make a folder for the programs: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	b, err := newBench(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if o.profile != "" {
		return b.recordProfile(ctx, dir)
	}
	if err := b.prepare(ctx, filepath.Join(root, "bench"), dir); err != nil {
		return err
	}
	if err := b.measure(ctx); err != nil {
		return err
	}
	return b.conclude()
}

// repository is the folder of go.work.
func repository(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	work := strings.TrimSpace(string(out))
	if !filepath.IsAbs(work) {
		return "", errors.New("no go.work here or above: run this inside the repository")
	}
	return filepath.Dir(work), nil
}

// conclude prints what was measured, writes it to the file, and fails when a target was missed.
func (b *bench) conclude() error {
	if err := b.report.Print(b.out); err != nil {
		return err
	}
	missed, err := b.report.PrintTargets(b.out)
	if err != nil {
		return err
	}
	if b.json != "" {
		if err := writeJSON(b.json, b.report); err != nil {
			return err
		}
	}
	if b.markdown != "" {
		if err := writeMarkdown(b.markdown, b.report); err != nil {
			return err
		}
	}
	if b.gate && missed > 0 {
		return fmt.Errorf("%d targets missed", missed)
	}
	return nil
}

func writeJSON(file string, r report.Report) error {
	r.Verdicts, _ = r.Judge()
	text, err := json.MarshalIndent(r, "", "\t")
	if err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}

func writeMarkdown(file string, r report.Report) error {
	var text bytes.Buffer
	if err := r.Markdown(&text); err != nil {
		return fmt.Errorf("write %s: %w", file, err)
	}
	return os.WriteFile(file, text.Bytes(), 0o644)
}
