package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	get, head, post, put, patch, remove, options = http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions

	contentType = "Content-Type"
	ifMatch     = "If-Match"
	ifNoneMatch = "If-None-Match"
	onceKey     = "Idempotency-Key"

	// many is how many requests are sent at once where that matters.
	many = 8
	// maxPages bounds a walk through a list that others fill.
	maxPages = 200
)

// rule is one sentence of the contract.
type rule struct {
	name   string
	verify func(*probe)
}

// rules are the contract, from what everything rests on to what rests on it.
var rules = []rule{
	{"GET / answers OK", alive},
	{"GET /readyz answers OK while tasks are served", ready},
	{"GET /version says version, commit and Go version", version},
	{"GET /openapi.json is OpenAPI 3.1 of every path", document},
	{"GET /docs is a page without outside assets", docs},
	{"POST makes a task, 201 with Location and ETag", creates},
	{"a title is trimmed, and has 1 to 500 characters", titles},
	{"a malformed or unsuitable body is refused with 400", refusesBodies},
	{"another media type, charset or coding is refused with 415", refusesMedia},
	{"a body over the limit is refused with 413", refusesLarge},
	{"GET reads a task, in either case of its id", reads},
	{"an unknown id is 404, a malformed one 400", refusesIDs},
	{"PUT writes both fields", replaces},
	{"PATCH writes the fields of a JSON merge patch", patches},
	{"DELETE answers 204, then 404", deletes},
	{"every write changes the ETag, nothing else does", tags},
	{"If-Match guards PUT, PATCH and DELETE with 412", guards},
	{"of writers with the same If-Match one wins", oneWriter},
	{"If-None-Match on GET gives 304", notModified},
	{"a repeated Idempotency-Key gives the same answer", repeats},
	{"concurrent repeats of one key make one task", oneTask},
	{"a list is newest first, and limit bounds it", lists},
	{"pages link on, stable while tasks come and go", pages},
	{"completed filters a list and its pages", filters},
	{"a malformed query is refused with 400", refusesQueries},
	{"HEAD answers as GET without the body", heads},
	{"OPTIONS answers 204, other methods 405, with Allow", methods},
	{"every path works with a slash at its end", slashes},
	{"Accept without JSON is 406", accepts},
	{"an unknown path is 404", unknownPath},
	{"the client's request id is kept", requestIDs},
	{"every answer has the security headers", securityHeaders},
	{"a page of another origin may use all of the API, or nothing", crossOrigin},
	{"without a valid API key the API is 401, if it wants one", needsKey},
	{"the limit of the rate is told ahead, and 429 says when to come again", rateLimit},
}

func alive(p *probe) {
	if a := p.want(200, p.do(get, "/", "")); a.body != "OK" || !strings.HasPrefix(a.header.Get(contentType), "text/plain") {
		p.failf("%v, %s", a, a.header.Get(contentType))
	}
}

func ready(p *probe) { p.want(200, p.do(get, "/readyz", "")) }

func version(p *probe) {
	a := p.want(200, p.do(get, "/version", ""))
	if _, commit := a.object()["commit"].(string); a.text("version") == "" || !commit || !strings.HasPrefix(a.text("go"), "go") {
		p.failf("%v", a)
	}
}

func document(p *probe) {
	a := p.want(200, p.do(get, "/openapi.json", ""))
	var d struct {
		OpenAPI string
		Paths   map[string]map[string]any
	}
	if err := json.Unmarshal([]byte(a.body), &d); err != nil || !strings.HasPrefix(d.OpenAPI, "3.1.") {
		p.failf("%v: OpenAPI %q, %w", a, d.OpenAPI, err)
	}
	for path, want := range map[string][]string{
		"/": {"get"}, "/readyz": {"get"}, "/version": {"get"}, "/openapi.json": {"get"}, "/docs": {"get"},
		tasks: {"get", "post"}, tasks + "/{id}": {"delete", "get", "patch", "put"},
	} {
		if got := slices.Sorted(maps.Keys(d.Paths[path])); !slices.Equal(got, want) {
			p.failf("%s documents %v, want %v", path, got, want)
		}
	}
}

func docs(p *probe) {
	a := p.want(200, p.do(get, "/docs", ""))
	if !strings.HasPrefix(a.header.Get(contentType), "text/html") {
		p.failf("GET /docs is %s", a.header.Get(contentType))
	}
	for _, outside := range []string{`="http`, `="//`, "<link", "@import"} {
		if strings.Contains(a.body, outside) {
			p.failf("the page has %s", outside)
		}
	}
}

