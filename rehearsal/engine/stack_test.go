package engine

import (
	"bytes"
	"encoding/json"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// cli stands in for the Pulumi CLI, which is not what these tests are about: it does to the files what
// `pulumi stack init` does, and prints what it was given.
const cli = `#!/bin/sh
set -eu
case "$1 $2" in
"stack init") printf 'encryptionsalt: own\n' >"Pulumi.$3.yaml" ;;
"stack output") printf '{"url":"https://localhost:1"}' ;;
"up --stack") env; echo "FOLDER=$PWD"; echo "ARGUMENTS=$*" ;;
"refresh --stack") echo "the reason" >&2; exit 255 ;;
"preview --stack") cat "$PLAN"; grep -q '"error"' "$PLAN" && exit 255 || exit 0 ;;
esac
`

func write(t *testing.T, path, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

// newStack makes the stack "dev" of a repository that configures it by the given text.
func newStack(t *testing.T, configuration string) *Stack {
	t.Helper()
	root, bin := t.TempDir(), t.TempDir()
	write(t, filepath.Join(root, "Pulumi.yaml"), "name: todo\nruntime: go\n", 0o644)
	write(t, filepath.Join(root, "Pulumi.dev.yaml"), configuration, 0o644)
	write(t, filepath.Join(bin, "pulumi"), cli, 0o755)
	s, err := NewStack(t.Context(), Tools{Pulumi: filepath.Join(bin, "pulumi"), Path: bin}, root, "dev", t.TempDir(), "aws:1,docker:2")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func up(t *testing.T, s *Stack) (printed map[string]string) {
	t.Helper()
	var out bytes.Buffer
	if err := s.Up(t.Context(), &out); err != nil {
		t.Fatal(err)
	}
	printed = map[string]string{}
	for line := range strings.Lines(out.String()) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), "=")
		printed[name] = value
	}
	return printed
}

func TestConfigurationIsCopiedWithTheStacksOwnKey(t *testing.T) {
	const owners = "secretsprovider: awskms://alias/todo\nencryptedkey: theirs\nencryptionsalt: theirs\nconfig:\n  aws:region: eu-west-1\n  todo:cpu: 1024\n"
	s := newStack(t, owners)
	printed := up(t, s)
	arguments := strings.Fields(printed["ARGUMENTS"])
	at := slices.Index(arguments, "--config-file")
	if at < 0 || printed["FOLDER"] != s.Root {
		t.Fatalf("pulumi %v in %s", arguments, printed["FOLDER"])
	}
	text, err := os.ReadFile(arguments[at+1])
	if err != nil {
		t.Fatal(err)
	}
	var got map[string]any
	if err := yaml.Unmarshal(text, &got); err != nil {
		t.Fatal(err)
	}
	if keys := slices.Sorted(maps.Keys(got)); !slices.Equal(keys, []string{"config", "encryptionsalt"}) || got["encryptionsalt"] != "own" {
		t.Errorf("the copy is\n%s", text)
	}
	if values, _ := got["config"].(map[string]any); len(values) != 2 || values["aws:region"] != "eu-west-1" || values["todo:cpu"] != 1024 {
		t.Errorf("the copy is\n%s", text)
	}
	if left, err := os.ReadFile(filepath.Join(s.Root, "Pulumi.dev.yaml")); err != nil || string(left) != owners {
		t.Errorf("the repository's own file now is\n%s%v", left, err)
	}

	// The next operation sees what has been edited since.
	write(t, filepath.Join(s.Root, "Pulumi.dev.yaml"), "config:\n  aws:region: eu-west-2\n", 0o644)
	up(t, s)
	if text, err := os.ReadFile(arguments[at+1]); err != nil || !strings.Contains(string(text), "eu-west-2") {
		t.Errorf("after an edit the copy is\n%s%v", text, err)
	}
}

func TestEncryptedValuesAreRefusedByTheirKeys(t *testing.T) {
	for configuration, keys := range map[string]string{
		"config:\n  todo:token:\n    secure: v1:abc\n  todo:cpu: 256\n":            "(todo:token)",
		"config:\n  todo:b:\n    secure: v1:abc\n  todo:a:\n    secure: v1:abc\n":  "(todo:a, todo:b)",
		"config:\n  todo:nested:\n    deep:\n      secure: v1:abc\n    plain: x\n": "(todo:nested)",
		"config:\n  todo:list:\n  - plain\n  - secure: v1:abc\n":                   "(todo:list)",
	} {
		err := newStack(t, configuration).Up(t.Context(), io.Discard)
		if err == nil || !strings.Contains(err.Error(), keys) {
			t.Errorf("%s: got %v, want %s refused", configuration, err, keys)
		}
	}
}

