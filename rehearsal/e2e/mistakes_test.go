package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"example.com/todo/infra/output"

	"example.com/todo/rehearsal/engine"
	"example.com/todo/rehearsal/stage"
)

// A mutation is a mistake that somebody may make in the program, and what catches it: its own tests, the rehearsal, or both.
type mutation struct {
	name string
	// file is below infra, where right stands once and wrong would stand instead.
	file, right, wrong string
	// settings are those of the stack that meets it, beyond the smallest one's.
	settings settings
	// tests is what the program's own tests say, as "Test: words". Without it they notice nothing.
	tests string
	// at is when the rehearsal stops, and says what it then says. Without it the rehearsal is not asked.
	at   moment
	says string
}

// A moment is a step of the course that a rehearsed stack goes, at which it may stop.
type moment string

const (
	atPreview moment = "preview"
	atUp      moment = "up"
	atReady   moment = "readiness"     // the service has what it needs, and is the version that was deployed
	atAgain   moment = "next preview"  // nothing is left to do
	atBeside  moment = "second stack"  // another stack comes up in the same account
	atChange  moment = "next settings" // the stack takes other settings, and is ready
	atDestroy moment = "destroy"       // nothing is left
)

// smallest is the stack that is rehearsed, but for what a mistake's own settings say; others are what it changes to.
var (
	smallest = settings{"aws:region": "eu-west-1", "todo:maxInstances": 1, "todo:finalSnapshot": false, "todo:databaseLogin": "password"}
	others   = settings{"todo:zones": 3, "todo:concurrency": 10, "todo:databaseMinCapacity": "0.5", "todo:databaseInstances": 2}
)

func mistakes() []mutation {
	return slices.Concat(networkMistakes, databaseMistakes, imageMistakes, rolesMistakes, serviceMistakes, stackMistakes)
}

// Each mistake is made in the program, and caught by what its row says. (PRO-1, PRO-2, PRO-3)
func TestMistakes(t *testing.T) {
	t.Parallel()
	// Without a mistake nothing stops: otherwise what stops the others would say nothing.
	rows := []mutation{
		{name: "none", at: atDestroy}, {name: "none with NAT", settings: nat, at: atReady},
		{name: "none with tokens", settings: tokens, at: atReady}, {name: "none with all else", settings: rich, at: atUp},
	}
	root := repository(t)
	p := build(t, root, mistakes())
	edit(t, root, "Pulumi.yaml", "runtime: go\n", "runtime:\n  name: go\n  options:\n    binary: "+p.program+"\n")
	for i, m := range append(rows, mistakes()...) {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			p.checkTests(t, m)
			if m.at != "" {
				checkRehearsal(t, root, fmt.Sprintf("m%d", i), m)
			}
		})
	}
}

// checkTests runs the program's own tests: the one that is to catch the mistake, or all.
func (p mistaken) checkTests(t *testing.T, m mutation) {
	t.Helper()
	config, err := json.Marshal(map[string]string{madeKey: m.name})
	if err != nil {
		t.Fatal(err)
	}
	test, words, _ := strings.Cut(m.tests, ": ")
	var said string
	for folder, binary := range p.tests {
		if !p.has(t, folder, test) {
			continue
		}
		command := exec.CommandContext(t.Context(), binary, "-test.run=^"+test)
		command.Dir = folder
		command.Env = append(os.Environ(), "PULUMI_CONFIG="+string(config))
		out, err := command.CombinedOutput()
		if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
			t.Fatal(err)
		}
		if err != nil {
			said += string(out)
		}
	}
	switch {
	case m.tests == "" && said != "":
		t.Errorf("the program's own tests catch it:\n%s", said)
	case m.tests != "" && (!strings.Contains(said, "--- FAIL: "+test+" ") || !strings.Contains(plain(said), plain(words))):
		t.Errorf("the program's own tests do not say %q, but:\n%s", m.tests, said)
	}
}

// plain is a text without the ways in which white space differs.
func plain(text string) string { return strings.Join(strings.Fields(text), " ") }

func checkRehearsal(t *testing.T, root, name string, m mutation) {
	t.Helper()
	want := m.at
	if m.file == "" {
		want = ""
	}
	if at, said := rehearse(t, root, name, m); at != want || !strings.Contains(plain(said), plain(m.says)) {
		t.Errorf("at %q the rehearsal says\n%s\nwant, at %q: %s", at, said, want, m.says)
	}
}

// rehearse has a stack go its course as far as the moment at which it is to stop. It answers when it stopped, if it did, and
// what was said then.
func rehearse(t *testing.T, root, name string, m mutation) (at moment, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var log bytes.Buffer
	s, err := stage.Open(ctx, root, &log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Errorf("close the stage: %v", err)
		}
	}()
	configured := smallest.with(m.settings, settings{madeKey: m.name})
	configured.write(t, root, name)
	stack := stackOf(t, s, name)
	var beside *engine.Stack
	for _, step := range []struct {
		moment moment
		do     func(out *bytes.Buffer) error
	}{
		{atPreview, func(*bytes.Buffer) error { _, err := stack.Plan(ctx); return err }},
		{atUp, func(out *bytes.Buffer) error { return stack.Up(ctx, out) }},
		{atReady, func(*bytes.Buffer) error { return ready(ctx, t, s, stack) }},
		{atAgain, func(*bytes.Buffer) error { return settled(ctx, stack) }},
		{atBeside, func(out *bytes.Buffer) error {
			configured.write(t, root, name+"-too")
			beside = stackOf(t, s, name+"-too")
			return beside.Up(ctx, out)
		}},
		{atChange, func(out *bytes.Buffer) error {
			configured.with(others).write(t, root, name)
			if err := stack.Up(ctx, out); err != nil {
				return err
			}
			return errors.Join(ready(ctx, t, s, stack), settled(ctx, stack))
		}},
		{atDestroy, func(out *bytes.Buffer) error {
			err := errors.Join(stack.Destroy(ctx, out), beside.Destroy(ctx, out))
			if n := s.Host.Account.Count(); n != 0 {
				err = errors.Join(err, fmt.Errorf("%d resources are left in the account", n))
			}
			return err
		}},
	} {
		// An update refuses what a preview does, and more: its words tell which it was.
		if step.moment == atPreview && m.at != atPreview && m.file != "" {
			continue
		}
		var out bytes.Buffer
		if err := step.do(&out); err != nil {
			return step.moment, fmt.Sprintf("%v\n%s\n%s", err, out.String(), log.String())
		}
		if step.moment == m.at {
			break
		}
	}
	return "", ""
}

func ready(ctx context.Context, t *testing.T, s *stage.Stage, stack *engine.Stack) error {
	t.Helper()
	got := outputs(t, stack)
	if err := s.Ready(ctx, got[output.URL]); err != nil {
		return err
	}
	answer, err := clientOf(t, s, got[output.URL]).try(ctx, http.MethodGet, "/version", "")
	if err == nil && answer.body["version"] != got[output.Version] {
		err = fmt.Errorf("the service says version %v, the stack %s", answer.body["version"], got[output.Version])
	}
	return err
}

func settled(ctx context.Context, stack *engine.Stack) error {
	plan, err := stack.Plan(ctx)
	if changes := plan.Changes(); len(changes) > 0 {
		err = errors.Join(err, fmt.Errorf("a preview plans %s", strings.Join(changes, ", ")))
	}
	return err
}
