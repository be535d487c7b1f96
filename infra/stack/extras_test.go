package stack

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/todo/infra/output"
)

const (
	tracing           = "aws:apprunner/observabilityConfiguration:ObservabilityConfiguration"
	customDomain      = "aws:apprunner/customDomainAssociation:CustomDomainAssociation"
	firewall          = "aws:wafv2/webAclAssociation:WebAclAssociation"
	ingressConnection = "aws:apprunner/vpcIngressConnection:VpcIngressConnection"
	serviceARN        = "arn:aws:x:eu-west-1:123456789012:service-apprunner"
)

func TestNothingExtraUnlessAskedFor(t *testing.T) {
	r := up(t, nil)
	for _, typ := range []string{tracing, customDomain, firewall, ingressConnection} {
		if got := r.all(typ); len(got) > 0 {
			t.Errorf("%d of %s, want none", len(got), typ)
		}
	}
}

func TestTracing(t *testing.T) {
	r := up(t, map[string]string{"todo:xray": "true"})
	want := map[string]any{"observabilityConfigurationName": "todo-dev", "traceConfiguration": map[string]any{"vendor": "AWSXRAY"}}
	if diff := cmp.Diff(r.only(t, tracing).values(), want); diff != "" {
		t.Errorf("configuration (-got +want):\n%s", diff)
	}
	used := map[string]any{
		"observabilityEnabled": true, "observabilityConfigurationArn": "arn:aws:x:eu-west-1:123456789012:service-tracing",
	}
	if diff := cmp.Diff(r.only(t, "aws:apprunner/service:Service").values()["observabilityConfiguration"], any(used)); diff != "" {
		t.Errorf("service (-got +want):\n%s", diff)
	}
	told := environment(t, r)
	for name, want := range map[string]any{
		"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4317", "OTEL_SERVICE_NAME": "todo-dev",
	} {
		if told[name] != want {
			t.Errorf("the service is told %s=%v, want %v", name, told[name], want)
		}
	}
	policies := r.all("aws:iam/rolePolicy:RolePolicy")
	i := slices.IndexFunc(policies, func(p registration) bool { return p.name == "service-instance" })
	statements := parse(t, policies[i].values()["policy"]).(map[string]any)["Statement"].([]any)
	may := map[string]any{"Effect": "Allow", "Resource": []any{"*"}, "Action": []any{
		"xray:GetSamplingRules", "xray:GetSamplingStatisticSummaries", "xray:GetSamplingTargets", "xray:PutTelemetryRecords",
		"xray:PutTraceSegments",
	}}
	if diff := cmp.Diff(statements[1:], []any{may}); diff != "" {
		t.Errorf("the instance role's further statements (-got +want):\n%s", diff)
	}
}

// environment is what the service is told.
func environment(t *testing.T, r *recorder) map[string]any {
	t.Helper()
	source, _ := r.only(t, "aws:apprunner/service:Service").values()["sourceConfiguration"].(map[string]any)
	repository, _ := source["imageRepository"].(map[string]any)
	configuration, _ := repository["imageConfiguration"].(map[string]any)
	variables, _ := configuration["runtimeEnvironmentVariables"].(map[string]any)
	return variables
}

func TestCustomDomain(t *testing.T) {
	r := &recorder{}
	outputs, err := r.run(t, map[string]string{"todo:customDomain": "api.example.com"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"serviceArn": serviceARN, "domainName": "api.example.com", "enableWwwSubdomain": false}
	if diff := cmp.Diff(r.only(t, customDomain).values(), want); diff != "" {
		t.Errorf("domain (-got +want):\n%s", diff)
	}
	const records = "api.example.com CNAME abc.eu-west-1.awsapprunner.com\n_a.example.com. CNAME _1.acm.aws.\n_b.example.com. CNAME _2.acm.aws."
	if diff := cmp.Diff(outputs[output.DNSRecords], any(records)); diff != "" {
		t.Errorf("records (-got +want):\n%s", diff)
	}
}

func TestPrivateAccess(t *testing.T) {
	r := &recorder{}
	outputs, err := r.run(t, shapes["private"])
	if err != nil {
		t.Fatal(err)
	}
	network, _ := r.only(t, "aws:apprunner/service:Service").values()["networkConfiguration"].(map[string]any)
	if diff := cmp.Diff(network["ingressConfiguration"], any(map[string]any{"isPubliclyAccessible": false})); diff != "" {
		t.Errorf("the service's ingress (-got +want):\n%s", diff)
	}
	told := environment(t, r)
	if proxies, trusts := told["TRUSTED_PROXIES"]; trusts || told["RATE_LIMIT"] != "0" {
		t.Errorf("the service trusts %v proxies and limits the rate to %v, want neither", proxies, told["RATE_LIMIT"])
	}
	endpoints := r.all("aws:ec2/vpcEndpoint:VpcEndpoint")
	i := slices.IndexFunc(endpoints, func(e registration) bool { return e.name == "network-requests" })
	want := map[string]any{
		"vpcId":             "network-vpc-id",
		"vpcEndpointType":   "Interface",
		"serviceName":       "com.amazonaws.eu-west-1.apprunner.requests",
		"privateDnsEnabled": false,
		"subnetIds":         []any{"network-private-1-id", "network-private-2-id"},
		"securityGroupIds":  []any{"network-requests-id"},
		"tags":              map[string]any{"Name": "todo-dev-network-requests"},
	}
	if diff := cmp.Diff(endpoints[i].values(), want); diff != "" {
		t.Errorf("endpoint (-got +want):\n%s", diff)
	}
	connection := r.only(t, ingressConnection)
	want = map[string]any{"name": "todo-dev", "serviceArn": serviceARN, "ingressVpcConfiguration": map[string]any{
		"vpcId": "network-vpc-id", "vpcEndpointId": "network-requests-id"}}
	if diff := cmp.Diff(connection.values(), want); diff != "" {
		t.Errorf("connection (-got +want):\n%s", diff)
	}
	// Pulumi's provider reports a change of it as done and does nothing.
	if got := connection.request.GetReplaceOnChanges(); !slices.Equal(got, []string{"ingressVpcConfiguration"}) || !connection.request.GetDeleteBeforeReplace() {
		t.Errorf("the connection is replaced on changes of %v, old one first: %t", got, connection.request.GetDeleteBeforeReplace())
	}
	if got := outputs[output.URL]; got != "https://private.eu-west-1.awsapprunner.com" {
		t.Errorf("url is %v, want the private one", got)
	}
}

func TestFirewall(t *testing.T) {
	const acl = "arn:aws:wafv2:eu-west-1:123456789012:regional/webacl/todo/" + uuid
	association := up(t, map[string]string{"todo:webAclArn": acl}).only(t, firewall)
	if diff := cmp.Diff(association.values(), map[string]any{"resourceArn": serviceARN, "webAclArn": acl}); diff != "" {
		t.Errorf("association (-got +want):\n%s", diff)
	}
	if !association.request.GetDeleteBeforeReplace() {
		t.Error("a new web ACL would be taken away with the old one")
	}
}
