package postgres

import (
	"context"
	"fmt"
	"reflect"
	"slices"
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

// statement is what GORM builds, once: its text is kept, since building it again takes
// longer than all else that is done here with a statement of one row.
type statement struct {
	shape any // comparable; statements of one shape have the same text
	build func(*gorm.DB) *gorm.DB
	vars  []any // of this one, in the order in which the text has them
}

// raw is a statement whose text is written already.
func raw(sql string, vars ...any) statement {
	return statement{sql, func(tx *gorm.DB) *gorm.DB { return tx.Raw(sql, vars...) }, vars}
}

// text is what GORM builds. The first of each shape shows that GORM has its variables in
// the same order.
func (db *DB) text(s statement) (string, error) {
	if text, ok := db.texts.Load(s.shape); ok {
		return text.(string), nil
	}
	built := s.build(db.gorm.Session(&gorm.Session{NewDB: true, DryRun: true}))
	if built.Error != nil {
		return "", fmt.Errorf("build the statement %v: %w", s.shape, built.Error)
	}
	if !slices.EqualFunc(built.Statement.Vars, s.vars, func(a, b any) bool { return reflect.DeepEqual(a, b) }) {
		// Without the variables: titles are among them, and this is for the log.
		return "", fmt.Errorf("build the statement %v: GORM has its %d variables otherwise than our %d", s.shape, len(built.Statement.Vars), len(s.vars))
	}
	text := built.Statement.SQL.String()
	db.texts.Store(s.shape, text)
	return text, nil
}

// tasks runs a statement that gives tasks, likely so many: all [columns] of each, in the
// order of its rows and never nil. GORM builds it and pgx runs it: scanning through
// database/sql takes longer than the database does.
func (db *DB) tasks(ctx context.Context, likely int, s statement) ([]task.Task, error) {
	found := make([]task.Task, 0, likely)
	var t task.Task // each of them in turn
	fields := []any{(*uuid)(&t.ID), &t.Title, &t.Completed, &t.CreatedAt, &t.UpdatedAt}
	_, err := db.run(ctx, s, func(rows pgx.Rows) (err error) {
		found, err = pgx.AppendRows(found[:0], rows, func(row pgx.CollectableRow) (task.Task, error) {
			err := row.Scan(fields...)
			t.CreatedAt, t.UpdatedAt = t.CreatedAt.UTC(), t.UpdatedAt.UTC()
			return t, err
		})
		return err
	})
	return found, err
}

// exec runs a statement that gives no rows, and says how many it wrote.
func (db *DB) exec(ctx context.Context, s statement) (written int64, err error) {
	return db.run(ctx, s, func(rows pgx.Rows) error {
		rows.Close()
		return rows.Err()
	})
}

// run gives the rows of a statement to read, which closes them.
func (db *DB) run(ctx context.Context, s statement, read func(pgx.Rows) error) (written int64, err error) {
	text, err := db.text(s)
	if err != nil {
		return 0, err
	}
	for again := true; ; again = false {
		conn, err := connected(ctx, db.logins, db.pool.Acquire)
		if err != nil {
			return 0, err
		}
		written, err = query(ctx, conn, text, s.vars, read)
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
