package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gopkg.in/yaml.v3"
)

// A Stack is one stack of the repository's Pulumi project, with its state in a folder of its own. The
// repository's own files and the user's Pulumi login stay untouched.
type Stack struct {
	// Name is the stack's; Root the repository, whose Pulumi.NAME.yaml configures it.
	Name, Root string

	tools     Tools
	home      string
	providers string
}

// NewStack makes an empty stack. dir is an empty folder for its state; providers is the value of
// PULUMI_DEBUG_PROVIDERS, the servers that stand in for the provider plugins.
func NewStack(ctx context.Context, tools Tools, root, name, dir, providers string) (*Stack, error) {
	s := &Stack{Name: name, Root: root, tools: tools, home: dir, providers: providers}
	for _, folder := range []string{s.state(), s.project()} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return nil, fmt.Errorf("make a place for stack %s: %w", name, err)
		}
	}
	project, err := os.ReadFile(filepath.Join(root, "Pulumi.yaml"))
	if err != nil {
		return nil, fmt.Errorf("read the project: %w", err)
	}
	// `pulumi stack init` writes into the stack's configuration; it gets a copy of the project to write beside.
	if err := os.WriteFile(filepath.Join(s.project(), "Pulumi.yaml"), project, 0o600); err != nil {
		return nil, fmt.Errorf("copy the project: %w", err)
	}
	if err := s.run(ctx, s.project(), io.Discard, "stack", "init", name); err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Stack) state() string   { return filepath.Join(s.home, "state") }
func (s *Stack) project() string { return filepath.Join(s.home, "project") }
func (s *Stack) config() string  { return filepath.Join(s.home, "Pulumi."+s.Name+".yaml") }

// Up runs `pulumi up` and shows it on out.
func (s *Stack) Up(ctx context.Context, out io.Writer) error {
	return s.program(ctx, out, "up", "--yes", "--skip-preview", "--suppress-progress")
}

// Preview runs `pulumi preview` and shows it on out.
func (s *Stack) Preview(ctx context.Context, out io.Writer) error {
	return s.program(ctx, out, "preview", "--diff")
}

// Refresh runs `pulumi refresh` and shows it on out.
func (s *Stack) Refresh(ctx context.Context, out io.Writer) error {
	return s.program(ctx, out, "refresh", "--yes", "--skip-preview")
}

// Drift says what a refresh would change in the state: what is another in the account than Pulumi left it.
func (s *Stack) Drift(ctx context.Context) (Plan, error) {
	return s.plan(ctx, "refresh", "--preview-only", "--json")
}

// Destroy runs `pulumi destroy` and shows it on out. Its preview is not skipped: only that refuses a protected
// stack whole, before what nobody protected is gone.
func (s *Stack) Destroy(ctx context.Context, out io.Writer) error {
	return s.program(ctx, out, "destroy", "--yes")
}

// Plan runs `pulumi preview` and answers what it plans.
func (s *Stack) Plan(ctx context.Context) (Plan, error) {
	return s.plan(ctx, "preview", "--json")
}

func (s *Stack) plan(ctx context.Context, operation string, args ...string) (Plan, error) {
	var out bytes.Buffer
	runErr := s.program(ctx, &out, operation, args...)
	var plan Plan
	if err := json.Unmarshal(out.Bytes(), &plan); err != nil {
		return plan, errors.Join(runErr, fmt.Errorf("read the plan of stack %s: %w", s.Name, err))
	}
	if runErr != nil {
		return plan, fmt.Errorf("%w\n%s", runErr, plan.complaints())
	}
	return plan, nil
}

// Outputs are the stack's outputs.
func (s *Stack) Outputs(ctx context.Context) (map[string]string, error) {
	var out bytes.Buffer
	if err := s.run(ctx, s.project(), &out, "stack", "output", "--json", "--stack", s.Name); err != nil {
		return nil, err
	}
	outputs := map[string]string{}
	if err := json.Unmarshal(out.Bytes(), &outputs); err != nil {
		return nil, fmt.Errorf("read the outputs of stack %s: %w", s.Name, err)
	}
	return outputs, nil
}

// Export is the stack's whole state as JSON.
func (s *Stack) Export(ctx context.Context) ([]byte, error) {
	var out bytes.Buffer
	err := s.run(ctx, s.project(), &out, "stack", "export", "--stack", s.Name)
	return out.Bytes(), err
}

