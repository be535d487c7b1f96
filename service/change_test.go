package main

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/jackc/pgx/v5"
)

const mergePatch = "application/merge-patch+json"

func TestPatch(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	for _, tc := range []struct {
		name, body, media string
		status            int
		title             string // afterwards; "before" when empty
		completed         bool
		rule              string
	}{
		{name: "title", body: `{"title":" after "}`, media: mergePatch, status: 200, title: "after"},
		{name: "completed", body: `{"completed":true}`, media: mergePatch, status: 200, completed: true},
		{name: "both, as plain JSON", body: `{"completed":true,"title":"after"}`, media: "application/json; charset=utf-8", status: 200, title: "after", completed: true},
		{name: "to what it is", body: `{"completed":false}`, media: mergePatch, status: 200},
		{name: "nothing", body: `{}`, media: mergePatch, status: 200},
		{name: "title removed", body: `{"title":null}`, media: mergePatch, status: 400, rule: "title must not be null, because it cannot be removed"},
		{name: "completed removed", body: `{"completed":null,"title":"after"}`, media: mergePatch, status: 400, rule: "completed must not be null, because it cannot be removed"},
		{name: "blank title", body: `{"title":" ","completed":true}`, media: mergePatch, status: 400, rule: "title must not be empty"},
		{name: "unknown field", body: `{"id":null}`, media: mergePatch, status: 400, rule: "id is not a known field"},
		{name: "not an object", body: `"after"`, media: mergePatch, status: 400, rule: "the body must be one JSON object"},
		{name: "JSON Patch", body: `[]`, media: "application/json-patch+json", status: 415, rule: "the header Content-Type must be application/merge-patch+json or application/json"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := api.create(t, "before", false)
			before := api.do(t, "GET", path, "", nil)
			r := api.do(t, "PATCH", path, tc.body, header{"Content-Type": tc.media})
			after := api.do(t, "GET", path, "", nil)
			if r.status != tc.status {
				t.Fatalf("%d %s", r.status, r.body)
			}
			changed := tc.status == 200 && tc.body != "{}"
			if (after.body != before.body) != changed || (after.header.Get("ETag") != before.header.Get("ETag")) != changed {
				t.Errorf("was %s %s, is %s %s", before.header.Get("ETag"), before.body, after.header.Get("ETag"), after.body)
			}
			if tc.status != 200 {
				if detail := r.json(t)["detail"]; detail != tc.rule {
					t.Errorf("detail %q, want %q", detail, tc.rule)
				}
				return
			}
			title := tc.title
			if title == "" {
				title = "before"
			}
			if got := after.json(t); got["title"] != title || got["completed"] != tc.completed || r.body != after.body || r.header.Get("ETag") != after.header.Get("ETag") {
				t.Errorf("answered %s %s, is %s %s", r.header.Get("ETag"), r.body, after.header.Get("ETag"), after.body)
			}
		})
	}
}

func TestPreconditions(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	const put, patch = `{"title":"after","completed":true}`, `{"title":"after"}`
	for _, tc := range []struct {
		name   string
		match  string // CURRENT and OLD stand for tags
		status int    // of a write; 0 for its success
	}{
		{"none", "", 0},
		{"the current", `CURRENT`, 0},
		{"any", `*`, 0},
		{"a list", `"x", OLD,, CURRENT`, 0},
		{"an old one", `OLD`, 412},
		{"weak", `W/CURRENT`, 412},
		{"of somebody else", `"x"`, 412},
		{"bytes that are no text", "\"660e6e3c381ec-" + strings.Repeat("\xff", 16) + `"`, 412},
		{"a time that no database holds", `"7fffffffffffffff-6efe7c2fd6979afa"`, 412},
		{"without quotes", `abc`, 400},
		{"any among others", `*, CURRENT`, 400},
		{"a list without commas", `"a" "b"`, 400},
		{"empty", `,`, 400},
		{"the most", strings.Repeat(`"x", `, 31) + "CURRENT", 0},
		{"too many", strings.Repeat(`"x", `, 32) + "CURRENT", 400},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for method, body := range map[string]string{"PUT": put, "PATCH": patch, "DELETE": ""} {
				path := api.create(t, "before", false)
				old := api.do(t, "GET", path, "", nil).header.Get("ETag")
				current := api.do(t, "PUT", path, `{"title":"before","completed":false}`, nil).header.Get("ETag")
				if !strings.HasPrefix(old, `"`) || old == current {
					t.Fatalf("tags %s and %s", old, current)
				}
				h := header{}
				if tc.match != "" {
					h["If-Match"] = strings.NewReplacer("CURRENT", current, "OLD", old).Replace(tc.match)
				}
				want := tc.status
				if want == 0 {
					want = 200
					if method == "DELETE" {
						want = 204
					}
				}
				r := api.do(t, method, path, body, h)
				if r.status != want {
					t.Errorf("%s %s: %d %s", method, tc.match, r.status, r.body)
				}
				kept := api.do(t, "GET", path, "", nil).header.Get("ETag") == current
				if kept != (tc.status != 0) {
					t.Errorf("%s %s: kept %t", method, tc.match, kept)
				}
				if tc.status == 412 && r.json(t)["code"] != "precondition_failed" {
					t.Errorf("412 is %s", r.body)
				}
			}
		})
	}
	t.Run("an empty patch", func(t *testing.T) {
		path := api.create(t, "x", false)
		if r := api.do(t, "PATCH", path, "{}", header{"If-Match": `"x"`}); r.status != 412 {
			t.Errorf("%d %s", r.status, r.body)
		}
	})
	t.Run("nothing there", func(t *testing.T) {
		path := tasks + "/01890a5d-ac96-774b-bcce-b302099a8057"
		for method, body := range map[string]string{"PUT": put, "PATCH": patch, "DELETE": ""} {
			for _, match := range []string{"*", `"x"`} {
				if r := api.do(t, method, path, body, header{"If-Match": match}); r.status != 404 {
					t.Errorf("%s If-Match %s: %d %s", method, match, r.status, r.body)
				}
			}
		}
	})
}

