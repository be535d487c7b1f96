package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/todo/service/batch"
	"example.com/todo/service/task"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Tasks is the store of tasks. Its errors are the domain's: [task.ErrNotFound],
// [task.ErrChanged], [task.ErrOtherRequest], [*task.InvalidError] and
// [*task.UnavailableError]; any other is a defect. Every operation ends with its
// context at the latest.
//
// Each operation is one statement. Those that have to wait for a connection share one:
// see together.go.
type Tasks struct {
	db      *DB
	lists   *batch.Kind[listKey, task.Filter, []task.Task]
	reads   *batch.Kind[task.ID, task.ID, lookup]
	creates *batch.Kind[task.ID, task.Task, struct{}]
	repeats *batch.Kind[string, repeatable, task.Task]
	updates *batch.Kind[task.ID, change, task.Task]
	deletes *batch.Kind[task.ID, removal, struct{}]
}

// List gives the tasks of the filter, and never nil. They may be shared with others who
// asked for the same: do not change them.
func (t *Tasks) List(ctx context.Context, f task.Filter) ([]task.Task, error) {
	found, err := do(ctx, t.db, t.lists, f)
	return found, translate(ctx, "list tasks", err)
}

// Create keeps a new task. For 24 hours a repeat with the same key gives it as it was
// made, also when it has changed or gone, and makes no other.
func (t *Tasks) Create(ctx context.Context, d task.Draft, once task.Once) (task.Task, error) {
	made, err := task.New(d, time.Now())
	if err != nil {
		return task.Task{}, err
	}
	if once.Key != "" {
		made, err = do(ctx, t.db, t.repeats, repeatable{made, once})
	} else {
		_, err = do(ctx, t.db, t.creates, made)
	}
	if err != nil {
		return task.Task{}, translate(ctx, "create task", err)
	}
	return made, nil
}

// Get gives the task of that id.
func (t *Tasks) Get(ctx context.Context, id task.ID) (task.Task, error) {
	found, err := do(ctx, t.db, t.reads, id)
	if err == nil {
		err = found.err
	}
	if err != nil {
		err = translate(ctx, "get task "+id.String(), err)
	}
	return found.task, err
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
	updated, err := do(ctx, t.db, t.updates, change{id, p, versions})
	if err != nil {
		err = translate(ctx, "update task "+id.String(), err)
	}
	return updated, err
}

// unchanged is what an update without changes gives.
func (t *Tasks) unchanged(ctx context.Context, id task.ID, versions []task.Version) (task.Task, error) {
	found, err := t.Get(ctx, id)
	if err == nil && versions != nil && !slices.Contains(versions, found.Version()) {
		err = fmt.Errorf("update task %s: %w", id, task.ErrChanged)
	}
	return found, err
}

// Delete removes the task; versions as in [Tasks.Update].
func (t *Tasks) Delete(ctx context.Context, id task.ID, versions []task.Version) error {
	_, err := do(ctx, t.db, t.deletes, removal{id, versions})
	return translate(ctx, "delete task "+id.String(), err)
}

// do does one operation on a database whose schema is there.
func do[Key comparable, In, Out any](ctx context.Context, db *DB, kind *batch.Kind[Key, In, Out], in In) (Out, error) {
	if err := db.schema.ensure(ctx); err != nil {
		var none Out
		return none, err
	}
	return kind.Do(ctx, in)
}

// listShape is what the text of a list depends on.
type listShape struct{ behind, chosen bool }

func (db *DB) list(ctx context.Context, f task.Filter) ([]task.Task, error) {
	var vars []any
	if f.After != nil {
		vars = append(vars, uuid(*f.After))
	}
	if f.Completed != nil {
		vars = append(vars, *f.Completed)
	}
	return db.tasks(ctx, f.Limit, statement{listShape{f.After != nil, f.Completed != nil}, func(tx *gorm.DB) *gorm.DB {
		if f.After != nil {
			tx = tx.Where(clause.Lt{Column: columns[0], Value: uuid(*f.After)})
		}
		if f.Completed != nil {
			tx = tx.Where(clause.Eq{Column: clause.Column{Name: columnCompleted}, Value: *f.Completed})
		}
		return tx.Order(clause.OrderByColumn{Column: columns[0], Desc: true}).Limit(f.Limit).Find(&[]row{})
	}, append(vars, f.Limit)})
}

// lookup is a task or why there is none, which others who asked at once need not share.
type lookup struct {
	task task.Task
	err  error
}

