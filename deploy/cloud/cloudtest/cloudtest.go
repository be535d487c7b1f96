// Package cloudtest answers for AWS in tests, on the wire.
package cloudtest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
)

// An AWS answers by the operation that a request names. What it does not know is forbidden.
type AWS map[string]func(body string) (status int, answer string)

// Always is an answer that does not depend on the question.
func Always(text string) func(string) (int, string) {
	return func(string) (int, string) { return http.StatusOK, text }
}

// Serve has every AWS SDK in this process ask it, with credentials that mean nothing anywhere else.
func (a AWS) Serve(t *testing.T) {
	t.Helper()
	server := httptest.NewServer(a)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"AWS_ENDPOINT_URL": server.URL, "AWS_ACCESS_KEY_ID": keyID, "AWS_SECRET_ACCESS_KEY": "secret",
		"AWS_CONFIG_FILE": "/dev/null", "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
	} {
		t.Setenv(name, value)
	}
}

const keyID = "AKIDEXAMPLE"

// ServeHTTP speaks the JSON protocols, which name the operation in a header, and the query protocol, which has a form.
func (a AWS) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil || !strings.HasPrefix(r.Header.Get("Authorization"), "AWS4-HMAC-SHA256 Credential="+keyID+"/") {
		http.Error(w, "not signed", http.StatusForbidden)
		return
	}
	_, operation, named := strings.Cut(r.Header.Get("X-Amz-Target"), ".")
	w.Header().Set("Content-Type", "application/x-amz-json-1.1")
	if !named {
		form, err := url.ParseQuery(string(body))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		operation = form.Get("Action")
		w.Header().Set("Content-Type", "text/xml")
	}
	status, text := http.StatusBadRequest, `{"__type":"AccessDeniedException","message":"not authorized to perform: `+operation+`"}`
	if !named {
		// EC2 has a list of errors, the others have one.
		refusal := `<Error><Code>AccessDenied</Code><Message>not authorized to perform: ` + operation + `</Message></Error>`
		text = `<ErrorResponse>` + refusal + `<Errors>` + refusal + `</Errors></ErrorResponse>`
	}
	if answer := a[operation]; answer != nil {
		status, text = answer(string(body))
	}
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text)
}
