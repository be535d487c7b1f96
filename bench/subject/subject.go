// Package subject builds the programs that are measured, runs them, and reads from the system what they use.
package subject

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// MaxConns is the bound of every pool that has one.
const MaxConns = 16

// Names of the subjects.
const (
	Service   = "service"
	Gin       = "gin+gorm"
	FastHTTP  = "fasthttp+pgx"
	Unbounded = "gin+gorm unbounded"
)

// Names gives all of them in the order of the report.
func Names() []string { return []string{Service, Gin, FastHTTP, Unbounded} }

// Subject is a program with what its environment has beside address and database.
type Subject struct {
	Name   string
	Binary string
	env    []string
}

var bound = "DATABASE_MAX_CONNS=" + strconv.Itoa(MaxConns)

// Build builds the subjects into dir: the service, whose source is in the folder service, by its own build.sh, and the
// others from the folder bench, stripped as it is.
func Build(ctx context.Context, service, bench, dir string) (map[string]Subject, error) {
	made, err := build(ctx, service, dir)
	if err != nil {
		return nil, err
	}
	subjects := map[string]Subject{Service: made}
	for _, s := range []Subject{
		{Name: Gin, Binary: "gingorm", env: []string{bound}},
		{Name: FastHTTP, Binary: "fasthttppgx", env: []string{bound}},
		{Name: Unbounded, Binary: "gingorm"},
	} {
		source := "./" + s.Binary
		s.Binary = filepath.Join(dir, s.Binary)
		err := run(ctx, bench, nil, "go", "build", "-trimpath", "-buildvcs=false", "-ldflags", "-s -w -buildid=", "-o", s.Binary, source)
		if err != nil {
			return nil, fmt.Errorf("build %s: %w", s.Name, err)
		}
		subjects[s.Name] = s
	}
	return subjects, nil
}

// BuildProfiled builds the service so that it profiles itself until [Process.EndProfile], into the file.
func BuildProfiled(ctx context.Context, service, dir, file string) (Subject, error) {
	flags, err := exec.CommandContext(ctx, "go", "env", "GOFLAGS").Output()
	if err != nil {
		return Subject{}, fmt.Errorf("build %s: %w", Service, err)
	}
	s, err := build(ctx, service, dir, "GOFLAGS="+strings.TrimSpace(string(flags))+" -tags=profile")
	s.env = append(s.env, "CPU_PROFILE="+file)
	return s, err
}

func build(ctx context.Context, service, dir string, env ...string) (Subject, error) {
	s := Subject{Name: Service, Binary: filepath.Join(dir, "service"), env: []string{
		"LISTEN_HOST=127.0.0.1", bound,
		"RATE_LIMIT=0", // it is for one client, and here is one
	}}
	if err := run(ctx, service, env, "sh", "build.sh", s.Binary); err != nil {
		return Subject{}, fmt.Errorf("build %s: %w", Service, err)
	}
	return s, nil
}

func run(ctx context.Context, dir string, env []string, command ...string) error {
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "GOWORK=off", "CGO_ENABLED=0"), env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}
