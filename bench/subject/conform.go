package subject

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"reflect"
	"regexp"
	"strings"

	"github.com/google/uuid"
)

const tasksPath = "/api/v1/tasks"

// Conforms checks that the program at addr answers as the contract says, as far as the benchmark uses it, so that only
// programs that do the same are compared. The database must have at least three tasks; two are added.
func Conforms(ctx context.Context, addr string) error {
	c := &conformance{ctx: ctx, base: "http://" + addr, client: http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
	c.tasks()
	c.refusals()
	return errors.Join(c.problems...)
}

type conformance struct {
	ctx      context.Context
	base     string
	client   http.Client
	problems []error
}

type object = map[string]any

func (c *conformance) tasks() {
	if _, body := c.ask("GET", "/", "", http.StatusOK); string(body) != "OK" {
		c.report("GET / answered %q", body)
	}

	header, body := c.ask("POST", tasksPath, `{"title":"  feed \"Tom\" \\ Ünal ☃ <b>\u00e9 ","completed":true}`, http.StatusCreated)
	made := c.task(body)
	id, _ := made["id"].(string)
	path := tasksPath + "/" + id
	if header.Get("Location") != path {
		c.report("the Location of %s is %q", path, header.Get("Location"))
	}
	if made["title"] != `feed "Tom" \ Ünal ☃ <b>é` || made["completed"] != true || made["created_at"] != made["updated_at"] {
		c.report("made %s", body)
	}
	c.same("a task when read", made, path)

	_, body = c.ask("PUT", path, `{"title":"feed the cat","completed":false}`, http.StatusOK)
	changed := c.task(body)
	if changed["id"] != id || changed["title"] != "feed the cat" || changed["completed"] != false ||
		changed["created_at"] != made["created_at"] || changed["updated_at"] == made["updated_at"] {
		c.report("%v became %v", made, changed)
	}
	c.same("a task when changed and read", changed, path)

	_, body = c.ask("GET", tasksPath+"?limit=3", "", http.StatusOK)
	var list []object
	if err := json.Unmarshal(body, &list); err != nil || len(list) != 3 {
		c.report("a list of three is %s", body)
		return
	}
	if !reflect.DeepEqual(list[0], changed) {
		c.report("the first of the list is %v, not the newest", list[0])
	}
	_, body = c.ask("GET", tasksPath+"?limit=2&after="+cursorAfter(id), "", http.StatusOK)
	var page []object
	if err := json.Unmarshal(body, &page); err != nil || !reflect.DeepEqual(page, list[1:]) {
		c.report("the page after %s is %s, not %v", id, body, list[1:])
	}
	for i := range list[1:] {
		if fmt.Sprint(list[i]["id"]) <= fmt.Sprint(list[i+1]["id"]) {
			c.report("a list out of order: %s", body)
		}
	}
}

// cursorAfter is the text of the cursor that names the page of what is older than a task.
func cursorAfter(id string) string {
	parsed, _ := uuid.Parse(id) // what is none has been reported
	return base64.RawURLEncoding.EncodeToString(append([]byte{1}, parsed[:]...))
}

func (c *conformance) refusals() {
	const missing = tasksPath + "/01890a5d-ac96-774b-bcce-b302099a8057"
	title := func(n int) string { return `{"title":"` + strings.Repeat("é", n) + `","completed":true}` }
	c.ask("POST", tasksPath, title(500), http.StatusCreated)
	for _, method := range []string{"POST", "PUT"} {
		path := tasksPath
		if method == "PUT" {
			path = missing
			c.ask(method, path, `{"title":"x"}`, http.StatusBadRequest)
		}
		for _, body := range []string{title(501), title(0), `{"title":"  ","completed":true}`, `{"completed":true}`, `{"title":1,"completed":true}`, `{`} {
			c.ask(method, path, body, http.StatusBadRequest)
		}
	}
	c.ask("GET", missing, "", http.StatusNotFound)
	c.ask("PUT", missing, title(1), http.StatusNotFound)
	c.ask("GET", tasksPath+"/1", "", http.StatusBadRequest)
	c.ask("PUT", tasksPath+"/1", title(1), http.StatusBadRequest)
	c.ask("GET", tasksPath+"?limit=0", "", http.StatusBadRequest)
	c.ask("GET", tasksPath+"?limit=501", "", http.StatusBadRequest)
	c.ask("GET", tasksPath+"?limit=1&after=1", "", http.StatusBadRequest)
	c.ask("GET", tasksPath+"?limit=1&after="+strings.Repeat("A", 23), "", http.StatusBadRequest)
}

func (c *conformance) report(format string, args ...any) {
	c.problems = append(c.problems, fmt.Errorf(format, args...))
}

func (c *conformance) ask(method, path, body string, status int) (http.Header, []byte) {
	request, err := http.NewRequestWithContext(c.ctx, method, c.base+path, strings.NewReader(body))
	if err != nil {
		c.report("%w", err)
		return nil, nil
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := c.client.Do(request)
	if err != nil {
		c.report("%w", err)
		return nil, nil
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if err != nil {
		c.report("%s %s: %w", method, path, err)
	}
	media, _, err := mime.ParseMediaType(response.Header.Get("Content-Type"))
	if response.StatusCode != status || status < 300 && path != "/" && (err != nil || media != "application/json") {
		c.report("%s %s %.60s: %s, not %d, %s %s", method, path, body, response.Status, status, media, answer)
	}
	return response.Header, answer
}

var (
	version7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)
	instant  = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z$`)
)

// task reads a task that has exactly the fields that it must.
func (c *conformance) task(body []byte) object {
	var t object
	err := json.Unmarshal(body, &t)
	id, _ := t["id"].(string)
	created, _ := t["created_at"].(string)
	updated, _ := t["updated_at"].(string)
	_, hasTitle := t["title"].(string)
	_, hasCompleted := t["completed"].(bool)
	if err != nil || len(t) != 5 || !hasTitle || !hasCompleted ||
		!version7.MatchString(id) || !instant.MatchString(created) || !instant.MatchString(updated) {
		c.report("not a task: %s", body)
	}
	return t
}

func (c *conformance) same(what string, want object, path string) {
	if _, body := c.ask("GET", path, "", http.StatusOK); !reflect.DeepEqual(c.task(body), want) {
		c.report("%s is %s, not %v", what, body, want)
	}
}
