package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"

	"example.com/todo/service/httpapi"
	"example.com/todo/service/postgres"
	"example.com/todo/service/postgres/postgrestest"
)

// keys are those of a test, or what is wrong with asking for them.
type keys struct {
	valid string
	err   error
}

func (k keys) Check(_ context.Context, key string) (bool, error) {
	return k.err == nil && key == k.valid, k.err
}

// serveWithKeys runs the API on a database of its own, with keys that a test decides on.
func serveWithKeys(t *testing.T, k httpapi.Keys, e env) instance {
	t.Helper()
	e[envDatabaseURL] = postgrestest.Database(t)
	e.unlimited()
	cfg, err := readConfig(e.get)
	if err != nil {
		t.Fatal(err)
	}
	out := &lines{}
	log := slog.New(slog.NewJSONHandler(out, nil))
	db, err := postgres.Open(cfg.database, log)
	if err != nil {
		t.Fatal(err)
	}
	db.Migrate()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := httpapi.New(httpapi.Config{Tasks: db.Tasks(), Ready: db.Ready, Keys: k, Settings: cfg.http, Build: running(), Log: log, LogOutput: out})
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	i := instance{url: "http://" + listener.Addr().String(), log: out}
	i.await(t, "/", func(r response) bool { return r.status == 200 })
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := errors.Join(server.Shutdown(ctx), <-served, db.Close()); err != nil {
			t.Error(err)
		}
	})
	return i
}

func TestAPIKeys(t *testing.T) {
	const key = theKey
	api := serveWithKeys(t, keys{valid: key}, env{})
	const challenge, again = `Bearer realm="todo"`, `Bearer realm="todo", error="invalid_token"`
	for _, tc := range []struct{ authorization, challenge string }{
		{"", challenge}, {"Basic " + key, challenge}, {key, challenge}, {"Bearer", challenge}, {"Bearer  ", challenge}, {"Bearer" + key, challenge},
		{"Bearer wrong", again}, {"Bearer " + key + "x", again}, {"Bearer " + key[1:], again}, {"Bearer " + key + ", " + key, again},
	} {
		for _, request := range []struct{ method, path, body string }{
			{"GET", tasks, ""}, {"HEAD", tasks, ""}, {"POST", tasks, `{"title":"x"}`}, {"GET", tasks + "/1", ""}, {"DELETE", tasks + "/1", ""}, {"GET", "/api/nothing", ""},
		} {
			h := header{}
			if tc.authorization != "" {
				h["Authorization"] = tc.authorization
			}
			r := api.do(t, request.method, request.path, request.body, h)
			if r.status != 401 || r.header.Get("WWW-Authenticate") != tc.challenge {
				t.Errorf("%s %s with %q: %d %q %s", request.method, request.path, tc.authorization, r.status, r.header.Get("WWW-Authenticate"), r.body)
			}
			if request.method != "HEAD" && r.json(t)["code"] != "unauthorized" {
				t.Errorf("%s", r.body)
			}
		}
	}
	if got := api.raw(t, "GET "+tasks+" HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer "+key+"\r\nAuthorization: Bearer "+key+"\r\n\r\n"); len(got) != 1 || got[0].status != 401 {
		t.Errorf("two lines of Authorization: %+v", got)
	}
	for _, authorization := range []string{"Bearer " + key, "bearer " + key, "BEARER  " + key} {
		if r := api.do(t, "GET", tasks, "", header{"Authorization": authorization}); r.status != 200 || r.body != "[]" {
			t.Errorf("%s: %d %s", authorization, r.status, r.body)
		}
	}
	if r := api.do(t, "GET", "/api/nothing", "", header{"Authorization": "Bearer " + key}); r.status != 404 {
		t.Errorf("an unknown path with a key: %d", r.status)
	}
	for _, path := range []string{"/", "/readyz", "/version", "/openapi.json", "/docs"} {
		if r := api.do(t, "GET", path, "", nil); r.status != 200 {
			t.Errorf("%s needs a key: %d", path, r.status)
		}
	}
	if r := api.do(t, "OPTIONS", tasks, "", header{"Origin": "https://example.com", "Access-Control-Request-Method": "GET"}); r.status != 204 {
		t.Errorf("a preflight needs a key: %d", r.status)
	}
	if strings.Contains(api.log.String(), key) {
		t.Error("the log has the key")
	}
}