var uuid7 = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`)

// task verifies that an answer is the task and has a strong tag.
func (p *probe) task(a answer, title string, completed bool) {
	o := a.object()
	if names := slices.Sorted(maps.Keys(o)); !slices.Equal(names, []string{"completed", "created_at", "id", "title", "updated_at"}) {
		p.failf("%v: not the members of a task", a)
		return
	}
	if !uuid7.MatchString(a.text("id")) || o["title"] != title || o["completed"] != completed {
		p.failf("%v: want title %q, completed %t and a UUIDv7", a, title, completed)
	}
	created, errC := time.Parse(time.RFC3339Nano, a.text("created_at"))
	updated, errU := time.Parse(time.RFC3339Nano, a.text("updated_at"))
	if errC != nil || errU != nil || !strings.HasSuffix(a.text("created_at"), "Z") || !strings.HasSuffix(a.text("updated_at"), "Z") || updated.Before(created) {
		p.failf("%v: times are not RFC 3339 in UTC, one after the other", a)
	}
	if got := a.header.Get(contentType); got != "application/json" {
		p.failf("%v: Content-Type is %q", a, got)
	}
	if tag := a.header.Get("ETag"); len(tag) < 3 || !strings.HasPrefix(tag, `"`) || !strings.HasSuffix(tag, `"`) {
		p.failf("%v: ETag is %q", a, tag)
	}
}

func creates(p *probe) {
	for _, completed := range []bool{true, false} {
		a := p.create("made", completed)
		p.task(a, p.title("made"), completed)
		if a.path() != tasks+"/"+a.text("id") || a.text("created_at") != a.text("updated_at") {
			p.failf("%v, Location %s", a, a.header.Get("Location"))
		}
		if found := p.do(get, a.path(), ""); found.body != a.body || found.header.Get("Cache-Control") != "no-cache" || found.header.Get("ETag") != a.header.Get("ETag") {
			p.failf("%v after %v", found, a)
		}
	}
	a := p.want(201, p.do(post, tasks, fmt.Sprintf(`{"title":%q}`, p.title("not yet"))))
	p.task(a, p.title("not yet"), false)
}

func titles(p *probe) {
	long := p.title(strings.Repeat("é", 500-len(p.title(""))))
	p.task(p.want(201, p.do(post, tasks, body(" \t"+long+"\n\u2003", false))), long, false)
	p.task(p.want(201, p.do(post, tasks, fmt.Sprintf(`{"title":"%s \ud83e\udd5b \u0022"}`, p.mark))), p.mark+` 🥛 "`, false)
	for _, title := range []string{long + "é", "", " \u00a0 ", p.title("a\x00b"), p.title("a\nb"), p.title("a\u0085b")} {
		p.refused(400, "invalid", p.do(post, tasks, body(title, false)))
	}
}

func refusesBodies(p *probe) {
	a := p.create("kept", false)
	title := fmt.Sprintf("%q", p.title("refused"))
	for _, c := range []struct{ body, code string }{
		{`{"title":`, "malformed_body"}, {`[]`, "malformed_body"}, {`null`, "malformed_body"}, {`"x"`, "malformed_body"},
		{`{"title":` + title + `,}`, "malformed_body"}, {`{"title":` + title + `}{}`, "malformed_body"}, {`{"title":` + title + `}]`, "malformed_body"},
		{"{\"title\":\"" + p.mark + "\xff\"}", "malformed_body"}, {strings.Repeat(`{"title":`, 1000), "malformed_body"},
		{`{"title":` + strings.Repeat("[", 30_000), "malformed_body"}, {`{"title":` + strings.Repeat("[", 30_000) + strings.Repeat("]", 30_000) + "}", "malformed_body"},
		{`{}`, "invalid"}, {`{"title":null}`, "invalid"}, {`{"title":1}`, "invalid"}, {`{"title":` + title + `,"completed":"true"}`, "invalid"},
		{`{"title":` + title + `,"completed":null}`, "invalid"}, {`{"title":` + title + `,"title":` + title + `}`, "invalid"},
		{`{"title":` + title + `,"Completed":true}`, "invalid"}, {`{"title":` + title + `,"id":"` + nobody + `"}`, "invalid"},
		{`{"title":"` + p.mark + ` \ud800"}`, "invalid"},
	} {
		p.refused(400, c.code, p.do(post, tasks, c.body))
	}
	for _, b := range []string{`{"title":` + title + `}`, `{"completed":true}`, `{}`, body("", true)} {
		p.refused(400, "invalid", p.do(put, a.path(), b))
	}
	for _, method := range []string{put, patch} {
		for _, b := range []string{`{"title":`, `[]`, body("refused", true) + `{}`, "{\"title\":\"\xff\"}", strings.Repeat(`{"title":`, 1000)} {
			p.refused(400, "malformed_body", p.do(method, a.path(), b))
		}
	}
	invalid := p.do(put, a.path(), `{"title":5,"done":true}`)
	if fields, _ := invalid.object()["errors"].([]any); len(fields) != 3 {
		p.failf("%v: not all three mistakes are listed", invalid)
	}
	p.refused(400, "malformed_body", p.do(post, tasks, "", contentType, "application/json"))
	p.task(p.do(get, a.path(), ""), p.title("kept"), false)
}

