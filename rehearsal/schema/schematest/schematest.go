// Package schematest compares modelled resource types with a Pulumi SDK's own.
package schematest

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"example.com/todo/rehearsal/schema"
)

// Compare walks modelled properties beside a Go struct of the SDK. Of arguments also the required ones must agree.
func Compare(t *testing.T, at string, modelled schema.Properties, sdk reflect.Type, args bool) {
	t.Helper()
	known := Fields(sdk)
	for name, p := range modelled {
		field, exists := known[name]
		if !exists {
			t.Errorf("%s: the SDK's %s has no property %q", at, sdk, name)
			continue
		}
		compareKind(t, at+"."+name, p, field.Type, args)
	}
	if !args {
		return
	}
	for name, field := range known {
		required := !slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface}, field.Type.Kind())
		if required && !modelled[name].Required {
			t.Errorf("%s: the SDK requires %q, the model does not", at, name)
		}
	}
}

func compareKind(t *testing.T, at string, p schema.Property, sdk reflect.Type, args bool) {
	t.Helper()
	sdk = plain(sdk)
	want := map[reflect.Kind]schema.Kind{
		reflect.String: schema.String, reflect.Bool: schema.Bool, reflect.Int: schema.Number, reflect.Float64: schema.Number,
		reflect.Slice: schema.List, reflect.Map: schema.Map, reflect.Struct: schema.Object,
	}
	kind, modelled := want[sdk.Kind()]
	switch {
	case sdk.Kind() == reflect.Interface:
		// The SDK takes anything here, a role by name or as a resource: on the wire it is a string.
		kind = schema.String
	case !modelled:
		t.Errorf("%s: the SDK's type %s is none that is modelled", at, sdk)
		return
	}
	if p.Kind != kind {
		t.Errorf("%s: modelled as %s, the SDK has %s", at, p.Kind, sdk)
		return
	}
	switch kind {
	case schema.List, schema.Map:
		if p.Elem == nil {
			t.Errorf("%s: the elements are not modelled", at)
			return
		}
		compareKind(t, at+"[]", *p.Elem, sdk.Elem(), args)
	case schema.Object:
		Compare(t, at, p.Fields, sdk, args)
	}
}

// plain is the Go type of a value behind pointers and Pulumi outputs.
func plain(t reflect.Type) reflect.Type {
	for {
		if output, ok := reflect.Zero(t).Interface().(pulumi.Output); ok && t.Kind() == reflect.Struct {
			t = output.ElementType()
			continue
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
}

// Fields are the properties of a Go struct of the SDK, by their Pulumi names.
func Fields(t reflect.Type) map[string]reflect.StructField {
	all := map[string]reflect.StructField{}
	for i := range t.NumField() {
		if tag, ok := t.Field(i).Tag.Lookup("pulumi"); ok {
			name, _, _ := strings.Cut(tag, ",")
			all[name] = t.Field(i)
		}
	}
	return all
}
