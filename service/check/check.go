// Package check verifies from outside that a service keeps the contract of the todo
// API: any base URL, nothing but HTTP. It is safe on a live service: it touches only
// tasks that it has made itself, knows them by a random mark in their titles, and
// removes them.
package check

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const (
	tasks = "/api/v1/tasks"
	// requestTimeout is above the 10 s within which the service answers.
	requestTimeout = 30 * time.Second
	// cleanTimeout is for removing what was made, also when the check was stopped.
	cleanTimeout = time.Minute
	// cleanPages bounds the look for tasks whose answer was lost.
	cleanPages = 3
	// maxWait is for a request that the service puts off with 429.
	maxWait = time.Minute
)

// KeyVariable is the environment variable that commands which verify take the API key
// from.
const KeyVariable = "API_KEY"

// Report is told of each rule, in order; err is nil when it holds.
type Report func(rule string, err error)

// Run is RunWithKey for a service that is open to all.
func Run(ctx context.Context, client *http.Client, baseURL string, report Report) error {
	return RunWithKey(ctx, client, baseURL, "", report)
}

// RunWithKey verifies the contract at the base URL, and presents the API key. Its error
// says how many rules do not hold, or that something is left behind, or that the service
// wants another key.
func RunWithKey(ctx context.Context, client *http.Client, baseURL, key string, report Report) error {
	own := *client
	own.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	s := &session{client: &own, base: strings.TrimRight(baseURL, "/"), key: key, mark: "check " + rand.Text(), made: map[string]bool{}}
	if a, err := s.send(ctx, http.MethodGet, tasks+"?limit=1", ""); err == nil && a.status == http.StatusUnauthorized {
		if key == "" {
			return errors.New("the service wants an API key")
		}
		return errors.New("the service does not take this API key")
	}
	failed := 0
	for _, r := range rules {
		p := &probe{session: s, ctx: ctx}
		r.verify(p)
		if ctx.Err() != nil {
			break
		}
		err := errors.Join(p.failures...)
		if err != nil {
			failed++
		}
		report(r.name, err)
	}
	cleaning, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	err := errors.Join(ctx.Err(), s.clean(cleaning))
	if failed > 0 {
		err = errors.Join(fmt.Errorf("%d of %d rules do not hold", failed, len(rules)), err)
	}
	return err
}

// session is one run of all rules.
type session struct {
	client *http.Client
	base   string
	key    string
	mark   string // in each title

	mu     sync.Mutex
	made   map[string]bool // paths of tasks that may still be there
	putOff []answer        // were 429, until the request was sent again
}

// probe is one rule at work.
type probe struct {
	*session
	ctx context.Context

	mu       sync.Mutex
	failures []error
}

func (p *probe) failf(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.failures = append(p.failures, fmt.Errorf(format, args...))
}

// answer is a response, read whole, and the request for messages about it.
type answer struct {
	request string
	status  int // 0 when there was none, which is then reported
	header  http.Header
	body    string
}

func (a answer) String() string { return fmt.Sprintf("%s: %d %.300s", a.request, a.status, a.body) }

// object is the body as a JSON object, empty when it is none.
func (a answer) object() map[string]any {
	var o map[string]any
	if json.Unmarshal([]byte(a.body), &o) != nil {
		return map[string]any{}
	}
	return o
}

func (a answer) text(member string) string {
	s, _ := a.object()[member].(string)
	return s
}

// do sends a request with pairs of header names and values, and verifies what holds
// for every answer.
func (p *probe) do(method, path, body string, header ...string) answer {
	a, err := p.send(p.ctx, method, path, body, header...)
	if err != nil {
		p.failf("%s: %w", a.request, err)
		return a
	}
	id := a.header.Get("X-Request-Id")
	if id == "" {
		p.failf("%v: no X-Request-Id", a)
	}
	if got := a.header.Get("X-Content-Type-Options"); got != "nosniff" {
		p.failf("%v: X-Content-Type-Options is %q", a, got)
	}
	switch {
	case method == http.MethodHead || a.status == http.StatusNoContent || a.status == http.StatusNotModified:
		if a.body != "" {
			p.failf("%v: a body where none may be", a)
		}
	case a.status >= http.StatusBadRequest:
		p.problem(a, id)
	}
	return a
}

// problem verifies the shape of every error.
func (p *probe) problem(a answer, id string) {
	o := a.object()
	if got := a.header.Get("Content-Type"); got != "application/problem+json" {
		p.failf("%v: Content-Type is %q", a, got)
	}
	if o["type"] != "about:blank" || o["title"] != http.StatusText(a.status) || o["status"] != float64(a.status) || o["request_id"] != id || a.text("detail") == "" || a.text("code") == "" {
		p.failf("%v: not a whole problem with the request's id %s", a, id)
	}
	if a.status == http.StatusServiceUnavailable && a.header.Get("Retry-After") == "" {
		p.failf("%v: no Retry-After", a)
	}
	if a.status == http.StatusInternalServerError {
		p.failf("%v: a defect", a)
	}
}

