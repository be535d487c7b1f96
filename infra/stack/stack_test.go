package stack

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/todo/infra/output"
)

// shapes are the stacks that differ in which resources they have.
var shapes = map[string]map[string]string{
	"default":  nil,
	"nat":      {"todo:egress": "nat"},
	"private":  {"todo:access": "private"},
	"password": {"todo:databaseLogin": "password"},
	"guarded":  {"todo:apiKeysSecret": keysSecret, "todo:corsOrigins": "none", "todo:rateLimit": "5", "todo:metrics": "true"},
	"protected": {
		"todo:alarmEmail": "ops@example.com", "todo:xray": "true", "todo:protect": "true", "todo:zones": "3", "todo:databaseInstances": "2", "todo:databaseMinCapacity": "0.5",
	},
}

func TestEveryShape(t *testing.T) {
	for name, settings := range shapes {
		for _, preview := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/preview=%t", name, preview), func(t *testing.T) {
				r := &recorder{preview: preview}
				outputs, err := r.run(t, settings)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(slices.Sorted(maps.Keys(outputs)), slices.Sorted(slices.Values(output.Names()))); diff != "" {
					t.Errorf("outputs (-got +want):\n%s", diff)
				}
				checkTree(t, r)
				checkProvider(t, r)
				checkLogicalNames(t, r)
				checkNobodyGetsIn(t, r)
				checkPolicies(t, r)
				checkEncryption(t, r)
				checkSecrets(t, r, outputs)
				checkLabels(t, r)
				checkOutputs(t, r, outputs)
			})
		}
	}
}

// checkTree holds that every resource is below the component whose name begins its own, and has no namesake.
func checkTree(t *testing.T, r *recorder) {
	t.Helper()
	seen := map[string]bool{}
	for _, registered := range r.resources {
		key := registered.typ + " " + registered.name
		if seen[key] {
			t.Errorf("%s is declared twice", key)
		}
		seen[key] = true
		parent := registered.request.GetParent()
		if !registered.request.GetCustom() || strings.HasPrefix(registered.typ, "pulumi:providers:") {
			if !strings.Contains(parent, "pulumi:pulumi:Stack") {
				t.Errorf("%s is below %q, want the stack", key, parent)
			}
			continue
		}
		component, _, _ := strings.Cut(registered.name, "-")
		if !strings.HasSuffix(parent, "::"+component) || !strings.Contains(parent, "todo:aws:") {
			t.Errorf("%s is below %q, want the component %q", key, parent, component)
		}
	}
}

// checkProvider holds that AWS is asked through the provider of the stack's region only.
func checkProvider(t *testing.T, r *recorder) {
	t.Helper()
	const explicit = "::pulumi:providers:aws::aws::"
	for _, registered := range r.resources {
		provider := registered.request.GetProvider()
		if strings.HasPrefix(registered.typ, "aws:") && !strings.Contains(provider, explicit) {
			t.Errorf("%s %s has provider %q, want the explicit one", registered.typ, registered.name, provider)
		}
	}
	for _, invoke := range r.invokes {
		if !strings.Contains(invoke.Provider, explicit) {
			t.Errorf("%s has provider %q, want the explicit one", invoke.Token, invoke.Provider)
		}
	}
}

// checkLogicalNames holds that logical names are lower case and say nothing of the stack.
func checkLogicalNames(t *testing.T, r *recorder) {
	t.Helper()
	for _, registered := range r.resources {
		if registered.name != strings.ToLower(registered.name) || strings.Contains(registered.name, testStack) {
			t.Errorf("%s has the logical name %q", registered.typ, registered.name)
		}
	}
}

func checkNobodyGetsIn(t *testing.T, r *recorder) {
	t.Helper()
	for _, rule := range r.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule") {
		for _, open := range []string{"cidrIpv4", "cidrIpv6", "prefixListId"} {
			if value, ok := rule.values()[open]; ok && value != r.only(t, "aws:ec2/vpc:Vpc").values()["cidrBlock"] {
				t.Errorf("%s lets in %v", rule.name, value)
			}
		}
	}
	for _, group := range r.all("aws:ec2/securityGroup:SecurityGroup") {
		for _, inline := range []string{"ingress", "egress"} {
			if _, ok := group.values()[inline]; ok {
				t.Errorf("%s has %s rules of its own", group.name, inline)
			}
		}
	}
}

func TestOutputs(t *testing.T) {
	got, err := (&recorder{}).run(t, nil)
	if err != nil {
		t.Fatal(err)
	}
	version, _ := got[output.Version].(string)
	if len(version) != 12 {
		t.Errorf("version is %q, want 12 characters", version)
	}
	want := map[string]any{
		output.URL:               "https://abc.eu-west-1.awsapprunner.com",
		output.Image:             imageReference,
		output.Version:           version,
		output.ServiceARN:        "arn:aws:x:eu-west-1:123456789012:service-apprunner",
		output.ServiceLogGroup:   "/aws/apprunner/todo-dev/0a1b/application",
		output.DashboardURL:      "https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#dashboards/dashboard/todo-dev",
		output.DatabaseEndpoint:  "todo.cluster-x.eu-west-1.rds.amazonaws.com",
		output.DatabaseSecretARN: secretARN,
		output.RepositoryURL:     repositoryURL,
		output.VPCID:             "network-vpc-id",
	}
	for name, value := range got {
		got[name] = fmt.Sprint(value)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("outputs (-got +want):\n%s", diff)
	}
}

