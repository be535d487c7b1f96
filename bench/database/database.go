// Package database runs the benchmark's PostgreSQL: a durable server of its own, whose database is made anew before each
// run, so that all runs begin with the same rows, pages and statistics.
package database

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"slices"
	"time"

	"example.com/todo/service/postgres/postgrestest"
	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
)

const (
	name     = "todo"
	template = "aside" // the database that each run gets a copy of
	admin    = "postgres"
)

// roundTrips is how often the server is asked to measure one distance.
const roundTrips = 201

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

// Addr is the server's host:port.
func (s *Server) Addr() string { return s.server.Addr }

// URL is that of the database, by way of addr: the server's own or that of a proxy.
func (s *Server) URL(addr string) (string, error) {
	u, err := url.Parse(s.server.DSN(name))
	if err != nil {
		return "", fmt.Errorf("address the database by %s: %w", addr, err)
	}
	u.Host = addr
	return u.String(), nil
}

// Version is the server's, such as 17.2.
func (s *Server) Version(ctx context.Context) (version string, err error) {
	err = with(ctx, s.server.DSN(admin), func(conn *pgx.Conn) error { return conn.QueryRow(ctx, "SHOW server_version").Scan(&version) })
	return version, err
}

// Fill puts tasks into the database and keeps it aside for Reset. It returns their ids, the oldest first. The schema must
// be there, and nobody connected.
func (s *Server) Fill(ctx context.Context, tasks int) (ids []string, err error) {
	now := time.Now().UTC().Truncate(time.Second)
	var rows [][]any
	for i := range tasks {
		id, err := uuid.NewV7()
		if err != nil {
			return nil, fmt.Errorf("make an id: %w", err)
		}
		at := now.Add(time.Duration(i) * time.Microsecond)
		ids = append(ids, id.String())
		rows = append(rows, []any{id.String(), fmt.Sprintf("call the plumber about sink number %d", i), i%3 == 0, at, at})
	}
	err = with(ctx, s.server.DSN(name), func(conn *pgx.Conn) error {
		columns := []string{"id", "title", "completed", "created_at", "updated_at"}
		if _, err := conn.CopyFrom(ctx, pgx.Identifier{"tasks"}, columns, pgx.CopyFromRows(rows)); err != nil {
			return err
		}
		return execute(ctx, conn, "VACUUM (FREEZE, ANALYZE)")
	})
	if err == nil {
		err = with(ctx, s.server.DSN(admin), func(conn *pgx.Conn) error {
			return execute(ctx, conn, "ALTER DATABASE "+name+" RENAME TO "+template)
		})
	}
	if err != nil {
		return nil, fmt.Errorf("fill the database: %w", err)
	}
	return ids, nil
}

// Reset ends the connections that are left of the last run, and replaces the database by a copy of what Fill kept aside:
// whatever tables the service has, they are as they were.
func (s *Server) Reset(ctx context.Context) error {
	err := with(ctx, s.server.DSN(admin), func(conn *pgx.Conn) error {
		return execute(ctx, conn,
			"DROP DATABASE IF EXISTS "+name+" WITH (FORCE)",
			"CREATE DATABASE "+name+" TEMPLATE "+template,
			"CHECKPOINT")
	})
	if err != nil {
		return fmt.Errorf("put the database back: %w", err)
	}
	return nil
}

// Titles counts the tasks whose title begins with the prefix.
func (s *Server) Titles(ctx context.Context, prefix string) (n int, err error) {
	err = with(ctx, s.server.DSN(name), func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, "SELECT count(*) FROM tasks WHERE starts_with(title, $1)", prefix).Scan(&n)
	})
	if err != nil {
		return 0, fmt.Errorf("count the tasks: %w", err)
	}
	return n, nil
}

// RoundTrip is the median time of a SELECT 1 on one connection by way of addr.
func (s *Server) RoundTrip(ctx context.Context, addr string) (time.Duration, error) {
	dsn, err := s.URL(addr)
	if err != nil {
		return 0, err
	}
	times := make([]time.Duration, roundTrips)
	err = with(ctx, dsn, func(conn *pgx.Conn) error {
		for i := range times {
			begun := time.Now()
			if err := execute(ctx, conn, "SELECT 1"); err != nil {
				return err
			}
			times[i] = time.Since(begun)
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("measure the round trip to the database by %s: %w", addr, err)
	}
	slices.Sort(times)
	return times[roundTrips/2], nil
}

func with(ctx context.Context, dsn string, do func(*pgx.Conn) error) error {
	conn, err := pgx.Connect(ctx, dsn)
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
