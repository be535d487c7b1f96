package postgres

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"time"

	"example.com/todo/service/batch"
	"example.com/todo/service/task"
	"gorm.io/gorm"
)

// taskRow is a task as GORM and the database's JSON functions see it.
type taskRow struct {
	ID        task.ID   `json:"id"         gorm:"primaryKey;type:uuid"`
	Title     string    `json:"title"`
	Completed bool      `json:"completed"`
	CreatedAt time.Time `json:"created_at"`
	UpdatedAt time.Time `json:"updated_at"` // set by the domain and by updateTasks
}

// TableName implements GORM's schema.Tabler.
func (taskRow) TableName() string { return "tasks" }

const (
	// createTask is the operation that idempotency keys of new tasks belong to.
	createTask = "createTask"
	// taskColumns are named, since a prepared statement with * would fail on a newer schema.
	taskColumns = "id, title, completed, created_at, updated_at"
	// taskVersion is what [task.Task.Version] computes.
	taskVersion = "to_hex((extract(epoch FROM task.updated_at) * 1000000)::bigint) || '-' || left(md5(task.completed::text || task.title), 16)"
)

const (
	// mostTasks bounds what one statement does, and so how long it holds its locks.
	mostTasks = 256
	// mostPages bounds what one statement reads.
	mostPages = 8
)

// Tasks is the store of tasks. Its errors are the domain's: [task.ErrNotFound],
// [task.ErrChanged], [task.ErrOtherRequest], [*task.InvalidError] and
// [*task.UnavailableError]; any other is a defect. Every operation ends with its
// context at the latest.
//
// Each operation is one statement for one request, or for many that had to wait.
type Tasks struct {
	db      *DB
	lists   *batch.Operation[pageKey, task.Filter, []task.Task]
	reads   *batch.Operation[task.ID, task.ID, task.Task]
	creates *batch.Operation[task.ID, task.Task, task.Task]
	repeats *batch.Operation[string, repeatable, task.Task]
	updates *batch.Operation[task.ID, taskWrite, task.Task]
	deletes *batch.Operation[task.ID, taskWrite, struct{}]
}

// pageKey is a [task.Filter] that can be compared.
type pageKey struct {
	limit                   int
	after                   task.ID
	all, completed, isFirst bool
}

// repeatable is a new task whose request may be repeated.
type repeatable struct {
	task task.Task
	once task.Once
}

// taskWrite changes or deletes one task, if it has one of the versions; nil is any.
type taskWrite struct {
	id       task.ID
	patch    task.Patch
	versions []task.Version
}

func newTasks(db *DB) *Tasks {
	t := &Tasks{db: db}
	t.lists = newOperation(db, batch.Config[pageKey, task.Filter, []task.Task]{
		Key: pageKeyOf, Shared: true, Most: mostPages, Run: t.list,
	})
	t.reads = newOperation(db, batch.Config[task.ID, task.ID, task.Task]{
		Key: func(id task.ID) task.ID { return id }, Shared: true, Most: mostTasks, Run: t.get,
	})
	t.creates = newOperation(db, batch.Config[task.ID, task.Task, task.Task]{
		Key: func(made task.Task) task.ID { return made.ID }, Most: mostTasks, Run: t.create,
	})
	t.repeats = newOperation(db, batch.Config[string, repeatable, task.Task]{
		Key: func(r repeatable) string { return r.once.Key }, Most: mostTasks, Run: t.createOnce,
	})
	t.updates = newOperation(db, batch.Config[task.ID, taskWrite, task.Task]{
		Key: func(w taskWrite) task.ID { return w.id }, Most: mostTasks, Run: t.update,
	})
	t.deletes = newOperation(db, batch.Config[task.ID, taskWrite, struct{}]{
		Key: func(w taskWrite) task.ID { return w.id }, Most: mostTasks, Run: t.delete,
	})
	return t
}

// List returns the tasks of the filter, never nil. Others who asked for the same may have
// the same slice: do not change it.
func (t *Tasks) List(ctx context.Context, f task.Filter) ([]task.Task, error) {
	found, err := do(ctx, t.db, t.lists, f)
	return found, translate(ctx, "list tasks", err)
}

