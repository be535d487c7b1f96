package postgres

import (
	"context"
	"sync"
	"time"

	"example.com/todo/service/batch"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// readyFor is how long one answer is given to everybody who asks: whoever asks more often
// takes nothing from the others.
const readyFor = time.Second

// readiness is what the database last said.
type readiness struct {
	operation *batch.Operation[struct{}, struct{}, struct{}]

	mu    sync.Mutex
	asked time.Time
	err   error
}

func newReadiness(db *DB) *batch.Operation[struct{}, struct{}, struct{}] {
	return batch.NewOperation(db.queue, batch.Config[struct{}, struct{}, struct{}]{
		Key: func(struct{}) struct{} { return struct{}{} }, Shared: true, Most: 1,
		Run: func(ctx context.Context, _ []struct{}) ([]batch.Result[struct{}], error) {
			err, known := db.readiness.known()
			if !known {
				err = db.ask(ctx)
				db.readiness.learn(ctx, err)
			}
			return make([]batch.Result[struct{}], 1), err
		},
	})
}

// known returns the last answer while it holds.
func (r *readiness) known() (answer error, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err, time.Since(r.asked) < readyFor
}

// learn keeps an answer, unless it is that those who asked have given up.
func (r *readiness) learn(ctx context.Context, answer error) {
	if ctx.Err() != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.asked, r.err = time.Now(), answer
}

// ask asks for a lock on no row: a session that may only read refuses that.
func (db *DB) ask(ctx context.Context) error {
	return db.run(ctx, func(tx *gorm.DB) error {
		return tx.Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate}).Where("false").Find(&[]idempotentRequest{}).Error
	})
}

// Ready says whether the database can be read and written, as it said a second ago at most.
// The error is a [*task.UnavailableError].
func (db *DB) Ready(ctx context.Context) error {
	if err := db.schema.ensure(ctx); err != nil {
		return err
	}
	err, known := db.readiness.known()
	if !known {
		_, err = db.readiness.operation.Do(ctx, struct{}{})
	}
	return translate(ctx, "ask the database", err)
}
