package httpapi

import (
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/gofiber/fiber/v2"
)

// operation is one method of one path: what serves it and what documents it.
type operation struct {
	method string
	path   string // with {name} for what varies
	id     string // for generated clients

	summary  string
	text     string    // more than the summary, if anything
	examples []example // of its body
	status   int       // of its success
	media    string    // of its success; JSON when empty
	also     []int     // statuses without content that are no problem either
	headers  []string  // of its success, beside those of every answer
	problems []int     // what a client has to expect, beside those of all in the API

	input  input
	in     reflect.Type
	out    reflect.Type
	handle func(*Server, *fiber.Ctx) error
}

// example is a body that does what its operation is for.
type example struct{ name, body string }

// nothing is the output of an operation without content.
type nothing struct{}

// text is an output that is not JSON.
type text string

// serves completes an operation with its handler, and with that its types. What the
// handler returns is written with the operation's status, unless it set another one.
func serves[In, Out any](o operation, handler func(*Server, *fiber.Ctx, In) (Out, error)) operation {
	o.in, o.out = reflect.TypeFor[In](), reflect.TypeFor[Out]()
	o.input = inputOf(o.in)
	if o.media == "" {
		o.media = fiber.MIMEApplicationJSON
	}
	memories := sync.Pool{New: func() any { return new(memory[In, Out]) }}
	o.handle = func(s *Server, c *fiber.Ctx) (err error) {
		if o.media == fiber.MIMEApplicationJSON && !acceptsJSON(c) {
			return newProblem(http.StatusNotAcceptable, "the header Accept must admit application/json or "+typeProblem)
		}
		m := memories.Get().(*memory[In, Out])
		defer m.end(&memories)
		if err := o.input.read(c, reflect.ValueOf(&m.in).Elem()); err != nil {
			return err
		}
		c.Status(o.status)
		m.out, err = handler(s, c, m.in)
		if err != nil || c.Response().StatusCode() != o.status {
			return err
		}
		switch out := any(&m.out).(type) {
		case *nothing:
			return nil
		case *text:
			c.Set(fiber.HeaderContentType, o.media)
			return c.SendString(string(*out))
		case *pageText:
			c.Response().Header.SetContentType(fiber.MIMEApplicationJSON)
			c.Response().SetBodyRaw(*out)
			return nil
		case appender:
			answer := c.Response()
			answer.Header.SetContentType(fiber.MIMEApplicationJSON)
			// The answer's own memory, which it uses again for the next one.
			answer.SwapBody(out.appendJSON(answer.SwapBody(nil)[:0]))
			return nil
		}
		return c.JSON(m.out)
	}
	return o
}

// memory is what one request needs of the heap, for the next one to use again.
type memory[In, Out any] struct {
	in  In
	out Out
}

func (m *memory[In, Out]) end(memories *sync.Pool) {
	*m = memory[In, Out]{}
	memories.Put(m)
}

var asFiber = strings.NewReplacer("{", ":", "}", "")

// route adds the operations, HEAD beside each GET, and OPTIONS for each path.
func (s *Server) route(operations []operation) {
	allowed := map[string][]string{}
	for _, o := range operations {
		path := asFiber.Replace(o.path)
		handle := func(c *fiber.Ctx) error { return o.handle(s, c) }
		if o.method == http.MethodGet {
			s.app.Head(path, handle)
			allowed[path] = append(allowed[path], http.MethodHead)
		}
		s.app.Add(o.method, path, handle)
		allowed[path] = append(allowed[path], o.method)
	}
	for path, methods := range allowed {
		methods = append(methods, http.MethodOptions)
		slices.Sort(methods)
		s.app.Options(path, func(c *fiber.Ctx) error {
			allow := strings.Join(methods, ", ")
			c.Set(fiber.HeaderAllow, allow)
			s.preflight(c, allow)
			return nil
		})
	}
}

// acceptsJSON says whether the client reads our answers or at least our problems.
func acceptsJSON(c *fiber.Ctx) bool {
	lines := c.Request().Header.PeekAll(fiber.HeaderAccept)
	if len(lines) == 0 || len(lines) == 1 && string(lines[0]) == "*/*" {
		return true
	}
	accept := ""
	for _, line := range lines {
		accept += "," + string(line)
	}
	return strings.Trim(accept, ", \t") == "" || accepts(accept, fiber.MIMEApplicationJSON) || accepts(accept, typeProblem)
}

// accepts looks for the most specific range that the media type is in: RFC 9110, 12.5.1.
func accepts(accept, media string) bool {
	kind, _, _ := strings.Cut(media, "/")
	ranges := []string{"*/*", kind + "/*", media}
	best, accepted := -1, false
	for element := range strings.SplitSeq(accept, ",") {
		name, parameters, _ := strings.Cut(element, ";")
		if rank := slices.Index(ranges, strings.ToLower(trimOWS(name))); rank > best {
			best, accepted = rank, weight(parameters) > 0
		}
	}
	return accepted
}

// weight is the parameter q, 1 when there is none.
func weight(parameters string) float64 {
	for p := range strings.SplitSeq(parameters, ";") {
		if q, ok := strings.CutPrefix(strings.ToLower(trimOWS(p)), "q="); ok {
			w, err := strconv.ParseFloat(q, 64)
			if err != nil {
				return 0
			}
			return w
		}
	}
	return 1
}
