package account_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strings"
	"sync"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/protobuf/types/known/structpb"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/provider"
)

// props are a resource's properties as a program writes them.
type props map[string]any

// with is a copy with other values; a nil value takes a property away, a path with dots leads into nested objects.
func (p props) with(changes props) props {
	changed := maps.Clone(p)
	for path, value := range changes {
		name, rest, nested := strings.Cut(path, ".")
		switch {
		case nested:
			inner, _ := changed[name].(props)
			changed[name] = inner.with(props{rest: value})
		case value == nil:
			delete(changed, name)
		default:
			changed[name] = value
		}
	}
	return changed
}

// plain is what structpb takes.
func (p props) plain() map[string]any {
	out := map[string]any{}
	for k, v := range p {
		out[k] = flat(v)
	}
	return out
}

func flat(v any) any {
	switch v := v.(type) {
	case props:
		return v.plain()
	case []string:
		var all []any
		for _, s := range v {
			all = append(all, s)
		}
		return all
	case []props:
		var all []any
		for _, s := range v {
			all = append(all, s.plain())
		}
		return all
	case int:
		return float64(v)
	default:
		return v
	}
}

// A cloud is an account behind the real protocol, and a client as the engine is one.
type cloud struct {
	*testing.T
	account *account.Account
	runtime *runtime
	client  pulumirpc.ResourceProviderClient
}

func newCloud(t *testing.T) *cloud {
	t.Helper()
	r := &runtime{during: func() {}}
	a := account.New(r)
	server, err := provider.Serve("aws", "6.83.2", a)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := grpc.NewClient(fmt.Sprintf("127.0.0.1:%d", server.Port), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
		if err := server.Close(); err != nil {
			t.Error(err)
		}
	})
	c := &cloud{T: t, account: a, runtime: r, client: pulumirpc.NewResourceProviderClient(conn)}
	args, err := structpb.NewStruct(props{"region": "eu-west-1", "defaultTags": `{"tags":{"project":"todo"}}`}.plain())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.client.Configure(t.Context(), &pulumirpc.ConfigureRequest{Args: args}); err != nil {
		t.Fatal(err)
	}
	return c
}

// A refusal is where and how a resource was refused.
type refusal struct {
	moment string // "preview" or "up"
	text   string
}

// A made is a resource that exists.
type made struct {
	token, name, id string
	inputs, state   map[string]any
}

func urn(token, name string) string { return "urn:pulumi:test::todo::" + token + "::" + name }

// try checks and creates a resource as the engine does.
func (c *cloud) try(token, name string, p props) (made, *refusal) {
	c.Helper()
	inputs, refused := c.check(token, name, p, nil)
	if refused != nil {
		return made{}, refused
	}
	created, err := c.client.Create(c.Context(), &pulumirpc.CreateRequest{Urn: urn(token, name), Properties: inputs})
	if err != nil {
		return made{}, &refusal{"up", err.Error()}
	}
	return made{token, name, created.GetId(), inputs.AsMap(), created.GetProperties().AsMap()}, nil
}

func (c *cloud) check(token, name string, p props, olds map[string]any) (*structpb.Struct, *refusal) {
	c.Helper()
	news, err := structpb.NewStruct(p.plain())
	if err != nil {
		c.Fatal(err)
	}
	before, err := structpb.NewStruct(olds)
	if err != nil {
		c.Fatal(err)
	}
	checked, err := c.client.Check(c.Context(), &pulumirpc.CheckRequest{Urn: urn(token, name), News: news, Olds: before, RandomSeed: []byte(token + name)})
	if err != nil {
		return nil, &refusal{"preview", err.Error()}
	}
	if failures := checked.GetFailures(); len(failures) > 0 {
		return nil, &refusal{"preview", failures[0].GetProperty() + ": " + failures[0].GetReason()}
	}
	return checked.GetInputs(), nil
}

// make creates what must be accepted.
func (c *cloud) make(token, name string, p props) made {
	c.Helper()
	m, refused := c.try(token, name, p)
	if refused != nil {
		c.Fatalf("%s %s was refused at %s: %s", token, name, refused.moment, refused.text)
	}
	return m
}

// update changes a resource to new properties.
func (c *cloud) update(m made, p props) (made, *refusal) {
	c.Helper()
	inputs, refused := c.check(m.token, m.name, p, m.inputs)
	if refused != nil {
		return m, refused
	}
	updated, err := c.client.Update(c.Context(), &pulumirpc.UpdateRequest{Id: m.id, Urn: urn(m.token, m.name), News: inputs})
	if err != nil {
		return m, &refusal{"up", err.Error()}
	}
	m.inputs, m.state = inputs.AsMap(), updated.GetProperties().AsMap()
	return m, nil
}

// remove deletes a resource.
func (c *cloud) remove(m made) *refusal {
	c.Helper()
	if _, err := c.client.Delete(c.Context(), &pulumirpc.DeleteRequest{Id: m.id, Urn: urn(m.token, m.name)}); err != nil {
		return &refusal{"up", err.Error()}
	}
	return nil
}

// mustRefuse is the point of these tests: the refusal comes when it comes on AWS, and in these words.
func (c *cloud) mustRefuse(refused *refusal, moment, text string) {
	c.Helper()
	switch {
	case refused == nil:
		c.Errorf("accepted, want a refusal at %s with %q", moment, text)
	case refused.moment != moment || !strings.Contains(refused.text, text):
		c.Errorf("refused at %s: %s\nwant at %s: %s", refused.moment, refused.text, moment, text)
	}
}

// runtime stands in for the machines, which these tests are not about; it can be told to fail.
type runtime struct {
	mu       sync.Mutex
	fails    error
	deployed []account.Service
	run      []account.Database // what databases were told to be, in turn
	done     []string           // what else was done to databases, in turn
	events   []string
	during   func() // a change of a password or of a database
}

func (r *runtime) RunDatabase(_ context.Context, d account.Database) error {
	r.during()
	r.mu.Lock()
	defer r.mu.Unlock()
	r.run = append(r.run, d)
	return nil
}
func (r *runtime) RestartDatabase(_ context.Context, cluster string) error {
	return r.note("restart " + cluster)
}
func (r *runtime) FailOver(ctx context.Context, d account.Database) error {
	return errors.Join(r.note("fail over to "+d.Writers[1]), r.RunDatabase(ctx, d))
}
func (r *runtime) SetPassword(_ context.Context, cluster, password string) error {
	r.during()
	return r.note("password of " + cluster + ": " + password)
}

// note keeps what is done, and fails if the runtime was told to.
func (r *runtime) note(what string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.done = append(r.done, what)
	return r.fails
}
func (r *runtime) StopDatabase(context.Context, string) error { return nil }
func (r *runtime) Deploy(_ context.Context, s account.Service) (string, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.fails != nil {
		return "localhost:1", r.fails
	}
	r.deployed = append(r.deployed, s)
	return "localhost:1", nil
}
func (r *runtime) Connect(context.Context, string) (string, error) { return "localhost:2", nil }
func (r *runtime) Disconnect(context.Context, string) error        { return nil }
func (r *runtime) Remove(context.Context, string) error            { return nil }
func (r *runtime) Event(_, text string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.events = append(r.events, text)
}
