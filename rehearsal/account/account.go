// Package account is a simulated AWS account. It keeps resources, refuses what AWS refuses in AWS's
// words, and lets a Runtime run what the resources stand for. BEHAVIOUR.md says what it does and where
// each rule comes from; the numbers in this package's comments are those of that file.
package account

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/clock"
	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
)

// ID is the number of the simulated account, the one that AWS's documentation uses for examples.
const ID = "123456789012"

// An Account is one simulated AWS account with all its regions. It is safe for concurrent use.
type Account struct {
	// Clock is the account's time.
	Clock *clock.Clock

	runtime Runtime
	kinds   map[string]*kind

	settling sync.Map // by cluster, a *sync.Mutex held while its database is made what the cluster says

	mu        sync.Mutex
	resources map[string]map[string]*Resource // by token, then by id
	serials   map[string]int                  // how often a URN was created
	byURN     map[resource.URN]*Resource      // what was made under it last
	secrets   map[string]*secret              // by ARN
	sessions  map[string]Credentials          // by access key id
	history   history
	passwords map[string]password // for the registries
	// repositories are by URL.
	repositories map[string]*repository
	snapshots    []string // by name, what is left of clusters
}

// A Resource is one thing in the account.
type Resource struct {
	Token, ID, Region string
	// Inputs is what was asked for; State is that and what AWS added.
	Inputs, State resource.PropertyMap

	made    time.Time
	leaving bool // being deleted
}

// New makes an empty account whose databases and services runtime runs.
func New(runtime Runtime) *Account {
	a := &Account{
		Clock: clock.New(), runtime: runtime, kinds: map[string]*kind{},
		resources: map[string]map[string]*Resource{}, serials: map[string]int{}, byURN: map[resource.URN]*Resource{},
		secrets: map[string]*secret{}, sessions: map[string]Credentials{},
		passwords: map[string]password{}, repositories: map[string]*repository{},
		history: history{operations: map[string][]Operation{}, events: map[string][]Event{}},
	}
	for _, group := range [][]*kind{network, securityGroups, roles, databases, repositories, services, serviceExtras, ingress, logs, monitoring, topics} {
		for _, k := range group {
			a.kinds[k.Token] = k
		}
	}
	return a
}

// A kind is a resource type and what AWS does with it. The functions without a context run under the
// account's lock and decide; start, apply and stop do the long work without it.
type kind struct {
	*schema.Type
	service, noun           string // "EC2", "VPC": for error texts
	create, update, destroy string // the API's operations
	invalid                 string // the code for a refused parameter
	missing                 string // the code for a reference to a resource of this kind that does not exist
	inUse                   string // the code for deleting what others refer to; empty when AWS allows that

	made    func(*call) error
	again   func(error) bool // whether the provider tries to create once more, for a while
	changed func(*call) error
	refuse  func(*call) error // may refuse a delete
	start   func(context.Context, *call) error
	apply   func(context.Context, *call) error
	stop    func(context.Context, *call) error
}

// A call is one operation on one resource.
type call struct {
	*Resource
	a    *Account
	kind *kind
	old  resource.PropertyMap // the inputs before an update
}

// Tokens lists the resource types that the account knows.
func (a *Account) Tokens() []string {
	return slices.Sorted(maps.Keys(a.kinds))
}

// Type implements provider.Cloud.
func (a *Account) Type(token string) (*schema.Type, bool) {
	k, known := a.kinds[token]
	if !known {
		return nil, false
	}
	return k.Type, true
}

// Complete implements provider.Cloud; AWS's provider finds nothing out on the machine.
func (a *Account) Complete(string, resource.PropertyMap) []schema.Failure { return nil }

// Create implements provider.Cloud.
func (a *Account) Create(ctx context.Context, s provider.Session, urn resource.URN, inputs resource.PropertyMap) (string, resource.PropertyMap, error) {
	k := a.kinds[string(urn.Type())]
	r := &Resource{Token: k.Token, Region: s.Region, Inputs: inputs, State: stateOf(inputs)}
	c := &call{Resource: r, a: a, kind: k}
	if err := a.placeInTime(ctx, c, urn); err != nil {
		return "", nil, fmt.Errorf("creating %s %s (%s): %w", k.service, k.noun, c.label(urn), err)
	}
	if k.start != nil {
		if err := k.start(ctx, c); err != nil {
			return "", nil, &provider.IncompleteError{ID: r.ID, State: a.state(r),
				Err: fmt.Errorf("creating %s %s (%s): %w", k.service, k.noun, c.label(urn), err)}
		}
	}
	return r.ID, a.state(r), nil
}

