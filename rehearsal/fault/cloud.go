package fault

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
)

// A Named cloud's API has names for its operations, and knows what it has made.
type Named interface {
	// Actions are what the API calls what is done to resources of a type, such as rds:CreateDBInstance.
	Actions(token string) (create, read, update, destroy string)
	// Made is the resource that was made last under a URN, if it is there.
	Made(urn resource.URN) (id string, state resource.PropertyMap, made bool)
}

// Wrap answers a cloud that is the given one, with the injector's faults.
func (i *Injector) Wrap(cloud provider.Cloud) provider.Cloud { return &faulty{cloud, i} }

type faulty struct {
	provider.Cloud
	injector *Injector
}

func (f *faulty) actions(token string) (create, read, update, destroy string) {
	if named, is := f.Cloud.(Named); is {
		return named.Actions(token)
	}
	return token, token, token, token
}

// errInterrupted says that the provider was told to stop before it knew how an operation ended.
var errInterrupted = errors.New("request canceled, context canceled")

// finish does what the API has taken to its end, whether or not somebody waits for it. (PRO-10, PRO-11)
func finish[T any](ctx context.Context, i *Injector, late time.Duration, do func(context.Context) (T, error)) (T, error) {
	type end struct {
		result T
		err    error
	}
	told := i.clock.Now().Add(late)
	ended := make(chan end, 1)
	i.work.Go(func() {
		result, err := do(context.WithoutCancel(ctx))
		ended <- end{result, err}
	})
	var none T
	select {
	case e := <-ended:
		if e.err == nil && i.clock.Until(ctx, told) != nil {
			return none, errInterrupted
		}
		return e.result, e.err
	case <-ctx.Done():
		return none, errInterrupted
	}
}

// Create implements provider.Cloud. A provider that is told to stop answers what there is by then, and the engine knows it
// to be incomplete. (PRO-9, PRO-10)
func (f *faulty) Create(ctx context.Context, s provider.Session, urn resource.URN, inputs resource.PropertyMap) (string, resource.PropertyMap, error) {
	operation, _, _, _ := f.actions(string(urn.Type()))
	late, err := f.injector.ask(ctx, operation, string(urn.Type()))
	if err != nil {
		return "", nil, fmt.Errorf("creating %s: %w", urn.Name(), err)
	}
	type created struct {
		id    string
		state resource.PropertyMap
	}
	c, err := finish(ctx, f.injector, late, func(ctx context.Context) (created, error) {
		id, state, err := f.Cloud.Create(ctx, s, urn, inputs)
		return created{id, state}, err
	})
	if !errors.Is(err, errInterrupted) {
		return c.id, c.state, err
	}
	err = fmt.Errorf("creating %s: %w", urn.Name(), err)
	if named, is := f.Cloud.(Named); is {
		if id, state, made := named.Made(urn); made {
			return "", nil, &provider.IncompleteError{ID: id, State: state, Err: err}
		}
	}
	return "", nil, err
}

// Read implements provider.Cloud.
func (f *faulty) Read(ctx context.Context, s provider.Session, token, id string) (inputs, state resource.PropertyMap, err error) {
	_, operation, _, _ := f.actions(token)
	late, err := f.injector.ask(ctx, operation, token)
	if err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", id, err)
	}
	if err := f.injector.clock.Sleep(ctx, late); err != nil {
		return nil, nil, fmt.Errorf("reading %s: %w", id, err)
	}
	return f.Cloud.Read(ctx, s, token, id)
}

// Update implements provider.Cloud.
func (f *faulty) Update(ctx context.Context, s provider.Session, token, id string, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	_, _, operation, _ := f.actions(token)
	late, err := f.injector.ask(ctx, operation, token)
	if err != nil {
		return nil, fmt.Errorf("updating %s: %w", id, err)
	}
	return finish(ctx, f.injector, late, func(ctx context.Context) (resource.PropertyMap, error) {
		return f.Cloud.Update(ctx, s, token, id, inputs)
	})
}

// Delete implements provider.Cloud.
func (f *faulty) Delete(ctx context.Context, s provider.Session, token, id string) error {
	_, _, _, operation := f.actions(token)
	late, err := f.injector.ask(ctx, operation, token)
	if err != nil {
		return fmt.Errorf("deleting %s: %w", id, err)
	}
	_, err = finish(ctx, f.injector, late, func(ctx context.Context) (struct{}, error) {
		return struct{}{}, f.Cloud.Delete(ctx, s, token, id)
	})
	return err
}

// Invoke implements provider.Cloud.
func (f *faulty) Invoke(ctx context.Context, s provider.Session, token string, args resource.PropertyMap) (resource.PropertyMap, []schema.Failure, error) {
	late, err := f.injector.ask(ctx, token, token)
	if err != nil {
		return nil, nil, fmt.Errorf("invoking %s: %w", token, err)
	}
	if err := f.injector.clock.Sleep(ctx, late); err != nil {
		return nil, nil, fmt.Errorf("invoking %s: %w", token, err)
	}
	return f.Cloud.Invoke(ctx, s, token, args)
}
