package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/google/go-cmp/cmp"
)

const tasks = "/api/v1/tasks"

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

func TestTaskLifecycle(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})

	if r := api.do(t, "GET", tasks, "", nil); r.status != 200 || r.body != "[]" {
		t.Fatalf("an empty list is %d %s", r.status, r.body)
	}

	r := api.do(t, "POST", tasks, `{"title":"  buy milk "}`, nil)
	made := r.json(t)
	id, _ := made["id"].(string)
	if r.status != 201 || !uuid7.MatchString(id) || r.header.Get("Location") != tasks+"/"+id {
		t.Fatalf("POST: %d %s Location %s", r.status, r.body, r.header.Get("Location"))
	}
	want := map[string]any{"id": id, "title": "buy milk", "completed": false, "created_at": made["created_at"], "updated_at": made["created_at"]}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Errorf("made (-want +got):\n%s", diff)
	}
	at, err := time.Parse(time.RFC3339Nano, made["created_at"].(string))
	if err != nil || at.Location() != time.UTC {
		t.Errorf("created_at %v: %v", made["created_at"], err)
	}
	path := tasks + "/" + id
	for _, p := range []string{path, path + "/", strings.ToUpper(id)} {
		if !strings.HasPrefix(p, "/") {
			p = tasks + "/" + p
		}
		if diff := cmp.Diff(made, api.do(t, "GET", p, "", nil).json(t)); diff != "" {
			t.Errorf("GET %s (-made +got):\n%s", p, diff)
		}
	}

	for _, completed := range []bool{true, false} { // false is the zero value that an ORM may skip
		r := api.do(t, "PUT", path, fmt.Sprintf(`{"title":"buy oat milk","completed":%t}`, completed), nil)
		put := r.json(t)
		want := map[string]any{"id": id, "title": "buy oat milk", "completed": completed, "created_at": made["created_at"], "updated_at": put["updated_at"]}
		if diff := cmp.Diff(want, put); r.status != 200 || diff != "" {
			t.Errorf("PUT: %d (-want +got):\n%s", r.status, diff)
		}
		if changed, err := time.Parse(time.RFC3339Nano, put["updated_at"].(string)); err != nil || !changed.After(at) {
			t.Errorf("updated_at %v is not after %v: %v", put["updated_at"], at, err)
		}
		if diff := cmp.Diff(put, api.do(t, "GET", path, "", nil).json(t)); diff != "" {
			t.Errorf("GET after PUT (-put +got):\n%s", diff)
		}
	}

	second := api.do(t, "POST", tasks+"/", `{"title":"walk","completed":true}`, nil).json(t)
	var list []map[string]any
	listed := func(query string) []any {
		list = nil
		if err := json.Unmarshal([]byte(api.do(t, "GET", tasks+query, "", nil).body), &list); err != nil {
			t.Fatal(err)
		}
		ids := []any{}
		for _, task := range list {
			ids = append(ids, task["id"])
		}
		return ids
	}
	for query, want := range map[string][]any{
		"": {second["id"], id}, "?limit=500": {second["id"], id}, "?limit=1": {second["id"]}, "/?limit=2&unknown=1": {second["id"], id},
	} {
		if got := listed(query); !slices.Equal(got, want) {
			t.Errorf("list%s: %v, want %v", query, got, want)
		}
	}

	if r := api.do(t, "DELETE", path, "", nil); r.status != 204 || r.body != "" {
		t.Errorf("DELETE: %d %q", r.status, r.body)
	}
	for method, body := range map[string]string{"DELETE": "", "GET": "", "PUT": `{"title":"x","completed":true}`} {
		if r := api.do(t, method, path, body, nil); r.status != 404 || r.json(t)["code"] != "task_not_found" {
			t.Errorf("%s after DELETE: %d %s", method, r.status, r.body)
		}
	}
	if got := listed(""); !slices.Equal(got, []any{second["id"]}) {
		t.Errorf("left: %v", got)
	}
}

