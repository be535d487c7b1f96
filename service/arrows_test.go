package main

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "example.com/todo/service/"

// outside is all but the standard library.
var outside = []string{module, "github.com", "gorm.io", "golang.org", "go.", "google.golang.org"}

// The arrows of the design: what each package must not know, directly or through others.
func TestArrows(t *testing.T) {
	for _, tc := range []struct {
		of        string
		forbidden []string // prefixes of import paths
	}{
		{"task", outside},
		{"trace", outside},
		{"emf", outside},
		{"batch", outside},
		{"httpapi", []string{module + "postgres", module + "credentials", "gorm.io", "github.com/jackc", "github.com/aws"}},
		{"postgres", []string{module + "httpapi", "github.com/gofiber", "github.com/valyala"}},
		{"ratelimit", []string{module, "github.com", "gorm.io", "golang.org", "go."}},
		{"credentials", []string{module + "httpapi", module + "postgres", module + "task"}},
		{"postgres/postgrestest", []string{module + "httpapi", module + "task", module + "credentials"}},
		{"check", []string{module, "github.com", "gorm.io"}},
		{"", []string{
			module + "check", "github.com/getkin", module + "postgres/postgrestest", "github.com/fergusstrange",
			"github.com/aws/aws-sdk-go-v2/feature", module + "trace/tracetest", module + "emf/emftest", "go.opentelemetry.io", "google.golang.org",
		}},
	} {
		deps := dependencies(t, tc.of)
		for _, dep := range deps {
			if slices.ContainsFunc(tc.forbidden, func(p string) bool { return strings.HasPrefix(dep, p) }) {
				t.Errorf("package %q depends on %s", tc.of, dep)
			}
		}
	}
	// Were the list empty or the paths other than thought, the above could not fail.
	if deps := dependencies(t, ""); !slices.Contains(deps, module+"httpapi") || !slices.Contains(deps, module+"postgres") {
		t.Errorf("the program does not depend on httpapi and postgres: %v", deps)
	}
}

func dependencies(t *testing.T, of string) []string {
	t.Helper()
	cmd := exec.Command("go", "list", "-deps", "./"+of)
	cmd.Env = append(os.Environ(), "GOWORK=off")
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	itself := strings.TrimSuffix(module+of, "/")
	return slices.DeleteFunc(strings.Fields(string(out)), func(dep string) bool { return dep == itself })
}
