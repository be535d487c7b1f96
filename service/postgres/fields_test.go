package postgres_test

import (
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/todo/service/credentials"
	"example.com/todo/service/postgres"
	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/task"
	"github.com/google/go-cmp/cmp"
)

// another returns a value that a field can have, and which differs from that of another n.
func another(t *testing.T, kind reflect.Type, n int) reflect.Value {
	t.Helper()
	switch value := reflect.New(kind).Elem(); kind.Kind() {
	case reflect.Pointer:
		value.Set(reflect.New(kind.Elem()))
		value.Elem().Set(another(t, kind.Elem(), n))
		return value
	case reflect.String:
		value.SetString(fmt.Sprint("value ", n))
		return value
	case reflect.Bool:
		value.SetBool(n%2 == 1)
		return value
	case reflect.Int, reflect.Int64:
		value.SetInt(int64(n))
		return value
	case reflect.Struct:
		if kind == reflect.TypeFor[time.Time]() {
			value.Set(reflect.ValueOf(time.Date(2030, 1, n, 0, 0, 0, 0, time.UTC)))
			return value
		}
	}
	t.Fatalf("this test does not know how to make a %s", kind)
	return reflect.Value{}
}

// Every field that a client may write is stored, listed, changed and kept with its idempotency
// key, alone and together with others, and makes another version. Whoever adds a field and
// forgets it in one of the places fails here.
func TestNoFieldIsForgotten(t *testing.T) {
	inBothWays(t, func(t *testing.T, db busy) {
		draft := reflect.ValueOf(&task.Draft{}).Elem()
		for i := range draft.NumField() {
			draft.Field(i).Set(another(t, draft.Field(i).Type(), 1))
		}
		full := draft.Interface().(task.Draft)
		once := task.Once{Key: "key", Fingerprint: [32]byte{1}}
		made, repeated := task.Task{}, task.Task{}
		store := func(into *task.Task, once task.Once) func() {
			return func() {
				var err error
				if *into, err = db.Tasks().Create(t.Context(), full, once); err != nil {
					t.Error(err)
				}
			}
		}
		first := task.Task{}
		db.atOnce(t, store(&made, task.Once{}), store(&task.Task{}, task.Once{}), store(&first, once), store(&task.Task{}, task.Once{Key: "beside"}))
		db.atOnce(t, store(&repeated, once), store(&task.Task{}, task.Once{Key: "other"}))
		if diff := cmp.Diff(first, repeated); diff != "" {
			t.Errorf("a repeated request (-made +repeated):\n%s", diff)
		}
		stored := func(want task.Task) {
			t.Helper()
			read, err := db.Tasks().Get(t.Context(), want.ID)
			if diff := cmp.Diff(want, read); err != nil || diff != "" {
				t.Errorf("%v, read (-want +got):\n%s", err, diff)
			}
			listed, err := db.Tasks().List(t.Context(), task.Filter{Limit: 10})
			for _, l := range listed {
				if l.ID == want.ID && l == want {
					return
				}
			}
			t.Errorf("%v: the list has not %+v but %+v", err, want, listed)
		}
		for _, m := range []task.Task{made, first} {
			value := reflect.ValueOf(m)
			for i := range draft.NumField() {
				name := draft.Type().Field(i).Name
				if !reflect.DeepEqual(value.FieldByName(name).Interface(), draft.Field(i).Interface()) {
					t.Errorf("%s of a new task is %v, want %v", name, value.FieldByName(name), draft.Field(i))
				}
			}
			stored(m)
		}

		for i := range reflect.TypeFor[task.Patch]().NumField() {
			patch := reflect.ValueOf(&task.Patch{}).Elem()
			name := patch.Type().Field(i).Name
			patch.Field(i).Set(another(t, patch.Field(i).Type(), 2))
			changed := task.Task{}
			db.atOnce(t, func() {
				var err error
				if changed, err = db.Tasks().Update(t.Context(), made.ID, patch.Interface().(task.Patch), []task.Version{made.Version()}); err != nil {
					t.Errorf("%s: %v", name, err)
				}
			}, func() {
				if _, err := db.Tasks().Update(t.Context(), first.ID, task.Patch{Completed: new(bool)}, nil); err != nil {
					t.Error(err)
				}
			})
			want := made
			reflect.ValueOf(&want).Elem().FieldByName(name).Set(patch.Field(i).Elem())
			want.UpdatedAt = changed.UpdatedAt
			if diff := cmp.Diff(want, changed); diff != "" || !changed.UpdatedAt.After(made.UpdatedAt) {
				t.Errorf("a patch of %s (-want +got):\n%s", name, diff)
			}
			stored(changed)

			same := changed
			same.UpdatedAt = made.UpdatedAt
			if same.Version() == made.Version() {
				t.Errorf("another %s at the same time is no other version", name)
			}
			made = changed
		}
	})
}

// Versions that the database computes are those of the domain, whatever the fields.
func TestTheDatabaseComputesTheSameVersions(t *testing.T) {
	dsn := postgrestest.Database(t)
	db := openWith(t, postgres.Config{URL: credentials.Secret(dsn), MaxConns: 1})
	for _, title := range []string{"x", "é ☃ 🥛", `\x00 '"`, strings.Repeat("𐍈", 500), "true", "falsetrue"} {
		for _, completed := range []bool{true, false} {
			made, err := db.Tasks().Create(t.Context(), task.Draft{Title: title, Completed: completed}, task.Once{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := db.Tasks().Update(t.Context(), made.ID, all("y", true), []task.Version{made.Version()}); err != nil {
				t.Errorf("%q %t: %v", title, completed, err)
			}
		}
	}
	// Somebody who changes a task with psql need not know of its time.
	made, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{})
	if err != nil {
		t.Fatal(err)
	}
	ask(t, dsn, "WITH written AS (UPDATE tasks SET title = 'z' WHERE title = 'x' RETURNING 1) SELECT count(*) FROM written")
	if _, err := db.Tasks().Update(t.Context(), made.ID, all("y", true), []task.Version{made.Version()}); !errors.Is(err, task.ErrChanged) {
		t.Errorf("a change that left the time alone: %v", err)
	}
}
