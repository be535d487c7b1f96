// Package postgres keeps tasks in PostgreSQL: the pool and its TLS, the wake-up of
// a database that sleeps, the migrations and the store on GORM.
//
// Two rules shape it. Aurora Serverless pauses only while no connection is open,
// so a quiet service holds none. And it takes up to half a minute to wake, so
// connecting goes on in the background when the request that began it has given up.
package postgres

import (
	"context"
	"crypto/tls"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"runtime"
	"sync"
	"time"

	"example.com/todo/service/batch"
	"example.com/todo/service/credentials"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/logger"
	gormschema "gorm.io/gorm/schema"
)

const (
	// idleTime and idleCheck close the last idle connection well within a minute.
	idleTime  = 30 * time.Second
	idleCheck = 15 * time.Second
	// connectTimeout is longer than Aurora takes to wake, 30 s after a day of sleep.
	connectTimeout = 45 * time.Second
)

// Config says where the database is. With URL set, only MaxConns counts besides.
type Config struct {
	URL credentials.Secret // a whole DSN, which also decides about TLS

	Host     string // when empty, Logins tells; TLS verifies this name
	Port     uint16 // when 0, Logins tells
	Name     string // of the database; when empty, Logins tells
	HostAddr string // ip:port to dial instead of Host and Port, as libpq's hostaddr
	Logins   Logins
	// Admin makes the role that Logins names when the database does not know it; nobody
	// does when it is empty. It must be allowed to create roles, and to grant rds_iam.
	Admin credentials.Login

	MaxConns int32 // at least 1
	Alone    bool  // no two requests share a statement
}

// Logins tells as whom to connect; it is asked for each new connection.
type Logins interface {
	Login(context.Context) (credentials.Login, error)
	// Reject is told each password that the database refuses.
	Reject(credentials.Secret)
}

// DB is a database that need not be there yet.
type DB struct {
	log    *slog.Logger
	logins Logins
	pool   *pgxpool.Pool
	sql    *sql.DB
	gorm   *gorm.DB
	texts  sync.Map     // of statements, by shape
	queue  *batch.Queue // of the connections
	store  *Tasks
	schema schema
	cancel context.CancelFunc // of everything in the background
	work   sync.WaitGroup     // everything in the background
}

// Open makes the pool without connecting; its error is about cfg alone. Close it.
func Open(cfg Config, log *slog.Logger) (*DB, error) {
	poolConfig, err := poolConfig(cfg)
	if err != nil {
		return nil, err
	}
	pool, err := pgxpool.NewWithConfig(context.Background(), poolConfig)
	if err != nil {
		return nil, fmt.Errorf("make the connection pool: %w", err)
	}
	sqlDB := sql.OpenDB(newConnector(pool, cfg.Logins))
	sqlDB.SetMaxIdleConns(0) // the pool keeps them, and lets them go
	gormDB, err := gorm.Open(gormpostgres.New(gormpostgres.Config{Conn: sqlDB}), &gorm.Config{
		DisableAutomaticPing:   true,
		SkipDefaultTransaction: true,           // each operation is one statement
		QueryFields:            true,           // name the columns, so that a newer schema may add some
		Logger:                 logger.Discard, // errors are returned
		NamingStrategy:         schemaNames,
	})
	if err != nil {
		pool.Close()
		return nil, fmt.Errorf("set up GORM: %w", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	db := &DB{log: log, logins: cfg.Logins, pool: pool, sql: sqlDB, gorm: gormDB, cancel: cancel}
	db.queue = batch.NewQueue(batch.Limits{Quick: quick(), All: int(cfg.MaxConns), Alone: cfg.Alone})
	db.store = newTasks(db)
	db.schema.provider, err = migrations(sqlDB)
	if err == nil {
		db.schema.provisioner, err = newProvisioner(cfg, log)
	}
	if err != nil {
		cancel()
		pool.Close()
		return nil, err
	}
	db.schema.start = func(attempt func(context.Context)) { db.work.Go(func() { attempt(ctx) }) }
	return db, nil
}

// Migrate connects in the background until the schema is up to date, as the first request
// would otherwise. Call it once.
func (db *DB) Migrate() { db.schema.start(db.keepMigrating) }

// schemaNames leaves names as they are: see the package inflection.
var schemaNames = gormschema.NamingStrategy{SingularTable: true}

// quick is how many statements are under way at a time while none is slow: so few that
// they leave this instance's processors the time for what they give. The connections
// beyond that are for statements that wait in the database, for a lock or for a disk.
func quick() int { return max(1, runtime.GOMAXPROCS(0)/2) }

// Close ends what is in the background and closes every connection.
func (db *DB) Close() error {
	db.cancel()
	db.queue.Close()
	err := db.sql.Close()
	db.pool.Close()
	db.work.Wait()
	return err
}

// Tasks is the store in this database.
func (db *DB) Tasks() *Tasks { return db.store }

// Load says how many connections are used by operations and how many operations wait
// for one.
func (db *DB) Load() (busy, waiting int) { return db.queue.Load() }

// Ready says whether tasks can be read and written now, by asking the database.
// The error is a [*task.UnavailableError].
func (db *DB) Ready(ctx context.Context) error {
	if err := db.schema.ensure(ctx); err != nil {
		return err
	}
	_, err := db.exec(ctx, raw("SELECT"))
	return translate(ctx, "ask the database", err)
}

// CheckURL says what is wrong with a DSN, without quoting it.
func CheckURL(dsn credentials.Secret) error {
	if _, err := pgx.ParseConfig(string(dsn)); err != nil {
		return errMalformedURL
	}
	return nil
}

var errMalformedURL = errors.New("must be a PostgreSQL URL or keyword=value string")

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
	pc.MinConns, pc.MinIdleConns, pc.MaxConns = 0, 0, cfg.MaxConns
	pc.MaxConnIdleTime, pc.HealthCheckPeriod = idleTime, idleCheck
	pc.ConnConfig.ConnectTimeout = connectTimeout
	// Some seconds after a failover the cluster's name still leads to the writer before, now a reader. To keep a
	// session there would be to refuse every write from then on.
	// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.BestPractices.FastFailover.html
	if pc.ConnConfig.ValidateConnect == nil {
		pc.ConnConfig.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
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
