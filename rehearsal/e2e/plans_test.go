package e2e

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"gopkg.in/yaml.v3"

	"example.com/todo/rehearsal/engine"
)

// What a first deployment of each stack would make is in testdata/plans, for a reviewer to read and for this test to
// hold. With acceptPlans in the environment, as `make accept` sets it, the files are written instead.
func TestPlans(t *testing.T) {
	t.Parallel()
	root := repository(t)
	s := open(t, root)
	dev, prod := stackOf(t, s, "dev"), stackOf(t, s, "prod")
	for _, stack := range []*engine.Stack{dev, prod} {
		t.Run(stack.Name, func(t *testing.T) { checkPlan(t, stack) })
	}
	t.Run("the service's own code is not in them", func(t *testing.T) {
		edit(t, root, "service/main.go", `log.Info("listening"`, `log.Info("listening now"`)
		checkPlan(t, dev)
	})
}

const acceptPlans = "ACCEPT_PLANS"

func checkPlan(t *testing.T, stack *engine.Stack) {
	t.Helper()
	got, err := readable(stack.Name, plan(t, stack))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join("testdata", "plans", stack.Name+".yaml")
	if os.Getenv(acceptPlans) != "" {
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	accepted, now := entries(t, want), entries(t, got)
	maps.DeleteFunc(accepted, func(of string, entry any) bool {
		same := cmp.Equal(entry, now[of])
		if same {
			delete(now, of)
		}
		return same
	})
	if diff := cmp.Diff(accepted, now); diff != "" {
		t.Errorf("the plan of %s is not that of rehearsal/e2e/%s (-accepted +now):\n%s\nIf that is what you want: make accept", stack.Name, path, diff)
	}
}

func entries(t *testing.T, text []byte) map[string]any {
	t.Helper()
	var all map[string]any
	if err := yaml.Unmarshal(text, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

// A planned resource is one entry of a readable plan. Other resources are called by the last word of their type and their
// logical name.
type planned struct {
	Below            string         `yaml:"below,omitempty"`
	Protect          bool           `yaml:"protect,omitempty"`
	IgnoreChanges    []string       `yaml:"ignoreChanges,omitempty,flow"`
	ReplaceOnChanges []string       `yaml:"replaceOnChanges,omitempty,flow"`
	After            []string       `yaml:"after,omitempty"` // beyond what the inputs come from
	Inputs           map[string]any `yaml:"inputs,omitempty"`
}

// readable is a plan as YAML in a fixed order, without what differs from one preview to the next: random endings of
// names, and what the image's source hashes to. A value that is known only later is <the resources it comes from>.
func readable(stack string, p engine.Plan) ([]byte, error) {
	entries := map[string]planned{}
	for _, step := range p.Steps {
		entry := planned{
			Below: called(step.NewState.Parent), Protect: step.NewState.Protect, IgnoreChanges: step.NewState.IgnoreChanges,
			ReplaceOnChanges: step.NewState.ReplaceOnChanges, Inputs: map[string]any{},
		}
		inputs := normaliser{stack: stack, image: step.Type() == "docker:index/image:Image"}
		direct := map[string]bool{}
		for property, value := range step.NewState.Inputs {
			inputs.from = all(step.NewState.PropertyDependencies[property])
			for _, name := range inputs.from {
				direct[name] = true
			}
			// The set of all tags is the provider's: the resource's own and its defaults.
			if property != "tagsAll" && !resource.IsInternalPropertyKey(resource.PropertyKey(property)) {
				entry.Inputs[property] = inputs.of(property, value)
			}
		}
		entry.After = slices.DeleteFunc(all(step.NewState.Dependencies), func(name string) bool { return direct[name] })
		entries[step.Type()+" "+step.Name()] = entry
	}
	var out bytes.Buffer
	encoder := yaml.NewEncoder(&out)
	encoder.SetIndent(2)
	err := errors.Join(encoder.Encode(entries), encoder.Close())
	return out.Bytes(), err
}

func called(urn string) string {
	if urn == "" {
		return ""
	}
	return string(resource.URN(urn).Type().Name()) + " " + resource.URN(urn).Name()
}

// all are called in order.
func all(urns []string) []string {
	var names []string
	for _, urn := range urns {
		names = append(names, called(urn))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// A normaliser makes one property's value what it is in every preview.
type normaliser struct {
	stack string
	image bool
	from  []string
}

// ofSource are the inputs of an image that its source decides.
var ofSource = []string{"COMMIT", "VERSION", "contextDigest"}

func (n normaliser) of(key string, value any) any {
	switch value := value.(type) {
	case map[string]any:
		inner := map[string]any{}
		for k, v := range value {
			inner[k] = n.of(k, v)
		}
		return inner
	case []any:
		var all []any
		for _, v := range value {
			all = append(all, n.of(key, v))
		}
		return all
	case string:
		return n.text(key, value)
	default:
		return value
	}
}

func (n normaliser) text(key, value string) any {
	if value == plugin.UnknownStringValue {
		return "<" + strings.Join(n.from, ", ") + ">"
	}
	if n.image && slices.Contains(ofSource, key) {
		return "<source>"
	}
	if strings.HasPrefix(value, "{") && json.Valid([]byte(value)) {
		return document{n.of(key, parsed(value))}
	}
	return regexp.MustCompile(`(todo-`+n.stack+`-[a-z0-9-]+)-[0-9a-f]{7}\b`).ReplaceAllString(value, "$1-xxxxxxx")
}

func parsed(text string) (value any) {
	_ = json.Unmarshal([]byte(text), &value) // it is valid
	return value
}

// A document is what an input says in JSON.
type document struct{ content any }

// MarshalYAML implements yaml.Marshaler.
func (d document) MarshalYAML() (any, error) {
	var node yaml.Node
	err := node.Encode(d.content)
	node.Tag = "!json"
	return &node, err
}