func TestAPIKeysThatCannotBeChecked(t *testing.T) {
	api := serveWithKeys(t, keys{err: errors.New("the secret is asleep")}, env{})
	r := api.do(t, "GET", tasks, "", header{"Authorization": "Bearer k3y"})
	if r.status != 503 || r.json(t)["code"] != "unavailable" || r.header.Get("Retry-After") == "" || strings.Contains(r.body, "asleep") {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	id := r.header.Get("X-Request-Id")
	causes := 0
	for _, rec := range api.log.with(t, "request_id", id) {
		if rec["error"] == "the secret is asleep" && rec["level"] == "WARN" {
			causes++
		}
	}
	if causes != 1 || strings.Contains(api.log.String(), "k3y") {
		t.Errorf("the cause is logged %d times: %s", causes, api.log)
	}
	if r := api.do(t, "GET", tasks, "", nil); r.status != 401 {
		t.Errorf("without a key: %d", r.status)
	}
}

// exhaust asks until the client has asked too often.
func (i instance) exhaust(t *testing.T, h header) (passed int, r response) {
	t.Helper()
	for ; passed < 1000; passed++ {
		if r = i.do(t, "GET", tasks+"?limit=1", "", h); r.status != 200 {
			return passed, r
		}
	}
	t.Fatalf("%d requests have passed", passed)
	return passed, r
}

func TestRateLimit(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t), envRateLimit: "1"})
	first := api.do(t, "GET", tasks, "", nil)
	if got := first.header.Get("RateLimit"); got != `"default";r=9;t=1` || first.header.Get("RateLimit-Policy") != `"default";q=10;w=10` {
		t.Errorf("RateLimit %s, RateLimit-Policy %s", got, first.header.Get("RateLimit-Policy"))
	}
	passed, r := api.exhaust(t, nil)
	if passed < 9 {
		t.Errorf("%d requests passed after the first, want the rest of the burst at least", passed)
	}
	if r.status != 429 || r.json(t)["code"] != "rate_limited" || r.header.Get("Retry-After") != "1" || r.header.Get("RateLimit") != `"default";r=0;t=10` {
		t.Errorf("%d %v %s", r.status, r.header, r.body)
	}
	for range 30 {
		for _, path := range []string{"/", "/version"} {
			if r := api.do(t, "GET", path, "", nil); r.status != 200 || r.header.Get("RateLimit") != "" {
				t.Fatalf("%s is limited: %d %v", path, r.status, r.header)
			}
		}
		if r := api.do(t, "OPTIONS", tasks, "", nil); r.status != 204 {
			t.Fatalf("OPTIONS is limited: %d", r.status)
		}
	}
	api.await(t, tasks, func(r response) bool { return r.status == 200 })
}

// limited says whether any of a few requests is refused. One may pass by and by, since a
// second earns it; all of them only if nobody counts them together.
func (i instance) limited(t *testing.T, forwarded func(n int) string) bool {
	t.Helper()
	for n := range 25 {
		if r := i.do(t, "GET", tasks, "", header{"X-Forwarded-For": forwarded(n)}); r.status == 429 {
			return true
		}
	}
	return false
}

func TestRateLimitBehindProxies(t *testing.T) {
	dsn := postgrestest.Database(t)
	for name, tc := range map[string]struct {
		proxies string
		client  func(n int) string
		same    bool
	}{
		"nobody is trusted":                  {"0", func(n int) string { return fmt.Sprintf("203.0.113.%d", n) }, true},
		"a proxy tells the client":           {"1", func(n int) string { return fmt.Sprintf("203.0.113.%d", n) }, false},
		"the client's own story is no use":   {"1", func(n int) string { return fmt.Sprintf("203.0.113.%d, 203.0.113.255", n) }, true},
		"two proxies":                        {"2", func(n int) string { return fmt.Sprintf("198.51.100.1, 203.0.113.%d, 10.0.0.1", n) }, false},
		"two proxies, the story":             {"2", func(n int) string { return fmt.Sprintf("203.0.113.%d, 198.51.100.1, 10.0.0.1", n) }, true},
		"fewer addresses than proxies":       {"2", func(n int) string { return fmt.Sprintf("203.0.113.%d", n) }, true},
		"no address":                         {"1", func(n int) string { return fmt.Sprintf("client-%d", n) }, true},
		"one subscriber of IPv6":             {"1", func(n int) string { return fmt.Sprintf("2001:db8::%x", n+1) }, true},
		"subscribers of IPv6":                {"1", func(n int) string { return fmt.Sprintf("2001:db8:0:%x::1", n+1) }, false},
		"an address of IPv4 inside of IPv6":  {"1", func(n int) string { return []string{"203.0.113.1", "::ffff:203.0.113.1"}[n%2] }, true},
		"white space is not part of it":      {"1", func(n int) string { return fmt.Sprintf("x,\t 203.0.113.%d ", n) }, false},
		"an empty element is not an address": {"1", func(n int) string { return fmt.Sprintf("203.0.113.%d,", n) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			api := serve(t, env{envDatabaseURL: dsn, envRateLimit: "1", envTrustedProxies: tc.proxies})
			if got := api.limited(t, tc.client); got != tc.same {
				t.Errorf("limited together: %t", got)
			}
		})
	}
}