func refusesMedia(p *probe) {
	b := body(p.title("media"), false)
	for _, media := range []string{"text/plain", "application/x-www-form-urlencoded", "application/merge-patch+json", "application/json; charset=latin1"} {
		p.refused(415, "unsupported_media_type", p.do(post, tasks, b, contentType, media))
	}
	for _, method := range []string{put, patch} {
		p.refused(415, "unsupported_media_type", p.do(method, tasks+"/"+nobody, b, contentType, "text/plain"))
	}
	p.refused(415, "unsupported_media_type", p.do(post, tasks, b, "Content-Encoding", "gzip"))
	p.want(201, p.do(post, tasks, b, contentType, `Application/JSON; charset="UTF-8"`))
}

func refusesLarge(p *probe) {
	const most = 1 << 20 // that the service can be told to take
	b := body(p.title(strings.Repeat("x", most)), false)
	p.refused(413, "body_too_large", p.do(post, tasks, b))
	for _, method := range []string{put, patch} {
		p.refused(413, "body_too_large", p.do(method, tasks+"/"+nobody, b))
	}
}

func reads(p *probe) {
	a := p.create("read", true)
	for _, path := range []string{a.path(), tasks + "/" + strings.ToUpper(a.text("id"))} {
		if found := p.want(200, p.do(get, path, "")); found.body != a.body {
			p.failf("%v, made %s", found, a.body)
		}
	}
}

func refusesIDs(p *probe) {
	for method, b := range map[string]string{get: "", remove: "", put: body(p.title("x"), true), patch: "{}"} {
		p.refused(404, "task_not_found", p.do(method, tasks+"/"+nobody, b))
		for _, id := range []string{"1", nobody + "0", strings.ReplaceAll(nobody, "-", ""), "%00"} {
			p.refused(400, "invalid", p.do(method, tasks+"/"+id, b))
		}
	}
}

func replaces(p *probe) {
	a := p.create("before", false)
	for _, completed := range []bool{true, false} {
		written := p.want(200, p.do(put, a.path(), body(p.title("after"), completed)))
		p.task(written, p.title("after"), completed)
		if written.text("id") != a.text("id") || written.text("created_at") != a.text("created_at") || written.text("updated_at") == a.text("updated_at") {
			p.failf("%v after %v", written, a)
		}
		if found := p.do(get, a.path(), ""); found.body != written.body {
			p.failf("%v after %v", found, written)
		}
	}
}

func patches(p *probe) {
	const merge = "application/merge-patch+json"
	a := p.create("before", false)
	for _, media := range []string{merge, "application/json"} {
		p.task(p.want(200, p.do(patch, a.path(), `{"completed":true}`, contentType, media)), p.title("before"), true)
		p.task(p.want(200, p.do(patch, a.path(), fmt.Sprintf(`{"title":%q}`, p.title("after")), contentType, media)), p.title("after"), true)
		last := p.want(200, p.do(patch, a.path(), body(p.title("before"), false), contentType, media))
		p.task(last, p.title("before"), false)
		if same := p.want(200, p.do(patch, a.path(), `{}`, contentType, media)); same.body != last.body || same.header.Get("ETag") != last.header.Get("ETag") {
			p.failf("%v changed %v", same, last)
		}
	}
	for _, b := range []string{`{"title":null}`, `{"completed":null}`, `{"title":" "}`, `{"more":1}`, `{"completed":0}`} {
		p.refused(400, "invalid", p.do(patch, a.path(), b, contentType, merge))
	}
	p.refused(400, "malformed_body", p.do(patch, a.path(), `[]`, contentType, merge))
	p.refused(415, "unsupported_media_type", p.do(patch, a.path(), `[]`, contentType, "application/json-patch+json"))
	p.task(p.do(get, a.path(), ""), p.title("before"), false)
}

func deletes(p *probe) {
	a := p.create("deleted", false)
	p.want(204, p.do(remove, a.path(), ""))
	for method, b := range map[string]string{remove: "", get: "", put: body(p.title("x"), true), patch: `{"completed":true}`} {
		p.refused(404, "task_not_found", p.do(method, a.path(), b))
	}
}

func tags(p *probe) {
	a := p.create("x", false)
	seen := map[string]bool{a.header.Get("ETag"): true}
	for _, completed := range []bool{true, false, true, true} {
		tag := p.want(200, p.do(put, a.path(), body(p.title("x"), completed))).header.Get("ETag")
		if seen[tag] {
			p.failf("the ETag %s came twice", tag)
		}
		seen[tag] = true
		if again := p.do(get, a.path(), "").header.Get("ETag"); again != tag {
			p.failf("ETag %s, and %s when read", tag, again)
		}
	}
}

