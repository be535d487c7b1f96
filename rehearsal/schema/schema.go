// Package schema describes resource types as a Terraform-bridged Pulumi provider sees them: which
// properties there are, what is refused before anything is created, what a change forces.
package schema

import (
	"fmt"
	"slices"
	"sort"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// Kind is the shape of a property's value.
type Kind int

// The shapes that Pulumi's property values take here. Whole numbers are Number with a Whole rule.
const (
	String Kind = iota
	Number
	Bool
	List
	Map
	Object
)

func (k Kind) String() string {
	return [...]string{"string", "number", "bool", "list", "map", "object"}[k]
}

// Properties are the properties of a type or of a nested object, by their Pulumi names.
type Properties map[string]Property

// A Property is one input or output.
type Property struct {
	Kind     Kind
	Elem     *Property  // of a List or a Map
	Fields   Properties // of an Object
	Required bool
	// Replaces says that a change needs a new resource ("ForceNew").
	Replaces bool
	// Computed says that the cloud fills the property in when it is absent, so that its absence is no change.
	Computed bool
	// Silent says that a change of it alone is no change.
	Silent bool
	// Default is what the provider itself fills in when the property is absent.
	Default any
	// Conflicts names properties beside this one that may not be set together with it.
	Conflicts []string
	// Check holds what the provider refuses during a preview; API what only the cloud refuses, when it is asked.
	Check, API []Rule
	// Refers is the token of the type whose resource this value must name; resolved by whoever holds the resources.
	Refers string
}

// A Type is one resource type.
type Type struct {
	Token string
	// Inputs are what a program may set; Outputs are what only the cloud sets.
	Inputs, Outputs Properties
	// AutoName is the property that Pulumi names when the program does not, with the longest name it may give.
	AutoName string
	MaxName  int
	// Tagged types take the provider's default tags.
	Tagged bool
	// DeleteFirst says that a replacement always deletes the old resource before it creates the new one.
	DeleteFirst bool
	// Volatile are outputs that an update may change, unknown in its preview.
	Volatile []string
	// Rules are what the provider refuses during a preview across properties.
	Rules []func(resource.PropertyMap) *Failure
}

// A Failure is one refused property. Property is empty when the resource as a whole is refused.
type Failure struct {
	Property, Reason string
}

func (f Failure) Error() string {
	if f.Property == "" {
		return f.Reason
	}
	return f.Property + ": " + f.Reason
}

// Naming is how the engine wants a resource named that the program does not name.
type Naming struct {
	Proposed string // empty: the provider proposes LOGICAL-xxxxxxx itself
	Enforced bool
	Disabled bool
}

// CheckRequest is what the provider's Check is asked.
type CheckRequest struct {
	LogicalName string
	Seed        []byte // random but stable, for names
	Naming      Naming
	DefaultTags resource.PropertyMap
	Olds, News  resource.PropertyMap
}

const (
	defaultsKey = "__defaults"
	tagsKey     = "tags"
	tagsAllKey  = "tagsAll"
)

// Check completes the inputs (defaults, name, tags) and says what the provider refuses in them. (PRO-2, PRO-4)
func (t *Type) Check(req CheckRequest) (resource.PropertyMap, []Failure) {
	inputs := resource.PropertyMap{}
	for k, v := range req.News {
		if !resource.IsInternalPropertyKey(k) && !v.IsNull() {
			inputs[k] = v
		}
	}
	failures := t.Inputs.validate("", inputs, func(p Property) []Rule { return p.Check })

	var defaulted []resource.PropertyValue
	t.Inputs.fill(inputs, func(name string) {
		defaulted = append(defaulted, resource.NewProperty(name))
	})
	if t.AutoName != "" && !inputs.HasValue(resource.PropertyKey(t.AutoName)) {
		name, failure := t.name(req)
		if failure != nil {
			failures = append(failures, *failure)
		}
		inputs[resource.PropertyKey(t.AutoName)] = resource.NewProperty(name)
		defaulted = append(defaulted, resource.NewProperty(t.AutoName))
		if failure == nil {
			for _, complaint := range complaints(t.Inputs[t.AutoName].Check, inputs[resource.PropertyKey(t.AutoName)]) {
				failures = append(failures, Failure{t.AutoName, complaint})
			}
		}
	}
	if t.Tagged {
		inputs[tagsAllKey] = mergeTags(req.DefaultTags, inputs[tagsKey])
	}
	if len(failures) == 0 {
		for _, rule := range t.Rules {
			if f := rule(inputs); f != nil {
				failures = append(failures, *f)
			}
		}
	}
	sort.Slice(defaulted, func(i, j int) bool { return defaulted[i].StringValue() < defaulted[j].StringValue() })
	inputs[defaultsKey] = resource.NewProperty(defaulted)
	return inputs, failures
}

// name is what the bridge calls a resource without a name: what it was called before, what the engine
// proposes, or the logical name and seven random characters.
func (t *Type) name(req CheckRequest) (string, *Failure) {
	key := resource.PropertyKey(t.AutoName)
	if old, ok := req.Olds[key]; ok && old.IsString() && autoNamed(req.Olds, t.AutoName) {
		return old.StringValue(), nil
	}
	if req.Naming.Disabled {
		return "", &Failure{t.AutoName, "automatic naming is disabled and no name is given"}
	}
	name := req.Naming.Proposed
	if name == "" {
		generated, err := resource.NewUniqueName(req.Seed, req.LogicalName+"-", 7, t.MaxName, nil)
		if err != nil {
			return "", &Failure{t.AutoName, err.Error()}
		}
		name = generated
	}
	if len(name) > t.MaxName {
		return "", &Failure{t.AutoName, fmt.Sprintf("proposed name %q exceeds max length of %d", name, t.MaxName)}
	}
	return name, nil
}

func autoNamed(inputs resource.PropertyMap, property string) bool {
	defaults := inputs[defaultsKey]
	if !defaults.IsArray() {
		return false
	}
	return slices.ContainsFunc(defaults.ArrayValue(), func(v resource.PropertyValue) bool {
		return v.IsString() && v.StringValue() == property
	})
}

func mergeTags(defaults resource.PropertyMap, own resource.PropertyValue) resource.PropertyValue {
	if own.IsComputed() {
		return own
	}
	all := defaults.Copy()
	if all == nil {
		all = resource.PropertyMap{}
	}
	if own.IsObject() {
		for k, v := range own.ObjectValue() {
			all[k] = v
		}
	}
	if len(all) == 0 {
		return resource.NewNullProperty()
	}
	return resource.NewProperty(all)
}

// Imported are the inputs of what was made elsewhere: nobody knows which of them were filled in. (PRO-12)
func Imported(inputs resource.PropertyMap) resource.PropertyMap {
	imported := inputs.Copy()
	imported[defaultsKey] = resource.NewProperty([]resource.PropertyValue{})
	return imported
}

// Refused says what the cloud's API refuses in complete inputs, beyond what Check refuses.
func (t *Type) Refused(inputs resource.PropertyMap) []Failure {
	return t.Inputs.validate("", visible(inputs), func(p Property) []Rule { return p.API })
}

// References calls yield for each known value of a property that must name another resource.
func (t *Type) References(inputs resource.PropertyMap, yield func(path, token, value string)) {
	t.Inputs.references("", inputs, yield)
}

// Preview is the state that a create (old is nil) or an update will have, with what cannot be known yet unknown.
func (t *Type) Preview(inputs, old resource.PropertyMap) resource.PropertyMap {
	state := resource.PropertyMap{}
	for k, v := range visible(inputs) {
		state[k] = v
	}
	for name := range t.Outputs {
		key := resource.PropertyKey(name)
		if v, ok := old[key]; ok && !slices.Contains(t.Volatile, name) {
			state[key] = v
		} else {
			state[key] = resource.MakeComputed(resource.NewProperty(""))
		}
	}
	for name, p := range t.Inputs {
		key := resource.PropertyKey(name)
		if state.HasValue(key) || !p.Computed {
			continue
		}
		if v, ok := old[key]; ok {
			state[key] = v
		} else {
			state[key] = resource.MakeComputed(resource.NewProperty(""))
		}
	}
	return state
}

func visible(inputs resource.PropertyMap) resource.PropertyMap {
	out := resource.PropertyMap{}
	for k, v := range inputs {
		if !resource.IsInternalPropertyKey(k) && !v.IsNull() {
			out[k] = v
		}
	}
	return out
}

func (ps Properties) names() []string {
	names := make([]string, 0, len(ps))
	for name := range ps {
		names = append(names, name)
	}
	sort.Strings(names)
	return names
}

// validate walks values beside their description; pick chooses which rules of a property count. (PRO-1)
func (ps Properties) validate(path string, values resource.PropertyMap, pick func(Property) []Rule) []Failure {
	var failures []Failure
	for _, k := range values.StableKeys() {
		if _, known := ps[string(k)]; !known && k != tagsAllKey {
			failures = append(failures, Failure{join(path, string(k)),
				"the rehearsal knows no such property here; known are " + strings.Join(ps.names(), ", ")})
		}
	}
	for _, name := range ps.names() {
		p, value := ps[name], values[resource.PropertyKey(name)]
		at := join(path, name)
		if value.IsNull() {
			if p.Required {
				failures = append(failures, Failure{at, fmt.Sprintf("missing required argument: the argument %q is required, but no definition was found", name)})
			}
			continue
		}
		for _, other := range p.Conflicts {
			if values.HasValue(resource.PropertyKey(other)) {
				failures = append(failures, Failure{at, fmt.Sprintf("conflicting configuration arguments: %q conflicts with %s", name, other)})
			}
		}
		failures = append(failures, p.validate(at, value, pick)...)
	}
	return failures
}

func (p Property) validate(path string, value resource.PropertyValue, pick func(Property) []Rule) []Failure {
	if value.IsComputed() {
		return nil
	}
	if !p.fits(value) {
		return []Failure{{path, fmt.Sprintf("expected a %s, got %s", p.Kind, value.TypeString())}}
	}
	var failures []Failure
	for _, complaint := range complaints(pick(p), value) {
		failures = append(failures, Failure{path, complaint})
	}
	switch {
	case p.Kind == Object:
		failures = append(failures, p.Fields.validate(path, value.ObjectValue(), pick)...)
	case p.Kind == List && p.Elem != nil:
		for i, v := range value.ArrayValue() {
			failures = append(failures, p.Elem.validate(fmt.Sprintf("%s[%d]", path, i), v, pick)...)
		}
	case p.Kind == Map && p.Elem != nil:
		for _, k := range value.ObjectValue().StableKeys() {
			failures = append(failures, p.Elem.validate(join(path, string(k)), value.ObjectValue()[k], pick)...)
		}
	}
	return failures
}

func (p Property) fits(v resource.PropertyValue) bool {
	switch p.Kind {
	case String:
		return v.IsString()
	case Number:
		return v.IsNumber()
	case Bool:
		return v.IsBool()
	case List:
		return v.IsArray()
	default:
		return v.IsObject()
	}
}

// fill sets the provider's defaults, also inside nested objects that are there; top is told the outermost names.
func (ps Properties) fill(values resource.PropertyMap, top func(string)) {
	for _, name := range ps.names() {
		p, key := ps[name], resource.PropertyKey(name)
		switch value := values[key]; {
		case value.IsNull() && p.Default != nil:
			values[key] = resource.NewPropertyValue(p.Default)
			top(name)
		case p.Kind == Object && value.IsObject():
			inner := value.ObjectValue().Copy()
			p.Fields.fill(inner, func(string) {})
			values[key] = resource.NewProperty(inner)
		case p.Kind == List && value.IsArray() && p.Elem != nil && p.Elem.Kind == Object:
			elems := slices.Clone(value.ArrayValue())
			for i, elem := range elems {
				if elem.IsObject() {
					inner := elem.ObjectValue().Copy()
					p.Elem.Fields.fill(inner, func(string) {})
					elems[i] = resource.NewProperty(inner)
				}
			}
			values[key] = resource.NewProperty(elems)
		}
	}
}

func (ps Properties) references(path string, values resource.PropertyMap, yield func(path, token, value string)) {
	for _, name := range ps.names() {
		if value, ok := values[resource.PropertyKey(name)]; ok {
			ps[name].references(join(path, name), value, yield)
		}
	}
}

func (p Property) references(path string, value resource.PropertyValue, yield func(path, token, value string)) {
	switch {
	case value.IsString() && p.Refers != "":
		yield(path, p.Refers, value.StringValue())
	case value.IsArray() && p.Elem != nil:
		for i, v := range value.ArrayValue() {
			p.Elem.references(fmt.Sprintf("%s[%d]", path, i), v, yield)
		}
	case value.IsObject() && p.Kind == Object:
		p.Fields.references(path, value.ObjectValue(), yield)
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}
