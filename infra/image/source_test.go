package image

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var repository = map[string]string{
	"Dockerfile":           "FROM scratch\n",
	".dockerignore":        "*\n!service\nservice/**/*_test.go\n",
	"README.md":            "read me\n",
	"infra/main.go":        "package main\n",
	"service/main.go":      "package main\n",
	"service/task/task.go": "package task\n",
	"service/main_test.go": "package main\n",
	"service/task/task.md": "tasks\n",
	".git-like/objects/a1": "x",
}

func TestContextFiles(t *testing.T) {
	got, err := contextFiles(write(t, repository))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{".dockerignore", "Dockerfile", "service/main.go", "service/task/task.go", "service/task/task.md"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("files (-got +want):\n%s", diff)
	}
}

func TestContextFilesByPattern(t *testing.T) {
	tests := map[string]struct {
		ignore string
		want   []string
	}{
		"one file below an ignored directory": {"*\n!service/task/task.go\n", []string{"service/task/task.go"}},
		"a wildcard for the directory":        {"*\n!*/task/*.md\n", []string{"service/task/task.md"}},
		"the last pattern wins":               {"*\n!service\nservice/task\n", []string{"service/main.go", "service/main_test.go"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := write(t, repository)
			edit(t, root, ".dockerignore", test.ignore)
			got, err := contextFiles(root)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(got, append([]string{".dockerignore", "Dockerfile"}, test.want...)); diff != "" {
				t.Errorf("files (-got +want):\n%s", diff)
			}
		})
	}
}

func TestWhatChangesTheImage(t *testing.T) {
	tests := map[string]struct {
		change  func(t *testing.T, root string)
		changes bool
	}{
		"nothing":          {func(*testing.T, string) {}, false},
		"a readme":         {func(t *testing.T, root string) { edit(t, root, "README.md", "new") }, false},
		"the cloud":        {func(t *testing.T, root string) { edit(t, root, "infra/main.go", "new") }, false},
		"a test":           {func(t *testing.T, root string) { edit(t, root, "service/main_test.go", "new") }, false},
		"a new file there": {func(t *testing.T, root string) { edit(t, root, "notes.txt", "new") }, false},
		"readable by others": {func(t *testing.T, root string) {
			chmod(t, root, "service/main.go", 0o600)
		}, false},
		"the service":    {func(t *testing.T, root string) { edit(t, root, "service/main.go", "new") }, true},
		"a new file":     {func(t *testing.T, root string) { edit(t, root, "service/new.go", "new") }, true},
		"the Dockerfile": {func(t *testing.T, root string) { edit(t, root, "Dockerfile", "FROM alpine\n") }, true},
		"what is left out": {func(t *testing.T, root string) {
			edit(t, root, ".dockerignore", repository[".dockerignore"]+"# new\n")
		}, true},
		"executable": {func(t *testing.T, root string) { chmod(t, root, "service/main.go", 0o755) }, true},
		"a renamed file": {func(t *testing.T, root string) {
			err := os.Rename(filepath.Join(root, "service/main.go"), filepath.Join(root, "service/other.go"))
			if err != nil {
				t.Fatal(err)
			}
		}, true},
	}
	before, err := readSource(write(t, repository))
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			root := write(t, repository)
			test.change(t, root)
			after, err := readSource(root)
			if err != nil {
				t.Fatal(err)
			}
			if got := after.tag() != before.tag(); got != test.changes {
				t.Errorf("another tag: %t, want %t", got, test.changes)
			}
			if got := after.version != before.version; got != test.changes {
				t.Errorf("another version: %t, want %t", got, test.changes)
			}
		})
	}
}

func TestSourceNeedsADockerfile(t *testing.T) {
	_, err := readSource(t.TempDir())
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want %v", err, fs.ErrNotExist)
	}
}

func TestCommit(t *testing.T) {
	root := write(t, repository)
	want := func(what, commit string) {
		t.Helper()
		source, err := readSource(root)
		if err != nil {
			t.Fatal(err)
		}
		if source.commit != commit {
			t.Errorf("%s: commit %s, want %s", what, source.commit, commit)
		}
	}

	want("without git", "unknown")
	git(t, root, "init", "--quiet")
	want("without history", "unknown")
	commitAll(t, root)
	first := git(t, root, "rev-parse", "HEAD")
	want("committed", first)
	edit(t, root, "README.md", "new")
	want("a changed readme", first)
	commitAll(t, root)
	want("a committed readme", first)
	edit(t, root, "service/main.go", "new")
	want("a changed service", first+"-dirty")
	commitAll(t, root)
	want("a committed service", git(t, root, "rev-parse", "HEAD"))
	edit(t, root, "service/new.go", "new")
	want("a new file", git(t, root, "rev-parse", "HEAD")+"-dirty")

	clone := t.TempDir()
	git(t, clone, "clone", "--quiet", "--depth", "1", "file://"+root, ".")
	root = clone
	want("a shallow clone", "unknown")
}

func write(t *testing.T, files map[string]string) string {
	t.Helper()
	root := t.TempDir()
	for name, content := range files {
		edit(t, root, name, content)
	}
	return root
}

func edit(t *testing.T, root, name, content string) {
	t.Helper()
	path := filepath.Join(root, name)
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err != nil {
		t.Fatal(err)
	}
	err = os.WriteFile(path, []byte(content), 0o644)
	if err != nil {
		t.Fatal(err)
	}
}

func chmod(t *testing.T, root, name string, mode fs.FileMode) {
	t.Helper()
	err := os.Chmod(filepath.Join(root, name), mode)
	if err != nil {
		t.Fatal(err)
	}
}

func commitAll(t *testing.T, root string) {
	t.Helper()
	git(t, root, "add", ".")
	git(t, root, "-c", "user.name=test", "-c", "user.email=test@example.com", "-c", "commit.gpgsign=false",
		"commit", "--quiet", "--message", "change")
}

func git(t *testing.T, dir string, args ...string) string {
	t.Helper()
	out, err := exec.Command("git", append([]string{"-C", dir}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("git %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