func (db *DB) get(ctx context.Context, id task.ID) (lookup, error) {
	found, err := db.tasks(ctx, 1, statement{"get", func(tx *gorm.DB) *gorm.DB { return tx.Take(&row{ID: uuid(id)}) }, []any{uuid(id), 1}})
	if err != nil {
		return lookup{}, err
	}
	if len(found) == 0 {
		return lookup{err: task.ErrNotFound}, nil
	}
	return lookup{task: found[0]}, nil
}

func (db *DB) create(ctx context.Context, t task.Task) (struct{}, error) {
	_, err := db.exec(ctx, statement{"create", func(tx *gorm.DB) *gorm.DB {
		return tx.Create(&row{uuid(t.ID), t.Title, t.Completed, t.CreatedAt, t.UpdatedAt})
	}, []any{uuid(t.ID), t.Title, t.Completed, t.CreatedAt, t.UpdatedAt}})
	return struct{}{}, err
}

// change is an update of one task, if it has one of the versions; nil is any.
type change struct {
	id       task.ID
	patch    task.Patch
	versions []task.Version
}

// updateShape is what the text of an update depends on.
type updateShape struct {
	title, completed bool
	guard            guardShape
}

func (db *DB) update(ctx context.Context, c change) (task.Task, error) {
	set := map[string]any{} // GORM skips the zero values of a struct: completed=false is one
	var vars []any          // in the order of the columns' names, as GORM sorts them
	if c.patch.Completed != nil {
		set[columnCompleted] = *c.patch.Completed
		vars = append(vars, *c.patch.Completed)
	}
	if c.patch.Title != nil {
		set[columnTitle] = *c.patch.Title
		vars = append(vars, *c.patch.Title)
	}
	now := task.Instant(time.Now())
	set[columnUpdatedAt] = gorm.Expr(nextUpdate, now)
	shape := updateShape{c.patch.Title != nil, c.patch.Completed != nil, guardShapeOf(c.versions)}
	updated, err := db.tasks(ctx, 1, statement{shape, func(tx *gorm.DB) *gorm.DB {
		return only(c.versions, tx.Model(&row{ID: uuid(c.id)}).Clauses(clause.Returning{Columns: columns})).Updates(set)
	}, append(guardVars(append(vars, now), c.versions), uuid(c.id))})
	if err == nil && len(updated) == 0 {
		err = db.missed(ctx, c.id, c.versions)
	}
	if err != nil {
		return task.Task{}, err
	}
	return updated[0], nil
}

// nextUpdate moves a task's time on, whatever the clocks of those who wrote it before.
const nextUpdate = "GREATEST(?, updated_at + interval '1 microsecond')"

// removal is a deletion of one task, if it has one of the versions; nil is any.
type removal struct {
	id       task.ID
	versions []task.Version
}

func (db *DB) delete(ctx context.Context, r removal) (struct{}, error) {
	deleted, err := db.exec(ctx, statement{guardShapeOf(r.versions), func(tx *gorm.DB) *gorm.DB {
		return only(r.versions, tx).Delete(&row{ID: uuid(r.id)})
	}, append(guardVars(nil, r.versions), uuid(r.id))})
	if err == nil && deleted == 0 {
		err = db.missed(ctx, r.id, r.versions)
	}
	return struct{}{}, err
}

// only restricts a statement to rows of the versions. It is part of the statement, so
// that nobody can write between the comparison and the write.
func only(versions []task.Version, tx *gorm.DB) *gorm.DB {
	switch {
	case versions == nil:
		return tx
	case len(versions) == 0:
		return tx.Where("FALSE")
	}
	wanted := make([][]any, len(versions))
	for i, v := range versions {
		wanted[i] = []any{v.UpdatedAt, v.Content}
	}
	return tx.Where("(updated_at, "+content+") IN ?", wanted)
}

// guardShape is what the text of [only] depends on.
type guardShape struct {
	guarded  bool
	versions int
}

func guardShapeOf(versions []task.Version) guardShape {
	return guardShape{versions != nil, len(versions)}
}

func guardVars(vars []any, versions []task.Version) []any {
	for _, v := range versions {
		vars = append(vars, v.UpdatedAt, v.Content)
	}
	return vars
}

// content is what [task.Version] computes.
const content = "left(md5(completed::text || title), 16)"

// missed is the error of a write that found no row. The versions may be the reason; what
// the row is now decides only which error that is.
func (db *DB) missed(ctx context.Context, id task.ID, versions []task.Version) error {
	if versions == nil {
		return task.ErrNotFound
	}
	found, err := db.get(ctx, id)
	if err = errors.Join(err, found.err); err != nil {
		return err
	}
	return task.ErrChanged
}
