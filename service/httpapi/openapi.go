package httpapi

import (
	"encoding"
	"encoding/json"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/gofiber/fiber/v2"
)

// schema is as much of JSON Schema 2020-12 as the API needs.
type schema struct {
	Ref         string             `json:"$ref,omitempty"`
	Type        string             `json:"type,omitempty"`
	Format      string             `json:"format,omitempty"`
	Description string             `json:"description,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	Enum        []any              `json:"enum,omitempty"`
	MinLength   int                `json:"minLength,omitempty"`
	MaxLength   int                `json:"maxLength,omitempty"`
	Minimum     int                `json:"minimum,omitempty"`
	Maximum     int                `json:"maximum,omitempty"`
	Default     any                `json:"default,omitempty"`
	Examples    []any              `json:"examples,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Additional  *bool              `json:"additionalProperties,omitempty"`
}

// object is a JSON object of the document.
type object map[string]any

// describe writes what the operations say of themselves, by their types, as OpenAPI 3.1.
func (s *Server) describe(operations []operation) (json.RawMessage, error) {
	d := &documenter{schemas: map[string]*schema{}, keys: s.cfg.Keys != nil, limited: s.limiter != nil}
	paths := map[string]object{}
	for _, o := range operations {
		if paths[o.path] == nil {
			paths[o.path] = object{}
		}
		paths[o.path][strings.ToLower(o.method)] = d.operation(o)
	}
	components := object{"schemas": d.schemas, "headers": documentedHeaders}
	if d.keys {
		components["securitySchemes"] = object{keyScheme: object{"type": "http", "scheme": "bearer", "description": "An API key"}}
	}
	return json.Marshal(object{
		"openapi": "3.1.0",
		"info": object{
			"title": "Todo", "version": s.cfg.Build.Version, "license": object{"name": "Apache License 2.0", "identifier": "Apache-2.0"},
			"description": "Tasks to do. Every path also answers OPTIONS, and HEAD where it answers GET, with or without a slash at its end.",
		},
		"servers":    []object{{"url": "/"}},
		"paths":      paths,
		"components": components,
	})
}

const keyScheme = "bearerAuth"

func header(description string) object {
	return object{"description": description, "schema": schema{Type: "string"}}
}

var documentedHeaders = object{
	fiber.HeaderXRequestID: header("The id of the request, taken over from its own header or made up"),
	fiber.HeaderETag:       header("The version of the task"),
	fiber.HeaderLocation:   header("The path of the new task"),
	fiber.HeaderLink:       header(`The next page, as <…>; rel="next"; none on the last one`),
	fiber.HeaderRetryAfter: header("Seconds after which to try again"),
	fiber.HeaderAllow:      header("The methods of the path"),

	fiber.HeaderWWWAuthenticate: header("Bearer, and whether a key was given that is not valid"),
	headerRateLimit:             header("How many requests may follow at once (r), and in how many seconds all may again (t)"),
	headerRateLimitPolicy:       header("How many requests a client address may send (q) in how many seconds (w)"),
}

// documenter collects the schemas that the operations refer to.
type documenter struct {
	schemas map[string]*schema
	keys    bool // open the API
	limited bool // is the rate of a client
}

func (d *documenter) operation(o operation) object {
	documented := object{"operationId": o.id, "summary": o.summary}
	if o.text != "" {
		documented["description"] = o.text
	}
	problems, counted := o.problems, []string(nil)
	if d.keys && guarded(o.path) {
		problems = append(slices.Clip(problems), http.StatusUnauthorized)
		documented["security"] = []object{{keyScheme: []string{}}}
	}
	if d.limited && guarded(o.path) {
		problems = append(slices.Clip(problems), http.StatusTooManyRequests)
		counted = []string{headerRateLimit, headerRateLimitPolicy}
	}

	success := object{"description": http.StatusText(o.status), "headers": headerRefs(o.headers, counted)}
	if o.out != reflect.TypeFor[nothing]() {
		success["content"] = object{o.media: object{"schema": d.of(o.out)}}
	}
	problemContent := object{typeProblem: object{"schema": d.of(reflect.TypeFor[problem]())}}
	responses := object{
		strconv.Itoa(o.status): success,
		"default":              object{"description": "Any other problem", "headers": headerRefs(), "content": problemContent},
	}
	for _, status := range o.also {
		responses[strconv.Itoa(status)] = object{"description": http.StatusText(status), "headers": headerRefs(o.headers, counted)}
	}
	for _, status := range problems {
		headers := headerRefs(problemHeaders[status], counted)
		if status == http.StatusRequestEntityTooLarge { // is not read, so it is not counted
			headers = headerRefs()
		}
		responses[strconv.Itoa(status)] = object{"description": http.StatusText(status), "headers": headers, "content": problemContent}
	}
	documented["responses"] = responses

	var parameters []object
	for _, f := range o.input.parameters {
		s := reflect.New(o.in.Field(f.index).Type).Interface().(parameter).schema()
		p := object{"name": f.name, "in": f.in, "required": f.in == inPath, "description": f.tag.Get("doc"), "schema": s}
		parameters = append(parameters, p)
	}
	if parameters != nil {
		documented["parameters"] = parameters
	}
	if o.input.body.index >= 0 {
		documented["requestBody"] = d.body(o)
	}
	return documented
}

