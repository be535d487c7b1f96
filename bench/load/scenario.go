package load

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"math/rand/v2"
	"strconv"

	"github.com/google/uuid"
)

const tasksPath = "/api/v1/tasks"

var (
	errNoList     = fmt.Errorf("not a list of %d tasks", Limit)
	errOtherTask  = errors.New("not the task that was asked for")
	errOtherTitle = errors.New("not the title that was sent")
	errOtherPage  = errors.New("not the page after the cursor")
)

// scenario makes one kind of request and checks its answers.
type scenario struct {
	next  func(*client)               // makes the client's next request
	check func(*client, answer) error // checks the answer to it, and counts what it says to be written
}

// client makes requests. It keeps what it makes them of, so that making one allocates nothing.
type client struct {
	host    string
	ids     []string // the oldest first
	number  int      // which of the clients it is, from 0
	clients int
	run     string // differs between runs
	random  *rand.Rand

	request []byte
	current scenario // of the request, in a mix
	id      string   // that the request names
	member  []byte   // `"title":"…"` of the request's body, as the answer must have it
	newest  string   // id of the first task of the page that is asked for
	sent    int

	created int
	updated map[string]bool // by id
}

var list = scenario{
	next: func(c *client) {
		if len(c.request) == 0 { // it stays the same
			c.begin("GET", "?limit="+strconv.Itoa(Limit), "")
			c.end()
		}
	},
	check: func(_ *client, a answer) error { return checkList(a) },
}

var pages = scenario{
	next: func(c *client) {
		c.pickPage()
		c.start("GET", "?limit="+strconv.Itoa(Limit)+"&after=")
		c.cursor(uuid.MustParse(c.id))
		c.finishLine()
		c.end()
	},
	check: func(c *client, a answer) error {
		if err := checkList(a); err != nil {
			return err
		}
		if rest, found := bytes.CutPrefix(a.body, []byte(`[{"id":"`)); !found || !bytes.HasPrefix(rest, []byte(c.newest)) {
			return errOtherPage
		}
		return nil
	},
}

var create = scenario{
	next: func(c *client) {
		c.id = ""
		c.begin("POST", "", "")
		c.body(false)
	},
	check: checkCreated,
}

var idempotent = scenario{
	next: func(c *client) {
		c.id = ""
		c.begin("POST", "", "")
		c.key()
		c.body(false)
	},
	check: checkCreated,
}

var update = scenario{
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
}

var read = scenario{
	next: func(c *client) {
		c.pick()
		c.begin("GET", "/", c.id)
		c.member = c.member[:0]
		c.end()
	},
	check: func(c *client, a answer) error { return c.checkTask(a, 200) },
}

// fifths are what the mix consists of.
var fifths = [5]scenario{create, read, read, pages, update}

var mix = scenario{
	next: func(c *client) {
		c.current = fifths[c.random.IntN(len(fifths))]
		c.current.next(c)
	},
	check: func(c *client, a answer) error { return c.current.check(c, a) },
}

var scenarios = map[string]scenario{
	List: list, Pages: pages, Create: create, Idempotent: idempotent, Update: update, Read: read, Mix: mix,
}

func (c *client) pick() { c.id = c.ids[c.random.IntN(len(c.ids))] }

// pickPage picks a task after which there are enough for a page. No other client ever picks the same one, so that no two
// lists that are asked for at one time are alike.
func (c *client) pickPage() {
	own := (len(c.ids) - Limit - c.number + c.clients - 1) / c.clients
	i := Limit + c.number + c.clients*c.random.IntN(own)
	c.id, c.newest = c.ids[i], c.ids[i-1]
}

func (c *client) begin(method, below, id string) {
	c.start(method, below)
	c.request = append(c.request, id...)
	c.finishLine()
}

func (c *client) start(method, below string) {
	r := append(c.request[:0], method...)
	r = append(r, ' ')
	r = append(r, tasksPath...)
	c.request = append(r, below...)
}

// cursor adds the text by which all subjects name the page of what is older than a task.
func (c *client) cursor(id uuid.UUID) {
	var cursor [1 + len(id)]byte
	cursor[0] = 1
	copy(cursor[1:], id[:])
	c.request = base64.RawURLEncoding.AppendEncode(c.request, cursor[:])
}

func (c *client) finishLine() {
	r := append(c.request, " HTTP/1.1\r\nHost: "...)
	r = append(r, c.host...)
	c.request = append(r, "\r\n"...)
}

func (c *client) end() { c.request = append(c.request, "\r\n"...) }

// key adds an idempotency key that no other request has.
func (c *client) key() {
	r := append(c.request, "Idempotency-Key: \""...)
	r = append(r, c.run...)
	r = append(r, '-')
	r = strconv.AppendInt(r, int64(c.number), 10)
	r = append(r, '-')
	r = strconv.AppendInt(r, int64(c.sent), 10)
	c.request = append(r, "\"\r\n"...)
}

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

func checkCreated(c *client, a answer) error {
	err := c.checkTask(a, 201)
	if err == nil {
		c.created++
	}
	return err
}

// checkList checks the answer to any list, but not which tasks it has.
func checkList(a answer) error {
	body := bytes.TrimSuffix(a.body, []byte("\n"))
	switch {
	case a.status != 200:
		return unexpected(a)
	case !bytes.HasPrefix(body, []byte("[{")) || !bytes.HasSuffix(body, []byte("}]")) || bytes.Count(body, []byte("{")) != Limit:
		return errNoList
	}
	return nil
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
