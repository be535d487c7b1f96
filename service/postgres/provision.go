package postgres

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"example.com/todo/service/credentials"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// adminPause is between a try as the admin that failed and the next.
	adminPause = 5 * time.Second
	// handOverWait is how long the tables are waited for at a time, and with them whoever
	// comes after. It is shorter than PostgreSQL's deadlock_timeout, after which it would
	// be a request that is given up.
	handOverWait = 300 * time.Millisecond
	// ownerSuffix makes the owner's name out of the role's.
	ownerSuffix = "_owner"
	// iamRole has its members log in with tokens.
	// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.DBAccounts.html
	iamRole = "rds_iam"
)

// handedOver are the tables of the migrations, and of their log, in the order in which
// most statements lock them.
var handedOver = []string{"idempotency_keys", "tasks", "goose_db_version"}

// provisioner makes the role that logs in with tokens, as the admin, once. It leaves
//
//   - an owner, who cannot log in, and whose members are the role and the admin. They could
//     not be members of each other: whoever is a member of rds_iam, be it through another
//     role, can log in with a token alone;
//   - a schema of that owner, which bears the admin's name. "$user" being first in the
//     search path, every session of the admin finds it there, the older ones of instances
//     that still log in with the password as well as those after a change back;
//   - in that schema, the tables that the admin has made so far, if any.
//
// It is not safe for use by many goroutines.
type provisioner struct {
	admin   *pgxpool.Config
	log     *slog.Logger
	triedAt time.Time // zero before the first try
	err     error     // of the last
}

// newProvisioner is nil when there is no admin.
func newProvisioner(cfg Config, log *slog.Logger) (*provisioner, error) {
	if cfg.Admin == (credentials.Login{}) {
		return nil, nil
	}
	cfg.Logins = always(cfg.Admin)
	admin, err := poolConfig(cfg)
	return &provisioner{admin: admin, log: log}, err
}

// always is a login that does not change.
type always credentials.Login

func (l always) Login(context.Context) (credentials.Login, error) { return credentials.Login(l), nil }

func (always) Reject(credentials.Secret) {}

// provision says whether the role was made, or found to be there, just now. After a
// failure it tries no more for a while, and gives the same error.
func (p *provisioner) provision(ctx context.Context, role string) (now bool, err error) {
	if !p.triedAt.IsZero() && (p.err == nil || time.Since(p.triedAt) < adminPause) {
		return false, p.err
	}
	p.err = p.try(ctx, role)
	p.triedAt = time.Now()
	return p.err == nil, p.err
}

func (p *provisioner) try(ctx context.Context, role string) error {
	conn, err := connected(ctx, nil, p.connect)
	if err != nil {
		err = fmt.Errorf("make the database's role %s: log in as its admin: %w", role, err)
		if loginRefused(err) {
			err = fmt.Errorf("%w (the password was changed since this was deployed: deploy again)", err)
		}
		return err
	}
	// This also gives back the lock, however it ends.
	defer func() { _ = conn.Close(context.WithoutCancel(ctx)) }()
	err = awaitLock(ctx, func(taken *bool) error { return conn.QueryRow(ctx, tryLock, migrationLock).Scan(taken) })
	if err != nil {
		return fmt.Errorf("make the database's role %s: %w", role, err)
	}
	for {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return p.make(ctx, tx, role) })
		if pg := new(pgconn.PgError); errors.As(err, &pg) && pg.Code == "55P03" && pause(ctx, lockPause) == nil {
			continue // somebody used a table
		}
		if err != nil {
			return fmt.Errorf("make the database's role %s: %w", role, err)
		}
		p.log.InfoContext(ctx, "database role is there", "role", role)
		return nil
	}
}

func (p *provisioner) connect(ctx context.Context) (*pgx.Conn, error) {
	config := p.admin.ConnConfig.Copy()
	if err := p.admin.BeforeConnect(ctx, config); err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, config)
}

// make does what is not done yet. On PostgreSQL 16 and later the admin, who is no
// superuser, may grant rds_iam because RDS lets it, and the roles because it made them.
func (p *provisioner) make(ctx context.Context, tx pgx.Tx, role string) error {
	admin := tx.Conn().Config().User
	owner := role + ownerSuffix
	var roles, tables []string
	err := tx.QueryRow(ctx, `SELECT
		ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY($1)),
		ARRAY(SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user AND tablename = ANY($2))`,
		[]string{owner, role}, handedOver).Scan(&roles, &tables)
	if err != nil {
		return fmt.Errorf("look for roles and tables: %w", err)
	}
	name := func(parts ...string) string { return pgx.Identifier(parts).Sanitize() }

	var statements []string
	do := func(statement string) { statements = append(statements, statement) }
	if !slices.Contains(roles, owner) {
		do("CREATE ROLE " + name(owner))
	}
	if !slices.Contains(roles, role) {
		do("CREATE ROLE " + name(role) + " LOGIN")
	}
	do("GRANT " + iamRole + " TO " + name(role))
	do("GRANT " + name(owner) + " TO " + name(role) + ", CURRENT_USER")
	do("GRANT CONNECT ON DATABASE " + name(tx.Conn().Config().Database) + " TO " + name(role))
	do("CREATE SCHEMA IF NOT EXISTS " + name(admin) + " AUTHORIZATION " + name(owner))
	do("ALTER ROLE " + name(role) + " IN DATABASE " + name(tx.Conn().Config().Database) + " SET search_path = " + name(admin))
	do(fmt.Sprintf("SET LOCAL lock_timeout = %d", handOverWait.Milliseconds()))
	for _, table := range handedOver {
		if slices.Contains(tables, table) {
			do("LOCK TABLE " + name("public", table))
		}
	}
	for _, table := range tables {
		do("ALTER TABLE " + name("public", table) + " SET SCHEMA " + name(admin))
		do("ALTER TABLE " + name(admin, table) + " OWNER TO " + name(owner))
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}
