package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/gorillamux"
)

// contract is the document, checking what it describes.
type contract struct {
	doc    *openapi3.T
	router routers.Router
	api    instance
}

func contractOf(t *testing.T, api instance) contract {
	t.Helper()
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.FileBodyDecoder)
	doc, err := openapi3.NewLoader().LoadFromData([]byte(api.do(t, "GET", "/openapi.json", "", nil).body))
	if err != nil {
		t.Fatal(err)
	}
	if err := doc.Validate(t.Context()); err != nil || doc.OpenAPI != "3.1.0" {
		t.Errorf("document %s: %v", doc.OpenAPI, err)
	}
	router, err := gorillamux.NewRouter(doc)
	if err != nil {
		t.Fatal(err)
	}
	return contract{doc, router, api}
}

// send checks the answer, and the request too unless it is meant to be refused.
func (c contract) send(t *testing.T, method, path, body string, h header) response {
	t.Helper()
	r := c.api.do(t, method, path, body, h)
	req, err := http.NewRequestWithContext(t.Context(), method, path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range h {
		req.Header.Set(k, v)
	}
	route, parameters, err := c.router.FindRoute(req)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	if c.api.key != "" {
		req.Header.Set("Authorization", "Bearer "+c.api.key)
	}
	options := &openapi3filter.Options{IncludeResponseStatus: true, AuthenticationFunc: authenticate}
	request := &openapi3filter.RequestValidationInput{Request: req, Route: route, PathParams: parameters, Options: options}
	refusedAnyway := []int{404, 406, 412, 413, 422, 429} // for what the document cannot know of
	if err := openapi3filter.ValidateRequest(t.Context(), request); (err == nil) != (r.status < 400) && !slices.Contains(refusedAnyway, r.status) {
		t.Errorf("%s %s %s: %d, but the document says of the request: %v", method, path, body, r.status, err)
	}
	if err := openapi3filter.ValidateResponse(t.Context(), &openapi3filter.ResponseValidationInput{
		RequestValidationInput: request, Status: r.status, Header: r.header, Body: io.NopCloser(bytes.NewReader([]byte(r.body))), Options: options,
	}); err != nil {
		t.Errorf("%s %s %s: %d %s: %v", method, path, body, r.status, r.body, err)
	}
	documented := route.Operation.Responses.Status(r.status)
	if documented == nil {
		t.Fatalf("%s %s: %d is not documented", method, path, r.status)
	}
	for name := range documented.Value.Headers {
		if r.header.Get(name) == "" && name != "Link" {
			t.Errorf("%s %s: %d without the header %s", method, path, r.status, name)
		}
	}
	return r
}

// theKey is what the service of a test takes.
const theKey = "k3y-of-a-client"

// authenticate does what the document says of keys.
func authenticate(_ context.Context, in *openapi3filter.AuthenticationInput) error {
	if s := in.SecurityScheme; s.Type != "http" || s.Scheme != "bearer" {
		return fmt.Errorf("scheme %s %s", s.Type, s.Scheme)
	}
	if in.RequestValidationInput.Request.Header.Get("Authorization") != "Bearer "+theKey {
		return errors.New("no valid key")
	}
	return nil
}

func TestEveryExampleDoesWhatTheDocumentSays(t *testing.T) {
	t.Run("open", func(t *testing.T) { sendExamples(t, serve(t, env{envDatabaseURL: postgrestest.Database(t)})) })
	t.Run("with keys and a limit", func(t *testing.T) {
		api := serveWithKeys(t, keys{valid: theKey}, env{envRateLimit: "1000"})
		api.key = theKey
		sendExamples(t, api)
	})
}

func sendExamples(t *testing.T, api instance) {
	t.Helper()
	c := contractOf(t, api)
	sent := 0
	for path, item := range c.doc.Paths.Map() {
		for method, operation := range item.Operations() {
			target := func() string { return strings.Replace(path, tasks+"/{id}", c.api.create(t, "before", false), 1) }
			if operation.RequestBody == nil {
				if r := c.send(t, method, target(), "", nil); r.status >= 300 {
					t.Errorf("%s %s: %d", method, path, r.status)
				}
				sent++
				continue
			}
			for media, content := range operation.RequestBody.Value.Content {
				for name, e := range content.Examples {
					body, err := e.Value.MarshalJSON()
					if err != nil {
						t.Fatal(err)
					}
					var value struct{ Value json.RawMessage }
					if err := json.Unmarshal(body, &value); err != nil {
						t.Fatal(err)
					}
					if r := c.send(t, method, target(), string(value.Value), header{"Content-Type": media}); r.status >= 300 {
						t.Errorf("%s %s, example %s: %d %s", method, path, name, r.status, r.body)
					}
					sent++
				}
			}
		}
	}
	if sent != 17 { // eight without a body, two bodies of POST, one of PUT, three of PATCH in two types
		t.Errorf("%d requests", sent)
	}
}

func TestRefusalsAreAsTheDocumentSays(t *testing.T) {
	c := contractOf(t, serve(t, env{envDatabaseURL: postgrestest.Database(t)}))
	one := c.api.create(t, "x", false)
	none := tasks + "/01890a5d-ac96-774b-bcce-b302099a8057"
	key := header{idempotencyKey: `"k"`}
	c.send(t, "POST", tasks, `{"title":"x"}`, key)
	for _, tc := range []struct {
		method, path, body string
		header             header
		status             int
	}{
		{"GET", tasks + "?limit=0", "", nil, 400},
		{"GET", tasks + "?after=x", "", nil, 400},
		{"GET", tasks + "?completed=x", "", nil, 400},
		{"GET", tasks, "", header{"Accept": "text/html"}, 406},
		{"POST", tasks, `{}`, nil, 400},
		{"POST", tasks, `{"title":""}`, nil, 400},
		{"POST", tasks, `{"title":"` + strings.Repeat("x", 501) + `"}`, nil, 400},
		{"POST", tasks, `{"title":"x","more":1}`, nil, 400},
		{"POST", tasks, `{"title":null}`, nil, 400},
		{"POST", tasks, `{"title":"x"}`, header{"Content-Type": "text/plain"}, 415},
		{"POST", tasks, `{"title":"y"}`, key, 422},
		{"GET", tasks + "/1", "", nil, 400},
		{"GET", none, "", nil, 404},
		{"GET", one, "", header{"If-None-Match": "*"}, 304},
		{"POST", tasks, `{"title":"x"}` + strings.Repeat(" ", 64<<10), nil, 413},
		{"PUT", one, `{"title":"x"}`, nil, 400},
		{"PUT", one, `{"title":"x","completed":true}`, header{"If-Match": `"x"`}, 412},
		{"PUT", none, `{"title":"x","completed":true}`, nil, 404},
		{"PATCH", one, `{"title":null}`, nil, 400},
		{"PATCH", one, `{"title":"x"}`, header{"If-Match": `"x"`}, 412},
		{"PATCH", none, `{}`, nil, 404},
		{"DELETE", one, "", header{"If-Match": `"x"`}, 412},
		{"DELETE", none, "", nil, 404},
	} {
		if r := c.send(t, tc.method, tc.path, tc.body, tc.header); r.status != tc.status {
			t.Errorf("%s %s %s: %d %s, want %d", tc.method, tc.path, tc.body, r.status, r.body, tc.status)
		}
	}
}

func TestRefusalsOfWhoMayNotAskAreAsTheDocumentSays(t *testing.T) {
	api := serveWithKeys(t, keys{valid: theKey}, env{envRateLimit: "1"})
	stranger := contractOf(t, api)
	api.key = theKey
	c := contractOf(t, api)
	one := api.create(t, "x", false)
	for _, request := range []struct{ method, path, body string }{
		{"GET", tasks, ""}, {"POST", tasks, `{"title":"x"}`}, {"GET", one, ""}, {"PUT", one, `{"title":"x","completed":true}`}, {"PATCH", one, `{}`}, {"DELETE", one, ""},
	} {
		if r := stranger.send(t, request.method, request.path, request.body, nil); r.status != 401 {
			t.Errorf("%s %s without a key: %d", request.method, request.path, r.status)
		}
	}
	for {
		if r := c.send(t, "GET", tasks, "", nil); r.status == 429 {
			break
		}
	}
}

func TestTheDocumentIsThatOfThisService(t *testing.T) {
	for name, tc := range map[string]struct {
		api           instance
		keys, limited bool
	}{
		"open":    {serve(t, env{envDatabaseURL: postgrestest.Database(t)}), false, false},
		"limited": {serve(t, env{envDatabaseURL: postgrestest.Database(t), envRateLimit: "100"}), false, true},
		"keys":    {serveWithKeys(t, keys{valid: theKey}, env{}), true, false},
		"both":    {serveWithKeys(t, keys{valid: theKey}, env{envRateLimit: "100"}), true, true},
	} {
		doc := contractOf(t, tc.api).doc
		if scheme := doc.Components.SecuritySchemes["bearerAuth"]; (scheme != nil) != tc.keys {
			t.Errorf("%s: scheme %v", name, scheme)
		}
		for path, item := range doc.Paths.Map() {
			guarded := strings.HasPrefix(path, "/api/")
			for method, o := range item.Operations() {
				if got := o.Responses.Status(401) != nil; got != (guarded && tc.keys) {
					t.Errorf("%s: %s %s documents 401: %t", name, method, path, got)
				}
				if got := o.Security != nil; got != (guarded && tc.keys) {
					t.Errorf("%s: %s %s needs a key: %t", name, method, path, got)
				}
				if got := o.Responses.Status(429) != nil; got != (guarded && tc.limited) {
					t.Errorf("%s: %s %s documents 429: %t", name, method, path, got)
				}
			}
		}
	}
}

func TestDocsNeedNothingFromElsewhere(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	r := api.do(t, "GET", "/docs", "", nil)
	if r.status != 200 || r.header.Get("Content-Type") != "text/html; charset=utf-8" || !strings.HasPrefix(r.header.Get("Content-Security-Policy"), "default-src 'none';") {
		t.Errorf("%d %v", r.status, r.header)
	}
	for _, elsewhere := range []string{"http:", "https:", `="//`, "src=", "<link", "@import"} {
		if strings.Contains(r.body, elsewhere) {
			t.Errorf("the page has %s", elsewhere)
		}
	}
	if !strings.Contains(r.body, `fetch("/openapi.json")`) {
		t.Error("the page does not read the document")
	}
	for _, storage := range []string{"localStorage", "sessionStorage", "indexedDB", "cookie"} {
		if strings.Contains(r.body, storage) {
			t.Errorf("the page keeps a key in %s", storage)
		}
	}
}
