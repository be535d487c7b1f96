package httpapi

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"example.com/todo/service/task"
	"github.com/gofiber/fiber/v2"
)

const bodyTooLarge = "the body may have at most 64 KiB"

// member is one member that a JSON object may have, and where its value goes.
type member struct {
	name     string
	target   any // *string or *bool
	required bool
}

// readObject reads a body that is one JSON object of the given members. It is
// stricter than encoding/json, which takes names in any case, the last of two equal
// names, null for anything, and replaces what is not Unicode: a client that sends
// such a thing means something else than we would store.
func readObject(c *fiber.Ctx, members ...member) error {
	body := c.BodyRaw() // Body would unpack what is compressed, without a limit
	media, _, err := mime.ParseMediaType(c.Get(fiber.HeaderContentType))
	switch {
	case len(body) > maxBody:
		return newProblem(http.StatusRequestEntityTooLarge, bodyTooLarge)
	case err != nil || media != fiber.MIMEApplicationJSON:
		return newProblem(http.StatusUnsupportedMediaType, "the header Content-Type must be application/json")
	case c.Get(fiber.HeaderContentEncoding) != "":
		return newProblem(http.StatusUnsupportedMediaType, "the body must not be compressed")
	case !utf8.Valid(body):
		return malformed("must be valid UTF-8")
	}
	values, err := split(body)
	if err != nil {
		return err
	}
	return assign(values, members)
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

// assign sets the targets, or lists everything that is wrong.
func assign(values []rawMember, members []member) error {
	invalid := &task.InvalidError{}
	report := func(field, rule string) {
		invalid.Problems = append(invalid.Problems, task.Problem{Field: field, Rule: rule})
	}
	given := map[string]json.RawMessage{}
	for _, v := range values {
		if _, twice := given[v.name]; twice {
			report(v.name, "must be given once")
		}
		given[v.name] = v.value
	}
	for _, m := range members {
		value, ok := given[m.name]
		delete(given, m.name)
		if !ok {
			if m.required {
				report(m.name, "is required")
			}
			continue
		}
		if rule := decode(value, m.target); rule != "" {
			report(m.name, rule)
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

// decode sets the target, or gives the rule that the value breaks.
func decode(value json.RawMessage, target any) (rule string) {
	isNull := string(value) == "null"
	switch t := target.(type) {
	case *string:
		if isNull || json.Unmarshal(value, t) != nil {
			return "must be a string"
		}
		// encoding/json makes U+FFFD of half a surrogate pair.
		written := strings.Count(string(value), "\uFFFD") + strings.Count(strings.ToLower(string(value)), `\ufffd`)
		if strings.Count(*t, "\uFFFD") > written {
			return "must be valid Unicode"
		}
	case *bool:
		if isNull || json.Unmarshal(value, t) != nil {
			return "must be true or false"
		}
	}
	return ""
}
