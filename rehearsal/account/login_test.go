package account_test

import (
	"errors"
	"strings"
	"testing"

	"example.com/todo/rehearsal/account"
)

// RDS-33
func TestLoginTakesAPolicyForTheClustersOwnID(t *testing.T) {
	w := newCloud(t).world()
	arn, id := w.made["own"].state["arn"].(string), w.made["cluster"].state["clusterResourceId"].(string)
	if !strings.HasPrefix(id, "cluster-") {
		t.Fatalf("the cluster's id is %q", id)
	}
	const as = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:"
	for _, row := range []struct {
		name, action, resource string
		allowed                bool
	}{
		{"the role", "rds-db:connect", as + id + "/todo", true},
		{"any role", "rds-db:connect", as + id + "/*", true},
		{"any cluster", "rds-db:*", as + "cluster-*/todo", true},
		{"another case", "rds-db:connect", as + id + "/Todo", false},
		{"the cluster by its name", "rds-db:connect", as + "todo-test/todo", false},
		{"the cluster by its ARN", "rds-db:connect", "arn:aws:rds:eu-west-1:123456789012:cluster:todo-test", false},
		{"another region", "rds-db:connect", strings.Replace(as, "eu-west-1", "eu-west-2", 1) + id + "/todo", false},
		{"the API's action of that name", "rds:connect", as + id + "/todo", false},
	} {
		policy := w.make(w.made["ownPolicy"].token, "row", props{"role": w.made["own"].id, "name": "row", "policy": document("Allow", `"Action":"`+row.action+`","Resource":"`+row.resource+`"`)})
		err := w.account.ConnectDatabase(caller(arn), "todo-test", "todo")
		if (err == nil) != row.allowed {
			t.Errorf("%s: %v, want allowed: %v", row.name, err, row.allowed)
		}
		if err != nil && !strings.Contains(err.Error(), "is not authorized to perform: rds-db:connect on resource: "+as+id+"/todo") {
			t.Errorf("%s: %v", row.name, err)
		}
		if refused := w.remove(policy); refused != nil {
			t.Fatal(refused.text)
		}
	}
	if err := w.account.ConnectDatabase(caller(arn), "todo-other", "todo"); err == nil {
		t.Error("a cluster that does not exist lets somebody in")
	}
}

// RDS-31
func TestClustersSayWhetherTheyTakeTokens(t *testing.T) {
	w := newCloud(t).world()
	now := func() bool { return w.runtime.run[len(w.runtime.run)-1].Tokens }
	if now() {
		t.Error("a cluster takes tokens unasked")
	}
	for _, takes := range []bool{true, false} {
		w.mustUpdate("cluster", props{"iamDatabaseAuthenticationEnabled": takes})
		if now() != takes {
			t.Errorf("told %t the cluster runs with %t", takes, now())
		}
	}
}

// AR-29, AR-30, AR-31
func TestInjectedSecretsAreReadInTheInstanceRole(t *testing.T) {
	w := newCloud(t).world()
	own, access, secret := w.made["own"].state["arn"].(string), w.made["access"].state["arn"].(string), w.secret()
	if err := w.account.RotateSecret(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	read := func(reference string) string {
		t.Helper()
		value, err := w.account.Injected(own, "eu-west-1", reference)
		if err != nil {
			t.Errorf("%s: %v", reference, err)
		}
		return value
	}
	whole, password, before := read(secret), read(secret+":password::"), read(secret+":password:AWSPREVIOUS:")
	if !strings.Contains(whole, `"username":"tasks"`) || !strings.Contains(whole, password) {
		t.Errorf("the secret is %s, its password %s", whole, password)
	}
	if before == password || before == "" || read(secret+":username::") != "tasks" || read(secret+":::") != whole {
		t.Errorf("before the rotation the password was %q, now it is %q", before, password)
	}

	var refusal *account.APIError
	for name, row := range map[string]struct{ role, reference, code string }{
		"a role that may not":           {access, secret, "AccessDeniedException"},
		"a secret that does not exist":  {own, aSecret, "AccessDeniedException"},
		"a version that does not exist": {own, secret + "::AWSPENDING:", "ResourceNotFoundException"},
	} {
		_, err := w.account.Injected(row.role, "eu-west-1", row.reference)
		if !errors.As(err, &refusal) || refusal.Code != row.code {
			t.Errorf("%s: %v, want %s", name, err, row.code)
		}
	}
	if _, err := w.account.Injected(own, "eu-west-1", secret+":host::"); err == nil || !strings.Contains(err.Error(), "did not contain json key host") {
		t.Errorf("a key that is not in the value: %v", err)
	}
}
