package account_test

import (
	"testing"

	"google.golang.org/protobuf/types/known/structpb"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
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
