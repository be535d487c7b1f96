package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"example.com/todo/service/task"
	"github.com/gofiber/fiber/v2"
)

// readBody reads a body that is one JSON object of one of the media types into a
// struct. It is stricter than encoding/json, which takes names in any case, the last
// of two equal names, null for anything, any name that is unknown, and replaces what
// is not Unicode: a client that sends such a thing means something else than we would
// store. Every field of the struct must be given but those with omitempty.
func readBody(c *fiber.Ctx, medias []string, into reflect.Value) error {
	body := c.BodyRaw() // Body would unpack what is compressed, without a limit
	media, parameters, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	switch {
	case err != nil || !slices.Contains(medias, media):
		return newProblem(http.StatusUnsupportedMediaType, "the header Content-Type must be "+strings.Join(medias, " or "))
	case parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8"):
		return newProblem(http.StatusUnsupportedMediaType, "the body must be UTF-8")
	case c.Get(fiber.HeaderContentEncoding) != "":
		return newProblem(http.StatusUnsupportedMediaType, "the body must not be compressed")
	}
	return decodeObject(body, into)
}

func decodeObject(body []byte, into reflect.Value) error {
	if !utf8.Valid(body) {
		return malformed("must be valid UTF-8")
	}
	values, err := split(body)
	if err != nil {
		return err
	}
	return assign(values, into)
}

func malformed(rule string) *problem {
	p := newProblem(http.StatusBadRequest, "the body "+rule)
	p.Code = "malformed_body"
	return p
}

// split gives the members of the one object in body, in their order.
func split(body []byte) (values []rawMember, err error) {
	notJSON := malformed("must be one JSON object")
	dec := json.NewDecoder(bytes.NewReader(body))
	if open, err := dec.Token(); err != nil || open != json.Delim('{') {
		return nil, notJSON
	}
	for dec.More() {
		name, err := dec.Token()
		if err != nil {
			return nil, notJSON
		}
		var value json.RawMessage
		if err := dec.Decode(&value); err != nil {
			return nil, notJSON
		}
		values = append(values, rawMember{name.(string), value}) // an object's names are strings
	}
	if _, err := dec.Token(); err != nil {
		return nil, notJSON
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, malformed("must be one JSON object and nothing after it")
	}
	return values, nil
}

type rawMember struct {
	name  string
	value json.RawMessage
}

// An answer does not grow with what is wrong in a request.
const (
	maxProblems  = 20
	maxFieldName = 100 // in bytes
)

// assign sets the fields of the struct, or lists what is wrong.
func assign(values []rawMember, into reflect.Value) error {
	invalid := &task.InvalidError{}
	report := func(field, rule string) {
		if len(invalid.Problems) == maxProblems {
			return
		}
		if len(field) > maxFieldName {
			field = strings.ToValidUTF8(field[:maxFieldName], "") + "…"
		}
		invalid.Problems = append(invalid.Problems, task.Problem{Field: field, Rule: rule})
	}
	given := map[string]json.RawMessage{}
	for _, v := range values {
		if _, twice := given[v.name]; twice {
			report(v.name, "must be given once")
		}
		given[v.name] = v.value
	}
	for i := range into.NumField() {
		name, optional := jsonName(into.Type().Field(i))
		value, ok := given[name]
		delete(given, name)
		if !ok {
			if !optional {
				report(name, "is required")
			}
			continue
		}
		if rule := decode(value, into.Field(i)); rule != "" {
			report(name, rule)
		}
	}
	for _, v := range values {
		if _, unknown := given[v.name]; unknown {
			report(v.name, "is not a known field")
			delete(given, v.name)
		}
	}
	if len(invalid.Problems) > 0 {
		return invalid
	}
	return nil
}

// jsonName reads the tag of a field as encoding/json does.
func jsonName(f reflect.StructField) (name string, optional bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, options == "omitempty"
}

// decode sets the field, or gives the rule that the value breaks.
func decode(value json.RawMessage, into reflect.Value) (rule string) {
	isNull := string(value) == "null"
	if into.Kind() == reflect.Pointer {
		if isNull { // in a merge patch it removes, and a task has all its fields
			return "must not be null, because it cannot be removed"
		}
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	switch into.Kind() {
	case reflect.String:
		var text string
		if isNull || json.Unmarshal(value, &text) != nil {
			return "must be a string"
		}
		if halfSurrogate(value) { // encoding/json makes U+FFFD of it
			return "must be valid Unicode"
		}
		into.SetString(text)
	case reflect.Bool:
		var truth bool
		if isNull || json.Unmarshal(value, &truth) != nil {
			return "must be true or false"
		}
		into.SetBool(truth)
	default: // the first test of such a body meets it
		panic("cannot read a " + into.Kind().String())
	}
	return ""
}

// halfSurrogate says whether a JSON text escapes a surrogate without its other half.
func halfSurrogate(value []byte) bool {
	escaped := func(i int) (r rune, ok bool) { // the rune of a \uXXXX at i
		if i+6 > len(value) || value[i] != '\\' || value[i+1] != 'u' {
			return 0, false
		}
		n, err := strconv.ParseUint(string(value[i+2:i+6]), 16, 16)
		return rune(n), err == nil
	}
	for i := 0; i < len(value); i++ {
		if value[i] != '\\' {
			continue
		}
		first, ok := escaped(i)
		switch second, _ := escaped(i + 6); {
		case !ok:
			i++ // and the character that it escapes
		case !utf16.IsSurrogate(first):
			i += 5
		case utf16.DecodeRune(first, second) == utf8.RuneError:
			return true
		default:
			i += 11
		}
	}
	return false
}
