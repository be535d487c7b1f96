package check

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
)

// stranger is an origin that no service lists.
const stranger = "https://check.example"

// everywhere are requests of all kinds, with the status of each.
func (p *probe) everywhere() map[string]int {
	return map[string]int{
		"/": 200, "/readyz": 200, "/version": 200, "/openapi.json": 200, "/docs": 200, "/nothing": 404,
		tasks + "?limit=1": 200, tasks + "?limit=0": 400, tasks + "/" + nobody: 404,
	}
}

func securityHeaders(p *probe) {
	for path, status := range p.everywhere() {
		a := p.want(status, p.do(get, path, ""))
		policy := strings.Split(a.header.Get("Content-Security-Policy"), "; ")
		if !slices.Contains(policy, "default-src 'none'") || !slices.Contains(policy, "frame-ancestors 'none'") {
			p.failf("%v: Content-Security-Policy is %q", a, a.header.Get("Content-Security-Policy"))
		}
		for name, want := range map[string]string{"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin", "Server": ""} {
			if got := a.header.Get(name); got != want {
				p.failf("%v: %s is %q", a, name, got)
			}
		}
		// Over TLS the platform may send it; without, nobody must: RFC 6797, 7.2.
		if got := a.header.Get("Strict-Transport-Security"); got != "" && strings.HasPrefix(p.base, "http:") {
			p.failf("%v: Strict-Transport-Security is %q without TLS", a, got)
		}
	}
}

func crossOrigin(p *probe) {
	const allow, credentials = "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials"
	open := p.do(get, "/version", "", "Origin", stranger).header.Get(allow)
	if open != "*" && open != "" {
		p.failf("a page of %s is allowed as %s", stranger, open)
	}
	for path, status := range p.everywhere() {
		a := p.want(status, p.do(get, path, "", "Origin", stranger))
		if a.header.Get(allow) != open || a.header.Get(credentials) != "" {
			p.failf("%v: %s is %q, %s is %q", a, allow, a.header.Get(allow), credentials, a.header.Get(credentials))
		}
		read := list(a.header.Get("Access-Control-Expose-Headers"))
		for _, name := range []string{"etag", "link", "location", "retry-after", "x-request-id"} {
			if slices.Contains(read, name) != (open != "") {
				p.failf("%v: a page may read %v", a, read)
			}
		}
	}
	for path, allowed := range p.paths() {
		a := p.want(204, p.do(options, path, "", "Origin", stranger, "Access-Control-Request-Method", get, "Access-Control-Request-Headers", "authorization"))
		methods, sent := list(a.header.Get("Access-Control-Allow-Methods")), list(a.header.Get("Access-Control-Allow-Headers"))
		if open == "" {
			if len(methods)+len(sent) > 0 || a.header.Get(allow) != "" {
				p.failf("%v: allows %v with %v to nobody", a, methods, sent)
			}
			continue
		}
		slices.Sort(methods)
		if !slices.Equal(methods, list(allowed)) || a.header.Get(allow) != open {
			p.failf("%v: allows %v to %q, want %s", a, methods, a.header.Get(allow), allowed)
		}
		for _, name := range []string{"authorization", "content-type", "if-match", "if-none-match", "idempotency-key", "x-request-id", "traceparent"} {
			if !slices.Contains(sent, name) {
				p.failf("%v: a page may send %v, not %s", a, sent, name)
			}
		}
		if age, err := strconv.Atoi(a.header.Get("Access-Control-Max-Age")); err != nil || age <= 0 {
			p.failf("%v: Access-Control-Max-Age is %q", a, a.header.Get("Access-Control-Max-Age"))
		}
	}
}

// list is a comma-separated list, in lower case.
func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(strings.ToLower(strings.ReplaceAll(text, " ", "")), ",")
}

func needsKey(p *probe) {
	const authorization = "Authorization"
	var d struct {
		Components struct{ SecuritySchemes map[string]any }
	}
	document := p.do(get, "/openapi.json", "")
	if err := json.Unmarshal([]byte(document.body), &d); err != nil {
		p.failf("%v: %w", document, err)
	}
	wanted := len(d.Components.SecuritySchemes) > 0
	a := p.do(get, tasks+"?limit=1", "", authorization, "")
	if wanted != (a.status == 401) {
		p.failf("%v without a key, and the document says %v of keys", a, d.Components.SecuritySchemes)
	}
	if a.status != 401 {
		return
	}
	made := p.create("locked", false)
	for _, key := range []string{"", "Basic x", "Bearer", "Bearer " + nobody} {
		challenge := `Bearer realm="todo"`
		if key == "Bearer "+nobody {
			challenge += `, error="invalid_token"`
		}
		for method, b := range map[string]string{get: "", put: body(p.title("broken"), true), patch: `{"completed":true}`, remove: ""} {
			a := p.do(method, made.path(), b, authorization, key)
			p.refused(401, "unauthorized", a)
			if got := a.header.Get("WWW-Authenticate"); got != challenge {
				p.failf("%v: WWW-Authenticate is %s, want %s", a, got, challenge)
			}
		}
		p.refused(401, "unauthorized", p.do(post, tasks, body(p.title("broken"), false), authorization, key))
		p.refused(401, "unauthorized", p.do(get, "/api/nothing", "", authorization, key))
		p.want(401, p.do(head, tasks, "", authorization, key))
		p.want(204, p.do(options, tasks, "", authorization, key))
		for _, path := range []string{"/", "/readyz", "/version", "/openapi.json", "/docs"} {
			p.want(200, p.do(get, path, "", authorization, key))
		}
	}
	if now := p.do(get, made.path(), ""); now.body != made.body {
		p.failf("%v after requests without a key, before it %v", now, made)
	}
	p.want(200, p.do(get, made.path(), "", authorization, "bearer "+p.key)) // a scheme is in any case
}

func rateLimit(p *probe) {
	a := p.do(get, tasks+"?limit=1", "")
	if policy := a.header.Get("RateLimit-Policy"); policy != "" {
		quota, window := parameter(policy, "q"), parameter(policy, "w")
		left, full := parameter(a.header.Get("RateLimit"), "r"), parameter(a.header.Get("RateLimit"), "t")
		if quota < 1 || window < 1 || left < 0 || left > quota || full < 0 || full > window {
			p.failf("%v: RateLimit %s, RateLimit-Policy %s", a, a.header.Get("RateLimit"), policy)
		}
	}
	p.session.mu.Lock()
	defer p.session.mu.Unlock()
	for _, a := range p.putOff {
		if !strings.HasPrefix(a.request, head) {
			p.problem(a, a.header.Get("X-Request-Id"))
			p.refused(429, "rate_limited", a)
		}
		if !strings.Contains(a.request, " /api/") {
			p.failf("%v: only the API may be limited", a)
		}
	}
}

// parameter is a number in an item of a structured field, -1 without: RFC 9651.
func parameter(field, name string) int {
	for p := range strings.SplitSeq(field, ";") {
		if value, ok := strings.CutPrefix(p, name+"="); ok {
			if n, err := strconv.Atoi(value); err == nil {
				return n
			}
		}
	}
	return -1
}
