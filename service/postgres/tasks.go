package postgres

import (
	"context"
	"fmt"
	"time"

	"example.com/todo/service/task"
	"gorm.io/gorm"
	"gorm.io/gorm/clause"
)

// Tasks is the store of tasks. Its errors are the domain's: [task.ErrNotFound],
// [*task.InvalidError] and [*task.UnavailableError]; any other is a defect. Every
// operation ends with its context at the latest.
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

// Create keeps a new task.
func (t *Tasks) Create(ctx context.Context, d task.Draft) (task.Task, error) {
	made, err := task.New(d, time.Now())
	if err != nil {
		return task.Task{}, err
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

// Replace writes both fields of the draft.
func (t *Tasks) Replace(ctx context.Context, id task.ID, d task.Draft) (task.Task, error) {
	d, err := d.Checked()
	if err != nil {
		return task.Task{}, err
	}
	r := row{ID: id.String()}
	err = t.run(ctx, func(tx *gorm.DB) error {
		// A map, because GORM skips the zero values of a struct: completed=false is one.
		return changedOne(tx.Model(&r).Clauses(clause.Returning{}).Updates(map[string]any{
			columnTitle: d.Title, columnCompleted: d.Completed, columnUpdatedAt: task.Instant(time.Now()),
		}))
	})
	if err != nil {
		return task.Task{}, translate(ctx, "replace task "+id.String(), err)
	}
	return r.task()
}

// Delete removes the task.
func (t *Tasks) Delete(ctx context.Context, id task.ID) error {
	err := t.run(ctx, func(tx *gorm.DB) error { return changedOne(tx.Delete(&row{ID: id.String()})) })
	return translate(ctx, "delete task "+id.String(), err)
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
		return task.Task{}, fmt.Errorf("read task %q: %w", r.ID, err)
	}
	return task.Task{
		ID: id, Title: r.Title, Completed: r.Completed,
		CreatedAt: task.Instant(r.CreatedAt), UpdatedAt: task.Instant(r.UpdatedAt),
	}, nil
}
