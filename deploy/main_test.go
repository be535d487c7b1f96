package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWrongUseSaysWhatIsRight(t *testing.T) {
	for _, args := range [][]string{{}, {"down"}, {"up", "now"}, {"--stack", "dev"}} {
		err := run(t.Context(), args, &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), "go run ./deploy preflight") {
			t.Errorf("%q: %v, want the usage", args, err)
		}
	}
}

func TestTheRepositoryIsFoundFromInside(t *testing.T) {
	root := t.TempDir()
	inside := filepath.Join(root, "infra", "stack")
	if err := os.MkdirAll(inside, 0o700); err != nil {
		t.Fatal(err)
	}
	t.Chdir(inside)
	if err := run(t.Context(), []string{"preflight"}, &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "no Pulumi.yaml") {
		t.Errorf("outside of a repository: %v", err)
	}
	if err := os.WriteFile(filepath.Join(root, "Pulumi.yaml"), []byte("name: todo\nruntime: go\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got, project, err := repository()
	if err != nil {
		t.Fatal(err)
	}
	// The directory may be reached through a link.
	if same, err := filepath.EvalSymlinks(got); err != nil || filepath.Base(same) != filepath.Base(root) || project != "todo" {
		t.Errorf("found %q in %s, %v", project, same, err)
	}
}
