// Package postgres keeps tasks in PostgreSQL: the pool and its TLS, the wake-up of
// a database that sleeps, the migrations and the store on GORM.
//
// Two rules shape it. Aurora Serverless pauses only while no connection is open,
// so a quiet service holds none. And it takes up to half a minute to wake, so
// connecting goes on in the background when the request that began it has given up.
package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"example.com/todo/service/batch"
	"example.com/todo/service/credentials"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/jackc/pgx/v5/stdlib"
	"gorm.io/gorm"
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
}

// Logins supplies the login for each new connection.
type Logins interface {
	Login(context.Context) (credentials.Login, error)
	// Reject reports a password that the database refused.
	Reject(credentials.Secret)
}

// DB is a pool, its schema and its store. Opening it does not connect.
type DB struct {
	log       *slog.Logger
	pool      *pgxpool.Pool
	sql       *sql.DB // of operations
	migrating *sql.DB
	gorm      *gorm.DB
	queue     *batch.Queue // of operations, one for each connection
	readiness readiness
	tasks     *Tasks
	sweeps    *batch.Operation[struct{}, struct{}, int64]
	swept     atomic.Int64 // when keys were last swept, in nanoseconds since 1970
	schema    schema

	background context.Context
	cancel     context.CancelFunc // of everything in the background
	work       sync.WaitGroup     // everything in the background
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
	db := &DB{
		log: log, pool: pool, queue: batch.NewQueue(int(cfg.MaxConns)),
		sql: openSQL(connector{stdlib.GetPoolConnector(pool), cfg.Logins}),
	}
	db.migrating = openSQL(ownerConnector{connector{stdlib.GetPoolConnector(pool), cfg.Logins}})
	db.background, db.cancel = context.WithCancel(context.Background())
	db.readiness.operation = newReadiness(db)
	db.sweeps = newSweeper(db)
	db.tasks = newTasks(db)
	if err := db.setUp(cfg); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// openSQL leaves it to the pool to keep connections, and to let them go.
func openSQL(c driver.Connector) *sql.DB {
	db := sql.OpenDB(c)
	db.SetMaxIdleConns(0)
	return db
}

func (db *DB) setUp(cfg Config) (err error) {
	if db.gorm, err = openGORM(db.sql); err != nil {
		return err
	}
	if db.schema.provider, err = migrations(db.migrating); err != nil {
		return err
	}
	db.schema.start = db.inBackground
	db.schema.provisioner, err = newProvisioner(cfg, db.log)
	return err
}

// inBackground runs something until Close cancels its context.
func (db *DB) inBackground(do func(context.Context)) {
	db.work.Go(func() { do(db.background) })
}

// Migrate connects in the background until the schema is up to date, as the first request
// would otherwise. Call it once.
func (db *DB) Migrate() { db.schema.start(db.keepMigrating) }

// Close ends what is in the background and closes every connection.
func (db *DB) Close() error {
	db.cancel()
	db.queue.Close()
	err := errors.Join(db.sql.Close(), db.migrating.Close())
	db.pool.Close()
	db.work.Wait()
	return err
}

// Tasks is the store in this database.
func (db *DB) Tasks() *Tasks { return db.tasks }

// Load returns how many operations are running, each on a connection, and how many requests
// are waiting.
func (db *DB) Load() (running, waiting int) { return db.queue.Load() }

// newOperation adds an operation to the database's queue. When a statement for several
// requests fails and one of them may be the cause, each runs again alone.
func newOperation[Key comparable, In, Out any](db *DB, cfg batch.Config[Key, In, Out]) *batch.Operation[Key, In, Out] {
	run := cfg.Run
	cfg.Run = func(ctx context.Context, ins []In, alone bool) ([]batch.Result[Out], error) {
		results, err := run(ctx, ins, alone)
		if pg := new(pgconn.PgError); len(ins) > 1 && errors.As(err, &pg) && !transient(err) {
			err = batch.ErrAlone
		}
		return results, err
	}
	return batch.NewOperation(db.queue, cfg)
}

// do runs one request of an operation, once the schema is there.
func do[Key comparable, In, Out any](ctx context.Context, db *DB, operation *batch.Operation[Key, In, Out], in In) (Out, error) {
	if err := db.schema.ensure(ctx); err != nil {
		var none Out
		return none, err
	}
	db.sweepNowAndThen(time.Now())
	return operation.Do(ctx, in)
}
