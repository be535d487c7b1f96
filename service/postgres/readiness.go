package postgres

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"example.com/todo/service/batch"
	"example.com/todo/service/task"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// readyFor is how long a database that was ready is taken to be, by everybody who asks:
// whoever asks more often takes nothing from the others.
const readyFor = time.Second

// readiness is when the database was last seen to be ready.
type readiness struct {
	operation *batch.Operation[struct{}, struct{}, struct{}]
	seen      atomic.Int64 // in nanoseconds since 1970
}

func (r *readiness) known() bool { return time.Now().UnixNano()-r.seen.Load() < int64(readyFor) }

func newReadiness(db *DB) *batch.Operation[struct{}, struct{}, struct{}] {
	return batch.NewOperation(db.queue, batch.Config[struct{}, struct{}, struct{}]{
		Key: func(struct{}) struct{} { return struct{}{} }, Shared: true, Most: 1,
		Run: func(ctx context.Context, _ []struct{}, _ bool) ([]batch.Result[struct{}], error) {
			var err error
			if !db.readiness.known() {
				if err = db.ask(ctx); err == nil {
					db.readiness.seen.Store(time.Now().UnixNano())
				}
			}
			return make([]batch.Result[struct{}], 1), err
		},
	})
}

// ask asks for a lock on no row: a session that may only read refuses that.
func (db *DB) ask(ctx context.Context) error {
	return db.run(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("false").Find(&[]idempotentRequest{}).Error
	})
}

// Ready says whether the database can be read and written, as it could a second ago at most.
// The error is a [*task.UnavailableError].
func (db *DB) Ready(ctx context.Context) error {
	if err := db.schema.ensure(ctx); err != nil {
		return err
	}
	if db.readiness.known() {
		return nil
	}
	_, err := db.readiness.operation.Do(ctx, struct{}{})
	err = translate(ctx, "ask the database", err)
	if unavailable := new(task.UnavailableError); err != nil && !errors.As(err, &unavailable) {
		err = &task.UnavailableError{Reason: "the database refused to be asked", Err: err}
	}
	return err
}
