package main

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"example.com/todo/service/check"
	"example.com/todo/service/postgres/postgrestest"
)

func TestConformance(t *testing.T) {
	for name, api := range map[string]instance{
		"by default":                    serve(t, env{envDatabaseURL: postgrestest.Database(t), envRateLimit: ""}),
		"of all that can be chosen":     serveWithKeys(t, keys{valid: theKey}, env{envRateLimit: "50", envOrigins: "https://page.example", envBodyLimit: "1048576", envTrustedProxies: "1"}),
		"of nothing that can be chosen": serve(t, env{envDatabaseURL: postgrestest.Database(t), envRateLimit: "0", envOrigins: "none"}),
	} {
		t.Run(name, func(t *testing.T) {
			if strings.Contains(api.do(t, "GET", "/openapi.json", "", nil).body, "bearerAuth") {
				api.key = theKey
			}
			api.create(t, "somebody's", false)
			api.create(t, "somebody's", true)
			before := api.do(t, "GET", tasks, "", nil).body
			err := check.RunWithKey(t.Context(), client, api.url+"/", api.key, func(rule string, err error) {
				if err != nil {
					t.Errorf("%s:\n%v", rule, err)
				}
			})
			if err != nil {
				t.Error(err)
			}
			if after := api.do(t, "GET", tasks, "", nil).body; after != before {
				t.Errorf("it left %s, before it was %s", after, before)
			}
		})
	}
}

// Somebody else at the same address uses up what the limit leaves, until the check has
// been put off: it waits, and finds the contract kept.
func TestConformanceHonoursTheLimit(t *testing.T) {
	t.Parallel()
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t), envRateLimit: "20"})
	const somebody = "somebody-else"
	putOff := func() bool {
		return slices.ContainsFunc(api.log.with(t, "status", 429.0), func(record map[string]any) bool { return record["request_id"] != somebody })
	}
	checked := make(chan struct{})
	var greedy sync.WaitGroup
	greedy.Go(func() {
		for n := 0; ; n++ {
			select {
			case <-checked:
				return
			default:
			}
			if n%100 == 0 && putOff() {
				return
			}
			if _, err := api.try(t.Context(), "GET", tasks+"?limit=1", "", header{"X-Request-Id": somebody}); err != nil {
				t.Error(err)
				return
			}
		}
	})
	err := check.Run(t.Context(), client, api.url, func(rule string, err error) {
		if err != nil {
			t.Errorf("%s:\n%v", rule, err)
		}
	})
	close(checked)
	greedy.Wait()
	if err != nil {
		t.Error(err)
	}
	if !putOff() {
		t.Error("it was never put off")
	}
}

