package httpapi

import (
	"bytes"
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
	members, err := split(body)
	if err != nil {
		return err
	}
	return assign(members, into)
}

func malformed(rule string) *problem {
	p := newProblem(http.StatusBadRequest, "the body "+rule)
	p.Code = "malformed_body"
	return p
}

// member is one of an object, as it is written.
type member struct {
	name  string
	value []byte
}

// split gives the members of the one object in body, in their order. It looks for where
// they end and leaves it to encoding/json what is between, whose own way through an
// object takes several times as long.
func split(body []byte) (members []member, err error) {
	notJSON := malformed("must be one JSON object")
	rest, ok := after(body, '{')
	if !ok {
		return nil, notJSON
	}
	if end, empty := after(rest, '}'); empty {
		return nil, nothingIn(end)
	}
	members = make([]member, 0, 4)
	for {
		var name, value []byte
		if name, rest, ok = cutValue(rest); !ok || name[0] != '"' {
			return nil, notJSON
		}
		if rest, ok = after(rest, ':'); !ok {
			return nil, notJSON
		}
		if value, rest, ok = cutValue(rest); !ok {
			return nil, notJSON
		}
		text, ok := stringOf(name)
		if !ok || !json.Valid(value) {
			return nil, notJSON
		}
		members = append(members, member{text, value})
		if end, last := after(rest, '}'); last {
			return members, nothingIn(end)
		}
		if rest, ok = after(rest, ','); !ok {
			return nil, notJSON
		}
	}
}

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
func trimSpace(text []byte) []byte { return bytes.TrimLeft(text, " \t\r\n") }

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

// stringOf reads a JSON string.
func stringOf(value []byte) (text string, ok bool) {
	if len(value) < 2 || value[0] != '"' || !json.Valid(value) {
		return "", false
	}
	inside := value[1 : len(value)-1]
	if bytes.IndexByte(inside, '\\') < 0 {
		return string(inside), true
	}
	return text, json.Unmarshal(value, &text) == nil
}

// An answer does not grow with what is wrong in a request.
const (
	maxProblems  = 20
	maxFieldName = 100 // in bytes
)

// assign sets the fields of the struct, or lists what is wrong.
func assign(members []member, into reflect.Value) error {
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
	given := map[string][]byte{}
	for _, m := range members {
		if _, twice := given[m.name]; twice {
			report(m.name, "must be given once")
		}
		given[m.name] = m.value
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
	for _, m := range members {
		if _, unknown := given[m.name]; unknown {
			report(m.name, "is not a known field")
			delete(given, m.name)
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
		text, ok := stringOf(value)
		if !ok {
			return "must be a string"
		}
		if halfSurrogate(value) { // encoding/json makes U+FFFD of it
			return "must be valid Unicode"
		}
		into.SetString(text)
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
