package account_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"example.com/todo/rehearsal/account"
)

// ACC-2
func TestTheConsoleChangesWhatPulumiReads(t *testing.T) {
	w := newCloud(t).world()
	cluster, rule := w.made["cluster"], w.made["in"]
	modify := func(changes map[string]any) error {
		return w.account.Modify(t.Context(), cluster.token, cluster.id, changes)
	}
	const most = "serverlessv2ScalingConfiguration.maxCapacity"
	mustCode(t, modify(map[string]any{most: 1.25}), "InvalidParameterValue")
	if modify(map[string]any{"tags.one.two": "x"}) == nil || w.account.Modify(t.Context(), cluster.token, "other", nil) == nil {
		t.Error("what does not exist was changed")
	}
	if err := modify(map[string]any{most: 4, "deletionProtection": true}); err != nil {
		t.Fatal(err)
	}
	inputs, _ := w.read(cluster)
	if scaling := inputs["serverlessv2ScalingConfiguration"].(map[string]any); scaling["maxCapacity"] != 4.0 || scaling["minCapacity"] != 0.0 || inputs["deletionProtection"] != true {
		t.Errorf("a capacity of at most 4 and protection are read as %v and %v", scaling, inputs["deletionProtection"])
	}

	if err := w.account.Remove(t.Context(), rule.token, rule.id); err != nil {
		t.Fatal(err)
	}
	read, err := w.client.Read(t.Context(), &pulumirpc.ReadRequest{Id: rule.id, Urn: urn(rule.token, rule.name)})
	if err != nil || read.GetId() != "" {
		t.Errorf("a rule that was removed is read as %q, %v", read.GetId(), err)
	}
	if w.account.Remove(t.Context(), rule.token, rule.id) == nil {
		t.Error("it was removed twice")
	}
	mustCode(t, w.account.Remove(t.Context(), cluster.token, cluster.id), "InvalidDBClusterStateFault")
}

// SM-5
func TestAManagedSecretIsNotDeletedByPeople(t *testing.T) {
	w := newCloud(t).world()
	mustCode(t, w.account.DeleteSecret(w.secret()), "InvalidRequestException")
	mustCode(t, w.account.DeleteSecret("rds!cluster-other"), "ResourceNotFoundException")
	if _, err := w.account.GetSecretValue(caller(w.made["own"].state["arn"].(string)), w.secret(), "", ""); err != nil {
		t.Errorf("then it is read as %v", err)
	}
}

// SM-6
func TestAPeoplesSecretHoldsWhatTheyPutThere(t *testing.T) {
	w := newCloud(t).world()
	const arn = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:todo/keys-AbCdEf"
	if w.account.PutSecret("todo/keys", "x") == nil {
		t.Error("a name is taken for an ARN")
	}
	w.make(w.made["ownPolicy"].token, "keys", props{"role": w.made["own"].id, "policy": allow(`"secretsmanager:GetSecretValue"`, arn)})
	role := w.made["own"].state["arn"].(string)
	read := func(id, stage string) (string, error) {
		value, err := w.account.GetSecretValue(caller(role), id, "", stage)
		return value.Value, err
	}
	_, err := read(arn, "")
	mustCode(t, err, "ResourceNotFoundException")
	for _, text := range []string{"one", "two", "three"} {
		if err := w.account.PutSecret(arn, text); err != nil {
			t.Fatal(err)
		}
	}
	for stage, want := range map[string]string{"": "three", account.StageCurrent: "three", account.StagePrevious: "two"} {
		if got, err := read(arn, stage); got != want || err != nil {
			t.Errorf("stage %q reads %q, %v, want %q", stage, got, err, want)
		}
	}
	if got, err := read("todo/keys", ""); got != "three" || err != nil {
		t.Errorf("by its name it reads %q, %v", got, err)
	}
	mustCode(t, w.account.RotateSecret(t.Context(), arn), "InvalidRequestException")
	if err := w.account.DeleteSecret(arn); err != nil {
		t.Fatal(err)
	}
	_, err = read(arn, "")
	mustCode(t, err, "ResourceNotFoundException")
}

// PRO-12
func TestAnImportedNameCountsAsGiven(t *testing.T) {
	w := newCloud(t).world()
	subnets := w.made["subnets"]
	// meant is the name that the program means, after a read that the engine began with what it knows.
	meant := func(known map[string]any) any {
		t.Helper()
		inputs, err := structpb.NewStruct(known)
		if err != nil {
			t.Fatal(err)
		}
		read, err := w.client.Read(t.Context(), &pulumirpc.ReadRequest{Id: subnets.id, Urn: urn(subnets.token, subnets.name), Inputs: inputs})
		if err != nil {
			t.Fatal(err)
		}
		news, err := structpb.NewStruct(w.props["subnets"].plain())
		if err != nil {
			t.Fatal(err)
		}
		checked, err := w.client.Check(t.Context(), &pulumirpc.CheckRequest{
			Urn: urn(subnets.token, subnets.name), Olds: read.GetInputs(), News: news, RandomSeed: []byte("another")})
		if err != nil {
			t.Fatal(err)
		}
		return checked.GetInputs().AsMap()["name"]
	}
	if got := meant(nil); got == subnets.id {
		t.Errorf("after an import the program means %v, want a name that Pulumi makes up", got)
	}
	if got := meant(subnets.inputs); got != subnets.id {
		t.Errorf("after a refresh the program means %v, want %s", got, subnets.id)
	}
}
