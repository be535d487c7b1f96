package docker

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

// Build makes the image the way the Dockerfile does: the program from a copy of what the context lets through, with
// service/build.sh, which holds the flags for both, and around it what the Dockerfile's last stage says. The program is built
// for this machine, which has to run it, whatever platform the image says. Nothing in the image tells when it was made, so that
// the same source gives the same digest. Work is done under dir. (DOC-3)
func Build(dir string) Builder {
	return func(ctx context.Context, source Source) (v1.Image, error) {
		text, err := os.ReadFile(source.Dockerfile)
		if err != nil {
			return nil, fmt.Errorf("read the Dockerfile: %w", err)
		}
		wanted, err := readRecipe(string(text), source.Args)
		if err != nil {
			return nil, err
		}
		workspace, err := os.MkdirTemp(dir, "context-")
		if err != nil {
			return nil, fmt.Errorf("make a folder for the build context: %w", err)
		}
		defer func() { _ = os.RemoveAll(workspace) }()
		if err := copyContext(source.Context, workspace); err != nil {
			return nil, fmt.Errorf("copy the build context %s: %w", source.Context, err)
		}
		program := filepath.Join(workspace, "todo")
		command := exec.CommandContext(ctx, "sh", filepath.Join(workspace, "service", "build.sh"), program)
		command.Env = append(needed(os.Environ()), "GOOS="+runtime.GOOS, "GOARCH="+runtime.GOARCH)
		for name, value := range source.Args {
			command.Env = append(command.Env, name+"="+value)
		}
		var output bytes.Buffer
		command.Stdout, command.Stderr = &output, &output
		if err := command.Run(); err != nil {
			return nil, fmt.Errorf("service/build.sh: %w\n%s", err, output.String())
		}
		return assemble(wanted, source.Platform, program)
	}
}

// reaches names what a build needs to know of this machine: where things are and how to download. What else there is
// in its environment does not exist in a container, where it could change the program.
var reaches = regexp.MustCompile(`^(PATH|HOME|USER|TMPDIR|XDG_\w+|SSL_CERT_\w+|(?i:https?_proxy|no_proxy|all_proxy)|` +
	`GO(ROOT|PATH|CACHE|MODCACHE|TMPDIR|ENV|TOOLCHAIN|PROXY|NOPROXY|SUMDB|NOSUMDB|PRIVATE|INSECURE|AUTH|VCS))=`)

func needed(environment []string) []string {
	return slices.DeleteFunc(slices.Clone(environment), func(variable string) bool { return !reaches.MatchString(variable) })
}

// hashContext is the digest of all files that a build may read, with their names and modes, and of the Dockerfile. (DOC-1)
func hashContext(buildContext, dockerfile string) (string, error) {
	hash := sha256.New()
	add := func(name string, mode fs.FileMode, path string) error {
		content := sha256.New()
		if err := readInto(content, mode, path); err != nil {
			return err
		}
		fmt.Fprintf(hash, "%s\x00%s\x00%x\x00", name, mode, content.Sum(nil))
		return nil
	}
	if err := add("Dockerfile", 0, dockerfile); err != nil {
		return "", err
	}
	if err := walkContext(buildContext, add); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func readInto(w io.Writer, mode fs.FileMode, path string) error {
	if mode.Type() == fs.ModeSymlink {
		target, err := os.Readlink(path)
		if err != nil {
			return err
		}
		_, err = io.WriteString(w, target)
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(w, file)
	return err
}

func copyContext(from, to string) error {
	return walkContext(from, func(name string, mode fs.FileMode, path string) error {
		target := filepath.Join(to, name)
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		var content bytes.Buffer
		if err := readInto(&content, mode, path); err != nil {
			return err
		}
		if mode.Type() == fs.ModeSymlink {
			return os.Symlink(content.String(), target)
		}
		return os.WriteFile(target, content.Bytes(), mode.Perm())
	})
}

// walkContext calls visit for each file and symbolic link that .dockerignore lets into the build context, in order.
// https://docs.docker.com/build/concepts/context/#dockerignore-files
func walkContext(root string, visit func(name string, mode fs.FileMode, path string) error) error {
	patterns, err := readIgnore(filepath.Join(root, ".dockerignore"))
	if err != nil {
		return err
	}
	matcher, err := patternmatcher.New(patterns)
	if err != nil {
		return fmt.Errorf("read .dockerignore: %w", err)
	}
	return filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(root, path)
		if err != nil || name == "." {
			return err
		}
		ignored, err := matcher.MatchesOrParentMatches(filepath.ToSlash(name))
		if err != nil {
			return fmt.Errorf("match %s against .dockerignore: %w", name, err)
		}
		if entry.IsDir() {
			if ignored && !mayHoldExceptions(matcher, name) {
				return filepath.SkipDir
			}
			return nil
		}
		if ignored || !entry.Type().IsRegular() && entry.Type() != fs.ModeSymlink {
			return nil
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		return visit(filepath.ToSlash(name), info.Mode(), path)
	})
}

// mayHoldExceptions says whether a later "!pattern" may bring back something below an ignored folder.
func mayHoldExceptions(matcher *patternmatcher.PatternMatcher, folder string) bool {
	for _, pattern := range matcher.Patterns() {
		if pattern.Exclusion() && (strings.HasPrefix(pattern.String()+"/", folder+"/") || strings.ContainsAny(pattern.String(), `*?[\`)) {
			return true
		}
	}
	return false
}

func readIgnore(path string) ([]string, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	return ignorefile.ReadAll(file)
}
