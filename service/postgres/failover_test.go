package postgres_test

import (
	"context"
	"errors"
	"testing"

	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5"
)

// For some seconds after a failover the cluster's name leads to the writer before, now a reader. A session there
// that is kept refuses every write for as long as it is used.
func TestASessionThatMayOnlyReadIsNotKept(t *testing.T) {
	dsn := postgrestest.Database(t)
	config, err := pgx.ParseConfig(dsn)
	if err != nil {
		t.Fatal(err)
	}
	// New sessions have the database's setting, old ones keep theirs.
	alter := func(change string) {
		t.Helper()
		conn, err := pgx.Connect(t.Context(), dsn)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close(context.Background())
		for _, statement := range []string{"SET default_transaction_read_only = off", "ALTER DATABASE " + config.Database + " " + change} {
			if _, err := conn.Exec(t.Context(), statement); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := open(t, dsn).Ready(t.Context()); err != nil {
		t.Fatal(err)
	}
	alter("SET default_transaction_read_only = on")
	db := open(t, dsn)
	var unavailable *task.UnavailableError
	if _, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{}); !errors.As(err, &unavailable) {
		t.Errorf("where nobody may write: got %v, want that the database is unavailable", err)
	}
	if _, err := db.Tasks().List(t.Context(), task.Filter{Limit: 1}); !errors.As(err, &unavailable) {
		t.Errorf("where nobody may write: a list got %v, want that the session is refused", err)
	}
	alter("RESET default_transaction_read_only")
	if _, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{}); err != nil {
		t.Errorf("where one may write again: %v", err)
	}
}
