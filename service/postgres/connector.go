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

// connector gives database/sql the pool's connections. It is the one place where
// connecting fails, so here a refused password is replaced and the failure becomes
// the domain's.
type connector struct {
	driver.Connector
	logins Logins // nil when the DSN holds the password
}

func newConnector(pool *pgxpool.Pool, logins Logins) connector {
	return connector{Connector: stdlib.GetPoolConnector(pool), logins: logins}
}

func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.Connector.Connect(ctx)
	if failed := new(pgconn.ConnectError); c.logins != nil && loginRefused(err) && errors.As(err, &failed) {
		// The password may have been rotated since it was read.
		c.logins.Reject(credentials.Secret(failed.Config.Password))
		conn, err = c.Connector.Connect(ctx)
	}
	if err != nil {
		return nil, &task.UnavailableError{Reason: connectReason(ctx, err), Err: err}
	}
	return conn, nil
}

func connectReason(ctx context.Context, err error) string {
	switch {
	case ctx.Err() != nil:
		return "the database did not answer in time; it may be waking up"
	case loginRefused(err):
		return "the database refused the service's credentials"
	default:
		return "the database cannot be reached"
	}
}

// loginRefused covers a wrong password (28P01) and an unknown or barred role (28000).
func loginRefused(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "28P01" || pg.Code == "28000")
}