func TestRefusals(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	kept := api.do(t, "POST", tasks, `{"title":"kept"}`, nil)
	one := kept.header.Get("Location")
	before := api.do(t, "GET", tasks, "", nil).body
	none := tasks + "/01890a5d-ac96-774b-bcce-b302099a8057"
	field := func(name, rule string) []any { return []any{map[string]any{"field": name, "rule": rule}} }

	for _, tc := range []struct {
		name, method, path, body string
		header                   header
		status                   int
		code                     string
		errors                   []any
	}{
		{name: "unknown path", method: "GET", path: "/nothing", status: 404, code: "not_found"},
		{name: "unknown path below", method: "GET", path: one + "/x", status: 404, code: "not_found"},
		{name: "malformed id", method: "GET", path: tasks + "/1", status: 400, code: "invalid", errors: field("id", "must be a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")},
		{name: "malformed id of PUT", method: "PUT", path: tasks + "/1", body: `{"title":"x","completed":true}`, status: 400, code: "invalid", errors: field("id", "must be a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")},
		{name: "malformed id of DELETE", method: "DELETE", path: tasks + "/1", status: 400, code: "invalid", errors: field("id", "must be a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057")},
		{name: "no such task", method: "GET", path: none, status: 404, code: "task_not_found"},
		{name: "limit 0", method: "GET", path: tasks + "?limit=0", status: 400, code: "invalid", errors: field("limit", "must be a whole number from 1 to 500")},
		{name: "limit 501", method: "GET", path: tasks + "?limit=501", status: 400, code: "invalid", errors: field("limit", "must be a whole number from 1 to 500")},
		{name: "limit empty", method: "GET", path: tasks + "?limit=", status: 400, code: "invalid", errors: field("limit", "must be a whole number from 1 to 500")},
		{name: "limit twice", method: "GET", path: tasks + "?limit=1&limit=2", status: 400, code: "invalid", errors: field("limit", "must be given once")},
		{name: "cursor made up", method: "GET", path: tasks + "?after=abc", status: 400, code: "invalid", errors: field("after", `must be taken unchanged from a Link header with rel="next"`)},
		{name: "cursor empty", method: "GET", path: tasks + "?after=", status: 400, code: "invalid", errors: field("after", `must be taken unchanged from a Link header with rel="next"`)},
		{name: "cursor of another version", method: "GET", path: tasks + "?after=AgGJClqslndLvM6zApmgWFc", status: 400, code: "invalid", errors: field("after", `must be taken unchanged from a Link header with rel="next"`)},
		{name: "completed in words", method: "GET", path: tasks + "?completed=yes", status: 400, code: "invalid", errors: field("completed", "must be true or false")},
		{name: "two parameters", method: "GET", path: tasks + "?completed=&limit=x", status: 400, code: "invalid", errors: slices.Concat(field("limit", "must be a whole number from 1 to 500"), field("completed", "must be true or false"))},
		{name: "no body", method: "POST", path: tasks, header: header{"Content-Type": "application/json"}, status: 400, code: "malformed_body"},
		{name: "no content type", method: "POST", path: tasks, body: `{"title":"x"}`, header: header{"Content-Type": ""}, status: 415, code: "unsupported_media_type"},
		{name: "form", method: "POST", path: tasks, body: `title=x`, header: header{"Content-Type": "application/x-www-form-urlencoded"}, status: 415, code: "unsupported_media_type"},
		{name: "compressed", method: "POST", path: tasks, body: `{"title":"x"}`, header: header{"Content-Encoding": "gzip"}, status: 415, code: "unsupported_media_type"},
		{name: "not JSON", method: "POST", path: tasks, body: `{"title":`, status: 400, code: "malformed_body"},
		{name: "an array", method: "POST", path: tasks, body: `[]`, status: 400, code: "malformed_body"},
		{name: "null", method: "POST", path: tasks, body: `null`, status: 400, code: "malformed_body"},
		{name: "trailing comma", method: "POST", path: tasks, body: `{"title":"x",}`, status: 400, code: "malformed_body"},
		{name: "two values", method: "POST", path: tasks, body: `{"title":"x"}{"title":"y"}`, status: 400, code: "malformed_body"},
		{name: "rubbish after", method: "POST", path: tasks, body: `{"title":"x"}]`, status: 400, code: "malformed_body"},
		{name: "invalid UTF-8", method: "POST", path: tasks, body: "{\"title\":\"a\xff\"}", status: 400, code: "malformed_body"},
		{name: "half a surrogate", method: "POST", path: tasks, body: `{"title":"a\ud800"}`, status: 400, code: "invalid", errors: field("title", "must be valid Unicode")},
		{name: "half a surrogate behind a backslash", method: "POST", path: tasks, body: `{"title":"\\ufffd\udc00"}`, status: 400, code: "invalid", errors: field("title", "must be valid Unicode")},
		{name: "no title", method: "POST", path: tasks, body: `{}`, status: 400, code: "invalid", errors: field("title", "is required")},
		{name: "title null", method: "POST", path: tasks, body: `{"title":null}`, status: 400, code: "invalid", errors: field("title", "must be a string")},
		{name: "title a number", method: "POST", path: tasks, body: `{"title":1}`, status: 400, code: "invalid", errors: field("title", "must be a string")},
		{name: "title blank", method: "POST", path: tasks, body: `{"title":"  "}`, status: 400, code: "invalid", errors: field("title", "must not be empty")},
		{name: "title too long", method: "POST", path: tasks, body: `{"title":"` + strings.Repeat("é", 501) + `"}`, status: 400, code: "invalid", errors: field("title", "must have at most 500 characters")},
		{name: "title with NUL", method: "POST", path: tasks, body: `{"title":"a\u0000"}`, status: 400, code: "invalid", errors: field("title", "must not contain control characters")},
		{name: "title twice", method: "POST", path: tasks, body: `{"title":"a","title":"b"}`, status: 400, code: "invalid", errors: field("title", "must be given once")},
		{name: "name in another case", method: "POST", path: tasks, body: `{"title":"a","Completed":true}`, status: 400, code: "invalid", errors: field("Completed", "is not a known field")},
		{
			name: "everything at once", method: "PUT", path: one, body: `{"title":5,"done":true}`, status: 400, code: "invalid",
			errors: slices.Concat(field("title", "must be a string"), field("completed", "is required"), field("done", "is not a known field")),
		},
		{name: "PUT without completed", method: "PUT", path: one, body: `{"title":"x"}`, status: 400, code: "invalid", errors: field("completed", "is required")},
		{name: "PUT completed null", method: "PUT", path: one, body: `{"title":"x","completed":null}`, status: 400, code: "invalid", errors: field("completed", "must be true or false")},
		{name: "PUT no such task", method: "PUT", path: none, body: `{"title":"x","completed":true}`, status: 404, code: "task_not_found"},
		{name: "65 KiB", method: "POST", path: tasks, body: `{"title":"` + strings.Repeat("x", 64<<10) + `"}`, status: 413, code: "body_too_large"},
		{name: "many headers", method: "GET", path: tasks, header: header{"X-Long": strings.Repeat("x", 17<<10)}, status: 431, code: "headers_too_large"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			r := api.do(t, tc.method, tc.path, tc.body, tc.header)
			p := r.json(t)
			id := r.header.Get("X-Request-Id")
			want := map[string]any{
				"type": "about:blank", "title": http.StatusText(tc.status), "status": float64(tc.status),
				"detail": p["detail"], "code": tc.code, "request_id": id,
			}
			if tc.errors != nil {
				want["errors"] = tc.errors
			}
			if diff := cmp.Diff(want, p); diff != "" || r.status != tc.status || id == "" || p["detail"] == "" {
				t.Errorf("%d, request id %q (-want +got):\n%s", r.status, id, diff)
			}
			if got := r.header.Get("Content-Type"); got != "application/problem+json" {
				t.Errorf("Content-Type %q", got)
			}
		})
	}
	if after := api.do(t, "GET", tasks, "", nil).body; after != before {
		t.Errorf("a refused request wrote: %s, was %s", after, before)
	}
}

