// Command bench measures the service beside two others of the same routes, and holds the ratios against their targets.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"example.com/todo/bench/database"
	"example.com/todo/bench/load"
	"example.com/todo/bench/subject"
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
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	service          string
	rounds           int
	warmup, duration time.Duration
	connections      []int
	scenarios        []string
	subjects         []string
}

func run(ctx context.Context, args []string, out io.Writer) (err error) {
	o := options{connections: []int{500}, scenarios: load.Names(), subjects: subject.Names()[:3]}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.StringVar(&o.service, "service", "", "the `folder` of the service's source; the repository's own when empty")
	flags.IntVar(&o.rounds, "rounds", 3, "how many times everything is run")
	flags.DurationVar(&o.warmup, "warmup", 2*time.Second, "what is sent before the time is taken")
	flags.DurationVar(&o.duration, "duration", 8*time.Second, "how long each run takes")
	flags.Func("connections", "comma-separated `numbers` of connections", func(s string) error {
		o.connections = nil
		for _, field := range strings.Split(s, ",") {
			n, err := strconv.Atoi(field)
			if err != nil || n < 1 {
				return errors.New("must be numbers of at least 1")
			}
			o.connections = append(o.connections, n)
		}
		return nil
	})
	flags.Func("scenarios", "comma-separated `names`, of "+strings.Join(load.Names(), ", "), oneOf(load.Names(), &o.scenarios))
	flags.Func("subjects", "comma-separated `names`, of "+strings.Join(subject.Names(), ", "), oneOf(subject.Names(), &o.subjects))
	if err := flags.Parse(args); err != nil {
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
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	programs, err := subject.Build(ctx, o.service, filepath.Join(root, "bench"), dir)
	if err != nil {
		return err
	}
	db, err := database.Start(ctx, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	b := &bench{options: o, out: out, programs: programs, db: db}
	if err := b.prepare(ctx); err != nil {
		return err
	}
	if err := b.runAll(ctx); err != nil {
		return err
	}
	return b.report.Print(out)
}

func oneOf(names []string, chosen *[]string) func(string) error {
	return func(s string) error {
		*chosen = strings.Split(s, ",")
		for _, name := range *chosen {
			if !slices.Contains(names, name) {
				return fmt.Errorf("must be of %s", strings.Join(names, ", "))
			}
		}
		return nil
	}
}

// repository is the folder of go.work.
func repository(ctx context.Context) (string, error) {
	work, err := exec.CommandContext(ctx, "go", "env", "GOWORK").Output()
	if err != nil {
		return "", fmt.Errorf("find the repository: %w", err)
	}
	return filepath.Dir(strings.TrimSpace(string(work))), nil
}
