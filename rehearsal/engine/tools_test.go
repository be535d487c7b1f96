package engine

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// pinned is a repository whose tools are tiny programs that stand where the real ones are.
func pinned(t *testing.T) (root string) {
	t.Helper()
	root = t.TempDir()
	for _, tool := range tools {
		at := filepath.Join(root, "rehearsal", "engine", "tools", tool.module)
		module, _, _ := strings.Cut(tool.pkg, "/v3/")
		module += "/v3"
		write(t, filepath.Join(at, "go.mod"), "module example.com/tools\n\ngo 1.26\n\nrequire "+module+" v3.0.0\n\nreplace "+module+" => ./source\n", 0o644)
		write(t, filepath.Join(at, "source", "go.mod"), "module "+module+"\n\ngo 1.26\n", 0o644)
		write(t, filepath.Join(at, "source", strings.TrimPrefix(tool.pkg, module), "main.go"), "package main\n\nfunc main() { print(\""+tool.name+"\") }\n", 0o644)
	}
	return root
}

// seclude leaves PATH with the go command only and gives the user an empty cache.
func seclude(t *testing.T) (bin string) {
	t.Helper()
	program, err := exec.LookPath("go")
	if err != nil {
		t.Fatal(err)
	}
	// The build's own caches stay where they are.
	for _, name := range []string{"GOCACHE", "GOMODCACHE", "GOPATH"} {
		value, err := exec.Command(program, "env", name).Output()
		if err != nil {
			t.Fatal(err)
		}
		t.Setenv(name, strings.TrimSpace(string(value)))
	}
	home := t.TempDir()
	t.Setenv("HOME", home)
	t.Setenv("XDG_CACHE_HOME", filepath.Join(home, "cache"))
	bin = t.TempDir()
	t.Setenv("PATH", bin+string(os.PathListSeparator)+filepath.Dir(program))
	return bin
}

func TestToolsOnPathComeFirst(t *testing.T) {
	bin := seclude(t)
	for _, tool := range tools {
		write(t, filepath.Join(bin, tool.name), "#!/bin/sh\n", 0o755)
	}
	found, err := FindTools(t.Context(), "/nonexistent", t.Output())
	if want := (Tools{Pulumi: filepath.Join(bin, "pulumi"), Path: bin}); err != nil || found != want {
		t.Errorf("found %+v, %v; want %+v", found, err, want)
	}
}

func TestToolsAreBuiltOnceForTheirVersions(t *testing.T) {
	bin, root := seclude(t), pinned(t)
	// Alone it is of no use: the CLI needs a language host of its own version.
	write(t, filepath.Join(bin, "pulumi"), "#!/bin/sh\n", 0o755)
	var log bytes.Buffer
	find := func() Tools {
		t.Helper()
		log.Reset()
		found, err := FindTools(t.Context(), root, &log)
		if err != nil {
			t.Fatal(err)
		}
		return found
	}
	first := find()
	if !strings.Contains(log.String(), "built pulumi-language-go\n") {
		t.Errorf("the log says %q", log.String())
	}
	for _, tool := range tools {
		out, err := exec.Command(filepath.Join(first.Path, tool.name)).CombinedOutput()
		if err != nil || string(out) != tool.name {
			t.Errorf("%s says %q, %v", tool.name, out, err)
		}
	}
	if again := find(); again != first || log.Len() > 0 {
		t.Errorf("found %+v after %+v; the log says %q", again, first, log.String())
	}
	module := filepath.Join(root, "rehearsal", "engine", "tools", tools[1].module, "go.mod")
	text, err := os.ReadFile(module)
	if err != nil {
		t.Fatal(err)
	}
	write(t, module, strings.Replace(string(text), "v3.0.0", "v3.0.1", 1), 0o644)
	if newer := find(); newer.Path == first.Path || log.Len() == 0 {
		t.Errorf("another version was found in %s, as the one before", newer.Path)
	}
}

func TestBrokenToolSaysWhy(t *testing.T) {
	seclude(t)
	root := pinned(t)
	module, _, _ := strings.Cut(tools[0].pkg, "/v3/")
	source := filepath.Join(root, "rehearsal", "engine", "tools", tools[0].module, "source", strings.TrimPrefix(tools[0].pkg, module+"/v3"), "main.go")
	write(t, source, "package main\n\nfunc main() { undefined() }\n", 0o644)
	_, err := FindTools(t.Context(), root, t.Output())
	if err == nil || !strings.Contains(err.Error(), "build pulumi: go build") || !strings.Contains(err.Error(), "undefined: undefined") {
		t.Errorf("got %v, want the compiler's words", err)
	}
}
