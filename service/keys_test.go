package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
)

// The real binary reads the keys as it reads the database's password.
func TestAPIKeysOfASecret(t *testing.T) {
	const first, second = "the first of the keys", "the second of the keys"
	var secret atomic.Value
	secret.Store("")
	manager := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var asked struct{ SecretId string }
		if err := json.NewDecoder(r.Body).Decode(&asked); err != nil || asked.SecretId != "todo/keys" || secret.Load() == "" {
			http.Error(w, `{"__type":"ResourceNotFoundException"}`, http.StatusBadRequest)
			return
		}
		_ = json.NewEncoder(w).Encode(map[string]any{"SecretString": secret.Load()})
	}))
	defer manager.Close()
	api, _ := launch(t, env{
		envDatabaseURL: postgrestest.Database(t), envAPIKeysSecret: "todo/keys", envRegion: "eu-west-1",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER": manager.URL, "AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret",
	})
	list := func(key string) response {
		return api.do(t, "GET", tasks, "", header{"Authorization": "Bearer " + key})
	}
	if r := list(first); r.status != 503 || strings.Contains(r.body, "todo/keys") {
		t.Errorf("without the secret: %d %s", r.status, r.body)
	}
	api.log.await(t, func() bool {
		return strings.Contains(api.log.String(), "todo/keys") && strings.Contains(api.log.String(), "ResourceNotFoundException")
	})
	secret.Store(`{"ci":"` + first + `"}`)
	api.awaitWith(t, tasks, header{"Authorization": "Bearer " + first}, func(r response) bool { return r.status == 200 })
	if r := list(second); r.status != 401 {
		t.Errorf("a key that is not in the secret: %d %s", r.status, r.body)
	}
	secret.Store(`["` + first + `","` + second + `"]`)
	api.awaitWith(t, tasks, header{"Authorization": "Bearer " + second}, func(r response) bool { return r.status == 200 })
	if r := list(first); r.status != 200 {
		t.Errorf("the first key: %d %s", r.status, r.body)
	}
	if log := api.log.String(); strings.Contains(log, first) || strings.Contains(log, second) {
		t.Error("the log shows a key")
	}
}
