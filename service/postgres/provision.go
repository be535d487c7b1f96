package postgres

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"example.com/todo/service/credentials"
	"github.com/jackc/pgx/v5"
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
var handedOver = []string{"idempotent_requests", "idempotency_keys", "tasks", "goose_db_version"}

// provisioner makes the role that logs in with tokens, as the admin, once. It leaves
//
//   - an owner, who cannot log in, and whose members are the role and the admin. They are
//     not members of each other: whoever is a member of rds_iam, be it through another
//     role, can log in with a token alone;
//   - a schema of that owner, which bears the admin's name. "$user" being first in the
//     search path, every session of the admin finds it there, the older ones of instances
//     that still log in with the password as well as those after a change back;
//   - in that schema, the tables that the admin has made so far, if any, and their triggers'
//     functions.
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
	defer func() { // which gives back the lock
		closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), closeTimeout)
		defer cancel()
		_ = conn.Close(closing) // it ends with the socket at the latest
	}()
	err = awaitLock(ctx, func(taken *bool) error { return conn.QueryRow(ctx, tryLock, migrationLock).Scan(taken) })
	if err != nil {
		return fmt.Errorf("make the database's role %s: %w", role, err)
	}
	for {
		err := pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error { return p.make(ctx, tx, role) })
		if isPgError(err, lockNotAvailable) && pause(ctx, lockPause) == nil {
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

// make does what is not done yet.
func (p *provisioner) make(ctx context.Context, tx pgx.Tx, role string) error {
	var roles, tables, functions []string
	err := tx.QueryRow(ctx, `SELECT
		ARRAY(SELECT rolname::text FROM pg_roles WHERE rolname = ANY($1)),
		ARRAY(SELECT tablename::text FROM pg_tables WHERE schemaname = 'public' AND tableowner = current_user AND tablename = ANY($2)),
		ARRAY(SELECT DISTINCT proname::text FROM pg_trigger JOIN pg_class ON pg_class.oid = tgrelid JOIN pg_proc ON pg_proc.oid = tgfoid
			WHERE NOT tgisinternal AND relname = ANY($2) AND pronamespace = 'public'::regnamespace AND pg_get_userbyid(proowner) = current_user)`,
		[]string{role, role + ownerSuffix}, handedOver).Scan(&roles, &tables, &functions)
	if err != nil {
		return fmt.Errorf("look for roles, tables and functions: %w", err)
	}
	if len(roles) == 2 && len(tables) == 0 {
		return nil // another instance has done all of it
	}
	in := tx.Conn().Config()
	login, owner, database, schema := quoted(role), quoted(role+ownerSuffix), quoted(in.Database), quoted(in.User)

	var statements []string
	do := func(text ...string) { statements = append(statements, text...) }
	if !slices.Contains(roles, role+ownerSuffix) {
		do("CREATE ROLE " + owner)
	}
	if !slices.Contains(roles, role) {
		do("CREATE ROLE " + login + " LOGIN")
	}
	do(
		"GRANT "+iamRole+" TO "+login,
		"GRANT "+owner+" TO "+login+", CURRENT_USER",
		"GRANT CONNECT ON DATABASE "+database+" TO "+login,
		"CREATE SCHEMA IF NOT EXISTS "+schema+" AUTHORIZATION "+owner,
		"ALTER ROLE "+login+" IN DATABASE "+database+" SET search_path = "+schema,
		fmt.Sprintf("SET LOCAL lock_timeout = %d", handOverWait.Milliseconds()),
	)
	slices.SortFunc(tables, func(a, b string) int { return slices.Index(handedOver, a) - slices.Index(handedOver, b) })
	for _, table := range tables {
		do("LOCK TABLE " + quoted("public", table))
	}
	for _, table := range tables {
		do("ALTER TABLE "+quoted("public", table)+" SET SCHEMA "+schema, "ALTER TABLE "+quoted(in.User, table)+" OWNER TO "+owner)
	}
	for _, function := range functions {
		do("ALTER FUNCTION "+quoted("public", function)+" SET SCHEMA "+schema, "ALTER FUNCTION "+quoted(in.User, function)+" OWNER TO "+owner)
	}
	for _, statement := range statements {
		if _, err := tx.Exec(ctx, statement); err != nil {
			return fmt.Errorf("%s: %w", statement, err)
		}
	}
	return nil
}

func quoted(name ...string) string { return pgx.Identifier(name).Sanitize() }
