package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/infra/output"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/engine"
	"example.com/todo/rehearsal/stage"
)

// A life is a stack on a stage of its own, to which things happen.
type life struct {
	root  string
	stage *stage.Stage
	stack *engine.Stack
}

// The tests of a stack's life share it, since it takes longest to come up. Each leaves it as its program says.
func TestLife(t *testing.T) {
	t.Parallel()
	l := &life{root: repository(t)}
	l.stage = open(t, l.root)
	configure(t, l.root, "life", small)
	l.stack = stackOf(t, l.stage, "life")
	must(t, l.stack.Up)
	l.database(t)
	l.drift(t)
	l.snapshots(t)
}

// small is the smallest stack that can fail over.
const small = "todo:maxInstances: 1\n  todo:databaseInstances: 2"

func (l *life) client(t *testing.T) *client {
	t.Helper()
	return clientOf(t, l.stage, outputs(t, l.stack)[output.URL])
}

func (l *life) account() *account.Account { return l.stage.Host.Account }

// cluster is the stack's database.
func (l *life) cluster(t *testing.T) account.Cluster {
	t.Helper()
	for _, one := range l.account().Clusters() {
		if one.ID == "todo-life" {
			return one
		}
	}
	t.Fatal("the stack has no database")
	return account.Cluster{}
}

// A known is a resource as the stack's state has it.
type known struct{ Type, ID string }

// known finds a resource by the end of its type and by its logical name.
func (l *life) known(t *testing.T, kind, name string) known {
	t.Helper()
	exported, err := l.stack.Export(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var state struct {
		Deployment struct {
			Resources []struct {
				known
				URN resource.URN
			}
		}
	}
	if err := json.Unmarshal(exported, &state); err != nil {
		t.Fatal(err)
	}
	for _, r := range state.Deployment.Resources {
		if string(r.URN.Type().Name()) == kind && r.URN.Name() == name {
			return r.known
		}
	}
	t.Fatalf("the stack has no %s %s", kind, name)
	return known{}
}

func (l *life) remove(t *testing.T, kind, name string) {
	t.Helper()
	k := l.known(t, kind, name)
	if err := l.account().Remove(t.Context(), k.Type, k.ID); err != nil {
		t.Fatal(err)
	}
}

func (l *life) modify(t *testing.T, kind, name string, changes map[string]any) {
	t.Helper()
	k := l.known(t, kind, name)
	if err := l.account().Modify(t.Context(), k.Type, k.ID, changes); err != nil {
		t.Fatal(err)
	}
}

// drifts expects a refresh to find exactly these changes, and takes them over.
func (l *life) drifts(t *testing.T, want ...string) engine.Plan {
	t.Helper()
	found, err := l.stack.Drift(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, found.Changes()); diff != "" {
		t.Errorf("what a refresh finds (-want +got):\n%s", diff)
	}
	if len(found.Changes()) > 0 {
		must(t, l.stack.Refresh)
	}
	return found
}

// repairs expects a preview to plan exactly these changes, makes them, and expects nothing more to do.
func (l *life) repairs(t *testing.T, want ...string) {
	t.Helper()
	if diff := cmp.Diff(want, plan(t, l.stack).Changes()); diff != "" {
		t.Errorf("what a preview plans (-want +got):\n%s", diff)
	}
	must(t, l.stack.Up)
	l.settled(t)
}

// settled expects neither the program nor the account to have anything that the state has not, and the service to work.
func (l *life) settled(t *testing.T) {
	t.Helper()
	l.drifts(t)
	if changes := plan(t, l.stack).Changes(); len(changes) > 0 {
		t.Errorf("then a preview plans %v", changes)
	}
	c := l.client(t)
	await(t, "the service works", func() bool {
		a, err := c.try(context.Background(), http.MethodPost, "/api/v1/tasks", `{"title":"still alive"}`)
		return err == nil && a.status == http.StatusCreated
	})
}

// What stays when a stack goes, as its owner turns protection on and off. (RDS-28)
func (l *life) snapshots(t *testing.T) {
	t.Run("a protected stack is not destroyed, and each one that is leaves a snapshot of its own", func(t *testing.T) {
		configure(t, l.root, "life", small+"\n  todo:protect: true")
		must(t, l.stack.Up)
		if err := l.stack.Destroy(t.Context(), io.Discard); err == nil {
			t.Fatal("the protected stack was destroyed")
		}
		l.settled(t)
		configure(t, l.root, "life", small)
		for lives := 1; lives <= 2; lives++ {
			must(t, l.stack.Up)
			must(t, l.stack.Destroy)
			if n := l.account().Count(); n != 0 {
				t.Errorf("%d resources are left in the account", n)
			}
			left := l.account().Snapshots()
			if len(left) != lives || !strings.HasPrefix(left[lives-1], "todo-life-final-") {
				t.Errorf("after %d lives there are the snapshots %v", lives, left)
			}
		}
	})
}
