package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// share makes a task that all write, in that place.
func (p *person) share(slot int) error {
	r, err := p.do("POST", tasks, map[string]any{"title": "shared"}, nil)
	if err != nil {
		return err
	}
	made, err := parseTodo(r.response)
	if err != nil || r.status != http.StatusCreated {
		return errors.Join(wrong("POST", r.response), err)
	}
	h := &history{id: made.ID}
	h.add(event{began: r.began, ended: r.ended, kind: wrote, task: made, tag: r.header.Get("ETag")})
	p.mu.Lock()
	p.histories[h.id] = h
	p.mu.Unlock()
	p.shared[slot].Store(h)
	return nil
}

// seen is a tag of the task that somebody has seen, most often the last.
func (p *person) seen(h *history) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	back := p.rand.IntN(3)
	for _, e := range slices.Backward(h.events) {
		if e.kind != wrote {
			continue
		}
		if back--; back < 0 {
			return []string{e.tag}
		}
	}
	return []string{`"x"`}
}

// keep notes what a request for a shared task was answered.
func (h *history) keep(what string, r reply, done kind, set patch, match []string) error {
	e := event{began: r.began, ended: r.ended, kind: done, tag: r.header.Get("ETag"), set: set, match: match}
	switch r.status {
	case http.StatusOK:
		var err error
		if e.task, err = parseTodo(r.response); err != nil || e.task.ID != h.id || e.tag == "" {
			return errors.Join(wrong(what, r.response), err)
		}
	case http.StatusNoContent:
	case http.StatusNotFound:
		e.kind = missed
	case http.StatusPreconditionFailed:
		if match == nil {
			return wrong(what+" without If-Match", r.response)
		}
		e.kind = refused
	default:
		return wrong(what, r.response)
	}
	h.add(e)
	return nil
}

func (p *person) readShared(h *history, known []string) error {
	head := header{}
	if known != nil {
		head["If-None-Match"] = strings.Join(known, ", ")
	}
	r, err := p.do("GET", tasks+"/"+h.id, nil, head)
	if err != nil {
		return err
	}
	if r.status == http.StatusNotModified {
		// The answer has no task, but the tag says which one it would have had.
		h.mu.Lock()
		i := slices.IndexFunc(h.events, func(e event) bool { return e.kind == wrote && e.tag == r.header.Get("ETag") })
		task := h.events[max(i, 0)].task
		h.mu.Unlock()
		if i < 0 || !slices.Contains(known, r.header.Get("ETag")) {
			return fmt.Errorf("GET If-None-Match %v: 304 %s", known, r.header.Get("ETag"))
		}
		h.add(event{began: r.began, ended: r.ended, kind: read, task: task, tag: r.header.Get("ETag")})
		return nil
	}
	return h.keep("GET", r, read, patch{}, nil)
}

func (p *person) writeShared(h *history, method string, match []string) error {
	title, completed := p.title(), p.flip()
	set := patch{&title, &completed}
	if method == "PATCH" {
		set = p.somePatch()
	}
	head := header{}
	if match != nil {
		head["If-Match"] = strings.Join(match, ", ")
	}
	r, err := p.do(method, tasks+"/"+h.id, set, head)
	if err != nil {
		return err
	}
	return h.keep(method, r, wrote, set, match)
}

func (p *person) removeShared(h *history) error {
	match := p.seen(h)
	r, err := p.do("DELETE", tasks+"/"+h.id, nil, header{"If-Match": strings.Join(match, ", ")})
	if err != nil {
		return err
	}
	if err := h.keep("DELETE", r, deleted, patch{}, match); err != nil || r.status != http.StatusNoContent {
		return err
	}
	for slot := range p.shared {
		if p.shared[slot].Load() == h {
			return p.share(slot)
		}
	}
	return nil
}

// list walks some pages of a list and holds them against what is known of it.
func (p *person) list() error {
	limit := []int{1, 7, 50, 500}[p.rand.IntN(4)]
	var completed *bool
	path := fmt.Sprintf("%s?limit=%d", tasks, limit)
	if choice := p.flip(); p.flip() {
		completed = &choice
		path += fmt.Sprintf("&completed=%t", choice)
	}
	last := "~" // after every id
	var mine []todo
	for range 1 + p.rand.IntN(6) {
		var shared []*history
		for slot := range p.shared {
			shared = append(shared, p.shared[slot].Load())
		}
		r, err := p.do("GET", path, nil, nil)
		if err != nil {
			return err
		}
		var page []todo
		if err := json.Unmarshal([]byte(r.body), &page); err != nil || r.status != http.StatusOK || len(page) > limit {
			return errors.Join(wrong("GET "+path, r.response), err)
		}
		above := last
		for _, task := range page {
			if task.ID >= last || completed != nil && task.Completed != *completed {
				return fmt.Errorf("GET %s: %+v after %s", path, task, last)
			}
			last = task.ID
			if strings.HasPrefix(task.Title, p.name+",") && p.history(task.ID) == nil {
				mine = append(mine, task)
			}
			if h := p.history(task.ID); h != nil {
				h.add(event{began: r.began, ended: r.ended, kind: read, task: task})
			}
		}
		path = nextPage(r.response)
		if path == "" {
			last = ""
		} else if len(page) < limit {
			return fmt.Errorf("%d of %d tasks, and %s comes next", len(page), limit, path)
		}
		for _, h := range shared {
			within := h.id < above && h.id >= last
			if within && completed == nil && !slices.ContainsFunc(page, func(t todo) bool { return t.ID == h.id }) {
				h.add(event{began: r.began, ended: r.ended, kind: missed})
			}
		}
		if path == "" {
			break
		}
	}
	var want []todo
	for _, o := range slices.Backward(p.own) {
		if o.ID >= last && (completed == nil || o.Completed == *completed) {
			want = append(want, o.todo)
		}
	}
	if !slices.Equal(want, mine) {
		return fmt.Errorf("%s?limit=%d down to %q: %+v, want %+v", tasks, limit, last, mine, want)
	}
	return nil
}