// A check that finds nothing wrong is worth what it finds when something is.
func TestTheCheckFindsWhatIsWrong(t *testing.T) {
	t.Parallel()
	api := serveWithKeys(t, keys{valid: theKey}, env{envRateLimit: "100000"})
	target, err := url.Parse(api.url)
	if err != nil {
		t.Fatal(err)
	}
	const (
		security = "every answer has the security headers"
		cors     = "a page of another origin may use all of the API, or nothing"
		locked   = "without a valid API key the API is 401, if it wants one"
		limited  = "the limit of the rate is told ahead, and 429 says when to come again"
		unknown  = "an unknown path is 404"
		page     = "pages link on, stable while tasks come and go"
	)
	for name, tc := range map[string]struct {
		wrong func(*http.Response)
		rule  string
	}{
		"no ETag":                   {with("ETag", ""), "POST makes a task, 201 with Location and ETag"},
		"no Link":                   {with("Link", ""), page},
		"no Allow":                  {with("Allow", ""), "OPTIONS answers 204, other methods 405, with Allow"},
		"no Location":               {with("Location", ""), "DELETE answers 204, then 404"},
		"no request id":             {with("X-Request-Id", ""), "GET / answers OK"},
		"no problem":                {with("Content-Type", "application/json"), unknown},
		"304 becomes 200":           {becomes(http.StatusNotModified, http.StatusOK), "If-None-Match on GET gives 304"},
		"412 becomes 200":           {becomes(http.StatusPreconditionFailed, http.StatusOK), "of writers with the same If-Match one wins"},
		"413 becomes 400":           {becomes(http.StatusRequestEntityTooLarge, http.StatusBadRequest), "a body over the limit is refused with 413"},
		"415 becomes 400":           {becomes(http.StatusUnsupportedMediaType, http.StatusBadRequest), "another media type, charset or coding is refused with 415"},
		"406 becomes 200":           {becomes(http.StatusNotAcceptable, http.StatusOK), "Accept without JSON is 406"},
		"422 becomes 201":           {becomes(http.StatusUnprocessableEntity, http.StatusCreated), "a repeated Idempotency-Key gives the same answer"},
		"no Content-Type":           {with("Content-Type", ""), "POST makes a task, 201 with Location and ETag"},
		"a type of problem":         {says("about:blank", "urn:task"), unknown},
		"another code":              {says(`"code":"not_found"`, `"code":"missing"`), unknown},
		"another id in the problem": {says(`"request_id":"`, `"request_id":"x`), unknown},
		"lists that are kept":       {on(tasks+"?limit=1", with("Cache-Control", "max-age=60")), "a list is newest first, and limit bounds it"},
		"lists with a version":      {on(tasks+"?limit=1", with("ETag", `"x"`)), "a list is newest first, and limit bounds it"},
		"a filter that is lost":     {edits("Link", "completed=", "ignored="), "completed filters a list and its pages"},
		"pages that are too short":  {on(tasks+"?limit=2", shortens(1)), page},
		"a cursor for once":         {once(), page},
		"another length of HEAD":    {of("HEAD", with("Content-Length", "1")), "HEAD answers as GET without the body"},
		"no policy":                 {with("Content-Security-Policy", ""), security},
		"frames":                    {edits("Content-Security-Policy", "frame-ancestors 'none'", "x"), security},
		"a referrer":                {with("Referrer-Policy", ""), security},
		"a server":                  {with("Server", "todo"), security},
		"transport over HTTP":       {with("Strict-Transport-Security", "max-age=1"), security},
		"any origin by name":        {with("Access-Control-Allow-Origin", "https://check.example"), cors},
		"credentials":               {with("Access-Control-Allow-Credentials", "true"), cors},
		"nothing to read":           {with("Access-Control-Expose-Headers", ""), cors},
		"nothing to send":           {with("Access-Control-Allow-Headers", "content-type"), cors},
		"no method":                 {with("Access-Control-Allow-Methods", "GET"), cors},
		"no age":                    {with("Access-Control-Max-Age", ""), cors},
		"no problem of others":      {on("/nothing", with("Access-Control-Allow-Origin", "")), cors},
		"no challenge":              {with("WWW-Authenticate", ""), locked},
		"one challenge":             {with("WWW-Authenticate", `Bearer realm="todo"`), locked},
		"401 becomes 200":           {becomes(http.StatusUnauthorized, http.StatusOK), locked},
		"401 becomes 403":           {becomes(http.StatusUnauthorized, http.StatusForbidden), locked},
		"a lock nobody told about":  {says("securitySchemes", "schemes"), locked},
		"more than there is":        {edits("RateLimit", "r=", "r=9"), limited},
		"no such policy":            {with("RateLimit-Policy", "default"), limited},
		"put off without reason":    {putOff(), limited},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := httputil.NewSingleHostReverseProxy(target)
			proxy.Transport = client.Transport
			proxy.ModifyResponse = func(r *http.Response) error {
				tc.wrong(r)
				return nil
			}
			front := httptest.NewServer(proxy)
			defer front.Close()
			ctx, found := context.WithCancel(t.Context())
			defer found()
			err := check.RunWithKey(ctx, client, front.URL, theKey, func(rule string, err error) {
				if rule == tc.rule && err != nil {
					found()
				}
			})
			if ctx.Err() == nil {
				t.Errorf("the rule %q holds; %v", tc.rule, err)
			}
		})
	}
	api.key = theKey
	if r := api.do(t, "GET", tasks, "", nil); r.body != "[]" {
		t.Errorf("left behind: %s", r.body)
	}
}

