package main

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const (
	repository = "example.com/todo/"
	module     = repository + "infra"
)

// components are put together by the stack alone.
var components = []string{"network", "database", "image", "apprunner", "monitoring"}

func TestImports(t *testing.T) {
	for dir, imports := range imports(t) {
		for _, path := range imports {
			if strings.HasPrefix(path, repository) && path != module && !strings.HasPrefix(path, module+"/") {
				t.Errorf("%s imports %s: the infrastructure knows nothing of the other modules", dir, path)
			}
			other := strings.TrimPrefix(path, module+"/")
			if slices.Contains(components, dir) && dir != other && slices.Contains(components, other) {
				t.Errorf("%s imports %s: components do not know each other", dir, path)
			}
			if (dir == "output" || dir == "limit") && strings.Contains(path, ".") {
				t.Errorf("%s imports %s: whoever reads it must not load the infrastructure", dir, path)
			}
		}
	}
}

// imports are the packages that each directory's files import.
func imports(t *testing.T) map[string][]string {
	t.Helper()
	found := map[string][]string{}
	err := filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		for _, spec := range file.Imports {
			imported, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			found[dir] = append(found[dir], imported)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, component := range components {
		if len(found[component]) == 0 {
			t.Errorf("component %s is not there", component)
		}
	}
	return found
}
