package postgres

import (
	"context"
	"database/sql/driver"
	"errors"

	"example.com/todo/service/credentials"
	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
)

// connected connects, and once more when the database refuses the password, which may
// have been rotated since it was read. It is the one place where connecting fails, so
// here the failure becomes the domain's, a [*task.UnavailableError]. Without logins
// the DSN holds the password.
func connected[Conn any](ctx context.Context, logins Logins, connect func(context.Context) (Conn, error)) (Conn, error) {
	conn, err := connect(ctx)
	if err == nil {
		return conn, nil
	}
	if failed := new(pgconn.ConnectError); logins != nil && loginRefused(err) && errors.As(err, &failed) {
		logins.Reject(credentials.Secret(failed.Config.Password))
		conn, err = connect(ctx)
	}
	if err != nil {
		return conn, &task.UnavailableError{Reason: connectReason(ctx, err), Err: err}
	}
	return conn, nil
}

// connector gives the pool's connections to database/sql.
type connector struct {
	driver.Connector
	logins Logins
}

func newConnector(pool *pgxpool.Pool, logins Logins) connector {
	return connector{Connector: stdlib.GetPoolConnector(pool), logins: logins}
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return connected(ctx, c.logins, c.Connector.Connect)
}

func connectReason(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "the database did not answer in time; it may be waking up"
	case loginRefused(err):
		return "the database refused the service's credentials"
	case errors.Is(err, pgconn.ErrReadOnlyConnection):
		return "the database takes no writes; it may be failing over"
	default:
		return "the database cannot be reached"
	}
}

// loginRefused covers a wrong password (28P01) and an unknown or barred role (28000).
func loginRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "28P01" || pg.Code == "28000")
}
