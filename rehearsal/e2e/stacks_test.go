package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/todo/infra/output"
	"example.com/todo/service/check"

	"example.com/todo/rehearsal/engine"
)

// The life of two stacks in one account, from nothing to nothing.
func TestStacks(t *testing.T) {
	t.Parallel()
	root := repository(t)
	s := open(t, root)
	dev, prod := stackOf(t, s, "dev"), stackOf(t, s, "prod")

	if !t.Run("up of dev and prod side by side", func(t *testing.T) {
		for _, stack := range []*engine.Stack{dev, prod} {
			t.Run(stack.Name, func(t *testing.T) {
				t.Parallel()
				must(t, stack.Up)
				got := outputs(t, stack)
				for _, name := range output.Names() {
					if got[name] == "" {
						t.Errorf("the output %q is missing", name)
					}
				}
				if !strings.Contains(got[output.Image], "@sha256:") {
					t.Errorf("the image is %q, want it by digest", got[output.Image])
				}
			})
		}
	}) {
		return
	}
	if databases, instances := s.Host.Running(); databases != 2 || instances != 3 {
		t.Errorf("%d databases and %d instances run, want 2 (one each) and 3 (one in dev, two in prod)", databases, instances)
	}

	for _, stack := range []*engine.Stack{dev, prod} {
		t.Run("the service of "+stack.Name, func(t *testing.T) {
			got := outputs(t, stack)
			if err := s.Ready(t.Context(), got[output.URL]); err != nil {
				t.Fatal(err)
			}
			c := clientOf(t, s, got[output.URL])
			useTasks(t, c)
			err := check.Run(t.Context(), c.Client, c.url, func(rule string, err error) {
				if err != nil {
					t.Errorf("the contract's rule %q does not hold: %v", rule, err)
				}
			})
			if err != nil {
				t.Error(err)
			}
			if v := c.do(t, http.MethodGet, "/version", ""); v.body["version"] != got[output.Version] {
				t.Errorf("the service says version %v, the stack %s", v.body["version"], got[output.Version])
			}
		})
		t.Run("no secret in the state of "+stack.Name, func(t *testing.T) { checkState(t, s, stack) })
		t.Run("nothing to do in "+stack.Name, func(t *testing.T) {
			if changes := plan(t, stack).Changes(); len(changes) > 0 {
				t.Errorf("a second preview plans %v", changes)
			}
			must(t, stack.Refresh)
			if changes := plan(t, stack).Changes(); len(changes) > 0 {
				t.Errorf("a preview after a refresh plans %v", changes)
			}
		})
	}

	t.Run("a bad configuration stops before the first resource", func(t *testing.T) {
		before := s.Host.Account.Count()
		config := "config:\n  aws:region: eu-west-1\n  todo:cpu: 300\n  todo:zones: 7\n  todo:egress: carrier pigeon\n  todo:minInstances: 5\n  todo:maxInstances: 2\n"
		if err := os.WriteFile(filepath.Join(root, "Pulumi.bad.yaml"), []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		bad := stackOf(t, s, "bad")
		if err := bad.Up(t.Context(), io.Discard); err == nil {
			t.Fatal("the stack came up")
		}
		_, err := bad.Plan(t.Context())
		if err == nil {
			t.Fatal("the preview found nothing wrong")
		}
		for _, want := range []string{"cpu", "300", "zones", "7", "egress", "carrier pigeon", "minInstances", "5"} {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("the error does not name %s:\n%v", want, err)
			}
		}
		if after := s.Host.Account.Count(); after != before {
			t.Errorf("%d resources were made", after-before)
		}
	})

	t.Run("documents change nothing", func(t *testing.T) {
		edit(t, root, "README.md", "A todo REST service in Go", "A fine todo REST service in Go")
		if changes := plan(t, dev).Changes(); len(changes) > 0 {
			t.Errorf("the preview plans %v", changes)
		}
	})

	t.Run("a line of the service changes the image and the service", func(t *testing.T) {
		edit(t, root, "service/main.go", `log.Info("listening"`, `log.Info("listening now"`)
		want := []string{
			"update aws:apprunner/service:Service service-apprunner",
			"update docker:index/image:Image image-build",
		}
		if diff := cmp.Diff(want, plan(t, dev).Changes()); diff != "" {
			t.Fatalf("changes (-want +got):\n%s", diff)
		}
		before := outputs(t, dev)
		must(t, dev.Up)
		after := outputs(t, dev)
		if before[output.URL] != after[output.URL] {
			t.Errorf("the URL changed from %s to %s", before[output.URL], after[output.URL])
		}
		if before[output.Image] == after[output.Image] || before[output.Version] == after[output.Version] {
			t.Errorf("image %s and version %s did not change", after[output.Image], after[output.Version])
		}
		if v := clientOf(t, s, after[output.URL]).do(t, http.MethodGet, "/version", ""); v.body["version"] != after[output.Version] {
			t.Errorf("the service says version %v, the stack %s", v.body["version"], after[output.Version])
		}
		if changes := plan(t, dev).Changes(); len(changes) > 0 {
			t.Errorf("then a preview plans %v", changes)
		}
	})

	t.Run("going back to the line before works too", func(t *testing.T) {
		edit(t, root, "service/main.go", `log.Info("listening now"`, `log.Info("listening"`)
		must(t, dev.Up)
		if changes := plan(t, dev).Changes(); len(changes) > 0 {
			t.Errorf("then a preview plans %v", changes)
		}
	})

	t.Run("a setting changes what it is about", func(t *testing.T) {
		edit(t, root, "Pulumi.dev.yaml", "todo:logLevel: debug", "todo:logLevel: warn")
		p := plan(t, dev)
		if diff := cmp.Diff([]string{"update aws:apprunner/service:Service service-apprunner"}, p.Changes()); diff != "" {
			t.Fatalf("changes (-want +got):\n%s", diff)
		}
		i := slices.IndexFunc(p.Steps, func(s engine.Step) bool { return s.Op == "update" })
		if diff := cmp.Diff([]string{"sourceConfiguration"}, tops(p.Steps[i].DiffReasons)); diff != "" {
			t.Errorf("changed properties (-want +got):\n%s", diff)
		}
		must(t, dev.Up)
	})

	t.Run("a database that is away", func(t *testing.T) {
		c := clientOf(t, s, outputs(t, dev)[output.URL])
		made := c.do(t, http.MethodPost, "/api/v1/tasks", `{"title":"outlives an outage"}`)
		proxy, err := s.Host.Database("todo-dev")
		if err != nil {
			t.Fatal(err)
		}
		proxy.Refuse()
		lost := c.do(t, http.MethodGet, "/api/v1/tasks", "")
		if lost.status != http.StatusServiceUnavailable || lost.header.Get("Retry-After") == "" || lost.header.Get("Content-Type") != "application/problem+json" {
			t.Errorf("without the database: %d %v, want 503 as a problem with Retry-After", lost.status, lost.header)
		}
		if health := c.do(t, http.MethodGet, "/", ""); health.status != http.StatusOK {
			t.Errorf("the health check answers %d without the database", health.status)
		}
		proxy.Pass()
		await(t, "the service finds its database again", func() bool {
			a, err := c.try(t.Context(), http.MethodGet, "/api/v1/tasks/"+fmt.Sprint(made.body["id"]), "")
			return err == nil && a.status == http.StatusOK
		})
	})

	t.Run("destroy leaves nothing", func(t *testing.T) {
		must(t, dev.Destroy)
		if err := prod.Destroy(t.Context(), io.Discard); err == nil {
			t.Error("the protected stack was destroyed")
		}
		if c := clientOf(t, s, outputs(t, prod)[output.URL]); c.do(t, http.MethodGet, "/api/v1/tasks", "").status != http.StatusOK {
			t.Error("the protected stack does not serve any more")
		}
		edit(t, root, "Pulumi.prod.yaml", "todo:protect: true", "todo:protect: false")
		must(t, prod.Up)
		must(t, prod.Destroy)
		if n := s.Host.Account.Count(); n != 0 {
			t.Errorf("%d resources are left in the account", n)
		}
		if databases, instances := s.Host.Running(); databases != 0 || instances != 0 {
			t.Errorf("%d databases and %d instances are left", databases, instances)
		}
	})
}

