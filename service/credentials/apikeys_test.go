package credentials_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"example.com/todo/service/credentials"
)

const (
	keyA = "hunter2-aaaaaaaaaaaa"
	keyB = "hunter2-bbbbbbbbbbbb"
)

func (a *aws) keys(t *testing.T) *credentials.APIKeys {
	t.Helper()
	return credentials.NewAPIKeys(a.client(t, nil), "api-keys")
}

func check(t *testing.T, k *credentials.APIKeys, key string, want bool) {
	t.Helper()
	if ok, err := k.Check(t.Context(), key); err != nil || ok != want {
		t.Errorf("%s: %t, %v, want %t", key, ok, err, want)
	}
}

func TestAPIKeysOfASecret(t *testing.T) {
	for _, tc := range []struct {
		name, secret string
		known        []string
		logged       string
	}{
		{"array", `["` + keyA + `","` + keyB + `"]`, []string{keyA, keyB}, ""},
		{"object", `{"ci":"` + keyA + `","app":"` + keyB + `"}`, []string{keyA, keyB}, ""},
		{"one is short", `["hunter2","` + keyB + `"]`, []string{keyB}, "1 of its 2 keys are shorter than 16 bytes"},
		{"one has the wrong type", `["` + keyA + `",7]`, nil, "must be a JSON array"},
		{"all are short", `{"` + keyA + `":"hunter2"}`, nil, "1 of its 1 keys are shorter"},
		{"empty array", `[]`, nil, "holds no key"},
		{"empty object", `{}`, nil, "holds no key"},
		{"null", `null`, nil, "holds no key"},
		{"text", keyA, nil, "must be a JSON array"},
		{"nothing", ``, nil, "must be a JSON array"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := startAWS(t, tc.secret)
			k := a.keys(t)
			for _, key := range tc.known {
				check(t, k, key, true)
			}
			for _, key := range []string{"", "hunter2", "7", keyA + "x", keyA[1:], strings.ToUpper(keyA), tc.secret} {
				check(t, k, key, false)
			}
			if tc.known == nil {
				check(t, k, keyA, false)
			}
			log := a.logged()
			if tc.logged == "" && log != "" || !strings.Contains(log, tc.logged) || tc.logged != "" && !strings.Contains(log, "secret api-keys") {
				t.Errorf("logged %s, want %s", log, tc.logged)
			}
			if strings.Contains(log, "hunter2") {
				t.Errorf("the log shows a key: %s", log)
			}
		})
	}
}

func TestANewAPIKeyWorksAtOnce(t *testing.T) {
	a := startAWS(t, `["`+keyA+`"]`)
	k := a.keys(t)
	check(t, k, keyA, true)
	a.set(func() { a.secret = `["` + keyA + `","` + keyB + `"]` })
	check(t, k, keyB, false) // the secret was read a moment ago
	a.pass(5 * time.Second)
	check(t, k, keyB, true)

	// Guessing is no way to have the secret read again and again.
	before := a.count()
	a.pass(5 * time.Second)
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() { check(t, k, "hunter2-cccccccccccc", false) })
		wg.Go(func() { check(t, k, keyA, true) })
	}
	wg.Wait()
	check(t, k, "too-short", false)
	if n := a.count() - before; n != 1 {
		t.Errorf("%d reads for unknown keys", n)
	}
}

func TestAnAPIKeyThatWasTakenAwayIsRefused(t *testing.T) {
	both, left := `["`+keyA+`","`+keyB+`"]`, `["`+keyB+`"]`
	t.Run("soon, with traffic", func(t *testing.T) {
		a := startAWS(t, both)
		k := a.keys(t)
		check(t, k, keyA, true)
		a.set(func() { a.secret = left })
		a.pass(4 * time.Minute)
		check(t, k, keyA, true) // from memory
		a.pass(2 * time.Minute)
		await(t, "the new keys", func() bool {
			ok, err := k.Check(t.Context(), keyA)
			return !ok && err == nil
		})
		check(t, k, keyB, true)
	})
	t.Run("at once, after a quiet hour", func(t *testing.T) {
		a := startAWS(t, both)
		k := a.keys(t)
		check(t, k, keyA, true)
		a.set(func() { a.secret = left })
		a.pass(time.Hour)
		check(t, k, keyA, false)
	})
	t.Run("all of them", func(t *testing.T) {
		a := startAWS(t, both)
		k := a.keys(t)
		check(t, k, keyA, true)
		a.set(func() { a.secret = `[]` })
		a.pass(time.Hour)
		check(t, k, keyA, false)
		check(t, k, keyB, false)
	})
}

func TestAPIKeysWhileTheEndpointFails(t *testing.T) {
	t.Run("from the start", func(t *testing.T) {
		a := startAWS(t, `["`+keyA+`"]`)
		a.answer = refuse(http.StatusBadRequest, "AccessDeniedException")
		k := a.keys(t)
		for _, key := range []string{keyA, keyB} {
			if ok, err := k.Check(t.Context(), key); ok || err == nil || !strings.Contains(err.Error(), "read secret api-keys") {
				t.Errorf("%t, %v", ok, err)
			}
		}
		a.set(func() { a.answer = nil })
		a.pass(time.Second)
		check(t, k, keyA, true)
	})
	t.Run("later", func(t *testing.T) {
		a := startAWS(t, `["`+keyA+`"]`)
		k := a.keys(t)
		check(t, k, keyA, true)
		a.set(func() { a.answer = refuse(http.StatusBadRequest, "AccessDeniedException") })
		for range 3 {
			a.pass(time.Hour)
			check(t, k, keyA, true)
			check(t, k, keyB, false)
		}
		if n := len(a.warnings()); n != 3 {
			t.Errorf("%d warnings of 3 failed reads", n)
		}
	})
	t.Run("it is slow", func(t *testing.T) {
		a := startAWS(t, `["`+keyA+`"]`)
		k := a.keys(t)
		check(t, k, keyA, true)
		release := make(chan struct{})
		defer close(release)
		a.set(func() { a.answer = slow(release, respond(200, "{}")) })
		a.pass(6 * time.Minute)
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if ok, err := k.Check(ended, keyA); !ok || err != nil {
			t.Errorf("a known key: %t, %v", ok, err)
		}
		if ok, err := k.Check(ended, keyB); ok || err == nil {
			t.Errorf("an unknown key: %t, %v", ok, err)
		}
	})
}
