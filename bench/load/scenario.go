package load

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"
)

const tasksPath = "/api/v1/tasks"

var (
	errNoList     = fmt.Errorf("not a list of %d tasks", Limit)
	errOtherTask  = errors.New("not the task that was asked for")
	errOtherTitle = errors.New("not the title that was sent")
)

// scenario is one kind of request and the rule for its answers.
type scenario struct {
	next  func(*client)               // makes the client's next request
	check func(*client, answer) error // of the answer to that, and keeps count of what it says to be written
}

// client makes requests. What it makes them of stays, so that making one allocates nothing.
type client struct {
	host   string
	ids    []string
	number int // which of the clients it is
	random *rand.Rand

	request []byte
	id      string // that the request names
	member  []byte // `"title":"…"` of the request's body, as the answer must have it
	sent    int

	created int
	updated map[string]bool // by id
}

var scenarios = map[string]scenario{
	List: {
		next: func(c *client) {
			if len(c.request) == 0 { // it stays the same
				c.begin("GET", "?limit="+strconv.Itoa(Limit), "")
				c.end()
			}
		},
		check: func(_ *client, a answer) error {
			body := bytes.TrimSuffix(a.body, []byte("\n"))
			switch {
			case a.status != 200:
				return unexpected(a)
			case !bytes.HasPrefix(body, []byte("[{")) || !bytes.HasSuffix(body, []byte("}]")) || bytes.Count(body, []byte("{")) != Limit:
				return errNoList
			}
			return nil
		},
	},
	Create: {
		next: func(c *client) {
			c.begin("POST", "", "")
			c.body(false)
		},
		check: func(c *client, a answer) error {
			err := c.checkTask(a, 201)
			if err == nil {
				c.created++
			}
			return err
		},
	},
	Update: {
		next: func(c *client) {
			c.pick()
			c.begin("PUT", "/", c.id)
			c.body(true)
		},
		check: func(c *client, a answer) error {
			err := c.checkTask(a, 200)
			if err == nil {
				c.updated[c.id] = true
			}
			return err
		},
	},
	Read: {
		next: func(c *client) {
			c.pick()
			c.begin("GET", "/", c.id)
			c.end()
		},
		check: func(c *client, a answer) error { return c.checkTask(a, 200) },
	},
}

func (c *client) pick() { c.id = c.ids[c.random.IntN(len(c.ids))] }

func (c *client) begin(method, below, id string) {
	r := append(c.request[:0], method...)
	r = append(r, ' ')
	r = append(r, tasksPath...)
	r = append(r, below...)
	r = append(r, id...)
	r = append(r, " HTTP/1.1\r\nHost: "...)
	r = append(r, c.host...)
	c.request = append(r, "\r\n"...)
}

func (c *client) end() { c.request = append(c.request, "\r\n"...) }

// body adds the task, whose title no other request has, and the end.
func (c *client) body(completed bool) {
	c.sent++
	m := append(c.member[:0], `"title":"`+TitlePrefix...)
	m = strconv.AppendInt(m, int64(c.sent), 10)
	m = append(m, " of client "...)
	m = strconv.AppendInt(m, int64(c.number), 10)
	c.member = append(m, '"')

	rest := `,"completed":false}`
	if completed {
		rest = `,"completed":true}`
	}
	r := append(c.request, "Content-Type: application/json\r\nContent-Length: "...)
	r = strconv.AppendInt(r, int64(len("{")+len(c.member)+len(rest)), 10)
	r = append(r, "\r\n\r\n{"...)
	r = append(r, c.member...)
	c.request = append(r, rest...)
}

// checkTask checks the answer of one task: the one that was asked for, as it was written.
func (c *client) checkTask(a answer, status int) error {
	switch {
	case a.status != status:
		return unexpected(a)
	case !bytes.HasPrefix(a.body, []byte(`{"id":"`)) || !bytes.Contains(a.body, []byte(c.id)):
		return errOtherTask
	case !bytes.Contains(a.body, c.member):
		return errOtherTitle
	}
	return nil
}

func unexpected(a answer) error { return fmt.Errorf("status %d", a.status) }