func guards(p *probe) {
	for method, b := range map[string]string{put: body(p.title("after"), true), patch: `{"completed":true}`, remove: ""} {
		a := p.create("guarded", false)
		old := a.header.Get("ETag")
		tag := p.do(put, a.path(), body(p.title("guarded"), false)).header.Get("ETag")
		for _, match := range []string{old, `"x"`, "W/" + tag, `"x", ` + old} {
			p.refused(412, "precondition_failed", p.do(method, a.path(), b, ifMatch, match))
		}
		for _, match := range []string{"x", `"x`, `"x" "y"`, "*, " + tag} {
			p.refused(400, "invalid", p.do(method, a.path(), b, ifMatch, match))
		}
		if now := p.do(get, a.path(), "").header.Get("ETag"); now != tag {
			p.failf("%s that was refused wrote", method)
		}
		success := map[string]int{put: 200, patch: 200, remove: 204}[method]
		p.want(success, p.do(method, a.path(), b, ifMatch, `"x",, `+tag))
		other := p.create("guarded", false)
		p.want(success, p.do(method, other.path(), b, ifMatch, "*"))
		p.refused(404, "task_not_found", p.do(method, tasks+"/"+nobody, b, ifMatch, "*"))
	}
	p.refused(412, "precondition_failed", p.do(patch, p.create("guarded", false).path(), `{}`, ifMatch, `"x"`))
}

// atOnce sends the same request from many clients.
func (p *probe) atOnce(method, path, b string, header ...string) []answer {
	answers := make([]answer, many)
	var wg sync.WaitGroup
	for i := range answers {
		wg.Go(func() { answers[i] = p.do(method, path, b, header...) })
	}
	wg.Wait()
	return answers
}

func oneWriter(p *probe) {
	a := p.create("contended", false)
	won := 0
	for _, a := range p.atOnce(put, a.path(), body(p.title("won"), true), ifMatch, a.header.Get("ETag")) {
		if a.status == 200 {
			won++
			continue
		}
		p.refused(412, "precondition_failed", a)
	}
	if won != 1 {
		p.failf("%d of %d won", won, many)
	}
}

func notModified(p *probe) {
	a := p.create("cached", false)
	tag := a.header.Get("ETag")
	for _, method := range []string{get, head} {
		for _, match := range []string{tag, "W/" + tag, "*", `"x", ` + tag} {
			if a := p.want(304, p.do(method, a.path(), "", ifNoneMatch, match)); a.header.Get("ETag") != tag {
				p.failf("%v: ETag is %s", a, a.header.Get("ETag"))
			}
		}
		p.want(200, p.do(method, a.path(), "", ifNoneMatch, `"x"`))
	}
	p.do(put, a.path(), body(p.title("cached"), true))
	p.want(200, p.do(get, a.path(), "", ifNoneMatch, tag))
}

// same reports when an answer differs from the first.
func (p *probe) same(first, again answer) {
	p.want(201, again)
	if again.body != first.body || again.header.Get("Location") != first.header.Get("Location") || again.header.Get("ETag") != first.header.Get("ETag") {
		p.failf("%v after %v", again, first)
	}
}

func repeats(p *probe) {
	key, b := fmt.Sprintf("%q", strings.ReplaceAll(p.title("repeat"), " ", "-")), body(p.title("repeated"), false)
	first := p.want(201, p.do(post, tasks, b, onceKey, key))
	p.same(first, p.do(post, tasks, b, onceKey, key))
	p.same(first, p.do(post, tasks, b, onceKey, strings.Trim(key, `"`))) // as many clients send it
	p.do(put, first.path(), body(p.title("changed"), true))
	p.same(first, p.do(post, tasks, b, onceKey, key))
	p.refused(422, "idempotency_key_reused", p.do(post, tasks, body(p.title("other"), false), onceKey, key))
	p.want(204, p.do(remove, first.path(), ""))
	p.same(first, p.do(post, tasks, b, onceKey, key))
	p.refused(404, "task_not_found", p.do(get, first.path(), ""))
	for _, key := range []string{`"`, `""`, `"a`, "a b", `"` + strings.Repeat("x", 256) + `"`} {
		p.refused(400, "invalid", p.do(post, tasks, b, onceKey, key))
	}
}

func oneTask(p *probe) {
	answers := p.atOnce(post, tasks, body(p.title("once"), false), onceKey, fmt.Sprintf("%q", strings.ReplaceAll(p.title("once"), " ", "-")))
	for _, a := range answers {
		p.same(answers[0], a)
	}
}
