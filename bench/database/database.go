// Package database gives every run of the benchmark the same PostgreSQL: a durable server of its own, whose one database
// is put back before each run, so that all begin with the same rows, pages and statistics.
package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Tasks is how many tasks a run begins with.
const Tasks = 1000

const name = "todo"

// settings are those of a production server of this size, so that a commit costs what it costs. What works in the
// background is kept from meeting one run and sparing the next: each lasts seconds and begins after a checkpoint.
var settings = map[string]string{
	"fsync": "on", "full_page_writes": "on", "synchronous_commit": "on",
	"shared_buffers": "256MB", "max_connections": "600",
	"autovacuum": "off", "checkpoint_timeout": "1h", "max_wal_size": "8GB",
}

// Server is a running PostgreSQL. Close it.
type Server struct{ server *postgrestest.Server }

// Start starts a server. Progress goes to log.
func Start(ctx context.Context, log io.Writer) (*Server, error) {
	server, err := postgrestest.Start(ctx, postgrestest.Options{Database: name, Settings: settings, Log: log})
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return &Server{server}, nil
}

// Close ends the server and removes everything it wrote.
func (s *Server) Close() error { return s.server.Close() }

// URL is that of the database.
func (s *Server) URL() string { return s.server.DSN(name) }

// Version is what the server says it is, such as 17.2.
func (s *Server) Version(ctx context.Context) (version string, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error { return conn.QueryRow(ctx, "SHOW server_version").Scan(&version) })
	return version, err
}

// Fill keeps the tasks that runs begin with aside, and gives their ids. The schema must be there.
func (s *Server) Fill(ctx context.Context) (ids []string, err error) {
	now := time.Now().UTC().Truncate(time.Second)
	var rows [][]any
	for i := range Tasks {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an id: %w", err)
		}
		at := now.Add(time.Duration(i) * time.Microsecond)
		ids = append(ids, id.String())
		rows = append(rows, []any{id.String(), fmt.Sprintf("call the plumber about sink number %d", i), i%3 == 0, at, at})
	}
	err = s.with(ctx, func(conn *pgx.Conn) error {
		if err := execute(ctx, conn, "CREATE SCHEMA aside", "CREATE TABLE aside.tasks (LIKE tasks)"); err != nil {
			return err
		}
		columns := []string{"id", "title", "completed", "created_at", "updated_at"}
		_, err := conn.CopyFrom(ctx, pgx.Identifier{"aside", "tasks"}, columns, pgx.CopyFromRows(rows))
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("fill the database: %w", err)
	}
	return ids, nil
}

// Reset ends what is left of the last run, and puts the tasks back, into files as new as those of the first.
func (s *Server) Reset(ctx context.Context) error {
	err := s.with(ctx, func(conn *pgx.Conn) error {
		return execute(ctx, conn,
			"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()",
			"TRUNCATE tasks",
			"INSERT INTO tasks SELECT * FROM aside.tasks ORDER BY id",
			"VACUUM (FREEZE, ANALYZE) tasks",
			"CHECKPOINT")
	})
	if err != nil {
		return fmt.Errorf("put the database back: %w", err)
	}
	return nil
}

// Titles counts the tasks whose title begins so.
func (s *Server) Titles(ctx context.Context, prefix string) (n int, err error) {
	err = s.with(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT count(*) FROM tasks WHERE starts_with(title, $1)", prefix).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count the tasks: %w", err)
	}
	return n, nil
}

func (s *Server) with(ctx context.Context, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.URL())
	if err != nil {
		return err
	}
	return errors.Join(do(conn), conn.Close(ctx))
}

func execute(ctx context.Context, conn *pgx.Conn, statements ...string) error {
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%s: %w", sql, err)
		}
	}
	return nil
}
