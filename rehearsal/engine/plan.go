package engine

import (
	"fmt"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// A Plan is what a preview says it would do, as `pulumi preview --json` prints it.
type Plan struct {
	Steps       []Step         `json:"steps"`
	Diagnostics []Diagnostic   `json:"diagnostics"`
	Summary     map[string]int `json:"changeSummary"`
}

// A Step is what would happen to one resource.
type Step struct {
	Op             string   `json:"op"`
	URN            string   `json:"urn"`
	DiffReasons    []string `json:"diffReasons"`
	ReplaceReasons []string `json:"replaceReasons"`
	NewState       *State   `json:"newState"`
}

// A State is a resource in a plan. Other resources are named by their URNs.
type State struct {
	Type   string         `json:"type"`
	Inputs map[string]any `json:"inputs"`
	Parent string         `json:"parent"`
	// Dependencies are all that must be there before, PropertyDependencies those that an input comes from.
	Dependencies         []string            `json:"dependencies"`
	PropertyDependencies map[string][]string `json:"propertyDependencies"`
	Protect              bool                `json:"protect"`
	IgnoreChanges        []string            `json:"ignoreChanges"`
	ReplaceOnChanges     []string            `json:"replaceOnChanges"`
}

// A Diagnostic is what the engine or the program says.
type Diagnostic struct {
	URN      string `json:"urn"`
	Message  string `json:"message"`
	Severity string `json:"severity"`
}

// Changes lists what is another afterwards, each as "op type name", sorted. An empty preview has none.
func (p Plan) Changes() []string {
	var changes []string
	for _, step := range p.Steps {
		if step.Op != "same" && step.Op != "read" && step.Op != "refresh" {
			changes = append(changes, step.Op+" "+step.Type()+" "+step.Name())
		}
	}
	sort.Strings(changes)
	return changes
}

// Type is the resource's type token, out of its URN.
func (s Step) Type() string { return string(resource.URN(s.URN).Type()) }

// Name is the resource's logical name, out of its URN.
func (s Step) Name() string { return resource.URN(s.URN).Name() }

func (p Plan) complaints() string {
	var lines []string
	for _, d := range p.Diagnostics {
		if d.Severity == "error" {
			lines = append(lines, fmt.Sprintf("%s%s", d.URN, "\n  "+strings.TrimSpace(d.Message)))
		}
	}
	return strings.Join(lines, "\n")
}