func becomes(from, to int) func(*http.Response) {
	return func(r *http.Response) {
		if r.StatusCode == from {
			r.StatusCode = to
		}
	}
}

// with replaces a header, or removes it.
func with(name, value string) func(*http.Response) {
	return func(r *http.Response) {
		r.Header.Del(name)
		if value != "" {
			r.Header.Set(name, value)
		}
	}
}

// edits changes what a header says.
func edits(name, from, to string) func(*http.Response) {
	return func(r *http.Response) {
		if value := r.Header.Get(name); value != "" {
			r.Header.Set(name, strings.ReplaceAll(value, from, to))
		}
	}
}

// on does it to answers from one path and query.
func on(path string, wrong func(*http.Response)) func(*http.Response) {
	return func(r *http.Response) {
		if r.Request.URL.RequestURI() == path {
			wrong(r)
		}
	}
}

// of does it to answers to one method.
func of(method string, wrong func(*http.Response)) func(*http.Response) {
	return func(r *http.Response) {
		if r.Request.Method == method {
			wrong(r)
		}
	}
}

// replace gives an answer another body.
func replace(r *http.Response, change func(string) string) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(err) // reaches the client as an answer that is cut
	}
	if r.Request.Method == http.MethodHead {
		return
	}
	changed := change(string(body))
	r.Body = io.NopCloser(strings.NewReader(changed))
	r.ContentLength = int64(len(changed))
	r.Header.Set("Content-Length", strconv.Itoa(len(changed)))
}

// says changes what a body says.
func says(from, to string) func(*http.Response) {
	return func(r *http.Response) {
		replace(r, func(body string) string { return strings.ReplaceAll(body, from, to) })
	}
}

// shortens leaves so many members of a list.
func shortens(members int) func(*http.Response) {
	return func(r *http.Response) {
		replace(r, func(body string) string {
			var list []json.RawMessage
			if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) <= members {
				return body
			}
			short, err := json.Marshal(list[:members])
			if err != nil {
				panic(err)
			}
			return string(short)
		})
	}
}

// once empties a page that is asked for again.
func once() func(*http.Response) {
	var mu sync.Mutex
	seen := map[string]bool{}
	return func(r *http.Response) {
		mu.Lock()
		defer mu.Unlock()
		if page := r.Request.URL.Query().Get("after"); page != "" && seen[page] {
			replace(r, func(string) string { return "[]" })
		} else {
			seen[page] = true
		}
	}
}

// putOff makes the first answer to a POST a 429 of another shape.
func putOff() func(*http.Response) {
	var first sync.Once
	return of(http.MethodPost, func(r *http.Response) {
		if r.StatusCode == http.StatusBadRequest {
			first.Do(func() {
				r.StatusCode = http.StatusTooManyRequests
				r.Header.Set("Retry-After", "1")
			})
		}
	})
}

func TestTheCheckCleansUpWhenItIsStopped(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	made := false
	err := check.Run(ctx, client, api.url, func(rule string, err error) {
		if strings.HasPrefix(rule, "POST makes a task") {
			made = strings.Contains(api.do(t, "GET", tasks, "", nil).body, `"id"`)
			cancel()
		}
		if made && err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", rule, err)
		}
	})
	if r := api.do(t, "GET", tasks, "", nil); !made || err == nil || r.body != "[]" {
		t.Errorf("made %t, then %v, left %s", made, err, r.body)
	}
}
