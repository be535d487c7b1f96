package check

import (
	"cmp"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// walk follows the pages from a list, until every task with one of the titles was
// seen, and gives their titles in order. between is called after the first page.
func (p *probe) walk(list string, wanted []string, between func()) (seen []string) {
	left := len(wanted)
	for next, n := list, 0; next != "" && left > 0; n++ {
		if n == maxPages {
			p.failf("%s: %d tasks were not found within %d pages", list, left, maxPages)
			return seen
		}
		a := p.want(200, p.do(get, next, ""))
		page := a.list()
		next = a.next()
		if limit := pageSize(list); len(page) > limit || next != "" && len(page) != limit {
			p.failf("%v: %d tasks on a page of %d", a, len(page), limit)
		}
		if a.header.Get("Link") != "" && next == "" || next != "" && (!strings.HasPrefix(next, tasks+"?") || len(page) == 0) {
			p.failf("%v: Link is %s", a, a.header.Get("Link"))
			return seen
		}
		for _, t := range page {
			if slices.Contains(wanted, t.Title) {
				seen = append(seen, t.Title)
				left--
			}
		}
		if between != nil {
			between()
			between = nil
			p.sameTwice(next)
		}
	}
	return seen
}

// pageSize is the limit in the query of a list, or the default.
func pageSize(list string) int {
	u, err := url.Parse(list)
	if err != nil { // is one of ours
		panic(err)
	}
	n, err := strconv.Atoi(cmp.Or(u.Query().Get("limit"), "100"))
	if err != nil {
		panic(err)
	}
	return n
}

// sameTwice reads a page twice: a cursor may be used again. Tasks of others may change
// meanwhile, so only ours are compared.
func (p *probe) sameTwice(page string) {
	var ours [2][]listed
	for i := range ours {
		for _, t := range p.want(200, p.do(get, page, "")).list() {
			if strings.HasPrefix(t.Title, p.mark+" ") {
				ours[i] = append(ours[i], t)
			}
		}
	}
	if !slices.Equal(ours[0], ours[1]) {
		p.failf("GET %s: %v, and again %v", page, ours[0], ours[1])
	}
}

// several makes tasks and gives their titles, newest first, and their paths.
func (p *probe) several(about string, n int, completed func(int) bool) (titles, paths []string) {
	for i := range n {
		name := fmt.Sprintf("%s %d", about, i)
		titles = slices.Insert(titles, 0, p.title(name))
		paths = slices.Insert(paths, 0, p.create(name, completed(i)).path())
	}
	return titles, paths
}

func lists(p *probe) {
	titles, _ := p.several("listed", 3, func(int) bool { return false })
	for _, list := range []string{tasks, tasks + "?limit=500", tasks + "?limit=100&unknown=1"} {
		if seen := p.walk(list, titles, nil); !slices.Equal(seen, titles) {
			p.failf("GET %s: %v, want %v", list, seen, titles)
		}
	}
	a := p.do(get, tasks+"?limit=2", "")
	if l := a.list(); len(l) != 2 || l[0].ID <= l[1].ID {
		p.failf("%v: not the newest two", a)
	}
	if !strings.Contains(a.next(), "limit=2") || !strings.HasPrefix(a.body, "[") || a.header.Get(contentType) != "application/json" {
		p.failf("%v: Link %s, %s", a, a.header.Get("Link"), a.header.Get(contentType))
	}
	// A list has no version, so a condition on it means nothing.
	if a := p.want(200, p.do(get, tasks+"?limit=1", "", ifNoneMatch, "*")); a.header.Get("Cache-Control") != "no-store" || a.header.Get("ETag") != "" {
		p.failf("%v: Cache-Control %s, ETag %s", a, a.header.Get("Cache-Control"), a.header.Get("ETag"))
	}
}

func pages(p *probe) {
	titles, paths := p.several("paged", 6, func(int) bool { return false })
	seen := p.walk(tasks+"?limit=2", titles[:5], func() {
		p.create("late", false)
		p.want(204, p.do(remove, paths[5], "")) // the oldest, which nobody has seen
		p.do(put, paths[3], body(titles[3], true))
	})
	if !slices.Equal(seen, titles[:5]) {
		p.failf("seen %v, want %v", seen, titles[:5])
	}
}

func filters(p *probe) {
	titles, _ := p.several("filtered", 6, func(i int) bool { return i%2 == 0 })
	for completed, first := range map[string]int{"false": 0, "true": 1} { // the newest is 5
		want := []string{titles[first], titles[first+2], titles[first+4]}
		if seen := p.walk(tasks+"?limit=2&completed="+completed, want, nil); !slices.Equal(seen, want) {
			p.failf("completed=%s: %v, want %v", completed, seen, want)
		}
		if next := p.do(get, tasks+"?limit=2&completed="+completed, "").next(); !strings.Contains(next, "completed="+completed) || !strings.Contains(next, "limit=2") {
			p.failf("the page of completed=%s leads to %s", completed, next)
		}
		a := p.do(get, tasks+"?completed="+completed, "")
		for _, t := range a.list() {
			if fmt.Sprint(t.Completed) != completed {
				p.failf("%s has task %s that is not", a.request, t.ID)
			}
		}
	}
}

func refusesQueries(p *probe) {
	for _, q := range []string{
		"limit=0", "limit=501", "limit=", "limit=x", "limit=-1", "limit=1.5", "limit=1&limit=2", "after=", "after=x", "after=" + nobody,
		"after=%FF", "completed=", "completed=1", "completed=TRUE", "completed=true&completed=false",
	} {
		p.refused(400, "invalid", p.do(get, tasks+"?"+q, ""))
	}
}