func TestMethods(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	for path, allow := range map[string]string{
		"/": "GET, HEAD, OPTIONS", "/readyz": "GET, HEAD, OPTIONS", "/version": "GET, HEAD, OPTIONS", "/openapi.json": "GET, HEAD, OPTIONS", "/docs": "GET, HEAD, OPTIONS",
		tasks: "GET, HEAD, OPTIONS, POST", api.create(t, "x", false): "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
	} {
		paths := []string{path}
		if path != "/" {
			paths = append(paths, path+"/")
		}
		for _, path := range paths {
			if r := api.do(t, "OPTIONS", path, "", nil); r.status != 204 || r.body != "" || r.header.Get("Allow") != allow {
				t.Errorf("OPTIONS %s: %d Allow %s, want %s; %s", path, r.status, r.header.Get("Allow"), allow, r.body)
			}
			get, head := api.do(t, "GET", path, "", nil), api.do(t, "HEAD", path, "", nil)
			for _, r := range []response{get, head} {
				r.header.Del("Date")
				r.header.Del("X-Request-Id")
			}
			if diff := cmp.Diff(get.header, head.header); get.status != 200 || head.status != 200 || head.body != "" || diff != "" {
				t.Errorf("HEAD %s: %d %q, GET %d (-get +head):\n%s", path, head.status, head.body, get.status, diff)
			}
			for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} {
				if strings.Contains(allow, method) {
					continue
				}
				r := api.do(t, method, path, "", nil)
				got := strings.Split(r.header.Get("Allow"), ", ")
				slices.Sort(got)
				if r.status != 405 || r.json(t)["code"] != "method_not_allowed" || strings.Join(got, ", ") != allow {
					t.Errorf("%s %s: %d Allow %v, want %s; %s", method, path, r.status, got, allow, r.body)
				}
			}
		}
	}
	for _, method := range []string{"GET", "OPTIONS", "BREW", "POST"} {
		for _, path := range []string{"/nothing", "/API/v1/tasks", "//"} {
			if r := api.do(t, method, path, "", nil); r.status != 404 || r.json(t)["code"] != "not_found" {
				t.Errorf("%s %s: %d %s", method, path, r.status, r.body)
			}
		}
	}
}

