package main

import (
	"testing"
)

func TestTheRoleIsMadeOnTheFirstStart(t *testing.T) {
	r := startRDS(t)
	api, _ := launch(t, r.iam(t))
	if r := api.do(t, "POST", tasks, `{"title":"x"}`, nil); r.status != 201 {
		t.Fatalf("%d %s", r.status, r.body)
	}
	if got := r.owned(t); got != "todo_owner in tasks" {
		t.Error(got)
	}
}