// want reports an answer of another status.
func (p *probe) want(status int, a answer) answer {
	if a.status != 0 && a.status != status {
		p.failf("%v, want %d", a, status)
	}
	return a
}

// refused wants a problem of that status and code.
func (p *probe) refused(status int, code string, a answer) {
	p.want(status, a)
	if a.status == status && a.text("code") != code {
		p.failf("%v: code is not %s", a, code)
	}
}

// send sends one request, again and again while the service puts it off, and remembers
// what it makes and removes.
func (s *session) send(ctx context.Context, method, path, body string, header ...string) (answer, error) {
	for waited := time.Duration(0); ; {
		a, err := s.sendOnce(ctx, method, path, body, header...)
		after, ok := a.retryAfter()
		waited += after
		if err != nil || a.status != http.StatusTooManyRequests || !ok || waited > maxWait {
			return a, err
		}
		s.mu.Lock()
		s.putOff = append(s.putOff, a)
		s.mu.Unlock()
		select {
		case <-time.After(after):
		case <-ctx.Done():
			return a, ctx.Err()
		}
	}
}

// retryAfter is what a well-formed header Retry-After says in seconds, at least one.
func (a answer) retryAfter() (time.Duration, bool) {
	n, err := strconv.ParseUint(a.header.Get("Retry-After"), 10, 16)
	return time.Duration(n) * time.Second, err == nil && n > 0
}

func (s *session) sendOnce(ctx context.Context, method, path, body string, header ...string) (answer, error) {
	a := answer{request: method + " " + path}
	if body != "" {
		a.request += fmt.Sprintf(" %.100s", body)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var reader io.Reader
	if body != "" {
		reader = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(ctx, method, s.base+path, reader)
	if err != nil {
		return a, err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	for pair := range slices.Chunk(header, 2) {
		if req.Header.Set(pair[0], pair[1]); pair[1] == "" {
			req.Header.Del(pair[0])
		}
		shown := pair[1]
		if s.key != "" {
			shown = strings.ReplaceAll(shown, s.key, "…")
		}
		a.request += fmt.Sprintf(" [%s: %.60s]", pair[0], shown)
	}
	res, err := s.client.Do(req)
	if err != nil {
		return a, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return a, err
	}
	a.status, a.header, a.body = res.StatusCode, res.Header, string(b)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch location := res.Header.Get("Location"); {
	case a.status == http.StatusCreated && strings.HasPrefix(location, tasks+"/"):
		s.made[location] = true
	case a.status == http.StatusNoContent && method == http.MethodDelete:
		delete(s.made, path)
	}
	return a, nil
}

// title is one that only this run uses.
func (s *session) title(about string) string { return s.mark + " " + about }

// create makes a task for a rule.
func (p *probe) create(about string, completed bool) answer {
	return p.want(http.StatusCreated, p.do(http.MethodPost, tasks, body(p.title(about), completed)))
}

// body is that of a POST or PUT.
func body(title string, completed bool) string {
	b, err := json.Marshal(map[string]any{"title": title, "completed": completed})
	if err != nil { // strings always marshal
		panic(err)
	}
	return string(b)
}

// path of a task that was made; one that cannot be there when it was not.
func (a answer) path() string {
	if location := a.header.Get("Location"); location != "" {
		return location
	}
	return tasks + "/" + nobody
}

// nobody is the id of no task.
const nobody = "00000000-0000-7000-8000-000000000000"

// clean removes what this run has made, and what an answer that was lost has.
func (s *session) clean(ctx context.Context) error {
	for next, n := tasks+"?limit=500", 0; next != "" && n < cleanPages; n++ {
		a, err := s.send(ctx, http.MethodGet, next, "")
		if err != nil {
			return fmt.Errorf("clean up: %w", err)
		}
		for _, t := range a.list() {
			if strings.HasPrefix(t.Title, s.mark+" ") {
				s.made[tasks+"/"+t.ID] = true
			}
		}
		next = a.next()
	}
	var failures []error
	for path := range s.made {
		a, err := s.send(ctx, http.MethodDelete, path, "")
		if err == nil && a.status != http.StatusNoContent && a.status != http.StatusNotFound {
			err = errors.New(a.String())
		}
		if err != nil {
			failures = append(failures, fmt.Errorf("%s is left behind: %w", path, err))
		}
	}
	return errors.Join(failures...)
}

// listed is a task of a list.
type listed struct {
	ID        string
	Title     string
	Completed bool
}

func (a answer) list() []listed {
	var l []listed
	if json.Unmarshal([]byte(a.body), &l) != nil {
		return nil
	}
	return l
}

// next is where the Link header leads, empty without one.
func (a answer) next() string {
	target, ok := strings.CutSuffix(a.header.Get("Link"), `>; rel="next"`)
	if !ok {
		return ""
	}
	return strings.TrimPrefix(target, "<")
}
