package host

import (
	"encoding/json"
	"strings"
	"testing"

	"example.com/todo/rehearsal/account"
)

// No network leads anywhere here: App Runner reads a service's secrets from its own side, in the instance role, and only when it
// deploys. AR-30, AR-32
func TestSecretsAreInjectedWhenAServiceIsDeployed(t *testing.T) {
	c := newCloud(t)
	cluster, err := c.cluster()
	if err != nil {
		t.Fatal(err)
	}
	spec, _ := c.connected(t, cluster)
	spec.RoleARN = c.mustRole(t, "injected", tasksPrincipal, secretOf(cluster))
	spec.Secrets = map[string]string{"WHOLE": secretOf(cluster), "PASSWORD": secretOf(cluster) + ":password::"}
	current := func() string {
		t.Helper()
		now, err := c.secret(cluster, account.StageCurrent)
		if err != nil {
			t.Fatal(err)
		}
		return now.Password
	}
	// check compares what all instances have, of which the first ones are as old as the deployment.
	check := func(want string) {
		t.Helper()
		all := c.environments(t, spec.ARN)
		if len(all) == 0 {
			t.Fatal("no instance runs")
		}
		for _, variables := range all {
			var whole login
			if err := json.Unmarshal([]byte(variables["WHOLE"]), &whole); err != nil {
				t.Fatal(err)
			}
			if whole.Password != want || variables["PASSWORD"] != want || whole.Username != "tasks" {
				t.Errorf("an instance has %q and %q, want the password %q", variables["WHOLE"], variables["PASSWORD"], want)
			}
		}
	}

	host := c.mustDeploy(t, spec)
	first := current()
	check(first)
	if err := c.host.Account.RotateSecret(t.Context(), secretOf(cluster)); err != nil {
		t.Fatal(err)
	}
	before := c.running(spec.ARN)[0]
	_, _, _ = get(c.client(t), "https://"+host+"/exit") // its instance ends instead of an answer, and is replaced
	await(t, "another instance runs", func() bool {
		now := c.running(spec.ARN)
		return len(now) == 1 && now[0] != before
	})
	if current() == first {
		t.Fatal("the password is the same after its rotation")
	}
	check(first)
	c.mustDeploy(t, spec)
	check(current())

	spec.RoleARN = c.mustRole(t, "powerless", tasksPrincipal, "")
	_, err = c.host.Deploy(c.ctx, spec)
	if err == nil || !strings.Contains(err.Error(), "Failed to retrieve the secret") || !strings.Contains(err.Error(), "is not authorized to perform: secretsmanager:GetSecretValue") {
		t.Errorf("in a role that may not read it: %v", err)
	}
	check(current()) // the revision before
}