// Create stores a new task. For 24 hours a repeat with the same key returns it as it was
// made, also when it has changed or gone, and makes no other.
func (t *Tasks) Create(ctx context.Context, d task.Draft, once task.Once) (task.Task, error) {
	made, err := task.New(d, time.Now())
	if err != nil {
		return task.Task{}, err
	}
	if once.Key == "" {
		made, err = do(ctx, t.db, t.creates, made)
	} else {
		made, err = do(ctx, t.db, t.repeats, repeatable{made, once})
	}
	return made, translate(ctx, "create task", err)
}

// Get returns the task of that id.
func (t *Tasks) Get(ctx context.Context, id task.ID) (task.Task, error) {
	found, err := do(ctx, t.db, t.reads, id)
	if err != nil {
		err = translate(ctx, "get task "+id.String(), err)
	}
	return found, err
}

// Update writes what the patch has. With versions other than nil it does so only if
// the task has one of them, else the error is [task.ErrChanged].
func (t *Tasks) Update(ctx context.Context, id task.ID, p task.Patch, versions []task.Version) (task.Task, error) {
	p, err := p.Checked()
	if err != nil {
		return task.Task{}, err
	}
	if p == (task.Patch{}) {
		return t.unchanged(ctx, id, versions)
	}
	updated, err := do(ctx, t.db, t.updates, taskWrite{id, p, versions})
	if err != nil {
		err = translate(ctx, "update task "+id.String(), err)
	}
	return updated, err
}

// unchanged is an update without changes.
func (t *Tasks) unchanged(ctx context.Context, id task.ID, versions []task.Version) (task.Task, error) {
	found, err := t.Get(ctx, id)
	if err == nil && versions != nil && !slices.Contains(versions, found.Version()) {
		err = fmt.Errorf("update task %s: %w", id, task.ErrChanged)
	}
	return found, err
}

// Delete removes the task; versions as in [Tasks.Update].
func (t *Tasks) Delete(ctx context.Context, id task.ID, versions []task.Version) error {
	_, err := do(ctx, t.db, t.deletes, taskWrite{id: id, versions: versions})
	if err != nil {
		err = translate(ctx, "delete task "+id.String(), err)
	}
	return err
}

// pages reads each page from the index that has its order: the primary key, or for tasks of
// one state the index of both, in whose order they are asked for. With completed = … the
// planner would take them from the primary key, and look at all tasks where few have the state.
const pages = `
SELECT wanted.page, found.*
FROM json_to_recordset(?) AS wanted (page int, before uuid, completed boolean, most int)
CROSS JOIN LATERAL (
	(SELECT ` + taskColumns + ` FROM tasks
	WHERE wanted.completed IS NULL AND id < wanted.before ORDER BY id DESC LIMIT wanted.most)
	UNION ALL
	(SELECT ` + taskColumns + ` FROM tasks
	WHERE completed >= wanted.completed AND (completed, id) < (wanted.completed, wanted.before)
	ORDER BY completed DESC, id DESC LIMIT wanted.most)
) AS found
ORDER BY wanted.page, found.id DESC`

// lastID sorts after every id that the service makes.
var lastID = task.ID(slices.Repeat([]byte{0xff}, len(task.ID{})))

func (t *Tasks) list(ctx context.Context, filters []task.Filter, _ bool) ([]batch.Result[[]task.Task], error) {
	type wantedPage struct {
		Page      int     `json:"page"`
		Before    task.ID `json:"before"`
		Completed *bool   `json:"completed"`
		Most      int     `json:"most"`
	}
	wanted := make([]wantedPage, len(filters))
	results := make([]batch.Result[[]task.Task], len(filters))
	for i, f := range filters {
		wanted[i] = wantedPage{i, lastID, f.Completed, f.Limit}
		if f.After != nil {
			wanted[i].Before = *f.After
		}
		results[i].Out = make([]task.Task, 0, f.Limit)
	}
	err := t.db.run(ctx, func(tx *gorm.DB) error {
		for i := range results {
			results[i].Out = results[i].Out[:0] // of a statement that has not run to its end
		}
		var page int
		var m task.Task
		return each(tx.Raw(pages, asJSON(wanted)), func(row *sql.Rows) error {
			err := row.Scan(&page, &m.ID, &m.Title, &m.Completed, &m.CreatedAt, &m.UpdatedAt)
			results[page].Out = append(results[page].Out, m)
			return err
		})
	})
	return results, err
}

