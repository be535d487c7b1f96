package httpapi

import (
	"encoding/json"
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

// shape is that of the one JSON object of a body: the struct that it becomes. It is
// stricter than encoding/json, which takes names in any case, the last of two equal
// names, null for anything, any name that is unknown, and replaces what is not Unicode:
// a client that sends such a thing means something else than we would store. Every
// field of the struct must be given but those with omitempty.
type shape struct{ fields []shapeField }

type shapeField struct {
	name     string
	optional bool
}

func shapeOf(t reflect.Type) (s shape) {
	for i := range t.NumField() {
		name, optional := jsonName(t.Field(i))
		s.fields = append(s.fields, shapeField{name, optional})
	}
	return s
}

// readBody reads a body of one of the media types into the struct.
func readBody(c *fiber.Ctx, medias []string, s shape, into reflect.Value) error {
	body := c.BodyRaw() // Body would unpack what is compressed, without a limit
	if err := checkMedia(c, medias); err != nil {
		return err
	}
	return s.decode(body, into)
}

func checkMedia(c *fiber.Ctx, medias []string) error {
	if c.Get(fiber.HeaderContentEncoding) != "" {
		return newProblem(http.StatusUnsupportedMediaType, "the body must not be compressed")
	}
	given := c.Get(fiber.HeaderContentType)
	if slices.Contains(medias, given) { // as nearly everybody writes it
		return nil
	}
	media, parameters, err := mime.ParseMediaType(given)
	switch {
	case err != nil || !slices.Contains(medias, media):
		return newProblem(http.StatusUnsupportedMediaType, "the header Content-Type must be "+strings.Join(medias, " or "))
	case parameters["charset"] != "" && !strings.EqualFold(parameters["charset"], "utf-8"):
		return newProblem(http.StatusUnsupportedMediaType, "the body must be UTF-8")
	}
	return nil
}

func (s shape) decode(body []byte, into reflect.Value) error {
	if !utf8.Valid(body) {
		return malformed("must be valid UTF-8")
	}
	var usual [4]member
	members, err := split(body, usual[:0])
	if err != nil {
		return err
	}
	return s.assign(members, into)
}

func malformed(rule string) *problem {
	p := newProblem(http.StatusBadRequest, "the body "+rule)
	p.Code = "malformed_body"
	return p
}

// member is one of an object, as it is written.
type member struct {
	name  []byte // but for its escapes
	value []byte
}

// split appends the members of the one object in body, in their order. It looks for
// where they end and leaves it to encoding/json what is between, unless that is plain:
// its own way through an object takes several times as long.
func split(body []byte, members []member) ([]member, error) {
	rest, ok := after(body, '{')
	if !ok {
		return nil, notOneObject()
	}
	if end, empty := after(rest, '}'); empty {
		return nil, nothingIn(end)
	}
	for {
		var name, value []byte
		if name, rest, ok = cutValue(rest); !ok || name[0] != '"' {
			return nil, notOneObject()
		}
		if rest, ok = after(rest, ':'); !ok {
			return nil, notOneObject()
		}
		if value, rest, ok = cutValue(rest); !ok {
			return nil, notOneObject()
		}
		if name, ok = unescape(name); !ok || !valid(value) {
			return nil, notOneObject()
		}
		members = append(members, member{name, value})
		if end, last := after(rest, '}'); last {
			return members, nothingIn(end)
		}
		if rest, ok = after(rest, ','); !ok {
			return nil, notOneObject()
		}
	}
}

func notOneObject() error { return malformed("must be one JSON object") }

func nothingIn(rest []byte) error {
	if len(trimSpace(rest)) > 0 {
		return malformed("must be one JSON object and nothing after it")
	}
	return nil
}

// after is what follows the character, which comes next.
func after(text []byte, c byte) (rest []byte, ok bool) {
	text = trimSpace(text)
	if len(text) == 0 || text[0] != c {
		return text, false
	}
	return text[1:], true
}

// trimSpace drops what RFC 8259 has for white space, which is less than Unicode's.
func trimSpace(text []byte) []byte {
	for i, c := range text {
		if c != ' ' && c != '\t' && c != '\r' && c != '\n' {
			return text[i:]
		}
	}
	return nil
}

// cutValue cuts the value that comes next off. If it is no JSON, its end may be anywhere.
func cutValue(text []byte) (value, rest []byte, ok bool) {
	text = trimSpace(text)
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
			if i >= len(text) {
				return nil, nil, false
			}
			if depth == 0 {
				return text[:i+1], text[i+1:], true
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth--; depth == 0 {
				return text[:i+1], text[i+1:], true
			}
		}
		if depth < 0 || depth == 0 && (text[i] == ',' || text[i] == '}' || text[i] == ']' || len(trimSpace(text[i:i+1])) == 0) {
			return text[:i], text[i:], i > 0
		}
	}
	return nil, nil, false
}

