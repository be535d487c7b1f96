package main

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"
)

// history is what many clients did with one task, and when. Every write gives the task
// a new updated_at, and they ascend: so the order of the writes is known, each read
// tells which write it saw, and it can be checked whether all of it could have been
// done by one after another, each between its request and its answer. That is
// linearizability: M. Herlihy, J. Wing, ACM TOPLAS 12(3), 1990.
type history struct {
	id     string
	mu     sync.Mutex
	events []event
}

type event struct {
	began, ended time.Time
	kind         kind
	task         todo     // of a write or a read
	tag          string   // its ETag; empty when it was read in a list
	set          patch    // of a write
	match        []string // tags in If-Match; nil without the header, or with *
}

type kind string

const (
	wrote   kind = "wrote"
	read    kind = "read"
	deleted kind = "deleted"
	missed  kind = "missed"  // 404
	refused kind = "refused" // 412
)

// patch is what a write sets; nil leaves a field as it is.
type patch struct {
	Title     *string `json:"title,omitempty"`
	Completed *bool   `json:"completed,omitempty"`
}

func (p patch) apply(t todo) todo {
	if p.Title != nil {
		t.Title = *p.Title
	}
	if p.Completed != nil {
		t.Completed = *p.Completed
	}
	return t
}

func (h *history) add(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.events = append(h.events, e)
}

// check gives every reason why it could not have been one after another.
func (h *history) check() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var problems []error
	report := func(format string, args ...any) {
		problems = append(problems, fmt.Errorf("task %s: "+format, append([]any{h.id}, args...)...))
	}

	var writes []event // in the order that the task had them; a deletion is the last
	for _, e := range h.events {
		if e.kind == wrote || e.kind == deleted {
			writes = append(writes, e)
		}
	}
	slices.SortFunc(writes, func(a, b event) int {
		switch {
		case a.kind == b.kind && a.kind == deleted:
			return 0
		case a.kind == deleted:
			return 1
		case b.kind == deleted:
			return -1
		}
		return instant(a.task.UpdatedAt).Compare(instant(b.task.UpdatedAt))
	})
	position := map[string]int{} // by updated_at
	tags := map[string]int{}
	for i, w := range writes {
		if w.kind == wrote {
			if _, twice := position[w.task.UpdatedAt]; twice {
				report("two writes at %s", w.task.UpdatedAt)
			}
			if _, twice := tags[w.tag]; twice {
				report("two writes gave %s", w.tag)
			}
			position[w.task.UpdatedAt], tags[w.tag] = i, i
		}
		if i == 0 {
			continue
		}
		before := writes[i-1]
		if before.kind == deleted {
			report("deleted twice")
		}
		if w.match != nil && !slices.Contains(w.match, before.tag) {
			report("a write for %v was done to %s", w.match, before.tag)
		}
		want := w.set.apply(before.task)
		want.UpdatedAt = w.task.UpdatedAt
		if w.kind == wrote && w.task != want {
			report("a write made %+v of %+v, want %+v", w.task, before.task, want)
		}
	}

	end := len(writes)
	if end > 0 && writes[end-1].kind == deleted {
		end--
	}
	placed := make([]placedEvent, 0, len(h.events))
	for _, e := range h.events {
		switch e.kind {
		case wrote, read:
			at, known := position[e.task.UpdatedAt]
			switch {
			case !known:
				report("%s %+v, which nobody wrote", e.kind, e.task)
			case e.task != writes[at].task || e.tag != "" && e.tag != writes[at].tag:
				report("%s %+v %s of what was written as %+v %s", e.kind, e.task, e.tag, writes[at].task, writes[at].tag)
			default:
				placed = append(placed, placedEvent{e, at})
			}
		case deleted:
			placed = append(placed, placedEvent{e, end})
		case missed:
			if end == len(writes) {
				report("was missed and nobody deleted it")
			}
			placed = append(placed, placedEvent{e, end})
		case refused:
			if end < len(writes) && writes[end].ended.Before(e.began) {
				report("was refused for its version when it was deleted")
			}
			for _, tag := range e.match {
				// Refused by right if the task may have had another version meanwhile.
				at, known := tags[tag]
				if known && writes[at].ended.Before(e.began) && (at+1 == len(writes) || writes[at+1].began.After(e.ended)) {
					report("a write for %v was refused while that was the version", e.match)
				}
			}
		}
	}
	if err := inOrder(placed); err != nil {
		report("%w", err)
	}
	return errors.Join(problems...)
}

// placedEvent is an event with the number of the write that it did or saw.
type placedEvent struct {
	event
	at int
}

