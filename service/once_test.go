package main

import (
	"strings"
	"sync"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/google/go-cmp/cmp"
)

const idempotencyKey = "Idempotency-Key"

// answer is what a repeat must give again.
func answer(r response) []any {
	return []any{r.status, r.body, r.header.Get("Location"), r.header.Get("ETag"), r.header.Get("Content-Type")}
}

func TestARepeatGetsTheSameAnswer(t *testing.T) {
	dsn := postgrestest.Database(t)
	one, other := serve(t, env{envDatabaseURL: dsn}), serve(t, env{envDatabaseURL: dsn})
	h := header{idempotencyKey: `"8e03978e-40d5-43e8-bc93-6894a57f9324"`}
	first := one.do(t, "POST", tasks, `{"title":"x"}`, h)
	if first.status != 201 {
		t.Fatalf("%d %s", first.status, first.body)
	}
	path := first.header.Get("Location")
	again := func(after string) {
		t.Helper()
		for _, h := range []header{h, {idempotencyKey: strings.Trim(h[idempotencyKey], `"`)}} {
			if diff := cmp.Diff(answer(first), answer(other.do(t, "POST", tasks+"/", `{"title":"x"}`, h))); diff != "" {
				t.Errorf("after %s (-first +again):\n%s", after, diff)
			}
		}
	}
	again("nothing")
	one.do(t, "PATCH", path, `{"title":"y"}`, nil)
	again("a change")
	if r := other.do(t, "POST", tasks, `{"title":"y"}`, h); r.status != 422 || r.json(t)["code"] != "idempotency_key_reused" {
		t.Errorf("another body: %d %s", r.status, r.body)
	}
	one.do(t, "DELETE", path, "", nil)
	again("the end")
	if r := one.do(t, "GET", tasks, "", nil); r.body != "[]" {
		t.Errorf("there is %s", r.body)
	}
	// What was refused has not used up its key.
	h[idempotencyKey] = `"2"`
	if r := one.do(t, "POST", tasks, `{"title":""}`, h); r.status != 400 {
		t.Errorf("%d %s", r.status, r.body)
	}
	if r := one.do(t, "POST", tasks, `{"title":"z"}`, h); r.status != 201 {
		t.Errorf("%d %s", r.status, r.body)
	}
}

func TestConcurrentRepeatsMakeOneTask(t *testing.T) {
	dsn := postgrestest.Database(t)
	instances := []instance{serve(t, env{envDatabaseURL: dsn}), serve(t, env{envDatabaseURL: dsn})}
	for _, key := range []string{"a", "b", "c"} {
		answers := make([][]any, 16)
		var wg sync.WaitGroup
		for n := range answers {
			wg.Go(func() {
				r, err := instances[n%2].try(t.Context(), "POST", tasks, `{"title":"x"}`, header{idempotencyKey: key})
				if err != nil || r.status != 201 {
					t.Errorf("%d %s %v", r.status, r.body, err)
				}
				answers[n] = answer(r)
			})
		}
		wg.Wait()
		for _, a := range answers {
			if diff := cmp.Diff(answers[0], a); diff != "" {
				t.Errorf("two answers:\n%s", diff)
			}
		}
	}
	if made := strings.Count(instances[0].do(t, "GET", tasks, "", nil).body, `"id"`); made != 3 {
		t.Errorf("%d tasks of 3 keys", made)
	}
}

// Keys live for a day. Then they are removed while the service is used, whether or not
// anybody sends another.
func TestKeysExpire(t *testing.T) {
	dsn := postgrestest.Database(t)
	api := serve(t, env{envDatabaseURL: dsn})
	post := func(key, title string) response {
		return api.do(t, "POST", tasks, `{"title":"`+title+`"}`, header{idempotencyKey: key})
	}
	first := post("key", "x")
	db := connect(t, dsn)
	for _, table := range []string{"idempotent_requests", "idempotency_keys"} {
		if db.count(table+" WHERE key = 'key' AND expires_at BETWEEN now() + interval '23 hours 50 minutes' AND now() + interval '24 hours'") != 1 {
			t.Errorf("a key does not live for 24 hours in %s", table)
		}
	}
	db.exec("UPDATE idempotent_requests SET expires_at = now() - interval '1 hour'")
	second := post("key", "y") // also another body, now
	if second.status != 201 || second.header.Get("Location") == first.header.Get("Location") {
		t.Errorf("%d %s after %s", second.status, second.body, first.body)
	}
	db.exec(`INSERT INTO idempotent_requests SELECT 'createTask', 'old' || n, '', json_build_object('id', gen_random_uuid(), 'title', 'x',
		'completed', true, 'created_at', now()), now() - n * interval '1 second' FROM generate_series(1, 2500) AS n`)
	other := serve(t, env{envDatabaseURL: dsn})
	if r := other.do(t, "GET", tasks, "", nil); r.status != 200 {
		t.Errorf("%d %s", r.status, r.body)
	}
	for _, table := range []string{"idempotent_requests", "idempotency_keys"} {
		if !comesTrue(t, patience, func() bool { return db.count(table) == 1 }) {
			t.Errorf("%d keys are left in %s, want the one that has not expired", db.count(table), table)
		}
	}
}

func TestMalformedKeys(t *testing.T) {
	api := serve(t, env{envDatabaseURL: postgrestest.Database(t)})
	for _, key := range []string{`"`, `""`, `"a`, `a"`, "a b", `"a b"`, "a,b", `"a";b=1`, "é", strings.Repeat("x", 256), `"a\"b"`} {
		r := api.do(t, "POST", tasks, `{"title":"x"}`, header{idempotencyKey: key})
		if r.status != 400 || !strings.Contains(r.body, `"field":"Idempotency-Key"`) {
			t.Errorf("key %s: %d %s", key, r.status, r.body)
		}
	}
	if r := api.do(t, "POST", tasks, `{"title":"x"}`, header{idempotencyKey: strings.Repeat("x", 255)}); r.status != 201 {
		t.Errorf("255 characters: %d %s", r.status, r.body)
	}
	if r := api.do(t, "GET", tasks, "", nil); strings.Count(r.body, `"id"`) != 1 {
		t.Errorf("there is %s", r.body)
	}
}
