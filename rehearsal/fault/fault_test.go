package fault_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/account"
	"example.com/todo/rehearsal/fault"
	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]fault.Fault{
		"rds:CreateDBInstance=throttle*3":                          {Operation: "rds:CreateDBInstance", Code: "ThrottlingException", Times: 3},
		"ec2:CreateVpc=internal":                                   {Operation: "ec2:CreateVpc", Code: "InternalFailure", Times: 1},
		"rds:CreateDBInstance=InsufficientDBInstanceCapacity":      {Operation: "rds:CreateDBInstance", Code: "InsufficientDBInstanceCapacity", Times: 1},
		"iam:CreateRole=90s*2":                                     {Operation: "iam:CreateRole", Late: 90 * time.Second, Times: 2},
		"ec2:CreateSubnet=InvalidSubnet.Conflict":                  {Operation: "ec2:CreateSubnet", Code: "InvalidSubnet.Conflict", Times: 1},
		"aws:rds/cluster:Cluster=throttle":                         {Operation: "aws:rds/cluster:Cluster", Code: "ThrottlingException", Times: 1},
		"aws:ecr/getAuthorizationToken:getAuthorizationToken=1.5m": {Operation: "aws:ecr/getAuthorizationToken:getAuthorizationToken", Late: 90 * time.Second, Times: 1},
	} {
		if got, err := fault.Parse(text); err != nil || got != want {
			t.Errorf("%s is read as %+v, %v", text, got, err)
		}
	}
	for _, text := range []string{"", "rds:CreateDBInstance", "CreateDBInstance=throttle", "rds:CreateDBInstance=throttle*0", "rds:CreateDBInstance=", "rds:CreateDBInstance=throttle*99999999999999999999"} {
		if got, err := fault.Parse(text); err == nil {
			t.Errorf("%q is read as %+v", text, got)
		}
	}
}

// A world is an account behind faults.
type world struct {
	*testing.T
	account  *account.Account
	runtime  *machines
	injector *fault.Injector
	cloud    provider.Cloud
}

var session = provider.Session{Region: "eu-west-1"}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{T: t, runtime: &machines{}}
	w.account = account.New(w.runtime)
	w.injector = fault.NewInjector(w.account.Clock)
	w.cloud = w.injector.Wrap(w.account)
	t.Cleanup(w.injector.Wait)
	return w
}

// machines run nothing; a database waits for release, if there is one.
type machines struct {
	account.Runtime
	release chan struct{}
}

func (m *machines) RunDatabase(context.Context, account.Database) error {
	if m.release != nil {
		<-m.release
	}
	return nil
}

func (w *world) inject(text string) <-chan struct{} {
	w.Helper()
	f, err := fault.Parse(text)
	if err != nil {
		w.Fatal(err)
	}
	return w.injector.Inject(f)
}

const vpcToken = "aws:ec2/vpc:Vpc"

func urn(token, name string) resource.URN {
	return resource.URN("urn:pulumi:test::todo::" + token + "::" + name)
}

// make makes a resource as the engine does.
func (w *world) make(ctx context.Context, token, name string, properties map[string]any) (string, error) {
	w.Helper()
	id, _, err := w.cloud.Create(ctx, session, urn(token, name), w.inputs(token, name, properties))
	return id, err
}

func (w *world) inputs(token, name string, properties map[string]any) resource.PropertyMap {
	w.Helper()
	kind, _ := w.cloud.Type(token)
	inputs, failures := kind.Check(schema.CheckRequest{LogicalName: name, Seed: []byte(name), News: resource.NewPropertyMapFromMap(properties)})
	if len(failures) > 0 {
		w.Fatal(failures[0])
	}
	return inputs
}

func (w *world) vpc(name string) error {
	w.Helper()
	_, err := w.make(w.Context(), vpcToken, name, map[string]any{"cidrBlock": "10.0.0.0/16"})
	return err
}

