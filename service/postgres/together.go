package postgres

import (
	"context"
	"errors"
	"time"

	"example.com/todo/service/batch"
	"example.com/todo/service/task"
	"github.com/jackc/pgx/v5/pgconn"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// mostTogether bounds what one statement does, and so how long it holds its locks.
const mostTogether = 256

// newTasks sets up which operations share a statement while all connections are busy:
// equal lists, reads, and writes of different tasks, which are then also one commit.
func newTasks(db *DB) *Tasks {
	q := db.queue
	return &Tasks{
		db: db,
		lists: batch.NewKind(q, batch.Options[listKey, task.Filter, []task.Task]{
			Key: listKeyOf, Most: 1, Alone: db.list,
		}),
		reads: batch.NewKind(q, batch.Options[task.ID, task.ID, lookup]{
			Key: func(id task.ID) task.ID { return id }, Most: mostTogether, Alone: db.get, Together: db.getAll,
		}),
		creates: batch.NewKind(q, batch.Options[task.ID, task.Task, struct{}]{
			Key: func(t task.Task) task.ID { return t.ID }, Most: mostTogether, Alone: db.create, Together: db.createAll,
		}),
		repeats: batch.NewKind(q, batch.Options[string, repeatable, task.Task]{
			Key: func(r repeatable) string { return r.once.Key }, Exclusive: true, Most: 1, Alone: db.createOnce,
		}),
		updates: batch.NewKind(q, batch.Options[task.ID, change, task.Task]{
			Key: func(c change) task.ID { return c.id }, Exclusive: true, Most: mostTogether, Alone: db.update, Together: db.updateAll,
		}),
		deletes: batch.NewKind(q, batch.Options[task.ID, removal, struct{}]{
			Key: func(r removal) task.ID { return r.id }, Exclusive: true, Most: mostTogether, Alone: db.delete, Together: db.deleteAll,
		}),
	}
}

// listKey is a [task.Filter] that can be compared.
type listKey struct {
	limit                      int
	after                      task.ID
	behind, chosen, completion bool // after and completed are set, and completed is
}

func listKeyOf(f task.Filter) listKey {
	k := listKey{limit: f.Limit, behind: f.After != nil, chosen: f.Completed != nil}
	if k.behind {
		k.after = *f.After
	}
	k.completion = k.chosen && *f.Completed
	return k
}

func (db *DB) getAll(ctx context.Context, ids []task.ID) (func(task.ID) (lookup, bool), error) {
	wanted := uuids(ids, func(id task.ID) task.ID { return id })
	found, err := db.tasks(ctx, len(ids), statement{"get all", func(tx *gorm.DB) *gorm.DB {
		return tx.Where(clause.Expr{SQL: "id = ANY(?)", Vars: []any{&wanted}}).Find(&[]row{})
	}, []any{&wanted}})
	if err != nil {
		return nil, err
	}
	ofID := byID(found)
	return func(id task.ID) (lookup, bool) {
		if t, ok := ofID(id); ok {
			return lookup{task: t}, true
		}
		return lookup{err: task.ErrNotFound}, true
	}, nil
}

func byID(tasks []task.Task) func(task.ID) (task.Task, bool) {
	places := make(map[task.ID]int, len(tasks))
	for i, t := range tasks {
		places[t.ID] = i
	}
	return func(id task.ID) (task.Task, bool) {
		i, ok := places[id]
		if !ok {
			return task.Task{}, false
		}
		return tasks[i], true
	}
}

// Each statement below has one parameter for each column, an array, so that its text and
// with it its plan are the same for any number of tasks. GORM gets pointers to the arrays
// because it would make a list of parameters of a slice.

const insertAll = `
INSERT INTO tasks (id, title, completed, created_at, updated_at)
SELECT id, title, completed, at, at
FROM unnest(?::uuid[], ?::text[], ?::boolean[], ?::timestamptz[]) AS made (id, title, completed, at)`

// createAll keeps tasks that are new, so that both their times are the same.
func (db *DB) createAll(ctx context.Context, made []task.Task) (func(task.ID) (struct{}, bool), error) {
	ids := uuids(made, func(t task.Task) task.ID { return t.ID })
	titles, completed := make([]string, len(made)), make([]bool, len(made))
	created := make([]time.Time, len(made))
	for i, t := range made {
		titles[i], completed[i], created[i] = t.Title, t.Completed, t.CreatedAt
	}
	_, err := db.exec(ctx, raw(insertAll, &ids, &titles, &completed, &created))
	written := err == nil
	return func(task.ID) (struct{}, bool) { return struct{}{}, written }, shared(err)
}

// held locks the tasks that a statement writes, but for those that somebody else has
// locked: so it never waits while it holds a lock, and no two of them can wait for each
// other. Tasks that it skips are written alone, as are those that are not there or that
// have another version, whose error that is.
const held = `
WITH guard AS (
	SELECT * FROM unnest(?::uuid[], ?::timestamptz[], ?::text[]) AS guard (id, at, content)
), held AS MATERIALIZED (
	SELECT task.id, wanted.title, wanted.completed
	FROM unnest(?::uuid[], ?::text[], ?::boolean[], ?::boolean[]) AS wanted (id, title, completed, guarded) JOIN tasks AS task ON task.id = wanted.id
	WHERE NOT wanted.guarded OR (task.id, task.updated_at, left(md5(task.completed::text || task.title), 16)) IN (SELECT id, at, content FROM guard)
	FOR UPDATE OF task SKIP LOCKED
)`

const updateHeld = held + `
UPDATE tasks AS task
SET title = COALESCE(held.title, task.title), completed = COALESCE(held.completed, task.completed),
	updated_at = GREATEST(?, task.updated_at + interval '1 microsecond')
FROM held WHERE task.id = held.id
RETURNING task.id, task.title, task.completed, task.created_at, task.updated_at`

func (db *DB) updateAll(ctx context.Context, changes []change) (func(task.ID) (task.Task, bool), error) {
	w := wanted{ids: uuids(changes, func(c change) task.ID { return c.id })}
	for _, c := range changes {
		w.add(c.id, c.patch, c.versions)
	}
	updated, err := db.tasks(ctx, len(changes), raw(updateHeld, append(w.parameters(), task.Instant(time.Now()))...))
	if err != nil {
		return nil, shared(err)
	}
	return byID(updated), nil
}

const deleteHeld = held + `
DELETE FROM tasks AS task USING held WHERE task.id = held.id
RETURNING task.id, task.title, task.completed, task.created_at, task.updated_at`

func (db *DB) deleteAll(ctx context.Context, removals []removal) (func(task.ID) (struct{}, bool), error) {
	w := wanted{ids: uuids(removals, func(r removal) task.ID { return r.id })}
	for _, r := range removals {
		w.add(r.id, task.Patch{}, r.versions)
	}
	deleted, err := db.tasks(ctx, len(removals), raw(deleteHeld, w.parameters()...))
	if err != nil {
		return nil, shared(err)
	}
	ofID := byID(deleted)
	return func(id task.ID) (struct{}, bool) {
		_, ok := ofID(id)
		return struct{}{}, ok
	}, nil
}

// wanted are the parameters of [held].
type wanted struct {
	ids       []uuid
	titles    []*string
	completed []*bool
	guarded   []bool

	guardIDs      []uuid
	guardTimes    []time.Time
	guardContents []string
}

func (w *wanted) add(id task.ID, p task.Patch, versions []task.Version) {
	w.titles, w.completed = append(w.titles, p.Title), append(w.completed, p.Completed)
	w.guarded = append(w.guarded, versions != nil)
	for _, v := range versions {
		w.guardIDs = append(w.guardIDs, uuid(id))
		w.guardTimes = append(w.guardTimes, v.UpdatedAt)
		w.guardContents = append(w.guardContents, v.Content)
	}
}

func (w *wanted) parameters() []any {
	return []any{&w.guardIDs, &w.guardTimes, &w.guardContents, &w.ids, &w.titles, &w.completed, &w.guarded}
}

func uuids[T any](of []T, id func(T) task.ID) []uuid {
	ids := make([]uuid, len(of))
	for i, t := range of {
		ids[i] = uuid(id(t))
	}
	return ids
}

// shared is the error of a statement for all who shared it, or nil when it is about the
// statement, so that one of them may be to blame: then each has to be tried alone.
func shared(err error) error {
	if pg := new(pgconn.PgError); errors.As(err, &pg) && !transient(err) {
		return nil
	}
	return err
}