// inOrder finds an event that saw less than one that had ended when it began.
func inOrder(byStart []placedEvent) error {
	byEnd := slices.Clone(byStart)
	slices.SortFunc(byStart, func(a, b placedEvent) int { return a.began.Compare(b.began) })
	slices.SortFunc(byEnd, func(a, b placedEvent) int { return a.ended.Compare(b.ended) })
	newest := placedEvent{at: -1}
	next := 0
	for _, e := range byStart {
		for ; next < len(byEnd) && byEnd[next].ended.Before(e.began); next++ {
			if byEnd[next].at > newest.at {
				newest = byEnd[next]
			}
		}
		changes := e.kind == wrote || e.kind == deleted
		if e.at < newest.at || changes && e.at == newest.at {
			return fmt.Errorf("%s %+v, version %d, after somebody %s %+v, version %d", e.kind, e.task, e.at, newest.kind, newest.task, newest.at)
		}
	}
	return nil
}

func instant(text string) time.Time {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		panic(err) // parsed before
	}
	return t
}

// A checker that finds nothing is worth what it finds when something is wrong.
func TestHistoriesThatCannotBe(t *testing.T) {
	zero := time.Now()
	at := func(began, ended int) event {
		return event{began: zero.Add(time.Duration(began) * time.Second), ended: zero.Add(time.Duration(ended) * time.Second)}
	}
	version := func(n int) todo {
		return todo{ID: "x", Title: fmt.Sprint(n), CreatedAt: "c", UpdatedAt: zero.Add(time.Duration(n) * time.Hour).Format(time.RFC3339)}
	}
	does := func(e event, k kind, n int) event {
		e.kind, e.task, e.tag = k, version(n), fmt.Sprint(n)
		e.set = patch{Title: &e.task.Title}
		return e
	}
	first := does(at(0, 1), wrote, 0)
	second := does(at(2, 4), wrote, 1)
	third := does(at(3, 5), wrote, 2) // beside the second
	matching := func(e event, tags ...string) event { e.match = tags; return e }
	gone := matching(does(at(6, 8), deleted, 9), "2")
	for name, tc := range map[string]struct {
		events []event
		wrong  bool
	}{
		"one after another":             {events: []event{first, second, does(at(5, 6), read, 1)}},
		"a read beside a write":         {events: []event{first, second, does(at(3, 5), read, 0), does(at(3, 4), read, 1)}},
		"an old read":                   {events: []event{first, second, does(at(5, 6), read, 0)}, wrong: true},
		"a read of the future":          {events: []event{first, second, does(at(0, 1), read, 1)}, wrong: true},
		"reads that go back":            {events: []event{first, does(at(2, 9), wrote, 1), does(at(3, 4), read, 1), does(at(5, 6), read, 0)}, wrong: true},
		"a read of nothing":             {events: []event{first, does(at(2, 3), read, 5)}, wrong: true},
		"a write that is older":         {events: []event{first, does(at(2, 3), wrote, 2), does(at(4, 5), wrote, 1)}, wrong: true},
		"two writers of one version":    {events: []event{first, matching(second, "0"), matching(third, "0")}, wrong: true},
		"two writers in order":          {events: []event{first, matching(second, "0"), matching(third, "1")}},
		"two writes at once":            {events: []event{first, second, second}, wrong: true},
		"a lost update":                 {events: []event{first, second, lostUpdate(third)}, wrong: true},
		"refused by right":              {events: []event{first, second, third, matching(does(at(4, 5), refused, 0), "1")}},
		"refused without reason":        {events: []event{first, second, matching(does(at(5, 6), refused, 0), "1")}, wrong: true},
		"deleted":                       {events: []event{first, second, third, gone, does(at(7, 9), missed, 0)}},
		"deleted another version":       {events: []event{first, second, third, matching(gone, "1")}, wrong: true},
		"missed before":                 {events: []event{first, gone, does(at(3, 4), missed, 0)}, wrong: true},
		"missed, but not deleted":       {events: []event{first, does(at(3, 4), missed, 0)}, wrong: true},
		"read after the end":            {events: []event{first, second, third, gone, does(at(9, 9), read, 2)}, wrong: true},
		"refused instead of missed":     {events: []event{first, second, third, gone, matching(does(at(9, 9), refused, 0), "0")}, wrong: true},
		"deleted twice":                 {events: []event{first, second, third, gone, gone}, wrong: true},
		"the same version, other title": {events: []event{first, retitled(does(at(2, 3), read, 0))}, wrong: true},
	} {
		h := history{id: "x", events: tc.events}
		if err := h.check(); (err != nil) != tc.wrong {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func retitled(e event) event {
	e.task.Title = "other"
	return e
}

// lostUpdate sets completed alone, and has the title of an older version.
func lostUpdate(e event) event {
	completed := true
	e.set, e.task.Title, e.task.Completed = patch{Completed: &completed}, "0", true
	return e
}
