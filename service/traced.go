package main

import (
	"context"
	"errors"

	"example.com/todo/service/httpapi"
	"example.com/todo/service/task"
	"example.com/todo/service/trace"
)

// tracedTasks gives each operation of a store a span, with all its waiting for a
// connection. https://opentelemetry.io/docs/specs/semconv/database/database-spans/
type tracedTasks struct{ tasks httpapi.Tasks }

// The operations as SQL calls them.
const (
	opSelect = "SELECT"
	opInsert = "INSERT"
	opUpdate = "UPDATE"
	opDelete = "DELETE"
)

func (t tracedTasks) List(ctx context.Context, f task.Filter) ([]task.Task, error) {
	span := trace.StartClient(ctx)
	tasks, err := t.tasks.List(ctx, f)
	endOperation(span, opSelect, err)
	return tasks, err
}

func (t tracedTasks) Create(ctx context.Context, d task.Draft, once task.Once) (task.Task, error) {
	span := trace.StartClient(ctx)
	made, err := t.tasks.Create(ctx, d, once)
	endOperation(span, opInsert, err)
	return made, err
}

func (t tracedTasks) Get(ctx context.Context, id task.ID) (task.Task, error) {
	span := trace.StartClient(ctx)
	found, err := t.tasks.Get(ctx, id)
	endOperation(span, opSelect, err)
	return found, err
}

func (t tracedTasks) Update(ctx context.Context, id task.ID, p task.Patch, versions []task.Version) (task.Task, error) {
	span := trace.StartClient(ctx)
	written, err := t.tasks.Update(ctx, id, p, versions)
	endOperation(span, opUpdate, err)
	return written, err
}

func (t tracedTasks) Delete(ctx context.Context, id task.ID, versions []task.Version) error {
	span := trace.StartClient(ctx)
	err := t.tasks.Delete(ctx, id, versions)
	endOperation(span, opDelete, err)
	return err
}

func endOperation(span *trace.Span, operation string, err error) {
	if kind := errorTypeOf(err); kind != "" {
		span.Fail(kind)
	}
	span.End(operation+" tasks",
		trace.String("db.system.name", "postgresql"),
		trace.String("db.operation.name", operation),
		trace.String("db.collection.name", "tasks"))
}

// errorTypeOf is error.type: what is the client's own doing is an answer of the database,
// and no failure.
func errorTypeOf(err error) string {
	var (
		invalid     *task.InvalidError
		unavailable *task.UnavailableError
	)
	switch {
	case err == nil, errors.Is(err, task.ErrNotFound), errors.Is(err, task.ErrChanged), errors.Is(err, task.ErrOtherRequest), errors.As(err, &invalid):
		return ""
	case errors.As(err, &unavailable):
		return "unavailable"
	}
	return "_OTHER"
}
