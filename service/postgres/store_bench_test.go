package postgres_test

import (
	"fmt"
	"log/slog"
	"testing"

	"example.com/todo/service/credentials"
	"example.com/todo/service/postgres"
	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/task"
)

// What one request costs between the queue and the database's answer.
func BenchmarkTasks(b *testing.B) {
	db, err := postgres.Open(postgres.Config{URL: credentials.Secret(postgrestest.Database(b)), MaxConns: 1}, slog.New(slog.DiscardHandler))
	if err != nil {
		b.Fatal(err)
	}
	defer db.Close()
	store := db.Tasks()
	var made task.Task
	for n := range 200 {
		if made, err = store.Create(b.Context(), task.Draft{Title: fmt.Sprint("call the plumber about sink number ", n)}, task.Once{}); err != nil {
			b.Fatal(err)
		}
	}
	n := 0
	for name, request := range map[string]func() error{
		"get":    func() error { _, err := store.Get(b.Context(), made.ID); return err },
		"list":   func() error { _, err := store.List(b.Context(), task.Filter{Limit: 51}); return err },
		"create": func() error { _, err := store.Create(b.Context(), task.Draft{Title: "x"}, task.Once{}); return err },
		"create once": func() error {
			n++
			_, err := store.Create(b.Context(), task.Draft{Title: "x"}, task.Once{Key: fmt.Sprint(n)})
			return err
		},
		"update": func() error {
			_, err := store.Update(b.Context(), made.ID, all("y", true), nil)
			return err
		},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if err := request(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
