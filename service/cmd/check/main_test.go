package main

import (
	"bytes"
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The service's own tests run the rules; here is what is around them.
func TestRun(t *testing.T) {
	server := httptest.NewTLSServer(http.NotFoundHandler())
	defer server.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	locked := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer k3y" {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer locked.Close()
	for _, tc := range []struct {
		name      string
		args      []string
		key       string
		out, fail string
	}{
		{"another service", []string{"--ca", ca, server.URL}, "", "FAILED GET / answers OK\n        GET /: 404", "rules do not hold"},
		{"an unknown root", []string{server.URL}, "", "certificate", "rules do not hold"},
		{"no certificate", []string{"--ca", os.Args[0], server.URL}, "", "", "holds no certificate"},
		{"no key", []string{locked.URL}, "", "", "wants an API key"},
		{"another key", []string{"--key", "other", locked.URL}, "k3y", "", "does not take this API key"},
		{"another key of the environment", []string{locked.URL}, "other", "", "does not take this API key"},
		{"the key", []string{"--key", "k3y", locked.URL}, "", "FAILED", "rules do not hold"},
		{"the key of the environment", []string{locked.URL}, "k3y", "FAILED", "rules do not hold"},
		{"no URL", nil, "", "", "usage"},
		{"no scheme", []string{"localhost:8080"}, "", "", "usage"},
		{"two URLs", []string{server.URL, server.URL}, "", "", "usage"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			err := run(t.Context(), tc.args, func(string) string { return tc.key }, &out)
			if err == nil || !strings.Contains(err.Error(), tc.fail) || !strings.Contains(out.String(), tc.out) {
				t.Errorf("%v, want %q; %.300s", err, tc.fail, out.String())
			}
			if strings.Contains(out.String(), "k3y") {
				t.Errorf("the report has the key: %s", out.String())
			}
		})
	}
}
