package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"
)

// person is one client, which does one thing after another.
type person struct {
	*world
	rand *rand.Rand
	name string // of a person, and the beginning of the titles of what it owns
	made int
	own  []*owned // oldest first
	gone []*owned
	keys []keyedAnswer
}

// owned is a task that only one person writes.
type owned struct {
	todo
	tags []string // the last is the current one
}

func (o *owned) tag() string { return o.tags[len(o.tags)-1] }

// keyedAnswer is what each repeat of a key must give.
type keyedAnswer struct {
	key, body string
	answer    []any
}

// reply is an answer and when it was waited for.
type reply struct {
	response
	began, ended time.Time
}

func (p *person) do(method, path string, body any, h header) (reply, error) {
	text := ""
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return reply{}, err
		}
		text = string(b)
	}
	return p.send(p.instances[p.rand.IntN(len(p.instances))], method, path, text, h)
}

func (p *person) send(i instance, method, path, body string, h header) (reply, error) {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	began := time.Now()
	r, err := i.tryBy(ctx, p.client, method, path, body, h)
	if err != nil {
		return reply{}, fmt.Errorf("%s %s %s: %w", method, path, body, err)
	}
	return reply{r, began, time.Now()}, nil
}

// is holds an answer against what it must be.
func (r reply) is(what string, want ...any) error {
	got := []any{r.status}
	for _, w := range want[1:] {
		switch w.(type) {
		case todo:
			read, err := parseTodo(r.response)
			if err != nil {
				return errors.Join(wrong(what, r.response), err)
			}
			got = append(got, read)
		case string: // an ETag, or the code of a problem
			var problem struct{ Code string }
			if json.Unmarshal([]byte(r.body), &problem) == nil && problem.Code != "" {
				got = append(got, problem.Code)
			} else {
				got = append(got, r.header.Get("ETag"))
			}
		}
	}
	if !reflect.DeepEqual(got, want) {
		return fmt.Errorf("%s: %d %s ETag %s, want %+v", what, r.status, r.body, r.header.Get("ETag"), want)
	}
	return nil
}

// step does one thing, and the error is what is wrong with the answer.
func (p *person) step() error {
	p.made++
	h := p.shared[p.rand.IntN(len(p.shared))].Load()
	if len(p.own) == 0 {
		return p.create()
	}
	if len(p.own) > 12 {
		return p.remove()
	}
	steps := []func() error{
		p.create, p.create, p.createOnce, p.createOnce, p.repeatKey, p.createTwiceAtOnce, p.refuse,
		p.list, p.list, p.get, p.get, p.put, p.put, p.patch, p.patch, p.patchNothing, p.remove, p.missing,
		func() error { return p.readShared(h, nil) },
		func() error { return p.readShared(h, nil) },
		func() error { return p.readShared(h, nil) },
		func() error { return p.readShared(h, p.seen(h)) },
		func() error { return p.writeShared(h, "PUT", nil) },
		func() error { return p.writeShared(h, "PUT", p.seen(h)) },
		func() error { return p.writeShared(h, "PATCH", nil) },
		func() error { return p.writeShared(h, "PATCH", nil) },
		func() error { return p.writeShared(h, "PATCH", p.seen(h)) },
		func() error { return p.removeShared(h) },
	}
	return steps[p.rand.IntN(len(steps))]()
}

// title is a new one, with characters that are hard to carry.
func (p *person) title() string {
	hard := []string{"plain", `"quoted" \n`, "'; DROP TABLE tasks; --", "<b>&amp;</b>", "ümläut 漢字 🥛", "line\u2028separator", "100%s $1 ?", "\ufeff\u200b{}"}
	return fmt.Sprintf("%s, %d: %s", p.name, p.made, hard[p.rand.IntN(len(hard))])
}

func (p *person) flip() bool { return p.rand.IntN(2) == 0 }

func (p *person) one() *owned { return p.own[p.rand.IntN(len(p.own))] }

// draft is the body of a POST or PUT, and what it makes.
func (p *person) draft() (map[string]any, todo) {
	d := todo{Title: p.title(), Completed: p.flip()}
	title := d.Title
	if p.flip() {
		title = " \t" + title + "\u00a0"
	}
	return map[string]any{"title": title, "completed": d.Completed}, d
}

