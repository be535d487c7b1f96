package check

import (
	"slices"
	"strconv"
	"strings"
)

// paths of everything that GET reads, with the methods of each.
func (p *probe) paths() map[string]string {
	const reading = "GET, HEAD, OPTIONS"
	return map[string]string{
		"/": reading, "/readyz": reading, "/version": reading, "/openapi.json": reading, "/docs": reading,
		tasks: "GET, HEAD, OPTIONS, POST", p.create("path", false).path(): "DELETE, GET, HEAD, OPTIONS, PATCH, PUT",
	}
}

func heads(p *probe) {
	for path := range p.paths() {
		of, a := p.want(200, p.do(get, path, "")), p.want(200, p.do(head, path, ""))
		for _, name := range []string{contentType, "ETag", "Cache-Control"} {
			if of.header.Get(name) != a.header.Get(name) {
				p.failf("%v: %s is %q, of GET %q", a, name, a.header.Get(name), of.header.Get(name))
			}
		}
		if length := a.header.Get("Content-Length"); path != tasks && length != "" && length != strconv.Itoa(len(of.body)) { // others may write tasks
			p.failf("%v: Content-Length is %s, of GET %d", a, length, len(of.body))
		}
	}
	p.want(404, p.do(head, tasks+"/"+nobody, ""))
	p.want(400, p.do(head, tasks+"?limit=0", ""))
}

func methods(p *probe) {
	sorted := func(a answer) string {
		m := strings.Split(strings.ReplaceAll(a.header.Get("Allow"), " ", ""), ",")
		slices.Sort(m)
		return strings.Join(m, ", ")
	}
	for path, allow := range p.paths() {
		if a := p.want(204, p.do(options, path, "")); sorted(a) != allow {
			p.failf("%v: Allow %s, want %s", a, a.header.Get("Allow"), allow)
		}
		for _, method := range []string{post, put, patch, remove, "BREW"} {
			if strings.Contains(allow, method) {
				continue
			}
			a := p.do(method, path, "")
			p.refused(405, "method_not_allowed", a)
			if a.status == 405 && sorted(a) != allow {
				p.failf("%v: Allow %s, want %s", a, a.header.Get("Allow"), allow)
			}
		}
	}
}

func slashes(p *probe) {
	for path := range p.paths() {
		if path != "/" {
			p.want(200, p.do(get, path+"/", ""))
		}
	}
	a := p.want(201, p.do(post, tasks+"/", body(p.title("slash"), false)))
	p.want(200, p.do(put, a.path()+"/", body(p.title("slash"), true)))
	p.want(200, p.do(patch, a.path()+"/", `{"completed":false}`))
	p.want(200, p.do(head, a.path()+"/", ""))
	p.want(204, p.do(options, a.path()+"/", ""))
	p.want(200, p.do(get, tasks+"/?limit=1", ""))
	p.want(204, p.do(remove, a.path()+"/", ""))
	p.refused(404, "task_not_found", p.do(get, a.path(), ""))
}

func accepts(p *probe) {
	for _, path := range []string{tasks, "/version", "/openapi.json"} {
		for _, accept := range []string{"*/*", "application/*", "application/json;q=0.5", "application/problem+json", "text/html, */*;q=0.1"} {
			p.want(200, p.do(get, path, "", "Accept", accept))
		}
		for _, accept := range []string{"text/html", "application/xml, text/*;q=0.9", "application/json;q=0"} {
			p.refused(406, "not_acceptable", p.do(get, path, "", "Accept", accept))
		}
	}
	a := p.create("acceptable", false)
	for method, b := range map[string]string{get: "", put: body(p.title("unacceptable"), true), patch: `{"completed":true}`} {
		p.refused(406, "not_acceptable", p.do(method, a.path(), b, "Accept", "text/html"))
	}
	if now := p.do(get, a.path(), ""); now.body != a.body {
		p.failf("%v after requests that were not acceptable, before it %v", now, a)
	}
	p.refused(406, "not_acceptable", p.do(post, tasks, body(p.title("unacceptable"), false), "Accept", "text/html"))
	p.want(200, p.do(get, "/", "", "Accept", "text/html"))
}

func unknownPath(p *probe) {
	for _, path := range []string{"/nothing", "/api", "/api/v1", "/api/v2/tasks", "/API/V1/TASKS", tasks + "/" + nobody + "/x"} {
		p.refused(404, "not_found", p.do(get, path, ""))
	}
}

func requestIDs(p *probe) {
	const name, id = "X-Request-Id", "Root=1-67891233-abcdef012345678912345678"
	for _, path := range []string{"/version", tasks + "?limit=1", tasks + "?limit=0", tasks + "/" + nobody, "/nothing"} {
		if a := p.do(get, path, "", name, id); a.header.Get(name) != id {
			p.failf("%v: answered with %q", a, a.header.Get(name))
		}
	}
	for _, bad := range []string{"with space", strings.Repeat("x", 129)} {
		if a := p.do(get, "/version", "", name, bad); a.header.Get(name) == bad {
			p.failf("%v: took over an id that does not suit a log", a)
		}
	}
}
