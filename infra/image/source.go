package image

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"
)

const (
	dockerfileName = "Dockerfile"
	ignoreName     = ".dockerignore"

	versionLength = 12
	// tagLength is far below the 128 characters of a tag, and far above what two contents may share by chance.
	tagLength = 32
)

// source is what an image is built from.
type source struct {
	// version is the hash of the files.
	version string
	// commit is the last one that changed the files.
	commit string
	// digest is the hash of the files and of the build arguments.
	digest string
}

func (s source) tag() string { return s.digest[:tagLength] }

func dockerfile(context string) string { return filepath.Join(context, dockerfileName) }

// readSource hashes what .dockerignore lets into the context, and the Dockerfile and the .dockerignore themselves.
func readSource(context string) (source, error) {
	files, err := contextFiles(context)
	if err != nil {
		return source{}, err
	}
	content, err := hashFiles(context, files)
	if err != nil {
		return source{}, err
	}
	from := source{version: content[:versionLength], commit: lastCommit(context, files)}
	digest := sha256.Sum256([]byte(strings.Join([]string{
		content, versionArg + "=" + from.version, commitArg + "=" + from.commit,
	}, "\x00")))
	from.digest = hex.EncodeToString(digest[:])
	return from, nil
}

// contextFiles lists, sorted and slash-separated, the files that decide the image.
func contextFiles(context string) ([]string, error) {
	ignored, err := readIgnore(filepath.Join(context, ignoreName))
	if err != nil {
		return nil, err
	}
	var files []string
	err = filepath.WalkDir(context, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(context, path)
		if err != nil || name == "." {
			return err
		}
		name = filepath.ToSlash(name)
		skip, err := ignored.MatchesOrParentMatches(name)
		switch {
		case err != nil:
			return err
		case skip && entry.IsDir() && !mayReturn(ignored, name):
			return fs.SkipDir
		case name == dockerfileName, name == ignoreName, !skip && !entry.IsDir():
			files = append(files, name)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if !slices.Contains(files, dockerfileName) {
		return nil, fmt.Errorf("%s: %w", dockerfile(context), fs.ErrNotExist)
	}
	slices.Sort(files)
	return files, nil
}

func readIgnore(path string) (*patternmatcher.PatternMatcher, error) {
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return patternmatcher.New(nil)
	}
	if err != nil {
		return nil, err
	}
	defer file.Close()
	patterns, err := ignorefile.ReadAll(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return patternmatcher.New(patterns)
}

// mayReturn reports whether a pattern such as !dir/file lets something below an ignored directory back in. A wildcard
// in the pattern may stand for any directory.
func mayReturn(ignored *patternmatcher.PatternMatcher, dir string) bool {
	return slices.ContainsFunc(ignored.Patterns(), func(pattern *patternmatcher.Pattern) bool {
		name := filepath.ToSlash(pattern.String())
		return pattern.Exclusion() && (strings.HasPrefix(name, dir+"/") || strings.ContainsAny(name, "*?["))
	})
}

// hashFiles is the hash of names, contents and executable bits. Other bits depend on the umask of whoever checked the
// files out, and times on when.
func hashFiles(context string, files []string) (string, error) {
	hash := sha256.New()
	for _, name := range files {
		err := hashFile(hash, context, name)
		if err != nil {
			return "", err
		}
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

func hashFile(hash io.Writer, context, name string) error {
	path := filepath.Join(context, filepath.FromSlash(name))
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	var content []byte
	if info.Mode()&fs.ModeSymlink != 0 {
		var target string
		target, err = os.Readlink(path)
		content = []byte(target)
	} else {
		content, err = os.ReadFile(path)
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(hash, "%q %t %t %d\n%s", name, info.Mode()&fs.ModeSymlink != 0, info.Mode()&0o100 != 0, len(content), content)
	return err
}
