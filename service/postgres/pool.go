package postgres

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"example.com/todo/service/credentials"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// idleTime and idleCheck close the last idle connection well within a minute.
	idleTime  = 30 * time.Second
	idleCheck = 15 * time.Second
	// connectTimeout is longer than Aurora takes to wake, 30 s after a day of sleep.
	connectTimeout = 45 * time.Second
	// pingTimeout bounds the pool's check of a session that was idle: the context of an
	// operation has no deadline that could.
	pingTimeout = 2 * time.Second
	// lockTimeout is how long a statement waits for what another session has locked. Those of
	// this service hold their locks for milliseconds.
	lockTimeout = time.Second
)

// CheckURL returns what is wrong with a DSN, without quoting it.
func CheckURL(dsn credentials.Secret) error {
	config, err := pgx.ParseConfig(string(dsn))
	if err != nil { // which may quote it
		return errMalformedURL
	}
	return checkQueryMode(config)
}

var errMalformedURL = errors.New("must be a PostgreSQL URL or keyword=value string")

// checkQueryMode refuses what pgx would refuse of every statement.
func checkQueryMode(c *pgx.ConnConfig) error {
	switch {
	case c.DefaultQueryExecMode == pgx.QueryExecModeCacheStatement && c.StatementCacheCapacity <= 0:
		return errors.New("must not have statement_cache_capacity=0 without a default_query_exec_mode such as describe_exec or simple_protocol")
	case c.DefaultQueryExecMode == pgx.QueryExecModeCacheDescribe && c.DescriptionCacheCapacity <= 0:
		return errors.New("must not have description_cache_capacity=0 with default_query_exec_mode=cache_describe")
	}
	return nil
}

func poolConfig(cfg Config) (*pgxpool.Config, error) {
	dsn := string(cfg.URL)
	if cfg.URL == "" {
		// Everything that matters is set below or by prepare; TLS too.
		dsn = (&url.URL{Scheme: "postgres", Host: "unset:1", Path: "/unset", RawQuery: "sslmode=disable"}).String()
	}
	pc, err := pgxpool.ParseConfig(dsn)
	if err != nil { // which may quote it
		return nil, fmt.Errorf("database URL %w", errMalformedURL)
	}
	if err := checkQueryMode(pc.ConnConfig); err != nil {
		return nil, fmt.Errorf("database URL %w", err)
	}
	pc.MinConns, pc.MinIdleConns, pc.MaxConns = 0, 0, cfg.MaxConns
	pc.MaxConnIdleTime, pc.HealthCheckPeriod = idleTime, idleCheck
	pc.ConnConfig.ConnectTimeout, pc.PingTimeout = connectTimeout, pingTimeout
	// Some seconds after a failover the cluster's name still leads to the writer before, now a reader. To keep a
	// session there would be to refuse every write from then on.
	// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.BestPractices.FastFailover.html
	if pc.ConnConfig.ValidateConnect == nil {
		pc.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	configureSession(pc)
	if cfg.URL != "" {
		return pc, nil
	}
	trust, err := verifyFull()
	if err != nil {
		return nil, err
	}
	if cfg.HostAddr != "" {
		pc.ConnConfig.LookupFunc = func(_ context.Context, host string) ([]string, error) { return []string{host}, nil }
		pc.ConnConfig.DialFunc = func(ctx context.Context, network, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, network, cfg.HostAddr)
		}
	}
	pc.BeforeConnect = func(ctx context.Context, cc *pgx.ConnConfig) error {
		login, err := cfg.Logins.Login(ctx)
		if err != nil {
			return fmt.Errorf("%w: %w", errNoLogin, err)
		}
		return address(cc, cfg, login, trust)
	}
	return pc, nil
}

// configureSession sets what every session needs. A URL may say otherwise.
func configureSession(pc *pgxpool.Config) {
	for name, value := range map[string]string{
		// A row that another session holds must not hold this one for long.
		"lock_timeout": strconv.FormatInt(lockTimeout.Milliseconds(), 10),
		// No statement lasts long enough to be worth compiling, whatever the planner expects.
		"jit": "off",
	} {
		if _, given := pc.ConnConfig.RuntimeParams[name]; !given {
			pc.ConnConfig.RuntimeParams[name] = value
		}
	}
	// A session that has become read-only, as those of a writer that has lost its role, would
	// refuse every write for as long as the pool keeps it.
	closeOn := pc.ConnConfig.OnPgError
	pc.ConnConfig.OnPgError = func(conn *pgconn.PgConn, err *pgconn.PgError) bool {
		return err.Code != readOnly && closeOn(conn, err)
	}
	pc.AfterConnect = func(_ context.Context, conn *pgx.Conn) error {
		conn.TypeMap().RegisterType(&pgtype.Type{
			Name: "timestamptz", OID: pgtype.TimestamptzOID, Codec: &pgtype.TimestamptzCodec{ScanLocation: time.UTC},
		})
		return nil
	}
}

// address fills in where one connection goes, and as whom.
func address(cc *pgx.ConnConfig, cfg Config, login credentials.Login, trust *tls.Config) error {
	cc.Host, cc.Port, cc.Database = cfg.Host, cfg.Port, cfg.Name
	cc.User, cc.Password = login.Username, string(login.Password)
	if cc.Host == "" {
		cc.Host = login.Host
	}
	if cc.Port == 0 {
		cc.Port = login.Port
	}
	if cc.Port == 0 {
		cc.Port = DefaultPort
	}
	if cc.Database == "" {
		cc.Database = login.Database
	}
	if cc.Host == "" || cc.Database == "" {
		return errors.New("neither the configuration nor the secret names the database's host and name")
	}
	cc.TLSConfig = trust.Clone()
	cc.TLSConfig.ServerName = cc.Host
	return nil
}

// DefaultPort is PostgreSQL's.
const DefaultPort = 5432
