package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What catches each mistake is in mistakesFile, for people to read. With acceptPlans in the environment it is written.
func TestMistakesAreListed(t *testing.T) {
	const leastMistakes = 40
	all := mistakes()
	seen := map[string]bool{}
	for _, m := range all {
		if seen[m.name] {
			t.Errorf("%q is there twice", m.name)
		}
		seen[m.name] = true
		if m.tests == "" && m.at == "" {
			t.Errorf("nothing catches %q", m.name)
		}
	}
	if len(all) < leastMistakes {
		t.Errorf("%d mistakes, want %d or more", len(all), leastMistakes)
	}
	got := listed(all)
	if os.Getenv(acceptPlans) != "" {
		if err := os.WriteFile(mistakesFile, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(mistakesFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)); diff != "" {
		t.Errorf("rehearsal/e2e/%s is not what the tests hold (-written +held):\n%s\nmake accept writes it anew.", mistakesFile, diff)
	}
}

const mistakesFile = "MISTAKES.md"

const introduction = `# Mistakes, and what catches them

Each of these is made in the program, one at a time, by ` + "`TestMistakes`" + `, which holds that what is said here is what is said: by the
program's own tests (` + "`make test-infra`" + `), and by the rehearsal, in which a stack goes its course until something stops
it: %s.
Where the rehearsal's column is empty it was not asked. The tables are written by ` + "`make accept`" + `; the mistakes themselves, as code, are beside
them in ` + "`mistakes_*_test.go`" + `.

`

// listed is the document.
func listed(mistakes []mutation) []byte {
	var out bytes.Buffer
	var course []string
	count := map[string]int{}
	for _, m := range mistakes {
		switch {
		case m.tests == "":
			count["by the rehearsal alone"]++
		case m.at == "":
			count["by the program's own tests"]++
		default:
			count["by both"]++
		}
		count[string(m.at)]++
	}
	for _, at := range []moment{atPreview, atUp, atReady, atAgain, atBeside, atChange, atDestroy} {
		course = append(course, fmt.Sprintf("%s (%d)", at, count[string(at)]))
	}
	fmt.Fprintf(&out, introduction, strings.Join(course, ", "))
	fmt.Fprintf(&out, "%d mistakes", len(mistakes))
	for _, by := range []string{"by both", "by the program's own tests", "by the rehearsal alone"} {
		fmt.Fprintf(&out, ", %d caught %s", count[by], by)
	}
	out.WriteString(".\n")
	sorted := slices.Clone(mistakes)
	slices.SortStableFunc(sorted, func(a, b mutation) int { return strings.Compare(filepath.Dir(a.file), filepath.Dir(b.file)) })
	last := ""
	for _, m := range sorted {
		part, file := filepath.Dir(m.file), filepath.Base(m.file)
		if part != last {
			fmt.Fprintf(&out, "\n## %s\n\n| Mistake | In | The program's own tests | The rehearsal |\n| --- | --- | --- | --- |\n", part)
			last = part
		}
		tests, words, _ := strings.Cut(m.tests, ": ")
		rehearsal := ""
		if m.at != "" {
			rehearsal = "at " + string(m.at) + ": " + code(m.says)
		}
		if tests != "" {
			tests += ": " + code(words)
		}
		fmt.Fprintf(&out, "| %s | %s | %s | %s |\n", m.name, file, tests, rehearsal)
	}
	return out.Bytes()
}

// code is a text in a cell of a table.
func code(text string) string {
	return "`" + strings.NewReplacer("|", `\|`, "`", "'", "\n", " ").Replace(plain(text)) + "`"
}
