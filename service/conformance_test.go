package main

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"testing"

	"example.com/todo/service/check"
	"example.com/todo/service/postgres/postgrestest"
)

func TestConformance(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	api.create(t, "somebody's", false)
	api.create(t, "somebody's", true)
	before := api.do(t, "GET", tasks, "", nil).body
	err := check.Run(t.Context(), client, api.url+"/", func(rule string, err error) {
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
}

// A check that finds nothing wrong is worth what it finds when something is.
func TestTheCheckFindsWhatIsWrong(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	target, err := url.Parse(api.url)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		wrong func(status int, h http.Header) int
		rule  string
	}{
		"no ETag":         {with("ETag", ""), "POST makes a task, 201 with Location and ETag"},
		"no Link":         {with("Link", ""), "pages link on, stable while tasks come and go"},
		"no Allow":        {with("Allow", ""), "OPTIONS answers 204, other methods 405, with Allow"},
		"no Location":     {with("Location", ""), "DELETE answers 204, then 404"},
		"no request id":   {with("X-Request-Id", ""), "GET / answers OK"},
		"no problem":      {with("Content-Type", "application/json"), "an unknown path is 404"},
		"304 becomes 200": {becomes(http.StatusNotModified, http.StatusOK), "If-None-Match on GET gives 304"},
		"412 becomes 200": {becomes(http.StatusPreconditionFailed, http.StatusOK), "of writers with the same If-Match one wins"},
		"422 becomes 201": {becomes(http.StatusUnprocessableEntity, http.StatusCreated), "a repeated Idempotency-Key gives the same answer"},
		"no Content-Type": {with("Content-Type", ""), "POST makes a task, 201 with Location and ETag"},
	} {
		t.Run(name, func(t *testing.T) {
			proxy := httputil.NewSingleHostReverseProxy(target)
			proxy.Transport = client.Transport
			proxy.ModifyResponse = func(r *http.Response) error {
				r.StatusCode = tc.wrong(r.StatusCode, r.Header)
				return nil
			}
			front := httptest.NewServer(proxy)
			defer front.Close()
			found := false
			err := check.Run(t.Context(), client, front.URL, func(rule string, err error) { found = found || rule == tc.rule && err != nil })
			if err == nil || !found {
				t.Errorf("the rule %q holds; %v", tc.rule, err)
			}
		})
	}
	if r := api.do(t, "GET", tasks, "", nil); r.body != "[]" {
		t.Errorf("left behind: %s", r.body)
	}
}

func becomes(from, to int) func(int, http.Header) int {
	return func(status int, _ http.Header) int {
		if status == from {
			return to
		}
		return status
	}
}

// with replaces a header, or removes it.
func with(name, value string) func(int, http.Header) int {
	return func(status int, h http.Header) int {
		h.Del(name)
		if value != "" {
			h.Set(name, value)
		}
		return status
	}
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