func TestMissingConfigurationIsRefused(t *testing.T) {
	s := newStack(t, "")
	up(t, s)
	if err := os.Remove(filepath.Join(s.Root, "Pulumi.dev.yaml")); err != nil {
		t.Fatal(err)
	}
	if err := s.Up(t.Context(), io.Discard); err == nil || !strings.Contains(err.Error(), "Pulumi.dev.yaml") {
		t.Errorf("got %v, want the missing file named", err)
	}
}

func TestEnvironmentLeadsToNoAccount(t *testing.T) {
	for _, name := range []string{"AWS_ACCESS_KEY_ID", "AWS_PROFILE", "PULUMI_ACCESS_TOKEN", "PULUMI_CONFIG_PASSPHRASE_FILE", "PULUMI_BACKEND_URL"} {
		t.Setenv(name, "of this process")
	}
	t.Setenv("KEPT", "of this process")
	s := newStack(t, "")
	printed := up(t, s)
	for name, value := range printed {
		if (strings.HasPrefix(name, "AWS_") || strings.HasPrefix(name, "PULUMI_")) && value == "of this process" {
			t.Errorf("%s arrived", name)
		}
	}
	if printed["KEPT"] != "of this process" {
		t.Error("KEPT did not arrive")
	}
	for name, want := range map[string]string{
		"PATH":                     s.tools.Path + string(os.PathListSeparator) + os.Getenv("PATH"),
		"PULUMI_BACKEND_URL":       "file://" + filepath.ToSlash(s.state()),
		"PULUMI_CONFIG_PASSPHRASE": "", "PULUMI_DEBUG_PROVIDERS": "aws:1,docker:2",
	} {
		if got, given := printed[name]; !given || got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
}

func TestFailureSaysWhy(t *testing.T) {
	err := newStack(t, "").Refresh(t.Context(), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "pulumi refresh (stack dev): exit status 255\nthe reason") {
		t.Errorf("got %v", err)
	}
}

func TestOutputs(t *testing.T) {
	outputs, err := newStack(t, "").Outputs(t.Context())
	if err != nil || outputs["url"] != "https://localhost:1" {
		t.Errorf("got %v, %v", outputs, err)
	}
}

func TestPlan(t *testing.T) {
	const stack = "urn:pulumi:dev::todo::"
	plan := Plan{Steps: []Step{
		{Op: "update", URN: stack + "todo:index:Database$aws:rds/cluster:Cluster::database"},
		{Op: "create", URN: stack + "aws:ec2/vpc:Vpc::my::network"},
		{Op: "same", URN: stack + "pulumi:pulumi:Stack::todo-dev"},
		{Op: "read", URN: stack + "aws:ec2/vpc:Vpc::default"},
	}}
	want := []string{"create aws:ec2/vpc:Vpc my::network", "update aws:rds/cluster:Cluster database"}
	path := filepath.Join(t.TempDir(), "plan.json")
	t.Setenv("PLAN", path)
	s := newStack(t, "")
	record := func() {
		text, err := json.Marshal(plan)
		if err != nil {
			t.Fatal(err)
		}
		write(t, path, string(text), 0o644)
	}

	record()
	got, err := s.Plan(t.Context())
	if err != nil || !slices.Equal(got.Changes(), want) {
		t.Errorf("got %q, %v; want %q", got.Changes(), err, want)
	}
	plan.Diagnostics = []Diagnostic{
		{URN: stack + "aws:ec2/vpc:Vpc::my::network", Message: "refused\n", Severity: "error"}, {Message: "by the way", Severity: "warning"},
	}
	record()
	_, err = s.Plan(t.Context())
	if err == nil || !strings.HasSuffix(err.Error(), "my::network\n  refused") {
		t.Errorf("got %v, want the refusal and nothing else", err)
	}
	write(t, path, "panic", 0o644)
	if _, err := s.Plan(t.Context()); err == nil || !strings.Contains(err.Error(), "read the plan of stack dev") {
		t.Errorf("got %v", err)
	}
	if changes := (Plan{Steps: []Step{{Op: "same", URN: stack + "aws:ec2/vpc:Vpc::a"}}}).Changes(); len(changes) != 0 {
		t.Errorf("an empty preview changes %q", changes)
	}
}
