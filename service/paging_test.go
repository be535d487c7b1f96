package main

import (
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/google/go-cmp/cmp"
)

// create makes a task and gives its path.
func (i instance) create(t *testing.T, title string, completed bool) string {
	t.Helper()
	r := i.do(t, "POST", tasks, fmt.Sprintf(`{"title":%q,"completed":%t}`, title, completed), nil)
	if r.status != 201 {
		t.Fatalf("POST: %d %s", r.status, r.body)
	}
	return r.header.Get("Location")
}

// page gives the titles of a page, and the path and query of the next or nothing.
func (i instance) page(t *testing.T, path string) (titles []string, next string) {
	t.Helper()
	r := i.do(t, "GET", path, "", nil)
	var list []struct{ Title string }
	if err := json.Unmarshal([]byte(r.body), &list); err != nil || r.status != 200 {
		t.Fatalf("GET %s: %d %s %v", path, r.status, r.body, err)
	}
	for _, task := range list {
		titles = append(titles, task.Title)
	}
	link := r.header.Get("Link")
	if link == "" {
		return titles, ""
	}
	found := regexp.MustCompile(`^<([^>]+)>; rel="next"$`).FindStringSubmatch(link)
	if found == nil {
		t.Fatalf("GET %s: Link %s", path, link)
	}
	return titles, found[1]
}

func TestPages(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	var all, done, open []string // newest first
	for n := range 12 {
		title := fmt.Sprint(n)
		api.create(t, title, n%3 == 0)
		all = slices.Insert(all, 0, title)
		if n%3 == 0 {
			done = slices.Insert(done, 0, title)
		} else {
			open = slices.Insert(open, 0, title)
		}
	}
	for _, tc := range []struct {
		query string
		size  int
		want  []string
	}{
		{"", 100, all},
		{"?limit=1", 1, all},
		{"?limit=5", 5, all},
		{"?limit=6", 6, all}, // a last page that is full
		{"?limit=12", 12, all},
		{"?limit=11", 11, all},
		{"?completed=true&limit=2", 2, done},
		{"?limit=3&completed=false", 3, open},
		{"?completed=false", 100, open},
	} {
		t.Run(tc.query, func(t *testing.T) {
			var got []string
			for next := tasks + tc.query; next != ""; {
				if len(got) > len(all) {
					t.Fatalf("the pages do not end: %v", got)
				}
				var titles []string
				titles, next = api.page(t, next)
				if full := len(titles) == tc.size; len(titles) == 0 || next != "" && !full {
					t.Errorf("a page of %d, then %q", len(titles), next)
				}
				got = append(got, titles...)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// What is made, deleted and changed between two pages neither repeats nor hides
// another task.
func TestPagesWhileTasksComeAndGo(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	var paths []string
	for n := range 9 {
		paths = append(paths, api.create(t, fmt.Sprint(n), false))
	}
	got, next := api.page(t, tasks+"?limit=3")
	for _, gone := range []int{8, 6, 5} { // two that were seen, the cursor's own among them, and one that was not
		if r := api.do(t, "DELETE", paths[gone], "", nil); r.status != 204 {
			t.Fatalf("DELETE: %d", r.status)
		}
	}
	api.create(t, "late", false)
	api.do(t, "PUT", paths[3], `{"title":"3","completed":true}`, nil)
	for next != "" && len(got) <= len(paths) {
		var titles []string
		titles, next = api.page(t, next)
		got = append(got, titles...)
	}
	if diff := cmp.Diff([]string{"8", "7", "6", "4", "3", "2", "1", "0"}, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTheNextPageKeepsTheQuery(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	for n := range 3 {
		api.create(t, fmt.Sprint(n), true)
	}
	_, next := api.page(t, tasks+"/?x=%3E%22%0d%0a+%26&limit=1&completed=true&y=1&y=2")
	for range 2 {
		u, err := url.Parse(next)
		if err != nil || u.Path != tasks {
			t.Fatalf("next %q: %v", next, err)
		}
		query := u.Query()
		if after := query["after"]; len(after) != 1 {
			t.Errorf("after %q", after)
		}
		query.Del("after")
		want := url.Values{"x": {">\"\r\n &"}, "limit": {"1"}, "completed": {"true"}, "y": {"1", "2"}}
		if diff := cmp.Diff(want, query); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		if titles, behind := api.page(t, next); len(titles) != 1 {
			t.Errorf("%s: %v", next, titles)
		} else if behind != "" {
			next = behind
		}
	}
}