// valid is json.Valid.
func valid(value []byte) bool {
	switch string(value) {
	case "true", "false":
		return true
	}
	return plain(value) || json.Valid(value)
}

// plain says whether a text is a JSON string without escapes.
func plain(value []byte) bool {
	last := len(value) - 1
	if last < 1 || value[0] != '"' || value[last] != '"' {
		return false
	}
	for _, c := range value[1:last] {
		if c < ' ' || c == '"' || c == '\\' {
			return false
		}
	}
	return true
}

// unescape is what a JSON string says.
func unescape(value []byte) (text []byte, ok bool) {
	if plain(value) {
		return value[1 : len(value)-1], true
	}
	var unescaped string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &unescaped) != nil {
		return nil, false
	}
	return []byte(unescaped), true
}

// An answer does not grow with what is wrong in a request.
const (
	maxProblems  = 20
	maxFieldName = 100 // in bytes
)

// assign sets the fields of the struct, or lists what is wrong.
func (s shape) assign(members []member, into reflect.Value) error {
	var problems []task.Problem
	report := func(field, rule string) {
		if len(problems) == maxProblems {
			return
		}
		if len(field) > maxFieldName {
			field = strings.ToValidUTF8(field[:maxFieldName], "") + "…"
		}
		problems = append(problems, task.Problem{Field: field, Rule: rule})
	}
	var usual [4][]byte
	given := append(usual[:0], make([][]byte, len(s.fields))...)
	var unknown map[string]bool
	for _, m := range members {
		i := slices.IndexFunc(s.fields, func(f shapeField) bool { return f.name == string(m.name) })
		if i < 0 && unknown == nil {
			unknown = map[string]bool{}
		}
		if i < 0 && unknown[string(m.name)] || i >= 0 && given[i] != nil {
			report(string(m.name), "must be given once")
		}
		if i < 0 {
			unknown[string(m.name)] = true
		} else {
			given[i] = m.value
		}
	}
	for i, f := range s.fields {
		switch value := given[i]; {
		case value == nil && !f.optional:
			report(f.name, "is required")
		case value != nil:
			if rule := decode(value, into.Field(i)); rule != "" {
				report(f.name, rule)
			}
		}
	}
	for _, m := range members {
		if unknown[string(m.name)] {
			report(string(m.name), "is not a known field")
			delete(unknown, string(m.name))
		}
	}
	if len(problems) > 0 {
		return &task.InvalidError{Problems: problems}
	}
	return nil
}

// jsonName reads the tag of a field as encoding/json does.
func jsonName(f reflect.StructField) (name string, optional bool) {
	name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name, options == "omitempty"
}

// decode sets the field, or gives the rule that the value breaks.
func decode(value []byte, into reflect.Value) (rule string) {
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
		text, ok := unescape(value)
		if !ok {
			return "must be a string"
		}
		if halfSurrogate(value) { // encoding/json makes U+FFFD of it
			return "must be valid Unicode"
		}
		into.SetString(string(text))
	case reflect.Bool:
		if truth := string(value); truth != "true" && truth != "false" {
			return "must be true or false"
		}
		into.SetBool(value[0] == 't')
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