// hurry lets time pass until it is told to stop.
func (w *world) hurry() (stop func()) {
	ctx, cancel := context.WithCancel(w.Context())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(time.Millisecond)
		defer ticker.Stop()
		for ctx.Err() == nil {
			w.account.Clock.Skip(5 * time.Minute)
			<-ticker.C
		}
	}()
	return func() { cancel(); <-ended }
}

// await gives what must come to pass a time that only a failure needs.
func await(t *testing.T, what string, passed func() bool) {
	t.Helper()
	limit := time.After(time.Minute)
	for !passed() {
		select {
		case <-limit:
			t.Fatalf("still not so: %s", what)
		case <-time.After(time.Millisecond):
		}
	}
}

// PRO-7
func TestThrottlingAndServerErrorsAreTriedAgain(t *testing.T) {
	for _, what := range []string{"throttle", "RequestLimitExceeded", "internal", "ServiceUnavailable"} {
		w := newWorld(t)
		w.inject("ec2:CreateVpc=" + what + "*2")
		before := w.account.Clock.Now()
		if err := w.vpc("one"); err != nil {
			t.Errorf("%s twice: %v", what, err)
		}
		if w.account.Clock.Now().Equal(before) || w.account.Count() != 1 {
			t.Errorf("%s twice: %d resources", what, w.account.Count())
		}
	}
	w := newWorld(t)
	defer w.hurry()()
	w.inject("ec2:CreateVpc=throttle*24")
	if err := w.vpc("patient"); err != nil {
		t.Errorf("throttled 24 times: %v", err)
	}
	w.inject("ec2:CreateVpc=throttle*25")
	const want = "operation error ec2: CreateVpc, exceeded maximum number of attempts, 25, https response error StatusCode: 400, api error ThrottlingException: Rate exceeded"
	if err := w.vpc("refused"); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("throttled 25 times: got %v, want %q", err, want)
	}
	if left := w.injector.Clear(); len(left) > 0 || w.account.Count() != 1 {
		t.Errorf("%v are left, and %d resources", left, w.account.Count())
	}
}

// PRO-8
func TestOtherErrorsAreToldAtOnce(t *testing.T) {
	w := newWorld(t)
	met := w.inject("ec2:CreateVpc=UnauthorizedOperation*2")
	w.inject("ec2:CreateSubnet=UnauthorizedOperation")
	for range 2 {
		if err := w.vpc("one"); err == nil || !strings.Contains(err.Error(), "StatusCode: 400, api error UnauthorizedOperation") {
			t.Errorf("got %v", err)
		}
		<-met
	}
	if err := w.vpc("one"); err != nil {
		t.Fatal(err)
	}
	id, _, _ := w.account.Made(urn(vpcToken, "one"))
	for operation, do := range map[string]func() error{
		"ec2:ModifyVpcAttribute": func() error {
			_, err := w.cloud.Update(t.Context(), session, vpcToken, id, w.inputs(vpcToken, "one", map[string]any{"cidrBlock": "10.0.0.0/16", "enableDnsHostnames": true}))
			return err
		},
		"ec2:Describe": func() error { _, _, err := w.cloud.Read(t.Context(), session, vpcToken, id); return err },
		"aws:index/getCallerIdentity:getCallerIdentity": func() error {
			_, _, err := w.cloud.Invoke(t.Context(), session, "aws:index/getCallerIdentity:getCallerIdentity", nil)
			return err
		},
		vpcToken: func() error { return w.cloud.Delete(t.Context(), session, vpcToken, id) },
	} {
		w.inject(operation + "=AccessDenied")
		if err := do(); err == nil || !strings.Contains(err.Error(), "AccessDenied") {
			t.Errorf("%s: got %v, want AccessDenied", operation, err)
		}
		if operation == vpcToken {
			continue
		}
		if err := do(); err != nil {
			t.Errorf("%s, once more: %v", operation, err)
		}
	}
	want := []fault.Fault{{Operation: "ec2:CreateSubnet", Code: "UnauthorizedOperation", Times: 1}}
	if diff := cmp.Diff(want, w.injector.Clear()); diff != "" {
		t.Errorf("faults that are left (-want +got):\n%s", diff)
	}
}