// own a task that was made, if it is as wanted.
func (p *person) owns(what string, r reply, want todo) error {
	made, err := parseTodo(r.response)
	if err != nil {
		return errors.Join(wrong(what, r.response), err)
	}
	want.ID, want.CreatedAt, want.UpdatedAt = made.ID, made.CreatedAt, made.CreatedAt
	if err := r.is(what, 201, want); err != nil {
		return err
	}
	if last := len(p.own) - 1; r.header.Get("Location") != tasks+"/"+made.ID || !uuid7.MatchString(made.ID) || last >= 0 && p.own[last].ID >= made.ID {
		return errors.Join(wrong(what, r.response), fmt.Errorf("Location %s", r.header.Get("Location")))
	}
	p.own = append(p.own, &owned{made, []string{r.header.Get("ETag")}})
	return nil
}

func (p *person) create() error {
	body, want := p.draft()
	r, err := p.do("POST", tasks, body, nil)
	if err != nil {
		return err
	}
	return p.owns("POST", r, want)
}

func (p *person) createOnce() error {
	body, want := p.draft()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("%s-%d", strings.ReplaceAll(p.name, " ", "-"), p.made)
	r, err := p.send(p.instances[p.rand.IntN(len(p.instances))], "POST", tasks, string(text), header{idempotencyKey: key})
	if err != nil {
		return err
	}
	p.keys = append(p.keys, keyedAnswer{key, string(text), answer(r.response)})
	return p.owns("POST with a key", r, want)
}

func (p *person) repeatKey() error {
	if len(p.keys) == 0 {
		return nil
	}
	k := p.keys[p.rand.IntN(len(p.keys))]
	if p.rand.IntN(4) == 0 {
		r, err := p.do("POST", tasks, map[string]any{"title": p.title()}, header{idempotencyKey: k.key})
		return errors.Join(err, r.is("another body", 422, "idempotency_key_reused"))
	}
	r, err := p.send(p.instances[p.rand.IntN(len(p.instances))], "POST", tasks, k.body, header{idempotencyKey: `"` + k.key + `"`})
	if err == nil && !reflect.DeepEqual(answer(r.response), k.answer) {
		err = fmt.Errorf("a repeat got %v, the first %v", answer(r.response), k.answer)
	}
	return err
}

