package postgres_test

import (
	"errors"
	"fmt"
	"testing"

	"example.com/todo/service/postgres"
	"example.com/todo/service/task"
	"github.com/google/go-cmp/cmp"
)

// operations is what every way of doing them has to keep.
func operations(t *testing.T, store *postgres.Tasks) {
	ctx := t.Context()

	if got, err := store.List(ctx, task.Filter{Limit: 10}); err != nil || got == nil || len(got) != 0 {
		t.Errorf("an empty list: %#v, %v", got, err)
	}
	var made []task.Task
	for i := range 3 {
		m, err := store.Create(ctx, task.Draft{Title: fmt.Sprintf(" task %d'; -- ", i), Completed: i == 1}, task.Once{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := store.Get(ctx, m.ID); err != nil || got != m {
			t.Errorf("got %+v, %v, made %+v", got, err, m)
		}
		made = append(made, m)
	}
	got, err := store.List(ctx, task.Filter{Limit: 2})
	if diff := cmp.Diff([]task.Task{made[2], made[1]}, got); err != nil || diff != "" {
		t.Errorf("newest two: %v (-want +got):\n%s", err, diff)
	}

	replaced, err := store.Update(ctx, made[1].ID, all("new", false), nil)
	want := task.Task{ID: made[1].ID, Title: "new", CreatedAt: made[1].CreatedAt, UpdatedAt: replaced.UpdatedAt}
	if err != nil || replaced != want || !replaced.UpdatedAt.After(want.CreatedAt) {
		t.Errorf("updated: %+v, %v, want %+v", replaced, err, want)
	}
	if err := store.Delete(ctx, made[0].ID, nil); err != nil {
		t.Error(err)
	}
	got, err = store.List(ctx, task.Filter{Limit: 10})
	if diff := cmp.Diff([]task.Task{made[2], replaced}, got); err != nil || diff != "" {
		t.Errorf("left: %v (-want +got):\n%s", err, diff)
	}

	_, getErr := store.Get(ctx, made[0].ID)
	_, replaceErr := store.Update(ctx, made[0].ID, all("x", true), nil)
	for name, err := range map[string]error{"get": getErr, "update": replaceErr, "delete": store.Delete(ctx, made[0].ID, nil)} {
		if !errors.Is(err, task.ErrNotFound) {
			t.Errorf("%s what is not there: %v", name, err)
		}
	}
	var invalid *task.InvalidError
	_, createErr := store.Create(ctx, task.Draft{Title: " "}, task.Once{})
	_, replaceErr = store.Update(ctx, made[2].ID, all("a\x00", true), nil)
	for name, err := range map[string]error{"create": createErr, "update": replaceErr} {
		if !errors.As(err, &invalid) {
			t.Errorf("%s what is invalid: %v", name, err)
		}
	}
}