func TestAccept(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	for accept, ok := range map[string]bool{
		"": true, "*/*": true, "application/*": true, "application/json": true, "APPLICATION/JSON;q=0.1": true, "application/problem+json": true,
		"text/html, */*;q=0.8": true, "text/html, application/json; charset=utf-8; q=1": true, "application/json;q=0, */*": true,
		"text/html": false, "application/xml, text/*": false, "application/json;q=0": false, "*/*;q=0.0": false, "*/*, application/*;q=0": false, "json": false,
	} {
		for _, path := range []string{tasks, "/version", "/openapi.json"} {
			r := api.do(t, "GET", path, "", header{"Accept": accept})
			if (r.status == 200) != ok || !ok && (r.status != 406 || r.json(t)["code"] != "not_acceptable") {
				t.Errorf("GET %s Accept %s: %d %s", path, accept, r.status, r.body)
			}
		}
		if r := api.do(t, "GET", "/", "", header{"Accept": accept}); r.status != 200 {
			t.Errorf("GET / Accept %s: %d", accept, r.status)
		}
	}
	if r := api.do(t, "POST", tasks, `{"title":"x"}`, header{"Accept": "text/html"}); r.status != 406 {
		t.Errorf("POST: %d %s", r.status, r.body)
	}
	if r := api.do(t, "GET", tasks, "", nil); r.body != "[]" {
		t.Errorf("a request that was not acceptable wrote %s", r.body)
	}
}

func TestContentType(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	for media, status := range map[string]int{
		"application/json": 201, "application/json; charset=utf-8": 201, `Application/JSON;charset="UTF-8"`: 201, "application/json; v=1": 201,
		"application/json; charset=latin1": 415, "application/json; charset": 415, "text/json": 415, "application/merge-patch+json": 415, "*/*": 415,
	} {
		if r := api.do(t, "POST", tasks, `{"title":"x"}`, header{"Content-Type": media}); r.status != status {
			t.Errorf("Content-Type %s: %d %s", media, r.status, r.body)
		}
	}
}

func TestOneLineOfLogForEachRequest(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	for _, tc := range []struct {
		id, method, path, route string
		status                  float64
		kept                    bool
	}{
		{"Root=1-67891233-abcdef012345678912345678", "GET", "/", "/", 200, true},
		{"list", "GET", tasks + "?limit=5", "/api/v1/tasks", 200, true},
		{"head", "HEAD", tasks, "/api/v1/tasks", 200, true},
		{"lost", "GET", "/secret/path", "-", 404, true},
		{"bad", "DELETE", tasks + "/x", "/api/v1/tasks/:id", 400, true},
		{"with space", "GET", "/version", "/version", 200, false},
		{strings.Repeat("x", 129), "GET", "/version", "/version", 200, false},
	} {
		r := api.do(t, tc.method, tc.path, "", header{"X-Request-ID": tc.id})
		id := r.header.Get("X-Request-ID")
		if (id == tc.id) != tc.kept || id == "" {
			t.Errorf("request id %q was answered with %q", tc.id, id)
		}
		if got := r.header.Get("X-Content-Type-Options"); got != "nosniff" {
			t.Errorf("X-Content-Type-Options %q", got)
		}
		records := api.log.with(t, "request_id", id)
		if len(records) != 1 {
			t.Fatalf("%d records of %s", len(records), id)
		}
		rec := records[0]
		if rec["msg"] != "request" || rec["method"] != tc.method || rec["route"] != tc.route || rec["status"] != tc.status || rec["bytes"] != float64(len(r.body)) {
			t.Errorf("logged %v", rec)
		}
		if took, ok := rec["duration_ms"].(float64); !ok || took <= 0 {
			t.Errorf("no duration in %v", rec)
		}
	}
}

// What is not HTTP, and what is too large to read, gets a problem as well.
func TestBelowHTTP(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	for request, status := range map[string]int{
		"rubbish\r\n\r\n": 400,
		"POST " + tasks + " HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2000000\r\n\r\n": 413,
	} {
		conn, err := net.Dial("tcp", strings.TrimPrefix(api.url, "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		if _, err := io.WriteString(conn, request); err != nil {
			t.Fatal(err)
		}
		res, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer res.Body.Close()
		var p map[string]any
		if err := json.NewDecoder(res.Body).Decode(&p); err != nil || res.StatusCode != status || p["status"] != float64(status) || p["request_id"] == "" {
			t.Errorf("%q got %d %v, %v", request[:10], res.StatusCode, p, err)
		}
	}
}
