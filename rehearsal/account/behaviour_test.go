package account

import (
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The list is worth something only while each number is done by code and shown by a test, and none is missing from it.
func TestEveryBehaviourHasItsCodeAndItsTest(t *testing.T) {
	document, err := os.ReadFile("BEHAVIOUR.md")
	if err != nil {
		t.Fatal(err)
	}
	listed := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^- \*\*([A-Z0-9]+-\d+)\*\* `).FindAllStringSubmatch(string(document), -1) {
		if listed[match[1]] {
			t.Errorf("%s is listed twice", match[1])
		}
		listed[match[1]] = true
	}
	if len(listed) == 0 {
		t.Fatal("BEHAVIOUR.md lists nothing")
	}
	inCode, inTests := map[string]bool{}, map[string]bool{}
	number := regexp.MustCompile(`\b(?:PRO|ACC|EC2|NET|IAM|RDS|SM|ECR|AR|LOG|CW|SNS|WAF|RUN|DOC)-\d+\b`)
	err = filepath.WalkDir("..", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(path) != ".go" {
			return err
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		found := inCode
		if strings.HasSuffix(path, "_test.go") {
			found = inTests
		}
		for _, n := range number.FindAllString(string(source), -1) {
			found[n] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, n := range slices.Sorted(maps.Keys(listed)) {
		if !inCode[n] {
			t.Errorf("%s: no code cites it", n)
		}
		if !inTests[n] {
			t.Errorf("%s: no test cites it", n)
		}
	}
	for _, found := range []map[string]bool{inCode, inTests} {
		for n := range found {
			if !listed[n] {
				t.Errorf("%s is cited, but not listed", n)
			}
		}
	}
}
