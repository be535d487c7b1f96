package postgres

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"time"

	"example.com/todo/service/batch"
	"example.com/todo/service/task"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

const (
	// sweepEvery is how often the keys that have expired are removed, by an instance that
	// somebody uses: a database that nobody uses must be left to sleep.
	sweepEvery = time.Minute
	// sweepMost is how many keys one statement removes, in some milliseconds.
	sweepMost = 1000
)

// idempotentRequest is a request that carried an idempotency key, and its answer. Keys of
// different operations have nothing to do with each other.
type idempotentRequest struct {
	Operation   string `gorm:"primaryKey"`
	Key         string `gorm:"primaryKey"`
	Fingerprint []byte
	Answer      json.RawMessage `gorm:"type:json"` // the row as it was made
	ExpiresAt   time.Time
}

// claim is the parameter of [claimed] for one request.
type claim struct {
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"`
	Answer      any    `json:"answer"` // a row
}

func claimOf(once task.Once, row any) claim {
	return claim{once.Key, `\x` + hex.EncodeToString(once.Fingerprint[:]), row}
}

// claimed begins a statement that inserts rows for an operation. It takes the operation and
// claims as JSON; what is new or has expired becomes the table claimed, of one column with
// the row. A concurrent claim of the same key waits for the end of the first; keys are
// claimed in one order, so that no two statements wait for each other.
const claimed = `
WITH claimed AS (
	INSERT INTO idempotent_requests AS known (operation, key, fingerprint, answer, expires_at)
	SELECT ?, key, fingerprint, answer, now() + interval '24 hours'
	FROM json_to_recordset(?) AS claim (key text, fingerprint bytea, answer json) ORDER BY key
	ON CONFLICT (operation, key) DO UPDATE SET fingerprint = excluded.fingerprint, answer = excluded.answer, expires_at = excluded.expires_at
	WHERE known.expires_at <= now()
	RETURNING answer
)`

// answered returns the answers to earlier requests of these keys, by key.
func (db *DB) answered(ctx context.Context, operation string, keys []string) (map[string]idempotentRequest, error) {
	var found []idempotentRequest
	err := db.run(ctx, func(tx *gorm.DB) error {
		return tx.Where("operation = ? AND key = ANY(?) AND expires_at > now()", operation, array(keys)).Find(&found).Error
	})
	byKey := make(map[string]idempotentRequest, len(found))
	for _, request := range found {
		byKey[request.Key] = request
	}
	return byKey, err
}

// answerFor reads the row that the same request has made.
func (r idempotentRequest) answerFor(once task.Once, row any) error {
	if string(r.Fingerprint) != string(once.Fingerprint[:]) {
		return task.ErrOtherRequest
	}
	return json.Unmarshal(r.Answer, row)
}

// newSweeper returns the operation that removes keys that have expired, and returns how many.
func newSweeper(db *DB) *batch.Operation[struct{}, struct{}, int64] {
	return batch.NewOperation(db.queue, batch.Config[struct{}, struct{}, int64]{
		Key: func(struct{}) struct{} { return struct{}{} }, Most: 1,
		Run: func(ctx context.Context, _ []struct{}, _ bool) ([]batch.Result[int64], error) {
			removed, err := db.sweep(ctx)
			return []batch.Result[int64]{{Out: removed}}, err
		},
	})
}

func (db *DB) sweep(ctx context.Context) (removed int64, err error) {
	err = db.run(ctx, func(tx *gorm.DB) error {
		expired := tx.Model(&idempotentRequest{}).Select("operation", "key").Where("expires_at <= now()").Order("expires_at").Limit(sweepMost).
			Clauses(clause.Locking{Strength: clause.LockingStrengthUpdate, Options: clause.LockingOptionsSkipLocked})
		result := tx.Where("(operation, key) IN (?)", expired).Delete(&idempotentRequest{})
		removed = result.RowsAffected
		return result.Error
	})
	return removed, err
}

// sweepNowAndThen removes expired keys in the background, a statement at a time, so that
// requests come in between.
func (db *DB) sweepNowAndThen(now time.Time) {
	last := db.swept.Load()
	if now.UnixNano()-last < int64(sweepEvery) || !db.swept.CompareAndSwap(last, now.UnixNano()) {
		return
	}
	db.inBackground(func(ctx context.Context) {
		ctx, cancel := context.WithTimeout(ctx, sweepEvery)
		defer cancel()
		for removed := int64(sweepMost); removed == sweepMost; {
			var err error
			if removed, err = db.sweeps.Do(ctx, struct{}{}); err != nil && !errors.Is(err, context.Canceled) {
				db.log.WarnContext(ctx, "expired idempotency keys could not be removed", "error", err)
			}
		}
	})
}