func pageKeyOf(f task.Filter) pageKey {
	k := pageKey{limit: f.Limit, isFirst: f.After == nil, all: f.Completed == nil}
	if !k.isFirst {
		k.after = *f.After
	}
	k.completed = !k.all && *f.Completed
	return k
}

func (t *Tasks) get(ctx context.Context, ids []task.ID, _ bool) ([]batch.Result[task.Task], error) {
	rows := make([]taskRow, 0, len(ids)) // GORM would allocate 20
	err := t.db.run(ctx, func(tx *gorm.DB) error { return tx.Where("id = ANY(?)", uuids(ids)).Find(&rows).Error })
	found := make(map[task.ID]taskRow, len(rows))
	for _, r := range rows {
		found[r.ID] = r
	}
	results := make([]batch.Result[task.Task], len(ids))
	for i, id := range ids {
		if r, ok := found[id]; ok {
			results[i].Out = task.Task(r)
		} else {
			results[i].Err = task.ErrNotFound
		}
	}
	return results, err
}

func (t *Tasks) create(ctx context.Context, made []task.Task, _ bool) ([]batch.Result[task.Task], error) {
	rows := make([]taskRow, len(made))
	results := make([]batch.Result[task.Task], len(made))
	for i, m := range made {
		rows[i], results[i].Out = taskRow(m), m
	}
	return results, t.db.run(ctx, func(tx *gorm.DB) error { return tx.Create(&rows).Error })
}

const insertClaimed = claimed + `
INSERT INTO tasks (` + taskColumns + `)
SELECT ` + taskColumns + ` FROM claimed, json_populate_record(NULL::tasks, claimed.answer) RETURNING id`

func (t *Tasks) createOnce(ctx context.Context, requests []repeatable, _ bool) ([]batch.Result[task.Task], error) {
	claims := make([]claim, len(requests))
	for i, r := range requests {
		claims[i] = claimOf(r.once, taskRow(r.task))
	}
	var made []task.ID
	err := t.db.run(ctx, func(tx *gorm.DB) error {
		return tx.Raw(insertClaimed, createTask, asJSON(claims)).Scan(&made).Error
	})
	if len(requests) > 1 && isPgError(err, lockNotAvailable) {
		return nil, batch.ErrAlone // another session is claiming one of the keys
	}
	if err != nil {
		return nil, err
	}
	results := make([]batch.Result[task.Task], len(requests))
	var keys []string // that earlier requests have claimed
	for i, r := range requests {
		results[i].Out = r.task
		if !slices.Contains(made, r.task.ID) {
			keys = append(keys, r.once.Key)
		}
	}
	if len(keys) == 0 {
		return results, nil
	}
	answers, err := t.db.answered(ctx, createTask, keys)
	for i, r := range requests {
		if !slices.Contains(keys, r.once.Key) {
			continue
		}
		answer, found := answers[r.once.Key]
		if !found { // it has expired in between
			results[i].Err = batch.ErrAlone
			continue
		}
		var row taskRow
		results[i].Err = answer.answerFor(r.once, &row)
		results[i].Out = task.Task(row)
	}
	return results, err
}

// heldTasks locks the tasks that a statement writes, one by one through the index, in a table
// of any size. Its parameter is JSON of [wantedTask]s.
const heldTasks = `
WITH held AS MATERIALIZED (
	SELECT wanted.member, wanted.id, task.patched, task.found IS NOT NULL AS found,
		wanted.versions IS NULL OR task.version = ANY (wanted.versions) AS admitted
	FROM json_to_recordset(?) AS wanted (member int, id uuid, patch json, versions text[])
	LEFT JOIN LATERAL (
		SELECT true AS found, ` + taskVersion + ` AS version, json_populate_record(task, wanted.patch) AS patched
		FROM tasks AS task WHERE task.id = wanted.id FOR UPDATE %s
	) AS task ON true
)`

