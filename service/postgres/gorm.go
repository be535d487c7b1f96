package postgres

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"encoding/hex"
	"encoding/json"
	"fmt"

	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	gormpostgres "gorm.io/driver/postgres"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
	"gorm.io/gorm/logger"
)

func openGORM(conn *sql.DB) (*gorm.DB, error) {
	db, err := gorm.Open(gormpostgres.New(gormpostgres.Config{Conn: conn}), &gorm.Config{
		DisableAutomaticPing:   true,           // the database need not be there yet
		SkipDefaultTransaction: true,           // each operation is one statement
		QueryFields:            true,           // name the columns, so that a newer schema may add some
		Logger:                 logger.Discard, // errors are returned
		ClauseBuilders:         map[string]clause.ClauseBuilder{clause.Values{}.Name(): insertRows},
	})
	if err != nil {
		return nil, fmt.Errorf("set up GORM: %w", err)
	}
	return db, nil
}

// insertRows replaces GORM's VALUES clause: it sends all rows of a Create as one parameter, a
// JSON array of objects by column. GORM's own has a parameter for each field of each row, so
// that every number of rows is another statement for every session to prepare and to keep.
func insertRows(c clause.Clause, builder clause.Builder) {
	stmt, values := builder.(*gorm.Statement), c.Expression.(clause.Values)
	rows := make([]map[string]any, len(values.Values))
	for i, row := range values.Values {
		rows[i] = make(map[string]any, len(row))
		for j, value := range row {
			var err error
			if rows[i][values.Columns[j].Name], err = inJSON(value); err != nil {
				_ = stmt.AddError(err) // which the Create returns
			}
		}
	}
	builder.WriteByte('(')
	writeColumns(builder, values.Columns)
	builder.WriteString(") SELECT ")
	writeColumns(builder, values.Columns)
	builder.WriteString(" FROM json_populate_recordset(NULL::")
	builder.WriteQuoted(stmt.Table)
	builder.WriteString(", ")
	builder.AddVar(builder, asJSON(rows))
	builder.WriteByte(')')
}

// inJSON returns what encoding/json writes as PostgreSQL reads it.
func inJSON(value any) (any, error) {
	switch value := value.(type) {
	case driver.Valuer:
		return value.Value()
	case []byte: // base64 to the one, hexadecimal to the other
		return `\x` + hex.EncodeToString(value), nil
	case clause.Expression:
		return nil, fmt.Errorf("an expression cannot be created: %T", value)
	}
	return value, nil
}

func writeColumns(builder clause.Builder, columns []clause.Column) {
	for i, column := range columns {
		if i > 0 {
			builder.WriteByte(',')
		}
		builder.WriteQuoted(column)
	}
}

// asJSON returns a value as one parameter of a statement, whose text is then the same for
// any number of things. It works in each of pgx's query modes.
func asJSON(value any) string {
	text, err := json.Marshal(value)
	if err != nil { // the types of this package always marshal
		panic(err)
	}
	return string(text)
}

// array returns values as one parameter. Of a slice GORM would make a list of parameters.
func array[T any](values []T) *[]T { return &values }

// uuids is [array] for ids.
func uuids(ids []task.ID) *[]pgtype.UUID {
	values := make([]pgtype.UUID, len(ids))
	for i, id := range ids {
		values[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return &values
}

// run runs a statement, and repeats it where the server cannot have executed it: the session
// had ended before, or a migration has changed a type that it had prepared for. Every session
// of the pool may be like that.
func (db *DB) run(ctx context.Context, statement func(*gorm.DB) error) error {
	tx := db.gorm.WithContext(ctx)
	err := statement(tx)
	for again := db.pool.Config().MaxConns; again > 0 && hasNotRun(err) && ctx.Err() == nil; again-- {
		err = statement(tx)
	}
	return err
}

// each calls scan for every row. GORM's Scan, which sets each column by reflection, takes
// twice as long for a page.
func each(query *gorm.DB, scan func(*sql.Rows) error) error {
	rows, err := query.Rows()
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return err
		}
	}
	return rows.Err()
}

func hasNotRun(err error) bool {
	return pgconn.SafeToRetry(err) || isPgError(err, planChanged) || isPgError(err, sessionIdle)
}
