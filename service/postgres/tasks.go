package postgres

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"example.com/todo/service/task"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Tasks is the store of tasks. Its errors are the domain's: [task.ErrNotFound],
// [task.ErrChanged], [task.ErrOtherRequest], [*task.InvalidError] and
// [*task.UnavailableError]; any other is a defect. Every operation ends with its
// context at the latest.
type Tasks struct{ db *DB }

// Tasks is the store in this database.
func (db *DB) Tasks() *Tasks { return &Tasks{db: db} }

// row is a task as its table has it.
type row struct {
	ID        string `gorm:"primaryKey;type:uuid"`
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

// TableName implements GORM's schema.Tabler.
func (row) TableName() string { return "tasks" }

// List gives the tasks of the filter, and never nil.
func (t *Tasks) List(ctx context.Context, f task.Filter) ([]task.Task, error) {
	rows := []row{}
	err := t.run(ctx, func(tx *gorm.DB) error {
		if f.After != nil {
			tx = tx.Where(clause.Lt{Column: clause.Column{Name: columnID}, Value: f.After.String()})
		}
		if f.Completed != nil {
			tx = tx.Where(clause.Eq{Column: clause.Column{Name: columnCompleted}, Value: *f.Completed})
		}
		return tx.Order(clause.OrderByColumn{Column: clause.Column{Name: columnID}, Desc: true}).Limit(f.Limit).Find(&rows).Error
	})
	if err != nil {
		return nil, translate(ctx, "list tasks", err)
	}
	tasks := make([]task.Task, len(rows))
	for i, r := range rows {
		if tasks[i], err = r.task(); err != nil {
			return nil, fmt.Errorf("list tasks: %w", err)
		}
	}
	return tasks, nil
}

// Create keeps a new task. For 24 hours a repeat with the same key gives it as it was
// made, also when it has changed or gone, and makes no other.
func (t *Tasks) Create(ctx context.Context, d task.Draft, once task.Once) (task.Task, error) {
	made, err := task.New(d, time.Now())
	if err != nil {
		return task.Task{}, err
	}
	if once.Key != "" {
		return t.createOnce(ctx, made, once)
	}
	r := row{made.ID.String(), made.Title, made.Completed, made.CreatedAt, made.UpdatedAt}
	err = t.run(ctx, func(tx *gorm.DB) error { return tx.Create(&r).Error })
	if err != nil {
		return task.Task{}, translate(ctx, "create task "+r.ID, err)
	}
	return made, nil
}

// Get gives the task of that id.
func (t *Tasks) Get(ctx context.Context, id task.ID) (task.Task, error) {
	r := row{ID: id.String()}
	err := t.run(ctx, func(tx *gorm.DB) error { return tx.Take(&r).Error })
	if err != nil {
		return task.Task{}, translate(ctx, "get task "+id.String(), err)
	}
	return r.task()
}

// Update writes what the patch has. With versions other than nil it does so only if
// the task has one of them, else the error is [task.ErrChanged].
func (t *Tasks) Update(ctx context.Context, id task.ID, p task.Patch, versions []task.Version) (task.Task, error) {
	p, err := p.Checked()
	if err != nil {
		return task.Task{}, err
	}
	changes := map[string]any{} // GORM skips the zero values of a struct: completed=false is one
	if p.Title != nil {
		changes[columnTitle] = *p.Title
	}
	if p.Completed != nil {
		changes[columnCompleted] = *p.Completed
	}
	if len(changes) == 0 {
		return t.unchanged(ctx, id, versions)
	}
	changes[columnUpdatedAt] = gorm.Expr("GREATEST(?, updated_at + interval '1 microsecond')", task.Instant(time.Now()))
	r := row{ID: id.String()}
	err = t.run(ctx, func(tx *gorm.DB) error {
		return changedOne(only(versions, tx.Model(&r).Clauses(returning)).Updates(changes))
	})
	if err != nil {
		return task.Task{}, t.missed(ctx, "update task ", id, versions, err)
	}
	return r.task()
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
	err := t.run(ctx, func(tx *gorm.DB) error { return changedOne(only(versions, tx).Delete(&row{ID: id.String()})) })
	if err != nil {
		return t.missed(ctx, "delete task ", id, versions, err)
	}
	return nil
}

// returning names the columns: with * a prepared statement of an old release would
// fail on the schema of a new one that has more.
var returning = clause.Returning{Columns: []clause.Column{{Name: columnID}, {Name: columnTitle}, {Name: columnCompleted}, {Name: columnCreatedAt}, {Name: columnUpdatedAt}}}

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
	return tx.Where("(updated_at, left(md5(completed::text || title), 16)) IN ?", wanted) // as task.Version computes it
}

// missed is the error of a write by id. When it found no row, the versions may be the
// reason; what the row is now decides only which error that is.
func (t *Tasks) missed(ctx context.Context, what string, id task.ID, versions []task.Version, err error) error {
	if versions != nil && errors.Is(err, gorm.ErrRecordNotFound) {
		if _, err := t.Get(ctx, id); err != nil {
			return err
		}
		return fmt.Errorf("%s%s: %w", what, id, task.ErrChanged)
	}
	return translate(ctx, what+id.String(), err)
}

// run does one operation on a database whose schema is there.
func (t *Tasks) run(ctx context.Context, operation func(*gorm.DB) error) error {
	if err := t.db.schema.ensure(ctx); err != nil {
		return err
	}
	return operation(t.db.gorm.WithContext(ctx))
}

// changedOne is the error of a write by primary key that found no row.
func changedOne(tx *gorm.DB) error {
	if tx.Error == nil && tx.RowsAffected == 0 {
		return gorm.ErrRecordNotFound
	}
	return tx.Error
}

func (r row) task() (task.Task, error) {
	id, err := task.ParseID(r.ID)
	if err != nil {
		return task.Task{}, fmt.Errorf("the id %q of a row is malformed", r.ID) // a defect, so not the domain's error
	}
	return task.Task{
		ID: id, Title: r.Title, Completed: r.Completed,
		CreatedAt: task.Instant(r.CreatedAt), UpdatedAt: task.Instant(r.UpdatedAt),
	}, nil
}