func TestCORS(t *testing.T) {
	dsn := postgrestest.Database(t)
	const page, other = "https://page.example", "https://other.example"
	ask := func(origin string) header {
		return header{"Origin": origin, "Access-Control-Request-Method": "PATCH", "Access-Control-Request-Headers": "authorization,content-type"}
	}
	for _, tc := range []struct {
		origins, origin, allowed, vary string
	}{
		{"", page, "*", ""},
		{"", "", "*", ""},
		{"none", page, "", ""},
		{page + ",http://localhost:3000", page, page, "Origin"},
		{page + ",http://localhost:3000", "http://localhost:3000", "http://localhost:3000", "Origin"},
		{page, other, "", "Origin"},
		{page, page + ":8443", "", "Origin"},
		{page, "https://page.example.evil.example", "", "Origin"},
		{page, "null", "", "Origin"},
		{page, "", "", "Origin"},
	} {
		t.Run(tc.origins+" "+tc.origin, func(t *testing.T) {
			api := serve(t, env{envDatabaseURL: dsn, envOrigins: tc.origins})
			one := api.create(t, "x", false)
			for _, path := range []string{tasks, one, tasks + "/1", "/", "/version", "/nothing"} {
				r := api.do(t, "GET", path, "", header{"Origin": tc.origin})
				exposes := strings.Contains(r.header.Get("Access-Control-Expose-Headers"), "ETag, Link, Location, RateLimit, RateLimit-Policy, Retry-After")
				if r.header.Get("Access-Control-Allow-Origin") != tc.allowed || r.header.Get("Vary") != tc.vary || exposes != (tc.allowed != "") {
					t.Errorf("GET %s: %v", path, r.header)
				}
			}
			r := api.do(t, "OPTIONS", one, "", ask(tc.origin))
			methods, headers, age := "", "", ""
			if tc.allowed != "" {
				methods, age = r.header.Get("Allow"), "7200"
				headers = "Authorization, Content-Type, If-Match, If-None-Match, Idempotency-Key, X-Request-ID, traceparent"
			}
			if r.status != 204 || r.body != "" || r.header.Get("Access-Control-Allow-Origin") != tc.allowed || r.header.Get("Access-Control-Allow-Methods") != methods ||
				r.header.Get("Access-Control-Allow-Headers") != headers || r.header.Get("Access-Control-Max-Age") != age || r.header.Get("Access-Control-Allow-Credentials") != "" {
				t.Errorf("preflight: %d %v", r.status, r.header)
			}
			if r := api.do(t, "OPTIONS", one, "", header{"Origin": tc.origin}); r.status != 204 || r.header.Get("Access-Control-Allow-Methods") != "" || r.header.Get("Allow") == "" {
				t.Errorf("an OPTIONS that is no preflight: %d %v", r.status, r.header)
			}
			if r := api.do(t, "OPTIONS", "/nothing", "", ask(tc.origin)); r.status != 404 || r.header.Get("Access-Control-Allow-Methods") != "" {
				t.Errorf("a preflight for nothing: %d %v", r.status, r.header)
			}
		})
	}
}

func TestSecurityHeaders(t *testing.T) {
	dsn := postgrestest.Database(t)
	always := header{
		"X-Content-Type-Options": "nosniff", "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'", "Referrer-Policy": "no-referrer",
		"Cross-Origin-Resource-Policy": "same-origin",
	}
	const transport = "Strict-Transport-Security"
	for _, tc := range []struct {
		settings env
		proto    string
		sent     bool
		tls      string
	}{
		{env{}, "https", true, ""},
		{env{envTrustedProxies: "1"}, "https", true, "max-age=31536000"},
		{env{envTrustedProxies: "1"}, "http", true, ""},
		{env{envTrustedProxies: "1"}, "", true, ""},
		{env{envTrustedProxies: "1", envSecurityHeaders: "off"}, "https", false, ""},
	} {
		t.Run(fmt.Sprint(tc.settings, tc.proto), func(t *testing.T) {
			tc.settings[envDatabaseURL] = dsn
			api := serve(t, tc.settings)
			for _, path := range []string{"/", "/readyz", "/version", "/openapi.json", "/docs", tasks, tasks + "/1", "/nothing"} {
				r := api.do(t, "GET", path, "", header{"X-Forwarded-Proto": tc.proto})
				for name, value := range always {
					got, want := r.header.Values(name), []string{value}
					if !tc.sent {
						want = nil
					}
					if path == "/docs" && name == "Content-Security-Policy" {
						want = []string{"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"}
					}
					if fmt.Sprint(got) != fmt.Sprint(want) {
						t.Errorf("GET %s: %s is %q, want %q", path, name, got, want)
					}
				}
				if r.header.Get(transport) != tc.tls || r.header.Get("Server") != "" {
					t.Errorf("GET %s: %v", path, r.header)
				}
			}
		})
	}
}