// whichAreAdmitted selects the tasks that may be written. By the array the planner knows that
// they are few, and uses the index.
const whichAreAdmitted = `
	task.id = held.id AND task.id = ANY (ARRAY (SELECT id FROM held WHERE found AND admitted))`

// outcomes ends such a statement: what became of each task, and its columns if it was written.
const outcomes = `
SELECT held.member, written.*, CASE
	WHEN written.id IS NOT NULL THEN 'written'
	WHEN held.found THEN 'changed'
	WHEN (SELECT true FROM tasks WHERE tasks.id = held.id) THEN 'locked'
	ELSE 'missing' END AS outcome
FROM held LEFT JOIN written ON written.id = held.id`

// updateTasks advances updated_at by a microsecond at least, whatever the clocks of other
// instances show.
const updateTasks = heldTasks + `, written AS (
	UPDATE tasks AS task SET title = (held.patched).title, completed = (held.patched).completed,
		updated_at = GREATEST(?, task.updated_at + interval '1 microsecond')
	FROM held WHERE` + whichAreAdmitted + `
	RETURNING task.id, task.title, task.completed, task.created_at, task.updated_at
)` + outcomes

const deleteTasks = heldTasks + `, written AS (
	DELETE FROM tasks AS task USING held WHERE` + whichAreAdmitted + `
	RETURNING task.id
)` + outcomes

// outcome is a row of [outcomes].
type outcome struct {
	Member  int
	Outcome string
	Task    taskRow `gorm:"embedded"`
}

type wantedTask struct {
	Member   int            `json:"member"`
	ID       task.ID        `json:"id"`
	Patch    map[string]any `json:"patch"`
	Versions []task.Version `json:"versions"`
}

func (t *Tasks) update(ctx context.Context, writes []taskWrite, alone bool) ([]batch.Result[task.Task], error) {
	return t.write(ctx, updateTasks, writes, alone, task.Instant(time.Now()))
}

func (t *Tasks) delete(ctx context.Context, writes []taskWrite, alone bool) ([]batch.Result[struct{}], error) {
	written, err := t.write(ctx, deleteTasks, writes, alone)
	results := make([]batch.Result[struct{}], len(written))
	for i, w := range written {
		results[i].Err = w.Err
	}
	return results, err
}

// write runs a statement that writes tasks. It leaves out those that another session has
// locked, which are then written alone. Only for such a one it waits, until lock_timeout: so it
// never waits while it holds a lock, and no two statements wait for each other.
func (t *Tasks) write(ctx context.Context, statement string, writes []taskWrite, alone bool, parameters ...any) ([]batch.Result[task.Task], error) {
	wanted := make([]wantedTask, len(writes))
	for i, w := range writes {
		wanted[i] = wantedTask{i, w.id, columnsOf(w.patch), w.versions}
	}
	whenLocked := "SKIP LOCKED"
	if alone {
		whenLocked = ""
	}
	rows := make([]outcome, 0, len(writes))
	err := t.db.run(ctx, func(tx *gorm.DB) error {
		return tx.Raw(fmt.Sprintf(statement, whenLocked), append([]any{asJSON(wanted)}, parameters...)...).Scan(&rows).Error
	})
	results := make([]batch.Result[task.Task], len(writes))
	for _, r := range rows {
		switch result := &results[r.Member]; {
		case r.Outcome == "written":
			result.Out = task.Task(r.Task)
		case r.Outcome == "changed":
			result.Err = task.ErrChanged
		case r.Outcome == "locked" && !alone:
			result.Err = batch.ErrAlone
		default: // missing, or deleted while its lock was waited for
			result.Err = task.ErrNotFound
		}
	}
	return results, err
}

// columnsOf returns what a patch changes, by column.
func columnsOf(p task.Patch) map[string]any {
	set := map[string]any{}
	if p.Title != nil {
		set["title"] = *p.Title
	}
	if p.Completed != nil {
		set["completed"] = *p.Completed
	}
	return set
}
