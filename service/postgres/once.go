package postgres

import (
	"context"
	"fmt"

	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5"
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
		SELECT key FROM idempotency_keys WHERE expires_at <= now() AND key <> ?
		ORDER BY expires_at LIMIT 10 FOR UPDATE SKIP LOCKED)
), claimed AS (
	INSERT INTO idempotency_keys AS known (key, fingerprint, task_id, title, completed, created_at, expires_at)
	VALUES (?, ?, ?, ?, ?, ?, now() + interval '24 hours')
	ON CONFLICT (key) DO UPDATE SET fingerprint = excluded.fingerprint, task_id = excluded.task_id, title = excluded.title,
		completed = excluded.completed, created_at = excluded.created_at, expires_at = excluded.expires_at
	WHERE known.expires_at <= now()
	RETURNING task_id, title, completed, created_at
)
INSERT INTO tasks (id, title, completed, created_at, updated_at)
SELECT task_id, title, completed, created_at, created_at FROM claimed`
	answerOf = `
SELECT fingerprint, task_id, title, completed, created_at
FROM idempotency_keys WHERE key = ? AND expires_at > now()`
)

// repeatable is a request for a new task that may be repeated.
type repeatable struct {
	made task.Task
	once task.Once
}

// answered is what a request with the same key was answered.
type answered struct {
	fingerprint []byte
	task        task.Task
}

// createOnce keeps the new task, or gives the one that the same request has made.
func (db *DB) createOnce(ctx context.Context, r repeatable) (task.Task, error) {
	made, once := r.made, r.once
	claim := raw(createOnce, once.Key, once.Key, once.Fingerprint[:], uuid(made.ID), made.Title, made.Completed, made.CreatedAt)
	for range keyTries {
		claimed, err := db.exec(ctx, claim)
		if err != nil {
			return task.Task{}, err
		}
		if claimed == 1 {
			return made, nil
		}
		found, err := db.answerOf(ctx, once.Key)
		switch {
		case err != nil:
			return task.Task{}, err
		case found == nil: // it has expired just now
			continue
		case string(found.fingerprint) != string(once.Fingerprint[:]):
			return task.Task{}, task.ErrOtherRequest
		}
		return found.task, nil
	}
	return task.Task{}, &task.UnavailableError{
		Reason: "the idempotency key is expiring", Err: fmt.Errorf("neither claimed nor answered in %d tries", keyTries),
	}
}

// answerOf looks the key's answer up, and gives nil when there is none.
func (db *DB) answerOf(ctx context.Context, key string) (*answered, error) {
	var found []*answered
	_, err := db.run(ctx, raw(answerOf, key), func(rows pgx.Rows) (err error) {
		found, err = pgx.AppendRows(found[:0], rows, func(row pgx.CollectableRow) (*answered, error) {
			var a answered
			err := row.Scan(&a.fingerprint, (*uuid)(&a.task.ID), &a.task.Title, &a.task.Completed, &a.task.CreatedAt)
			a.task.CreatedAt = a.task.CreatedAt.UTC()
			a.task.UpdatedAt = a.task.CreatedAt
			return &a, err
		})
		return err
	})
	if err != nil || len(found) == 0 {
		return nil, err
	}
	return found[0], nil
}
