// Package database gives every run of the benchmark the same PostgreSQL: a durable server of its own, and for each run a
// fresh copy of one database, so that all begin with the same rows, pages and statistics.
package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

// Tasks is how many tasks a run begins with.
const Tasks = 1000

const (
	admin  = "postgres"
	origin = "origin"
	copied = "run"
)

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
	server, err := postgrestest.Start(ctx, postgrestest.Options{Database: origin, Settings: settings, Log: log})
	if err != nil {
		return nil, fmt.Errorf("start PostgreSQL: %w", err)
	}
	return &Server{server}, nil
}

// Close ends the server and removes everything it wrote.
func (s *Server) Close() error { return s.server.Close() }

// Version is what the server says it is, such as 17.2.
func (s *Server) Version(ctx context.Context) (version string, err error) {
	err = s.with(ctx, admin, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SHOW server_version").Scan(&version)
	})
	return version, err
}

// Origin is the URL of the database that runs get copies of. Whoever makes its schema must have left it before [Server.Fill].
func (s *Server) Origin() string { return s.server.DSN(origin) }

// Fill puts the tasks into the origin and gives their ids.
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
	err = s.with(ctx, origin, func(conn *pgx.Conn) error {
		columns := []string{"id", "title", "completed", "created_at", "updated_at"}
		_, err := conn.CopyFrom(ctx, pgx.Identifier{"tasks"}, columns, pgx.CopyFromRows(rows))
		return errors.Join(err, execute(ctx, conn, "VACUUM (FREEZE, ANALYZE)"))
	})
	if err != nil {
		return nil, fmt.Errorf("fill the database: %w", err)
	}
	return slices.Clip(ids), nil
}

// Copy gives the URL of a fresh copy of the origin, and drops the one before it.
func (s *Server) Copy(ctx context.Context) (string, error) {
	err := s.with(ctx, admin, func(conn *pgx.Conn) error {
		return execute(ctx, conn, "DROP DATABASE IF EXISTS "+copied+" WITH (FORCE)", "CREATE DATABASE "+copied+" TEMPLATE "+origin, "CHECKPOINT")
	})
	if err != nil {
		return "", fmt.Errorf("copy the database: %w", err)
	}
	return s.server.DSN(copied), nil
}

// Titles counts the tasks of the last copy whose title begins so.
func (s *Server) Titles(ctx context.Context, prefix string) (n int, err error) {
	err = s.with(ctx, copied, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT count(*) FROM tasks WHERE starts_with(title, $1)", prefix).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count the tasks: %w", err)
	}
	return n, nil
}

func (s *Server) with(ctx context.Context, name string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, s.server.DSN(name))
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