// propagationTimeout is how long the provider goes on asking when a refusal may be for IAM's delay.
// https://github.com/hashicorp/terraform-provider-aws/blob/v5.100.0/internal/service/apprunner/service.go
const propagationTimeout = 2 * time.Minute

// placeInTime asks as often as the provider does. (IAM-10)
func (a *Account) placeInTime(ctx context.Context, c *call, urn resource.URN) error {
	until := a.Clock.Now().Add(propagationTimeout)
	for {
		err := a.place(c, urn)
		if err == nil || c.kind.again == nil || !c.kind.again(err) || a.Clock.Now().After(until) {
			return err
		}
		if ended := a.Clock.Sleep(ctx, time.Second); ended != nil {
			return errors.Join(err, ended)
		}
	}
}

// place decides whether the resource may exist and takes it in.
func (a *Account) place(c *call, urn resource.URN) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	if err := a.refuseInputs(c, c.kind.create); err != nil {
		return err
	}
	serial := a.serials[string(urn)]
	c.ID = fingerprint(string(urn), fmt.Sprint(serial))
	if c.kind.made != nil {
		if err := c.kind.made(c); err != nil {
			return err
		}
	}
	a.serials[string(urn)]++
	for name := range c.kind.Outputs {
		if !c.State.HasValue(resource.PropertyKey(name)) {
			return fmt.Errorf("the rehearsal does not set the output %q of %s", name, c.Token)
		}
	}
	if a.resources[c.Token] == nil {
		a.resources[c.Token] = map[string]*Resource{}
	}
	c.made = a.Clock.Now()
	if _, taken := a.resources[c.Token][c.ID]; taken {
		return fmt.Errorf("%s %s exists already", c.kind.noun, c.ID)
	}
	a.resources[c.Token][c.ID], a.byURN[urn] = c.Resource, c.Resource
	return nil
}

// refuseInputs is what the API says to the parameters alone and to the names of other resources in them. (PRO-3)
func (a *Account) refuseInputs(c *call, operation string) error {
	if failures := c.kind.Refused(c.Inputs); len(failures) > 0 {
		return c.refusal(operation, c.kind.invalid, failures[0].Error())
	}
	var err error
	c.kind.References(c.Inputs, func(path, reference, value string) {
		if err == nil && a.find(reference, value) == nil {
			token, _, _ := strings.Cut(reference, "#")
			target := a.kinds[token]
			err = c.refusal(operation, target.missing, fmt.Sprintf("The %s '%s' does not exist (%s)", target.noun, value, path))
		}
	})
	return err
}

// Read implements provider.Cloud.
func (a *Account) Read(_ context.Context, _ provider.Session, token, id string) (resource.PropertyMap, resource.PropertyMap, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, exists := a.resources[token][id]
	if !exists {
		return nil, nil, provider.ErrNotFound
	}
	return r.Inputs.Copy(), r.State.Copy(), nil
}

// Update implements provider.Cloud.
func (a *Account) Update(ctx context.Context, _ provider.Session, token, id string, inputs resource.PropertyMap) (resource.PropertyMap, error) {
	k := a.kinds[token]
	c, err := a.change(k, id, inputs)
	if err != nil {
		return nil, fmt.Errorf("updating %s %s (%s): %w", k.service, k.noun, id, err)
	}
	if k.apply != nil {
		if err := k.apply(ctx, c); err != nil {
			return nil, fmt.Errorf("updating %s %s (%s): %w", k.service, k.noun, id, err)
		}
	}
	return a.state(c.Resource), nil
}

