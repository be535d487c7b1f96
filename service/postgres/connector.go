package postgres

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"time"

	"example.com/todo/service/credentials"
	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// closeTimeout is how long the end of a connection may take that is used for a migration.
const closeTimeout = 5 * time.Second

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

// Connect implements [driver.Connector].
func (c connector) Connect(ctx context.Context) (driver.Conn, error) {
	return connected(ctx, c.logins, c.Connector.Connect)
}

// ownerConnector gives connections that act as the schema's owner, for migrations.
type ownerConnector struct{ connector }

// Connect implements [driver.Connector].
func (c ownerConnector) Connect(ctx context.Context) (driver.Conn, error) {
	conn, err := c.connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	owner := asOwner{conn.(*stdlib.Conn)}
	if _, err := owner.Conn.Conn().PgConn().Exec(ctx, becomeOwner).ReadAll(); err != nil {
		return nil, errors.Join(fmt.Errorf("become the schema's owner: %w", err), owner.Close())
	}
	return owner, nil
}

const (
	// becomeOwner has what a migration makes belong to the schema's owner, whichever of
	// its members migrates. The search path may name the user, and so is kept by value. In
	// the schema public, which is the database's, tables are of whoever makes them. A
	// migration waits for locks for as long as it takes.
	becomeOwner = `
SET lock_timeout = 0;
SELECT set_config('search_path', quote_ident(nspname), false), set_config('role', pg_get_userbyid(nspowner), false)
FROM pg_namespace
WHERE nspname = current_schema() AND nspname <> 'public' AND pg_has_role(nspowner, 'MEMBER')`
	becomeUser = "RESET ROLE; RESET search_path; RESET lock_timeout"
)

// asOwner is a connection as the schema's owner until it goes back to the pool.
type asOwner struct{ *stdlib.Conn }

// Close implements [driver.Conn].
func (c asOwner) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	conn := c.Conn.Conn()
	if _, err := conn.PgConn().Exec(ctx, becomeUser).ReadAll(); err != nil {
		_ = conn.Close(ctx) // the pool keeps none that is closed
	}
	return c.Conn.Close()
}

var errNoLogin = errors.New("get the login")

func connectReason(ctx context.Context, err error) string {
	switch {
	case errors.Is(err, errNoLogin):
		return "the service's credentials for the database are not to be had"
	case ctx.Err() != nil:
		return reasonLate
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
