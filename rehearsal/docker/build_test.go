package docker

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/todo/rehearsal/account"
)

// source is what a build of the repository is asked for.
func source(root string) Source {
	return Source{Context: root, Dockerfile: filepath.Join(root, "Dockerfile"), Args: map[string]string{"VERSION": "1.2.3"}, Platform: "linux/amd64"}
}

func mustBuild(t *testing.T, dir string, s Source) account.Image {
	t.Helper()
	built, err := Build(dir)(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	return built
}

// DOC-3
func TestBuildUsesOnlyTheContext(t *testing.T) {
	dir := t.TempDir()
	// Nothing of what this process is told may reach the program.
	t.Setenv("VERSION", "of this process")
	t.Setenv("GOFLAGS", "-tags=other")
	root := repository(t, map[string]string{
		"service/other.go": "//go:build other\n\npackage main\n\nfunc init() { version = \"other\" }\n"})
	built := mustBuild(t, dir, source(root))
	out, err := exec.Command(built.Program).CombinedOutput()
	if err != nil || strings.TrimSpace(string(out)) != "hello 1.2.3" {
		t.Errorf("the program says %q, %v", out, err)
	}
	s := source(root)
	s.Args = nil
	if out, err = exec.Command(mustBuild(t, dir, s).Program).CombinedOutput(); err != nil || strings.TrimSpace(string(out)) != "hello" {
		t.Errorf("without a version the program says %q, %v", out, err)
	}

	hidden := repository(t, map[string]string{".dockerignore": files[".dockerignore"] + "service/words.go\n"})
	_, err = Build(dir)(t.Context(), source(hidden))
	if err == nil || !strings.Contains(err.Error(), "undefined: greeting") {
		t.Errorf("without an ignored file the build says %v, want the compiler's words", err)
	}
	left, err := filepath.Glob(filepath.Join(dir, "context-*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// DOC-3
func TestBuildFollowsLinks(t *testing.T) {
	root := repository(t, map[string]string{"service/words.go": "", "service/words/words.txt": files["service/words.go"]})
	if err := os.Symlink("words/words.txt", filepath.Join(root, "service/words.go")); err != nil {
		t.Fatal(err)
	}
	mustBuild(t, t.TempDir(), source(root))
}

// DOC-3
func TestImageDigest(t *testing.T) {
	dir := t.TempDir()
	first := mustBuild(t, dir, source(repository(t, nil)))
	again := source(repository(t, map[string]string{"README.md": "for others"}))
	if second := mustBuild(t, dir, again); second != first {
		t.Errorf("the same source gave %+v and %+v", first, second)
	}
	if program, err := os.Stat(first.Program); err != nil || program.Mode().Perm()&0o100 == 0 {
		t.Errorf("the program is no executable file: %v", err)
	}
	platform, args := again, again
	platform.Platform = "linux/arm64"
	args.Args = map[string]string{"VERSION": "1.2.4"}
	for name, other := range map[string]Source{
		"platform": platform, "version": args,
		"source":     source(repository(t, map[string]string{"service/words.go": "package main\n\nconst greeting = \"bye\"\n"})),
		"Dockerfile": source(repository(t, map[string]string{"Dockerfile": "FROM other\n"})),
	} {
		if built := mustBuild(t, dir, other); built.Digest == first.Digest || built.Platform != other.Platform {
			t.Errorf("another %s gave %+v, as before %+v", name, built, first)
		}
	}
	elsewhere := source(repository(t, map[string]string{"other/Dockerfile": "FROM other\n"}))
	elsewhere.Dockerfile = filepath.Join(elsewhere.Context, "other/Dockerfile")
	if mustBuild(t, dir, elsewhere).Digest == first.Digest {
		t.Error("another Dockerfile gave the same digest")
	}
}
