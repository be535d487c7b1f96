// Package engine runs the real Pulumi engine: it finds or builds the CLI and the Go language host, gives each
// stack a place of its own, and reads what a preview plans.
package engine

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"time"
)

// tools are the programs that make an engine, each built from a module of its own in tools/, which pins its version.
var tools = []struct{ name, module, pkg string }{
	{"pulumi", "pulumi", "github.com/pulumi/pulumi/pkg/v3/cmd/pulumi"},
	{"pulumi-language-go", "language-go", "github.com/pulumi/pulumi/sdk/v3/go/pulumi-language-go"},
}

// Tools is where the engine's programs are.
type Tools struct {
	// Pulumi is the CLI; Path is what PATH must begin with, so that the CLI finds its language host.
	Pulumi, Path string
}

// FindTools takes the programs from PATH when all are there, else from the user's cache, else it builds them into the cache,
// which takes minutes once, and tells log so. root is the repository.
func FindTools(ctx context.Context, root string, log io.Writer) (Tools, error) {
	if pulumi, err := exec.LookPath("pulumi"); err == nil {
		if _, err := exec.LookPath("pulumi-language-go"); err == nil {
			return Tools{Pulumi: pulumi, Path: filepath.Dir(pulumi)}, nil
		}
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return Tools{}, fmt.Errorf("find a folder for the Pulumi CLI: %w (set HOME, or put pulumi and pulumi-language-go on PATH)", err)
	}
	sources := filepath.Join(root, "rehearsal", "engine", "tools")
	version, err := fingerprint(sources)
	if err != nil {
		return Tools{}, err
	}
	home := filepath.Join(cache, "todo-rehearsal", "tools-"+version)
	for _, tool := range tools {
		target := filepath.Join(home, tool.name)
		if _, err := os.Stat(target); err == nil {
			continue
		} else if !errors.Is(err, os.ErrNotExist) {
			return Tools{}, fmt.Errorf("look for %s: %w", target, err)
		}
		if err := build(ctx, filepath.Join(sources, tool.module), tool.pkg, target, log); err != nil {
			return Tools{}, fmt.Errorf("build %s: %w (or install it, so that it is on PATH: https://www.pulumi.com/docs/install/)", tool.name, err)
		}
	}
	return Tools{Pulumi: filepath.Join(home, "pulumi"), Path: home}, nil
}

// fingerprint changes when a tool's pinned version does.
func fingerprint(sources string) (string, error) {
	hash := sha256.New()
	for _, tool := range tools {
		sum, err := os.ReadFile(filepath.Join(sources, tool.module, "go.mod"))
		if err != nil {
			return "", fmt.Errorf("read the pinned version of %s: %w", tool.name, err)
		}
		hash.Write(sum)
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}

// Compile compiles the Pulumi program in dir into the go command's cache, where the language host finds it. The
// program's SDKs take minutes the first time, of which the engine would show nothing.
func Compile(ctx context.Context, dir string, log io.Writer) error {
	err := compile(ctx, compilation{
		name: "the Pulumi program", dir: dir, pkg: ".", environment: os.Environ(),
		args: []string{"list", "-export", "-deps", "-v"},
	}, log)
	if err != nil {
		return fmt.Errorf("compile the Pulumi program: %w", err)
	}
	return nil
}

func build(ctx context.Context, module, pkg, target string, log io.Writer) error {
	name := filepath.Base(target)
	if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
		return err
	}
	fmt.Fprintf(log, "building %s, once; it is kept in %s\n", name, filepath.Dir(target))
	// Built beside the target and moved there, so that two builds at once never leave half a program.
	partial := fmt.Sprintf("%s.%d", target, os.Getpid())
	err := compile(ctx, compilation{
		name: name, dir: module, pkg: pkg, environment: append(os.Environ(), "GOWORK=off", "GOFLAGS=-mod=readonly"),
		args: []string{"build", "-v", "-trimpath", "-ldflags=-s -w", "-o", partial},
	}, log)
	if err != nil {
		return err
	}
	if err := os.Rename(partial, target); err != nil {
		return err
	}
	fmt.Fprintf(log, "built %s\n", name)
	return nil
}

// A compilation is one run of the go command, with -v among its args, on a package.
type compilation struct {
	name, dir, pkg    string
	args, environment []string
}

// compile tells log how far it is, from time to time.
func compile(ctx context.Context, c compilation, log io.Writer) error {
	list := exec.CommandContext(ctx, "go", "list", "-deps", c.pkg)
	list.Dir, list.Env = c.dir, c.environment
	dependencies, err := list.Output()
	if err != nil {
		return fmt.Errorf("go list -deps %s: %w%s", c.pkg, err, stderrOf(err))
	}
	command := exec.CommandContext(ctx, "go", append(c.args, c.pkg)...)
	command.Dir, command.Env = c.dir, c.environment
	output, err := command.StderrPipe()
	if err != nil {
		return err
	}
	if err := command.Start(); err != nil {
		return err
	}
	var compiled atomic.Int64
	stop := progress(log, func(elapsed time.Duration) string {
		return fmt.Sprintf("building %s: %d of at most %d packages, %s", c.name, compiled.Load(), strings.Count(string(dependencies), "\n"), elapsed.Round(time.Second))
	})
	var complaints []string
	for lines := bufio.NewScanner(output); lines.Scan(); {
		compiled.Add(1)
		if complaints = append(complaints, lines.Text()); len(complaints) > 20 {
			complaints = complaints[1:]
		}
	}
	err = command.Wait()
	stop()
	if err != nil {
		return fmt.Errorf("go %s %s: %w\n%s", c.args[0], c.pkg, err, strings.Join(complaints, "\n"))
	}
	return nil
}

// progress writes a line to log now and then until it is stopped.
func progress(log io.Writer, line func(time.Duration) string) (stop func()) {
	started, done, ended := time.Now(), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(10 * time.Second)
		defer ticker.Stop()
		for {
			select {
			case <-ticker.C:
				fmt.Fprintln(log, line(time.Since(started)))
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) && len(exit.Stderr) > 0 {
		return "\n" + string(exit.Stderr)
	}
	return ""
}
