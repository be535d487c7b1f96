package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5/pgconn"
)

// reasonLate is also that of a database that sleeps, which takes longer to wake than a
// request may wait.
const reasonLate = "the database did not answer in time; it may be waking up"

// translate maps errors of the database to the domain's, and puts the operation's name before
// any other error.
func translate(ctx context.Context, what string, err error) error {
	if err == nil {
		return nil
	}
	var unavailable *task.UnavailableError
	switch {
	case errors.As(err, &unavailable),
		errors.Is(err, task.ErrNotFound), errors.Is(err, task.ErrChanged), errors.Is(err, task.ErrOtherRequest):
		return fmt.Errorf("%s: %w", what, err)
	case ctx.Err() != nil:
		return &task.UnavailableError{Reason: reasonLate, Err: fmt.Errorf("%s: %w", what, err)}
	case isPgError(err, lockNotAvailable):
		return &task.UnavailableError{Reason: "another session of the database has locked what the request needs", Err: fmt.Errorf("%s: %w", what, err)}
	case transient(err):
		return &task.UnavailableError{Reason: "the database is restarting or overloaded", Err: fmt.Errorf("%s: %w", what, err)}
	}
	return fmt.Errorf("%s: %w", what, err)
}

// Codes of PostgreSQL's errors.
// https://www.postgresql.org/docs/current/errcodes-appendix.html
const (
	readOnly         = "25006" // a writer that has just lost its role
	lockNotAvailable = "55P03"
	planChanged      = "0A000" // a prepared statement's columns have another type now
	sessionIdle      = "57P05" // the server has ended the session, which had nothing to do
)

func isPgError(err error, code string) bool {
	pg := new(pgconn.PgError)
	return errors.As(err, &pg) && pg.Code == code
}

// transient says whether the connection or the server's state failed, rather than
// the statement. https://www.postgresql.org/docs/current/errcodes-appendix.html
func transient(err error) bool {
	if pg := new(pgconn.PgError); errors.As(err, &pg) {
		switch {
		case strings.HasPrefix(pg.Code, "08"), // connection exception
			strings.HasPrefix(pg.Code, "53"),  // insufficient resources, too many connections
			strings.HasPrefix(pg.Code, "57P"), // shut down, crashed, starting, session killed
			pg.Code == readOnly, pg.Code == lockNotAvailable,
			pg.Code == "40001", pg.Code == "40P01": // a loser of a conflict
			return true
		}
		return false
	}
	var network net.Error
	return errors.As(err, &network) || errors.Is(err, driver.ErrBadConn) || pgconn.SafeToRetry(err) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, net.ErrClosed)
}