func (a *Account) change(k *kind, id string, inputs resource.PropertyMap) (*call, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, exists := a.resources[k.Token][id]
	if !exists {
		return nil, fmt.Errorf("%s: %s %s does not exist", k.missing, k.noun, id)
	}
	before, state := r.Inputs, r.State
	c := &call{Resource: r, a: a, kind: k, old: before}
	r.Inputs, r.State = inputs, stateOf(inputs)
	for name := range k.Outputs {
		r.State[resource.PropertyKey(name)] = state[resource.PropertyKey(name)]
	}
	for name, p := range k.Inputs {
		if key := resource.PropertyKey(name); p.Computed && !r.State.HasValue(key) && state.HasValue(key) {
			r.State[key] = state[key]
		}
	}
	err := a.refuseInputs(c, k.update)
	if err == nil && k.changed != nil {
		err = k.changed(c)
	}
	if err != nil {
		r.Inputs, r.State = before, state
		return nil, err
	}
	return c, nil
}

// Delete implements provider.Cloud.
func (a *Account) Delete(ctx context.Context, _ provider.Session, token, id string) error {
	k := a.kinds[token]
	c, err := a.mayGo(k, id)
	if err != nil {
		return fmt.Errorf("deleting %s %s (%s): %w", k.service, k.noun, id, err)
	}
	if c == nil {
		return nil
	}
	if k.stop != nil {
		if err := k.stop(ctx, c); err != nil {
			return fmt.Errorf("deleting %s %s (%s): %w", k.service, k.noun, id, err)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.resources[token], id)
	return nil
}

// mayGo answers the delete of a resource, or nil when it is gone already.
func (a *Account) mayGo(k *kind, id string) (*call, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	r, exists := a.resources[k.Token][id]
	if !exists {
		return nil, nil
	}
	c := &call{Resource: r, a: a, kind: k}
	// EC2-16
	if k.inUse != "" {
		if user := a.userOf(r); user != nil {
			return nil, c.refusal(k.destroy, k.inUse, fmt.Sprintf("The %s '%s' has dependencies and cannot be deleted (%s uses it)", k.noun, id, user.ID))
		}
	}
	if k.refuse != nil {
		if err := k.refuse(c); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// userOf is a resource that refers to r, or nil.
func (a *Account) userOf(r *Resource) *Resource {
	for _, other := range a.all() {
		var uses bool
		a.kinds[other.Token].References(other.Inputs, func(_, reference, value string) {
			uses = uses || a.find(reference, value) == r
		})
		if uses && other != r {
			return other
		}
	}
	return nil
}

// Count says how many resources exist, for a check that nothing is left.
func (a *Account) Count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.all())
}

// Resources are copies of everything in the account, in the order of their types and ids.
func (a *Account) Resources() []Resource {
	a.mu.Lock()
	defer a.mu.Unlock()
	var copies []Resource
	for _, r := range a.all() {
		copies = append(copies, Resource{Token: r.Token, ID: r.ID, Region: r.Region, Inputs: r.Inputs.Copy(), State: r.State.Copy()})
	}
	return copies
}

func (a *Account) all() []*Resource {
	var all []*Resource
	for _, byID := range a.resources {
		for _, r := range byID {
			all = append(all, r)
		}
	}
	sort.Slice(all, func(i, j int) bool { return all[i].Token+all[i].ID < all[j].Token+all[j].ID })
	return all
}

// of lists the resources of one type, in the order of their ids.
func (a *Account) of(token string) []*Resource {
	byID := a.resources[token]
	var all []*Resource
	for _, id := range slices.Sorted(maps.Keys(byID)) {
		all = append(all, byID[id])
	}
	return all
}

// find is the resource that a reference names: by its id, or by the output after "#" in the reference's token.
func (a *Account) find(reference, value string) *Resource {
	token, output, byOutput := strings.Cut(reference, "#")
	if !byOutput {
		return a.resources[token][value]
	}
	for _, r := range a.resources[token] {
		if r.str(output) == value {
			return r
		}
	}
	return nil
}

func (a *Account) state(r *Resource) resource.PropertyMap {
	a.mu.Lock()
	defer a.mu.Unlock()
	return r.State.Copy()
}

func stateOf(inputs resource.PropertyMap) resource.PropertyMap {
	state := resource.PropertyMap{}
	for k, v := range inputs {
		if !resource.IsInternalPropertyKey(k) && !v.IsNull() {
			state[k] = v
		}
	}
	return state
}

// fingerprint is a stable 32-digit hexadecimal number for what it is given.
func fingerprint(of ...string) string {
	sum := sha256.Sum256([]byte(strings.Join(of, "\x00")))
	return hex.EncodeToString(sum[:16])
}
