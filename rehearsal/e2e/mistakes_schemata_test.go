package e2e

import (
	"bytes"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// Compiling and linking the program takes many seconds, most of them for the SDKs. So all mistakes are compiled into one:
// each is a copy of the function that it is in, to which the function turns when that mistake is the one to be made.
// (R. H. Untch, A. J. Offutt, M. J. Harrold: Mutation Analysis Using Mutant Schemata, 1993)

// madeKey is the configuration that says which mistake to make, in a namespace that the program leaves alone.
const madeKey = "mistake:made"

const chooser = `// Package mistake says which mistake the program makes.
package mistake

import (
	"encoding/json"
	"os"
)

// Made is the mistake's name, or nothing.
var Made = made()

func made() string {
	config := map[string]string{}
	if text := os.Getenv("PULUMI_CONFIG"); text != "" {
		if err := json.Unmarshal([]byte(text), &config); err != nil {
			panic(err)
		}
	}
	return config["` + madeKey + `"]
}
`

// schemata are the program's files with all mistakes in them, by their paths below infra.
func schemata(infra string, mistakes []mutation) (map[string][]byte, error) {
	all := map[string][]mutation{}
	for _, m := range mistakes {
		all[m.file] = append(all[m.file], m)
	}
	files := map[string][]byte{filepath.Join("mistake", "mistake.go"): []byte(chooser)}
	for file, mistakes := range all {
		source, err := os.ReadFile(filepath.Join(infra, file))
		if err != nil {
			return nil, err
		}
		if files[file], err = schema(source, mistakes); err != nil {
			return nil, fmt.Errorf("infra/%s: %w", file, err)
		}
	}
	return files, nil
}

// schema is one file with its mistakes in it. Its lines keep their numbers.
func schema(source []byte, mistakes []mutation) ([]byte, error) {
	parsed, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
	if err != nil {
		return nil, err
	}
	turns := map[int]string{int(parsed.Name.End()) - 1: `; import "example.com/todo/infra/mistake"`} // by offset
	var copies bytes.Buffer
	for i, m := range mistakes {
		if n := bytes.Count(source, []byte(m.right)); n != 1 {
			return nil, fmt.Errorf("mistake %q: %q stands there %d times, want once", m.name, m.right, n)
		}
		at := bytes.Index(source, []byte(m.right))
		function := enclosing(parsed, at, at+len(m.right))
		if function == nil {
			return nil, fmt.Errorf("mistake %q: %q is not inside of a function", m.name, m.right)
		}
		copied := fmt.Sprintf("%sMistake%d", function.Name, i)
		turns[int(function.Body.Lbrace)] += fmt.Sprintf(" if mistake.Made == %q { %s };", m.name, turnTo(function, copied))
		begin, name, end := int(function.Pos())-1, int(function.Name.Pos())-1, int(function.End())-1
		fmt.Fprintf(&copies, "\n%s%s%s%s%s\n", source[begin:name], copied,
			source[name+len(function.Name.Name):at], m.wrong, source[at+len(m.right):end])
	}
	var out bytes.Buffer
	last := 0
	for _, at := range slices.Sorted(maps.Keys(turns)) {
		out.Write(source[last:at])
		out.WriteString(turns[at])
		last = at
	}
	out.Write(source[last:])
	out.Write(copies.Bytes())
	return out.Bytes(), nil
}

// enclosing is the function whose body holds these offsets, or nil.
func enclosing(file *ast.File, from, to int) *ast.FuncDecl {
	for _, declaration := range file.Decls {
		function, is := declaration.(*ast.FuncDecl)
		if is && int(function.Body.Lbrace) <= from && to < int(function.Body.Rbrace) {
			return function
		}
	}
	return nil
}

// turnTo is the statement by which a function leaves its work to a copy.
func turnTo(function *ast.FuncDecl, copied string) string {
	var arguments []string
	for _, parameter := range function.Type.Params.List {
		for _, name := range parameter.Names {
			arguments = append(arguments, name.Name)
		}
		if _, variadic := parameter.Type.(*ast.Ellipsis); variadic {
			arguments[len(arguments)-1] += "..."
		}
	}
	if function.Recv != nil {
		copied = function.Recv.List[0].Names[0].Name + "." + copied
	}
	call := copied + "(" + strings.Join(arguments, ", ") + ")"
	if function.Type.Results == nil {
		return call + "; return"
	}
	return "return " + call
}

// A mistaken program can make any of the mistakes.
type mistaken struct {
	program string
	tests   map[string]string // the program's own, by the folder that each runs in
}

// build writes all mistakes into a copy of the repository, and compiles its program and the program's own tests.
func build(t *testing.T, root string, mistakes []mutation) mistaken {
	t.Helper()
	infra, bin := filepath.Join(root, "infra"), t.TempDir()
	files, err := schemata(infra, mistakes)
	if err != nil {
		t.Fatal(err)
	}
	for file, content := range files {
		path := filepath.Join(infra, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	run := func(folder string, args ...string) {
		t.Helper()
		command := exec.CommandContext(t.Context(), "go", args...)
		command.Dir = folder
		if out, err := command.CombinedOutput(); err != nil {
			t.Fatalf("go %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	made := mistaken{program: filepath.Join(bin, "program"), tests: map[string]string{}}
	run(infra, "build", "-o", made.program)
	tested, err := filepath.Glob(filepath.Join(infra, "*", "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range tested {
		folder := filepath.Dir(file)
		if made.tests[folder] == "" {
			made.tests[folder] = filepath.Join(bin, filepath.Base(folder)+".test")
			run(folder, "test", "-c", "-vet=off", "-o", made.tests[folder])
		}
	}
	return made
}

// has reports whether the test is among those of a folder; all have the test without a name.
func (p mistaken) has(t *testing.T, folder, test string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	return slices.ContainsFunc(files, func(file string) bool {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Contains(source, []byte("\nfunc "+test))
	})
}

func TestMistakeThatDoesNotApplySaysWhy(t *testing.T) {
	source := []byte("package p\n\nconst port = 80\n\nfunc listen() { open(80); open(port) }\n")
	for right, want := range map[string]string{
		"open(443)":   `mistake "m": "open(443)" stands there 0 times, want once`,
		"open(":       `mistake "m": "open(" stands there 2 times, want once`,
		"port = 80":   `mistake "m": "port = 80" is not inside of a function`,
		"open(port)":  "",
		"open(80); o": "",
	} {
		_, err := schema(source, []mutation{{name: "m", right: right, wrong: "open(8080); o"}})
		if said := fmt.Sprint(err); err != nil && said != want || err == nil && want != "" {
			t.Errorf("%q: %v, want %q", right, err, want)
		}
	}
}