// useTasks goes through what the service is for and leaves nothing.
func useTasks(t *testing.T, c *client) {
	t.Helper()
	const tasks = "/api/v1/tasks"
	if a := c.do(t, http.MethodGet, "/", ""); a.status != http.StatusOK {
		t.Errorf("GET / answers %d", a.status)
	}
	if a := c.do(t, http.MethodGet, "/readyz", ""); a.status != http.StatusOK {
		t.Errorf("GET /readyz answers %d %v", a.status, a.body)
	}
	made := c.do(t, http.MethodPost, tasks, `{"title":"  buy milk "}`)
	location := made.header.Get("Location")
	if made.status != http.StatusCreated || made.body["title"] != "buy milk" || made.body["completed"] != false || location == "" {
		t.Fatalf("POST answers %d %v at %q", made.status, made.body, location)
	}
	one := tasks + "/" + fmt.Sprint(made.body["id"])
	if !strings.HasSuffix(location, one) {
		t.Errorf("Location %q, want it to end in %s", location, one)
	}
	if a := c.do(t, http.MethodGet, one, ""); a.status != http.StatusOK || cmp.Diff(made.body, a.body) != "" {
		t.Errorf("GET answers %d %v, want what POST answered: %v", a.status, a.body, made.body)
	}
	if a := c.do(t, http.MethodPut, one, `{"title":"buy bread","completed":true}`); a.status != http.StatusOK || a.body["completed"] != true || a.body["title"] != "buy bread" {
		t.Errorf("PUT answers %d %v", a.status, a.body)
	}
	if a := c.do(t, http.MethodGet, tasks, ""); a.status != http.StatusOK || len(a.list) != 1 || a.list[0]["title"] != "buy bread" {
		t.Errorf("the list answers %d %v, want the one task", a.status, a.list)
	}
	if a := c.do(t, http.MethodPost, tasks, `{"title":""}`); a.status != http.StatusUnprocessableEntity && a.status != http.StatusBadRequest {
		t.Errorf("an empty title answers %d %v", a.status, a.body)
	}
	if a := c.do(t, http.MethodDelete, one, ""); a.status != http.StatusNoContent {
		t.Errorf("DELETE answers %d", a.status)
	}
	if a := c.do(t, http.MethodDelete, one, ""); a.status != http.StatusNotFound || a.header.Get("Content-Type") != "application/problem+json" {
		t.Errorf("a second DELETE answers %d %v", a.status, a.body)
	}
	if a := c.do(t, http.MethodGet, tasks, ""); len(a.list) != 0 {
		t.Errorf("the list still holds %v", a.list)
	}
}

// tops are the top-level names of property paths, each once, in order.
func tops(paths []string) []string {
	var names []string
	for _, path := range paths {
		name, _, _ := strings.Cut(path, ".")
		if !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}
