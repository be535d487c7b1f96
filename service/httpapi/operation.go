package httpapi

import (
	"net/http"
	"reflect"
	"strings"

	"github.com/gofiber/fiber/v2"
)

// operation is one method of one path, and the types that it reads and writes.
type operation struct {
	method string
	path   string // with {name} for what varies
	status int    // of its success
	input  input
	in     reflect.Type
	out    reflect.Type
	handle func(*Server, *fiber.Ctx) error
}

// nothing is the output of an operation without content.
type nothing struct{}

// serves completes an operation with its handler, and with that its types. What the
// handler returns is written as JSON with the operation's status, unless it set
// another status.
func serves[In, Out any](o operation, handler func(*Server, *fiber.Ctx, In) (Out, error)) operation {
	o.in, o.out = reflect.TypeFor[In](), reflect.TypeFor[Out]()
	o.input = inputOf(o.in)
	o.handle = func(s *Server, c *fiber.Ctx) error {
		var in In
		if err := o.input.read(c, reflect.ValueOf(&in).Elem()); err != nil {
			return err
		}
		c.Status(o.status)
		out, err := handler(s, c, in)
		if err != nil {
			return err
		}
		if c.Response().StatusCode() != o.status || o.status == http.StatusNoContent {
			return nil
		}
		return c.JSON(out)
	}
	return o
}

// fiberPath is the path as Fiber writes it, {id} as :id.
func (o operation) fiberPath() string {
	return strings.NewReplacer("{", ":", "}", "").Replace(o.path)
}
