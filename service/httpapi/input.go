package httpapi

import (
	"bytes"
	"encoding/base64"
	"reflect"
	"strconv"
	"strings"

	"example.com/todo/service/task"
	"github.com/gofiber/fiber/v2"
)

// The input of an operation is a struct whose fields say where they come from:
//
//	ID    taskID   `path:"id"`
//	Limit pageSize `query:"limit"`
//	Body  newTask  `body:"application/json"`
//
// A field of the path, the query or a header is a [parameter]; one that the request
// leaves out keeps its zero value.

// parameter reads itself from a request, or gives the rule that the text breaks, and
// documents that rule.
type parameter interface {
	parse(text string) (rule string)
	schema() schema
}

const (
	inPath   = "path"
	inQuery  = "query"
	inHeader = "header"
	inBody   = "body"
)

// input is what the fields of an operation's input say.
type input struct {
	parameters []field
	body       field    // its index is -1 without one
	medias     []string // that the body may have
	shape      shape    // of it
}

// field is one field of an input.
type field struct {
	index    int
	in, name string
	tag      reflect.StructTag
}

// inputOf reads the tags of a struct. It panics when one cannot be served, which is
// when the program starts.
func inputOf(t reflect.Type) input {
	in := input{body: field{index: -1}}
	for i := range t.NumField() {
		f := t.Field(i)
		if media, ok := f.Tag.Lookup(inBody); ok {
			in.body = field{i, inBody, media, f.Tag}
			in.medias, in.shape = strings.Split(media, ","), shapeOf(f.Type)
			continue
		}
		for _, where := range []string{inPath, inQuery, inHeader} {
			if name, ok := f.Tag.Lookup(where); ok {
				_ = reflect.New(f.Type).Interface().(parameter)
				in.parameters = append(in.parameters, field{i, where, name, f.Tag})
			}
		}
	}
	return in
}

// read fills the struct, or says everything that is wrong with the parameters, or
// with the body.
func (in input) read(c *fiber.Ctx, into reflect.Value) error {
	var problems []task.Problem
	for _, f := range in.parameters {
		text, times := f.text(c)
		rule := ""
		switch {
		case times == 0:
			continue
		case times > 1 && f.in == inQuery:
			rule = "must be given once"
		default:
			rule = into.Field(f.index).Addr().Interface().(parameter).parse(text)
		}
		if rule != "" {
			problems = append(problems, task.Problem{Field: f.name, Rule: rule})
		}
	}
	if len(problems) > 0 {
		return &task.InvalidError{Problems: problems}
	}
	if in.body.index < 0 {
		return nil
	}
	return readBody(c, in.medias, in.shape, into.Field(in.body.index))
}

// text is what the request has under the name, and how many times.
func (f field) text(c *fiber.Ctx) (text string, times int) {
	var found [][]byte
	switch f.in {
	case inPath:
		return strings.Clone(c.Params(f.name)), 1
	case inQuery:
		found = c.Context().QueryArgs().PeekMulti(f.name)
	case inHeader:
		found = c.Request().Header.PeekAll(f.name)
	}
	return string(bytes.Join(found, []byte(", "))), len(found) // the lines of a header are one list: RFC 9110, 5.3
}

// taskID is the id of a task in a path.
type taskID struct{ task.ID }

func (p *taskID) parse(text string) (rule string) {
	id, err := task.ParseID(text)
	if err != nil {
		return idRule
	}
	p.ID = id
	return ""
}

func (taskID) schema() schema {
	return schema{Type: "string", Format: "uuid", Pattern: "^[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}$"}
}

const idRule = "must be a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057"

// pageSize is how many tasks of a list are wanted; 0 stands for the default.
type pageSize int

func (p *pageSize) parse(text string) (rule string) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > maxLimit {
		return "must be a whole number from 1 to " + strconv.Itoa(maxLimit)
	}
	*p = pageSize(n)
	return ""
}

func (pageSize) schema() schema {
	return schema{Type: "integer", Minimum: 1, Maximum: maxLimit, Default: defaultLimit}
}

// choice is true, false or not made.
type choice struct{ made *bool }

func (p *choice) parse(text string) (rule string) {
	if text != "true" && text != "false" {
		return "must be true or false"
	}
	made := text == "true"
	p.made = &made
	return ""
}

func (choice) schema() schema { return schema{Type: "boolean"} }

// cursor is where a page ends and the next begins. Clients get it as text to hand
// back, and are told nothing about what is in it: a version, for the day when a list
// has another order, and the last id of the page.
type cursor struct{ after *task.ID }

const cursorVersion = 1

// cursorText has no padding, and only one text for each cursor.
var cursorText = base64.RawURLEncoding.Strict()

func (p *cursor) parse(text string) (rule string) {
	b, err := cursorText.DecodeString(text)
	if err != nil || len(b) != 1+len(task.ID{}) || b[0] != cursorVersion || strings.ContainsAny(text, "\r\n") {
		return `must be taken unchanged from a Link header with rel="next"`
	}
	id := task.ID(b[1:])
	p.after = &id
	return ""
}

func (cursor) schema() schema { return schema{Type: "string", Pattern: "^[A-Za-z0-9_-]{23}$"} }

func cursorAfter(id task.ID) string {
	return cursorText.EncodeToString(append([]byte{cursorVersion}, id[:]...))
}

// idempotencyKey is a string of RFC 9651 in quotes, as draft-ietf-httpapi-idempotency-key-header
// has it, or the same without the quotes, as many clients send it.
type idempotencyKey string

const maxKey = 255

func (p *idempotencyKey) parse(text string) (rule string) {
	const broken = "must be a string of 1 to 255 visible ASCII characters in double quotes"
	key := trimOWS(text)
	if inside, quoted := strings.CutPrefix(key, `"`); quoted {
		closed := false
		if key, closed = strings.CutSuffix(inside, `"`); !closed {
			return broken
		}
	}
	// An escaped quote or backslash is not worth its parser: no generator of keys makes one.
	if key == "" || len(key) > maxKey || strings.ContainsFunc(key, func(r rune) bool { return r <= ' ' || r > '~' || strings.ContainsRune(`"\,;`, r) }) {
		return broken
	}
	*p = idempotencyKey(key)
	return ""
}

func (idempotencyKey) schema() schema {
	return schema{Type: "string", MinLength: 1, MaxLength: maxKey + 2}
}