func TestNotModified(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	path := api.create(t, "x", false)
	tag := api.do(t, "GET", path, "", nil).header.Get("ETag")
	for match, status := range map[string]int{tag: 304, "W/" + tag: 304, "*": 304, `"y", ` + tag: 304, `"y"`: 200, "y": 400} {
		for _, method := range []string{"GET", "HEAD"} {
			r := api.do(t, method, path, "", header{"If-None-Match": match})
			if r.status != status || status != 400 && r.header.Get("ETag") != tag {
				t.Errorf("%s If-None-Match %s: %d ETag %s", method, match, r.status, r.header.Get("ETag"))
			}
			if (r.body == "") != (status == 304 || method == "HEAD") {
				t.Errorf("%s If-None-Match %s: %d with body %q", method, match, r.status, r.body)
			}
		}
	}
}

// Of writers who read the same version one wins; none is lost.
func TestOneOfManyWritersWins(t *testing.T) {
	dsn := postgrestest.Database(t)
	instances := []instance{serve(t, env{envDatabaseURL: dsn}), serve(t, env{envDatabaseURL: dsn})}
	path := instances[0].create(t, "0", false)
	for round := range 3 {
		tag := instances[0].do(t, "GET", path, "", nil).header.Get("ETag")
		var wg sync.WaitGroup
		var won, lost atomic.Int32
		for n := range 16 {
			wg.Go(func() {
				r, err := instances[n%2].try(t.Context(), "PATCH", path, fmt.Sprintf(`{"title":"%d of %d"}`, n, round), header{"If-Match": tag})
				switch {
				case err == nil && r.status == 200:
					won.Add(1)
				case err == nil && r.status == 412:
					lost.Add(1)
				default:
					t.Errorf("%d %s %v", r.status, r.body, err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 || lost.Load() != 15 {
			t.Errorf("%d won, %d lost", won.Load(), lost.Load())
		}
	}
}

// An older release that serves beside this one sets updated_at by its own clock.
func TestTheTagChangesWhateverAnOlderReleaseWrites(t *testing.T) {
	dsn := postgrestest.Database(t)
	api := serve(t, env{envDatabaseURL: dsn})
	path := api.create(t, "x", false)
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	seen := map[string]bool{}
	tag := func(after string) {
		t.Helper()
		got := api.do(t, "GET", path, "", nil).header.Get("ETag")
		if seen[got] {
			t.Errorf("after %s the tag is %s again", after, got)
		}
		seen[got] = true
	}
	tag("nothing")
	for _, set := range []string{"title = 'y'", "completed = true", "updated_at = updated_at + interval '1 hour'"} {
		if _, err := conn.Exec(t.Context(), "UPDATE tasks SET "+set); err != nil {
			t.Fatal(err)
		}
		tag(set)
	}
	last := ""
	for range 3 { // our clock is an hour behind what is written
		at := api.do(t, "PUT", path, `{"title":"y","completed":true}`, nil).json(t)["updated_at"].(string)
		if len(at) == len(last) && at <= last {
			t.Errorf("updated_at %s after %s", at, last)
		}
		if at < time.Now().Add(30*time.Minute).UTC().Format(time.RFC3339) {
			t.Errorf("updated_at went back to %s", at)
		}
		last = at
		tag("PUT")
	}
}