func (p *person) createTwiceAtOnce() error {
	body, want := p.draft()
	text, err := json.Marshal(body)
	if err != nil {
		return err
	}
	key := fmt.Sprintf("%s-%d", strings.ReplaceAll(p.name, " ", "-"), p.made)
	replies := make([]reply, 3)
	errs := make([]error, len(replies))
	var wg sync.WaitGroup
	for n := range replies {
		wg.Go(func() {
			replies[n], errs[n] = p.send(p.instances[n%len(p.instances)], "POST", tasks, string(text), header{idempotencyKey: key})
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		return err
	}
	for _, r := range replies {
		if !reflect.DeepEqual(answer(r.response), answer(replies[0].response)) {
			return fmt.Errorf("one key, answers %v and %v", answer(r.response), answer(replies[0].response))
		}
	}
	p.keys = append(p.keys, keyedAnswer{key, string(text), answer(replies[0].response)})
	return p.owns("POST with a key", replies[0], want)
}

// refuse asks for what cannot be; nothing may come of it.
func (p *person) refuse() error {
	path := tasks + "/" + p.one().ID
	requests := []struct {
		method, path, body, code string
	}{
		{"POST", tasks, `{"title":" "}`, "invalid"},
		{"POST", tasks, `{"title":"x","x":1}`, "invalid"},
		{"PUT", path, `{"title":"x"}`, "invalid"},
		{"PATCH", path, `{"completed":null}`, "invalid"},
		{"PATCH", path, `[]`, "malformed_body"},
		{"GET", tasks + "?limit=501", "", "invalid"},
		{"GET", tasks + "?after=x", "", "invalid"},
		{"DELETE", path + "0", "", "invalid"},
	}
	n := requests[p.rand.IntN(len(requests))]
	r, err := p.send(p.instances[0], n.method, n.path, n.body, nil)
	return errors.Join(err, r.is(n.method+" "+n.body, 400, n.code))
}

func (p *person) get() error {
	o := p.one()
	h := header{}
	status := http.StatusOK
	switch p.rand.IntN(4) {
	case 0:
		h["If-None-Match"], status = `"x", W/`+o.tag(), http.StatusNotModified
	case 1:
		h["If-None-Match"], status = "*", http.StatusNotModified
	case 2:
		if len(o.tags) > 1 {
			h["If-None-Match"] = o.tags[p.rand.IntN(len(o.tags)-1)]
		}
	}
	r, err := p.do("GET", tasks+"/"+o.ID, nil, h)
	if err == nil && status == http.StatusNotModified && r.body == "" {
		return r.is("GET", status, o.tag())
	}
	return errors.Join(err, r.is("GET", status, o.todo, o.tag()))
}

// ifMatch is a header for the task, and whether it holds.
func (p *person) ifMatch(o *owned) (header, bool) {
	old := `"x"`
	if len(o.tags) > 1 {
		old = o.tags[p.rand.IntN(len(o.tags)-1)]
	}
	switch p.rand.IntN(8) {
	case 0:
		return header{"If-Match": o.tag()}, true
	case 1:
		return header{"If-Match": old + ", " + o.tag()}, true
	case 2:
		return header{"If-Match": "*"}, true
	case 3:
		return header{"If-Match": old}, false
	case 4:
		return header{"If-Match": "W/" + o.tag()}, false
	}
	return header{}, true
}

func (p *person) put() error {
	body, want := p.draft()
	return p.change("PUT", body, patch{&want.Title, &want.Completed})
}

func (p *person) patch() error {
	set := p.somePatch()
	return p.change("PATCH", set, set)
}

func (p *person) somePatch() (set patch) {
	title, completed := p.title(), p.flip()
	if n := p.rand.IntN(3); n == 0 {
		set.Title = &title
	} else if set.Completed = &completed; n == 1 {
		set.Title = &title
	}
	return set
}

func (p *person) patchNothing() error { return p.change("PATCH", patch{}, patch{}) }

func (p *person) change(method string, body any, set patch) error {
	o := p.one()
	h, holds := p.ifMatch(o)
	r, err := p.do(method, tasks+"/"+o.ID, body, h)
	if err != nil {
		return err
	}
	if !holds {
		return r.is(method, 412, "precondition_failed")
	}
	if set == (patch{}) {
		return r.is(method+" of nothing", 200, o.todo, o.tag())
	}
	changed, err := parseTodo(r.response)
	if err != nil {
		return errors.Join(wrong(method, r.response), err)
	}
	want := set.apply(o.todo)
	want.UpdatedAt = changed.UpdatedAt
	if err := r.is(method, 200, want); err != nil {
		return err
	}
	tag := r.header.Get("ETag")
	if !instant(changed.UpdatedAt).After(instant(o.UpdatedAt)) || slices.Contains(o.tags, tag) || tag == "" {
		return fmt.Errorf("%s: %s at %s after %v at %s", method, tag, changed.UpdatedAt, o.tags, o.UpdatedAt)
	}
	o.todo, o.tags = changed, append(o.tags, tag)
	return nil
}

func (p *person) remove() error {
	o := p.one()
	h, holds := p.ifMatch(o)
	r, err := p.do("DELETE", tasks+"/"+o.ID, nil, h)
	if err != nil {
		return err
	}
	if !holds {
		return r.is("DELETE", 412, "precondition_failed")
	}
	p.own = slices.DeleteFunc(p.own, func(other *owned) bool { return other == o })
	p.gone = append(p.gone, o)
	return r.is("DELETE", 204)
}

// missing asks for what was deleted.
func (p *person) missing() error {
	if len(p.gone) == 0 {
		return nil
	}
	o := p.gone[p.rand.IntN(len(p.gone))]
	h, _ := p.ifMatch(o)
	method := []string{"GET", "PUT", "PATCH", "DELETE"}[p.rand.IntN(4)]
	var body any
	if method[0] == 'P' {
		body, _ = p.draft()
	}
	r, err := p.do(method, tasks+"/"+o.ID, body, h)
	return errors.Join(err, r.is(method+" of what is gone", 404, "task_not_found"))
}
