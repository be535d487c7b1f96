package postgres

import (
	"context"
	"fmt"

	"example.com/todo/service/task"
	"gorm.io/gorm"
)

const (
	// keyTries bounds how often a key may expire just when its answer is looked up.
	keyTries = 3
	// createOnce makes the task if it can claim the key, which is new or expired. A
	// concurrent claim of the same key waits for the first one's end. Each claim removes
	// a few keys that have expired, so that there are never many and nothing in the
	// background has to connect.
	createOnce = `
WITH expired AS (
	DELETE FROM idempotency_keys WHERE key IN (
		SELECT key FROM idempotency_keys WHERE expires_at <= now() AND key <> @key
		ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED)
), claimed AS (
	INSERT INTO idempotency_keys AS known (key, fingerprint, task_id, title, completed, created_at, expires_at)
	VALUES (@key, @fingerprint, @id, @title, @completed, @at, now() + interval '24 hours')
	ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, task_id = excluded.task_id, title = excluded.title,
		completed = excluded.completed, created_at = excluded.created_at, expires_at = excluded.expires_at
	WHERE known.expires_at <= now()
	RETURNING task_id, title, completed, created_at
)
INSERT INTO tasks (id, title, completed, created_at, updated_at)
SELECT task_id, title, completed, created_at, created_at FROM claimed`
	answerOf = `
SELECT fingerprint, task_id AS id, title, completed, created_at, created_at AS updated_at
FROM idempotency_keys WHERE key = @key AND expires_at > now()`
)

// answered is a row of idempotency_keys.
type answered struct {
	Task        row `gorm:"embedded"`
	Fingerprint []byte
}

// createOnce keeps the new task, or gives the one that the same request has made.
func (t *Tasks) createOnce(ctx context.Context, made task.Task, once task.Once) (task.Task, error) {
	values := map[string]any{
		"key": once.Key, "fingerprint": once.Fingerprint[:],
		"id": made.ID.String(), "title": made.Title, "completed": made.Completed, "at": made.CreatedAt,
	}
	for range keyTries {
		var claimed bool
		var found []answered
		err := t.run(ctx, func(tx *gorm.DB) error {
			insert := tx.Exec(createOnce, values)
			if claimed = insert.RowsAffected == 1; claimed || insert.Error != nil {
				return insert.Error
			}
			return tx.Raw(answerOf, values).Scan(&found).Error
		})
		switch {
		case err != nil:
			return task.Task{}, translate(ctx, "create task "+made.ID.String(), err)
		case claimed:
			return made, nil
		case len(found) == 0: // it has expired just now
			continue
		case string(found[0].Fingerprint) != string(once.Fingerprint[:]):
			return task.Task{}, task.ErrOtherRequest
		}
		return found[0].Task.task()
	}
	return task.Task{}, &task.UnavailableError{
		Reason: "the idempotency key is expiring", Err: fmt.Errorf("neither claimed nor answered in %d tries", keyTries),
	}
}
