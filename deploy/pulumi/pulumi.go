// Package pulumi runs the Pulumi CLI that is installed, on one stack of the project in a directory.
package pulumi

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"syscall"
	"time"
)

// A Stack is one of the project in Dir. It need not exist.
type Stack struct {
	Dir, Name string
}

// Version is the CLI's own.
func (s Stack) Version(ctx context.Context) (string, error) {
	out, err := s.ask(ctx, "version")
	return strings.TrimSpace(string(out)), err
}

// A Login is where Pulumi keeps its state, and for whom.
type Login struct {
	User string `json:"user"`
	URL  string `json:"url"`
}

// Login is the present one.
func (s Stack) Login(ctx context.Context) (login Login, err error) {
	err = s.read(ctx, &login, "whoami", "--json")
	return login, err
}

// Outputs are the stack's, as far as they are text. A stack that was never up has none; one that does not exist is an error.
func (s Stack) Outputs(ctx context.Context) (map[string]string, error) {
	var values map[string]any
	if err := s.read(ctx, &values, "stack", "output", "--json", "--stack", s.Name); err != nil {
		return nil, err
	}
	outputs := map[string]string{}
	for name, value := range values {
		if text, ok := value.(string); ok {
			outputs[name] = text
		}
	}
	return outputs, nil
}

// Config is the stack's configuration, the project's defaults included and secret values not.
func (s Stack) Config(ctx context.Context) (map[string]string, error) {
	var values map[string]struct {
		Value string `json:"value"`
	}
	if err := s.read(ctx, &values, "config", "--json", "--stack", s.Name); err != nil {
		return nil, err
	}
	config := map[string]string{}
	for key, v := range values {
		config[key] = v.Value
	}
	return config, nil
}

// A Plan is what an update would do.
type Plan struct {
	Steps       []Step         `json:"steps"`
	Summary     map[string]int `json:"changeSummary"`
	Diagnostics []struct {
		Message  string `json:"message"`
		Severity string `json:"severity"`
	} `json:"diagnostics"`
}

// A Step is what would happen to one resource.
type Step struct {
	Op  string `json:"op"`
	URN string `json:"urn"`
}

// Type is the resource's type token, and Name its logical name, out of the URN urn:pulumi:STACK::PROJECT::PARENT$TYPE::NAME.
func (s Step) Type() string {
	parts := strings.Split(s.URN, "::")
	if len(parts) != 4 {
		return ""
	}
	return parts[2][strings.LastIndex(parts[2], "$")+1:]
}

// Name is the resource's logical name.
func (s Step) Name() string { return s.URN[strings.LastIndex(s.URN, ":")+1:] }

// Plan asks the program and the providers what an update would do. Its error is what they complain of.
func (s Stack) Plan(ctx context.Context) (Plan, error) {
	out, runErr := s.ask(ctx, "preview", "--json", "--stack", s.Name)
	var plan Plan
	if err := json.Unmarshal(out, &plan); err != nil {
		return plan, errors.Join(runErr, fmt.Errorf("read what pulumi preview says: %w", err))
	}
	if runErr == nil {
		return plan, nil
	}
	var complaints []error
	for _, d := range plan.Diagnostics {
		if d.Severity == "error" {
			complaints = append(complaints, errors.New(strings.TrimSpace(d.Message)))
		}
	}
	if len(complaints) == 0 {
		return plan, runErr
	}
	return plan, errors.Join(complaints...)
}

// Up deploys without another preview, and shows it on out.
func (s Stack) Up(ctx context.Context, out io.Writer) error {
	command := s.command(ctx, "up", "--yes", "--skip-preview", "--stack", s.Name)
	command.Stdout, command.Stderr = out, out
	if err := command.Run(); err != nil {
		return fmt.Errorf("pulumi up: %w", err)
	}
	return nil
}

func (s Stack) read(ctx context.Context, into any, args ...string) error {
	out, err := s.ask(ctx, args...)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(out, into); err != nil {
		return fmt.Errorf("read what pulumi %s says: %w", args[0], err)
	}
	return nil
}

// ask answers what the CLI prints; what it complains of is in the error.
func (s Stack) ask(ctx context.Context, args ...string) ([]byte, error) {
	command := s.command(ctx, args...)
	var out, complaints bytes.Buffer
	command.Stdout, command.Stderr = &out, &complaints
	err := command.Run()
	if err != nil {
		err = fmt.Errorf("pulumi %s: %w", args[0], err)
		if text := strings.TrimPrefix(strings.TrimSpace(complaints.String()), "error: "); text != "" {
			err = fmt.Errorf("%w: %s", err, text)
		}
	}
	return out.Bytes(), err
}

func (s Stack) command(ctx context.Context, args ...string) *exec.Cmd {
	command := exec.CommandContext(ctx, "pulumi", append(args, "--non-interactive")...)
	command.Dir = s.Dir
	// Asked to stop once, the engine ends what is under way and saves its state. Ctrl-C in a terminal must not be the second.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
	command.WaitDelay = 10 * time.Minute
	return command
}
