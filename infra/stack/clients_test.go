package stack

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const keysSecret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:todo/keys-AbCdEf"

// What the settings of its clients tell the service. What they leave out is the service's own to decide.
func TestClients(t *testing.T) {
	told := []string{"API_KEYS_SECRET", "CORS_ORIGINS", "RATE_LIMIT", "METRICS", "OTEL_SERVICE_NAME"}
	tests := map[string]struct {
		settings map[string]string
		want     map[string]any
	}{
		"nothing": {nil, map[string]any{"CORS_ORIGINS": "*"}},
		"everything": {shapes["guarded"], map[string]any{
			"API_KEYS_SECRET": keysSecret, "CORS_ORIGINS": "none", "RATE_LIMIT": "5", "METRICS": "emf", "OTEL_SERVICE_NAME": "todo-dev"}},
		"no rate at all": {map[string]string{"todo:rateLimit": "0"}, map[string]any{"CORS_ORIGINS": "*", "RATE_LIMIT": "0"}},
		// Behind a VPC endpoint nothing tells clients apart, but all of them together may still be bounded.
		"private":             {map[string]string{"todo:access": "private"}, map[string]any{"CORS_ORIGINS": "*", "RATE_LIMIT": "0"}},
		"private with a rate": {map[string]string{"todo:access": "private", "todo:rateLimit": "500"}, map[string]any{"CORS_ORIGINS": "*", "RATE_LIMIT": "500"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := map[string]any{}
			for variable, value := range environment(t, up(t, test.settings)) {
				if slices.Contains(told, variable) {
					got[variable] = value
				}
			}
			if diff := cmp.Diff(got, test.want); diff != "" {
				t.Errorf("the service is told (-got +want):\n%s", diff)
			}
		})
	}
}

func TestKeysPolicyHoldsTheLeast(t *testing.T) {
	const policies, name = "aws:iam/rolePolicy:RolePolicy", "service-keys"
	named := func(p registration) bool { return p.name == name }
	if slices.ContainsFunc(up(t, nil).all(policies), named) {
		t.Error("a service without keys has a policy for them")
	}
	r := up(t, shapes["guarded"])
	all := r.all(policies)
	policy := all[slices.IndexFunc(all, named)].values()
	want := map[string]any{"Version": "2012-10-17", "Statement": []any{
		map[string]any{"Effect": "Allow", "Action": []any{"secretsmanager:GetSecretValue"}, "Resource": []any{keysSecret}}}}
	if diff := cmp.Diff(parse(t, policy["policy"]), any(want)); diff != "" {
		t.Errorf("policy (-got +want):\n%s", diff)
	}
	if policy["role"] != "service-instance-id" {
		t.Errorf("the policy is %v's, want the instance's role", policy["role"])
	}
	// A deployment whose instances may not read the keys yet would refuse everybody.
	dependencies := r.only(t, "aws:apprunner/service:Service").request.GetDependencies()
	if !slices.ContainsFunc(dependencies, func(urn string) bool { return strings.HasSuffix(urn, "RolePolicy::"+name) }) {
		t.Error("the service does not wait for the policy")
	}
}
