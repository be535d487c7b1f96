package postgres_test

import (
	"context"
	"testing"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5"
)

// Aurora pauses only while no connection is open. The minute is the design's; this
// is the one test that has to wait for it.
func TestNoConnectionAfterAQuietMinute(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for most of a minute")
	}
	dsn := postgrestest.Database(t)
	db := open(t, dsn)
	if _, err := db.Tasks().Create(t.Context(), task.Draft{Title: "x"}, task.Once{}); err != nil {
		t.Fatal(err)
	}
	conn, err := pgx.Connect(t.Context(), dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	others := func() (n int) {
		const query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
		if err := conn.QueryRow(t.Context(), query).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	if others() == 0 {
		t.Fatal("no connection was kept at all, so this test proves nothing")
	}
	minute, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for others() > 0 {
		select {
		case <-tick.C:
		case <-minute.Done():
			t.Fatalf("%d connections after a quiet minute", others())
		}
	}
}
