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
	Op       string `json:"op"`
	URN      string `json:"urn"`
	NewState struct {
		Inputs map[string]any `json:"inputs"`
	} `json:"newState"`
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
func (s Stack) Plan(ctx context.Context) (Plan, error) { return s.plan(ctx) }

// PlanImport does too, and has the CLI write a file with all that it would create, for Import.
func (s Stack) PlanImport(ctx context.Context, file string) (Plan, error) {
	return s.plan(ctx, "--import-file", file)
}

func (s Stack) plan(ctx context.Context, args ...string) (Plan, error) {
	out, runErr := s.ask(ctx, append([]string{"preview", "--json", "--stack", s.Name}, args...)...)
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
	_, err := s.show(ctx, out, "up", "--yes", "--skip-preview", "--stack", s.Name)
	return err
}

// ErrLocked says that another update holds the stack, or has left its lock behind.
var ErrLocked = errors.New("the stack is locked")

// Refresh has the state say what there is, and forget what was being created when an update was cut off. Its error is
// ErrLocked while the stack is.
func (s Stack) Refresh(ctx context.Context, out io.Writer) error {
	printed, err := s.show(ctx, out, "refresh", "--yes", "--skip-preview", "--clear-pending-creates", "--suppress-progress", "--stack", s.Name)
	// The words of the backends that keep files, and of Pulumi Cloud.
	for _, words := range []string{"is currently locked by", "Another update is currently in progress"} {
		if err != nil && strings.Contains(printed, words) {
			return ErrLocked
		}
	}
	return err
}

// Cancel takes the lock of an update away.
func (s Stack) Cancel(ctx context.Context, out io.Writer) error {
	_, err := s.show(ctx, out, "cancel", "--yes", "--stack", s.Name)
	return err
}

// Import takes resources that are there into the state, by a file of PlanImport's with ids.
func (s Stack) Import(ctx context.Context, file string, out io.Writer) error {
	_, err := s.show(ctx, out, "import", "--file", file, "--yes", "--skip-preview", "--generate-code=false", "--protect=false", "--suppress-progress", "--stack", s.Name)
	return err
}

// Known are the ids and the ARNs of all that is in the state.
func (s Stack) Known(ctx context.Context) (map[string]bool, error) {
	var state struct {
		Deployment struct {
			Resources []struct {
				ID      string `json:"id"`
				Outputs struct {
					ARN any `json:"arn"`
				} `json:"outputs"`
			} `json:"resources"`
		} `json:"deployment"`
	}
	if err := s.read(ctx, &state, "stack", "export", "--stack", s.Name); err != nil {
		return nil, err
	}
	known := map[string]bool{}
	for _, r := range state.Deployment.Resources {
		known[r.ID] = true
		if arn, is := r.Outputs.ARN.(string); is {
			known[arn] = true
		}
	}
	return known, nil
}

func (s Stack) show(ctx context.Context, out io.Writer, args ...string) (printed string, err error) {
	var copied bytes.Buffer
	command := s.command(ctx, args...)
	command.Stdout = io.MultiWriter(out, &copied)
	command.Stderr = command.Stdout
	if err := command.Run(); err != nil {
		return copied.String(), fmt.Errorf("pulumi %s: %w", args[0], err)
	}
	return copied.String(), nil
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