// program runs an operation on the repository's own project.
func (s *Stack) program(ctx context.Context, out io.Writer, operation string, args ...string) error {
	if err := s.configure(); err != nil {
		return err
	}
	args = append([]string{operation, "--stack", s.Name, "--config-file", s.config()}, args...)
	return s.run(ctx, s.Root, out, args...)
}

// configure copies the stack's configuration as it now is, encrypted by this stack's key instead of its owner's.
func (s *Stack) configure() error {
	source := filepath.Join(s.Root, "Pulumi."+s.Name+".yaml")
	var settings, own map[string]any
	if err := readYAML(source, &settings); err != nil {
		return fmt.Errorf("configuration of stack %s: %w", s.Name, err)
	}
	if err := readYAML(filepath.Join(s.project(), "Pulumi."+s.Name+".yaml"), &own); err != nil {
		return fmt.Errorf("key of stack %s: %w", s.Name, err)
	}
	if keys := encrypted(settings["config"]); len(keys) > 0 {
		return fmt.Errorf("%s holds encrypted values (%s) that only its owner's key opens: a rehearsal needs them in plain, or not at all", source, strings.Join(keys, ", "))
	}
	for _, key := range []string{"secretsprovider", "encryptedkey", "encryptionsalt"} {
		delete(settings, key)
	}
	settings["encryptionsalt"] = own["encryptionsalt"]
	text, err := yaml.Marshal(settings)
	if err != nil {
		return fmt.Errorf("write the configuration of stack %s: %w", s.Name, err)
	}
	return os.WriteFile(s.config(), text, 0o600)
}

func readYAML(path string, into *map[string]any) error {
	text, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := yaml.Unmarshal(text, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	if *into == nil {
		*into = map[string]any{}
	}
	return nil
}

// encrypted are the keys whose values are encrypted, or hold something that is.
func encrypted(config any) []string {
	values, _ := config.(map[string]any)
	var keys []string
	for key, value := range values {
		if secure(value) {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func secure(value any) bool {
	switch value := value.(type) {
	case map[string]any:
		if _, is := value["secure"]; is {
			return true
		}
		return slices.ContainsFunc(slices.Collect(maps.Values(value)), secure)
	case []any:
		return slices.ContainsFunc(value, secure)
	default:
		return false
	}
}

// run runs the CLI in dir. What it prints goes to out; for a failed command also into the error.
func (s *Stack) run(ctx context.Context, dir string, out io.Writer, args ...string) error {
	// Line by line, also on a terminal: the lines of what starts and stops stand between the engine's.
	command := exec.CommandContext(ctx, s.tools.Pulumi, append(args, "--non-interactive")...)
	command.Dir = dir
	command.Env = s.Environment()
	// A group of its own, so that Ctrl-C in a terminal reaches us alone. The engine saves its state when it is asked to
	// stop once; asked twice it does not.
	command.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	command.Cancel = func() error { return command.Process.Signal(syscall.SIGINT) }
	command.WaitDelay = 30 * time.Second
	var complaints bytes.Buffer
	command.Stdout, command.Stderr = out, &complaints
	if terminal, ok := out.(*os.File); ok {
		command.Stderr = terminal
	}
	if err := command.Run(); err != nil {
		return fmt.Errorf("pulumi %s (stack %s): %w\n%s", args[0], s.Name, err, bytes.TrimSpace(complaints.Bytes()))
	}
	return nil
}

// Environment is what the CLI needs to find the stack: this process's, without anything that leads to a real account or
// to the user's own Pulumi.
func (s *Stack) Environment() []string {
	var clean []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "AWS_") && !strings.HasPrefix(variable, "PULUMI_") && !strings.HasPrefix(variable, "PATH=") {
			clean = append(clean, variable)
		}
	}
	return append(clean,
		"PATH="+s.tools.Path+string(os.PathListSeparator)+os.Getenv("PATH"),
		"PULUMI_HOME="+filepath.Join(s.home, "pulumi"),
		"PULUMI_BACKEND_URL=file://"+filepath.ToSlash(s.state()),
		"PULUMI_CONFIG_PASSPHRASE=",
		"PULUMI_DEBUG_PROVIDERS="+s.providers,
		"PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION=true",
		// `go run` keeps the linked program, which `go build` would link anew each time: four seconds of a processor and
		// 1.4 GB of memory, for a preview that takes one and a half.
		"PULUMI_GO_USE_RUN=true",
		"PULUMI_SKIP_UPDATE_CHECK=true",
	)
}
