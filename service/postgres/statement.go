package postgres

import (
	"context"
	"time"

	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// row is a task as its table has it.
type row struct {
	ID        uuid `gorm:"primaryKey;type:uuid"`
	Title     string
	Completed bool
	CreatedAt time.Time
	UpdatedAt time.Time
}

const (
	columnID        = "id"
	columnTitle     = "title"
	columnCompleted = "completed"
	columnCreatedAt = "created_at"
	columnUpdatedAt = "updated_at"
)

// columns are those of a row, in its order. Statements name them: with * a prepared one
// of an old release would fail on the schema of a new one that has more.
var columns = []clause.Column{{Name: columnID}, {Name: columnTitle}, {Name: columnCompleted}, {Name: columnCreatedAt}, {Name: columnUpdatedAt}}

// TableName implements GORM's schema.Tabler.
func (row) TableName() string { return "tasks" }

// uuid is an id as pgx reads and writes it, in 16 bytes rather than as text.
type uuid task.ID

// ScanUUID implements [pgtype.UUIDScanner].
func (u *uuid) ScanUUID(v pgtype.UUID) error {
	*u = v.Bytes // of a column that is never null
	return nil
}

// UUIDValue implements [pgtype.UUIDValuer].
func (u uuid) UUIDValue() (pgtype.UUID, error) { return pgtype.UUID{Bytes: u, Valid: true}, nil }

// scanTask reads the [columns].
func scanTask(rows pgx.CollectableRow) (task.Task, error) {
	var t task.Task
	err := rows.Scan((*uuid)(&t.ID), &t.Title, &t.Completed, &t.CreatedAt, &t.UpdatedAt)
	t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
	return t, err
}

// statement has GORM build a statement.
type statement func(*gorm.DB) *gorm.DB

// tasks runs a statement that gives tasks, in the order of its rows and never nil. GORM
// builds it and pgx runs it: scanning through database/sql takes longer than the
// database does.
func (db *DB) tasks(ctx context.Context, build statement) ([]task.Task, error) {
	found := []task.Task{}
	_, err := db.run(ctx, build, func(rows pgx.Rows) (err error) {
		found, err = pgx.AppendRows(found[:0], rows, scanTask)
		return err
	})
	return found, err
}

// exec runs a statement that gives no rows, and says how many it wrote.
func (db *DB) exec(ctx context.Context, build statement) (written int64, err error) {
	return db.run(ctx, build, func(rows pgx.Rows) error {
		rows.Close()
		return rows.Err()
	})
}

// run gives the rows of a statement to read, which closes them.
func (db *DB) run(ctx context.Context, build statement, read func(pgx.Rows) error) (written int64, err error) {
	built := build(db.gorm.Session(&gorm.Session{NewDB: true, DryRun: true, Context: ctx}))
	if built.Error != nil {
		return 0, built.Error
	}
	sql, vars := built.Statement.SQL.String(), built.Statement.Vars
	for again := true; ; again = false {
		conn, err := connected(ctx, db.logins, db.pool.Acquire)
		if err != nil {
			return 0, err
		}
		written, err = query(ctx, conn, sql, vars, read)
		// A connection may have been cut while nobody used it.
		if err == nil || !again || !pgconn.SafeToRetry(err) || ctx.Err() != nil {
			return written, err
		}
	}
}

func query(ctx context.Context, conn *pgxpool.Conn, sql string, vars []any, read func(pgx.Rows) error) (written int64, err error) {
	defer conn.Release()
	rows, err := conn.Query(ctx, sql, vars...)
	if err != nil {
		return 0, err
	}
	err = read(rows)
	return rows.CommandTag().RowsAffected(), err
}
