package stack

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	rolePolicy = "aws:iam/rolePolicy:RolePolicy"
	loginARN   = "arn:aws:rds-db:eu-west-1:123456789012:dbuser:cluster-ABCDEFGH/todo"
)

func imageConfiguration(t *testing.T, r *recorder) map[string]any {
	t.Helper()
	source, _ := r.only(t, "aws:apprunner/service:Service").values()["sourceConfiguration"].(map[string]any)
	repository, _ := source["imageRepository"].(map[string]any)
	configuration, _ := repository["imageConfiguration"].(map[string]any)
	return configuration
}

func TestLoginWithTokensNeedsNoSecretAtRunTime(t *testing.T) {
	want := map[string]any{
		"port": "8080",
		"runtimeEnvironmentVariables": map[string]any{
			"AWS_REGION":         "eu-west-1",
			"CORS_ORIGINS":       "*",
			"DATABASE_HOST":      "todo.cluster-x.eu-west-1.rds.amazonaws.com",
			"DATABASE_MAX_CONNS": "42",
			"DATABASE_NAME":      "tasks",
			"DATABASE_PORT":      "5432",
			"DATABASE_USER":      "todo",
			"GOMEMLIMIT":         "409MiB",
			"LOG_LEVEL":          "info",
			"TRUSTED_PROXIES":    "1",
		},
		"runtimeEnvironmentSecrets": map[string]any{"DATABASE_ADMIN_SECRET": secretARN},
	}
	if diff := cmp.Diff(imageConfiguration(t, up(t, nil)), want); diff != "" {
		t.Errorf("image configuration (-got +want):\n%s", diff)
	}
}

// What the service reads at run time needs a way; what App Runner reads for it needs none.
func TestTokensNeedNoWayOutOfTheNetwork(t *testing.T) {
	r := up(t, nil)
	for _, typ := range []string{"aws:ec2/vpcEndpoint:VpcEndpoint", "aws:ec2/natGateway:NatGateway", "aws:ec2/eip:Eip"} {
		if found := r.all(typ); len(found) > 0 {
			t.Errorf("there are %d of %s, want none", len(found), typ)
		}
	}
	if got := len(r.all("aws:ec2/securityGroup:SecurityGroup")); got != 2 {
		t.Errorf("%d security groups, want the service's and the database's", got)
	}
	r = up(t, shapes["nat"])
	if got := len(r.all("aws:ec2/natGateway:NatGateway")); got != 1 {
		t.Errorf("%d NAT gateways where one is asked for", got)
	}
}

// A policy of its own: it is made before a deployment that goes over to tokens, and deleted after one that goes back, which
// one policy for all, changed before the deployment, would not be.
func TestLoginPolicyHoldsTheLeast(t *testing.T) {
	for _, policy := range up(t, shapes["password"]).all(rolePolicy) {
		if strings.Contains(policy.values()["policy"].(string), "rds-db") {
			t.Errorf("with a password %s allows logging in with tokens", policy.name)
		}
	}
	type statement = map[string]any
	want := map[string]any{
		"service-instance": map[string]any{"Version": "2012-10-17", "Statement": []any{
			statement{"Effect": "Allow", "Action": []any{"secretsmanager:GetSecretValue"}, "Resource": []any{secretARN}},
		}},
		"service-login": map[string]any{"Version": "2012-10-17", "Statement": []any{
			statement{"Effect": "Allow", "Action": []any{"rds-db:connect"}, "Resource": []any{loginARN}},
		}},
	}
	r := up(t, nil)
	got := map[string]any{}
	for _, policy := range r.all(rolePolicy) {
		if role := policy.values()["role"]; role == "service-instance-id" {
			got[policy.name] = parse(t, policy.values()["policy"])
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("policies of the instance role (-got +want):\n%s", diff)
	}
	dependencies := r.only(t, "aws:apprunner/service:Service").request.GetDependencies()
	if !slices.ContainsFunc(dependencies, func(urn string) bool { return strings.HasSuffix(urn, "RolePolicy::service-login") }) {
		t.Error("the service does not wait for the policy that lets it log in")
	}
}