// PRO-9
func TestALateAnswerIsOfWhatWasDone(t *testing.T) {
	w := newWorld(t)
	met := w.inject("ec2:CreateVpc=1000h")
	made := make(chan error, 1)
	go func() { made <- w.vpc("slow") }()
	<-met
	await(t, "the network is made", func() bool { return w.account.Count() == 1 })
	select {
	case err := <-made:
		t.Fatalf("answered before its time: %v", err)
	default:
	}
	w.account.Clock.Skip(1000 * time.Hour)
	if err := <-made; err != nil {
		t.Error(err)
	}
}

// PRO-10
func TestWhatTheAPIHasTakenIsFinishedThoughNobodyWaits(t *testing.T) {
	w := newWorld(t)
	instance := w.instance()
	w.runtime.release = make(chan struct{})
	ctx, stop := context.WithCancel(t.Context())
	made := make(chan error, 1)
	go func() {
		_, err := w.make(ctx, instanceToken, "instance", instance)
		made <- err
	}()
	await(t, "the instance is taken", func() bool { _, _, is := w.account.Made(urn(instanceToken, "instance")); return is })
	stop()
	var incomplete *provider.IncompleteError
	if err := <-made; !errors.As(err, &incomplete) || incomplete.ID != "todo-1" || !strings.Contains(err.Error(), "context canceled") {
		t.Errorf("told to stop it answered %v, want the incomplete instance", err)
	}
	close(w.runtime.release)
	w.injector.Wait()
	if _, state, err := w.cloud.Read(t.Context(), session, instanceToken, "todo-1"); err != nil || state["writer"].BoolValue() != true {
		t.Errorf("then it is read as %v, %v", state, err)
	}

	if _, err := w.make(ctx, vpcToken, "late", map[string]any{"cidrBlock": "10.0.0.0/16"}); !errors.Is(err, context.Canceled) || errors.As(err, &incomplete) {
		t.Errorf("what was stopped before it began answered %v", err)
	}
	if _, _, made := w.account.Made(urn(vpcToken, "late")); made {
		t.Error("what was stopped before it began was made")
	}
}

const instanceToken = "aws:rds/clusterInstance:ClusterInstance"

// instance is what an instance takes, with its cluster there.
func (w *world) instance() map[string]any {
	w.Helper()
	must := func(token, name string, properties map[string]any) string {
		w.Helper()
		id, err := w.make(w.Context(), token, name, properties)
		if err != nil {
			w.Fatal(err)
		}
		return id
	}
	vpc := must(vpcToken, "vpc", map[string]any{"cidrBlock": "10.0.0.0/16"})
	var subnets []any
	for n, zone := range []string{"a", "b"} {
		subnets = append(subnets, must("aws:ec2/subnet:Subnet", zone, map[string]any{
			"vpcId": vpc, "availabilityZone": "eu-west-1" + zone, "cidrBlock": fmt.Sprintf("10.0.%d.0/24", n)}))
	}
	group := must("aws:rds/subnetGroup:SubnetGroup", "subnets", map[string]any{"subnetIds": subnets})
	must("aws:rds/cluster:Cluster", "cluster", map[string]any{
		"clusterIdentifier": "todo", "engine": "aurora-postgresql", "masterUsername": "tasks", "manageMasterUserPassword": true, "skipFinalSnapshot": true,
		"dbSubnetGroupName": group, "serverlessv2ScalingConfiguration": map[string]any{"minCapacity": 0, "maxCapacity": 1}})
	return map[string]any{"identifier": "todo-1", "clusterIdentifier": "todo", "engine": "aurora-postgresql", "instanceClass": "db.serverless"}
}