func TestProviderTagsEverything(t *testing.T) {
	got := up(t, map[string]string{"aws:region": "eu-central-1"}).only(t, "pulumi:providers:aws").values()
	want := map[string]any{
		"region": "eu-central-1",
		"defaultTags": map[string]any{
			"tags": map[string]any{"project": "todo", "stack": "dev", "managed-by": "pulumi"},
		},
		// These two are the SDK's own.
		"skipCredentialsValidation": false,
		"skipRegionValidation":      true,
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("provider (-got +want):\n%s", diff)
	}
}

func TestWhoMayTalkToWhom(t *testing.T) {
	toDatabase := []string{
		"in network-database-id from network-service-id 5432",
		"out network-service-id to network-database-id 5432",
	}
	toSecrets := []string{
		"in network-secrets-id from network-service-id 443",
		"out network-service-id to network-secrets-id 443",
	}
	tests := map[string][]string{
		"default":  toDatabase,
		"nat":      slices.Concat([]string{"out network-service-id to 0.0.0.0/0 443"}, toDatabase),
		"password": slices.Concat(toSecrets, toDatabase),
		"guarded":  slices.Concat(toSecrets, toDatabase),
		"private":  slices.Concat([]string{"in network-requests-id from 10.0.0.0/16 443"}, toDatabase),
	}
	for shape, want := range tests {
		t.Run(shape, func(t *testing.T) {
			r := up(t, shapes[shape])
			var got []string
			for _, rule := range r.all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule") {
				v := rule.values()
				from := v["referencedSecurityGroupId"]
				if from == nil {
					from = v["cidrIpv4"]
				}
				got = append(got, fmt.Sprintf("in %v from %v %v", v["securityGroupId"], from, v["fromPort"]))
			}
			for _, rule := range r.all("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule") {
				v := rule.values()
				to := v["referencedSecurityGroupId"]
				if to == nil {
					to = v["cidrIpv4"]
				}
				got = append(got, fmt.Sprintf("out %v to %v %v", v["securityGroupId"], to, v["toPort"]))
			}
			slices.Sort(got)
			slices.Sort(want)
			if diff := cmp.Diff(got, want); diff != "" {
				t.Errorf("rules (-got +want):\n%s", diff)
			}
		})
	}
}

func TestZonesAreTakenInOrder(t *testing.T) {
	got := map[string]string{}
	for _, subnet := range up(t, nil).all("aws:ec2/subnet:Subnet") {
		got[subnet.name] = fmt.Sprint(subnet.values()["availabilityZone"], " ", subnet.values()["cidrBlock"])
	}
	want := map[string]string{
		"network-public-1":  "eu-west-1a 10.0.0.0/20",
		"network-public-2":  "eu-west-1b 10.0.16.0/20",
		"network-private-1": "eu-west-1a 10.0.128.0/20",
		"network-private-2": "eu-west-1b 10.0.144.0/20",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("subnets (-got +want):\n%s", diff)
	}
}

func TestNoNATGatewayUnlessAskedFor(t *testing.T) {
	const (
		endpoint = "aws:ec2/vpcEndpoint:VpcEndpoint"
		nat      = "aws:ec2/natGateway:NatGateway"
	)
	r := up(t, shapes["password"])
	if got := len(r.all(nat)); got != 0 {
		t.Errorf("%d NAT gateways, want none", got)
	}
	want := map[string]any{
		"vpcId":             "network-vpc-id",
		"vpcEndpointType":   "Interface",
		"serviceName":       "com.amazonaws.eu-west-1.secretsmanager",
		"privateDnsEnabled": true,
		"subnetIds":         []any{"network-private-1-id", "network-private-2-id"},
		"securityGroupIds":  []any{"network-secrets-id"},
		"tags":              map[string]any{"Name": "todo-dev-network-secrets"},
	}
	if diff := cmp.Diff(r.only(t, endpoint).values(), want); diff != "" {
		t.Errorf("endpoint (-got +want):\n%s", diff)
	}

	r = up(t, map[string]string{"todo:databaseLogin": "password", "todo:egress": "nat", "todo:zones": "3"})
	if got := len(r.all(endpoint)); got != 0 {
		t.Errorf("%d endpoints beside the NAT gateway, want none", got)
	}
	if got := r.only(t, nat).values()["subnetId"]; got != "network-public-1-id" {
		t.Errorf("the NAT gateway is in %v, want a public subnet", got)
	}
}
