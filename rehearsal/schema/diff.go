package schema

import (
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
)

// A Change is what an update of a resource would do.
type Change struct {
	// Properties are the changed property paths and what happens to each.
	Properties map[string]plugin.PropertyDiff
	// Replaces are the paths that need a new resource; DeleteFirst says in which order.
	Replaces    []string
	DeleteFirst bool
}

// Diff compares complete inputs as Check returned them. (PRO-5)
func (t *Type) Diff(olds, news resource.PropertyMap) Change {
	old, wanted := visible(olds), visible(news)
	for name, p := range t.Inputs {
		key := resource.PropertyKey(name)
		if p.Computed && !wanted.HasValue(key) {
			delete(old, key)
		}
	}
	change := Change{Properties: map[string]plugin.PropertyDiff{}}
	difference := old.Diff(wanted)
	if difference == nil {
		return change
	}
	for path, diff := range plugin.NewDetailedDiffFromObjectDiff(difference, true) {
		// What the program wrote is in `tags`; the merged set only repeats it, unless a default tag changed.
		if strings.HasPrefix(path, tagsAllKey) && difference.Changed(tagsKey) {
			continue
		}
		if t.some(path, func(p Property) bool { return p.Silent }) {
			continue
		}
		if t.some(path, func(p Property) bool { return p.Replaces }) {
			diff.Kind = diff.Kind.AsReplace()
			change.Replaces = append(change.Replaces, path)
		}
		change.Properties[path] = diff
	}
	sort.Strings(change.Replaces)
	// https://github.com/pulumi/pulumi-terraform-bridge: a name that the program gave cannot be held twice,
	// so the bridge deletes first.
	explicit := t.AutoName != "" && !autoNamed(news, t.AutoName)
	change.DeleteFirst = len(change.Replaces) > 0 && (t.DeleteFirst || explicit)
	return change
}

// some says whether a property on the path from the resource to the changed value is so.
func (t *Type) some(path string, so func(Property) bool) bool {
	steps, err := resource.ParsePropertyPath(path)
	if err != nil {
		return false
	}
	fields := t.Inputs
	for _, step := range steps {
		name, ok := step.(string)
		if !ok {
			continue
		}
		p, known := fields[name]
		if !known {
			return false
		}
		if so(p) {
			return true
		}
		fields = p.Fields
		if p.Elem != nil {
			fields = p.Elem.Fields
		}
	}
	return false
}