// problemHeaders are those that a problem has because of what it is.
var problemHeaders = map[int][]string{
	http.StatusUnauthorized:       {fiber.HeaderWWWAuthenticate},
	http.StatusTooManyRequests:    {fiber.HeaderRetryAfter},
	http.StatusServiceUnavailable: {fiber.HeaderRetryAfter},
}

func headerRefs(names ...[]string) object {
	refs := object{}
	for _, name := range append(slices.Concat(names...), fiber.HeaderXRequestID) {
		refs[name] = object{"$ref": "#/components/headers/" + name}
	}
	return refs
}

func (d *documenter) body(o operation) object {
	examples := object{}
	for _, e := range o.examples {
		examples[e.name] = object{"value": json.RawMessage(e.body)}
	}
	content := object{}
	for media := range strings.SplitSeq(o.input.body.name, ",") {
		content[media] = object{"schema": d.of(o.in.Field(o.input.body.index).Type), "examples": examples}
	}
	return object{"required": true, "content": content}
}

// of gives the schema of a type that is read or written as JSON; a struct's is a
// component.
func (d *documenter) of(t reflect.Type) *schema {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return &schema{Type: "string", Format: "date-time"}
	case t == reflect.TypeFor[json.RawMessage]():
		return &schema{Type: "object"}
	case t.Implements(reflect.TypeFor[encoding.TextMarshaler]()):
		return &schema{Type: "string"}
	case t.Implements(reflect.TypeFor[substitute]()):
		return d.of(reflect.Zero(t).Interface().(substitute).documentedAs())
	}
	switch t.Kind() {
	case reflect.String:
		return &schema{Type: "string"}
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int:
		return &schema{Type: "integer"}
	case reflect.Pointer:
		return d.of(t.Elem())
	case reflect.Slice:
		return &schema{Type: "array", Items: d.of(t.Elem())}
	case reflect.Struct:
		name := componentName(t)
		if d.schemas[name] == nil {
			d.schemas[name] = d.object(t)
		}
		return &schema{Ref: "#/components/schemas/" + name}
	}
	panic(fmt.Sprintf("no schema for %s", t)) // when the program starts
}

// substitute is an output that writes itself as if it were of another type.
type substitute interface{ documentedAs() reflect.Type }

func (d *documenter) object(t reflect.Type) *schema {
	closed := false
	s := &schema{Type: "object", Properties: map[string]*schema{}, Additional: &closed}
	for i := range t.NumField() {
		f := t.Field(i)
		name, optional := jsonName(f)
		if name == "" {
			continue // is not in the JSON
		}
		p := d.of(f.Type)
		p.Description, p.Pattern = f.Tag.Get("doc"), f.Tag.Get("pattern")
		if format := f.Tag.Get("format"); format != "" {
			p.Format = format
		}
		p.MinLength, p.MaxLength = number(f, "minLength"), number(f, "maxLength")
		if e := f.Tag.Get("example"); e != "" {
			p.Examples = []any{e}
		}
		s.Properties[name] = p
		if !optional {
			s.Required = append(s.Required, name)
		}
	}
	return s
}

func number(f reflect.StructField, tag string) int {
	n, _ := strconv.Atoi(f.Tag.Get(tag)) // 0 without
	return n
}

// componentName is that of the type, without what it is called for in Go.
func componentName(t reflect.Type) string {
	name := []rune(strings.TrimSuffix(t.Name(), "JSON"))
	name[0] = unicode.ToUpper(name[0])
	return string(name)
}
