package stack

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// These hold for every stack, whatever its shape, and are called for each.

// unnameable are the actions that AWS knows no resource for.
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazonelasticcontainerregistry.html
// https://docs.aws.amazon.com/service-authorization/latest/reference/list_awsx-ray.html
var unnameable = []string{
	"ecr:GetAuthorizationToken", "xray:GetSamplingRules", "xray:GetSamplingStatisticSummaries", "xray:GetSamplingTargets",
	"xray:PutTelemetryRecords", "xray:PutTraceSegments",
}

// checkPolicies holds that no statement allows more than it has to: every action by its name, on a resource by its name.
func checkPolicies(t *testing.T, r *recorder) {
	t.Helper()
	for _, policy := range r.all("aws:iam/rolePolicy:RolePolicy") {
		document, known := policy.values()["policy"].(string)
		if !known {
			continue // a preview knows no ARN yet
		}
		for _, s := range parse(t, document).(map[string]any)["Statement"].([]any) {
			statement := s.(map[string]any)
			for _, action := range statement["Action"].([]any) {
				if strings.Contains(action.(string), "*") {
					t.Errorf("%s allows %s", policy.name, action)
				}
				for _, on := range statement["Resource"].([]any) {
					if strings.Contains(on.(string), "*") && !slices.Contains(unnameable, action.(string)) {
						t.Errorf("%s allows %s on %s", policy.name, action, on)
					}
				}
			}
		}
	}
}

// checkEncryption holds that what keeps data encrypts it, and that it speaks encrypted only.
func checkEncryption(t *testing.T, r *recorder) {
	t.Helper()
	if r.only(t, "aws:rds/cluster:Cluster").values()["storageEncrypted"] != true {
		t.Error("the database's storage is not encrypted")
	}
	if got := fmt.Sprint(r.only(t, "aws:rds/clusterParameterGroup:ClusterParameterGroup").values()["parameters"]); !strings.Contains(got, "name:rds.force_ssl value:1") {
		t.Errorf("the database takes connections without TLS: %s", got)
	}
	if got := r.only(t, ecrRepository).values()["encryptionConfigurations"]; got == nil {
		t.Error("the images are not encrypted")
	}
}

// checkSecrets holds that what is secret is marked as such wherever it goes.
func checkSecrets(t *testing.T, r *recorder, outputs map[string]any) {
	t.Helper()
	for _, registered := range r.resources {
		for _, at := range plain(resource.NewProperty(registered.inputs), registryPassword) {
			t.Errorf("%s %s shows the registry's password in %s", registered.typ, registered.name, at)
		}
		if password, given := registered.inputs["masterPassword"]; given {
			t.Errorf("%s has a password of its own: %v", registered.name, password)
		}
	}
	for name, value := range outputs {
		if strings.Contains(fmt.Sprint(value), registryPassword) {
			t.Errorf("the output %s shows the registry's password", name)
		}
	}
}

// plain are the paths at which a value holds text that is no secret.
func plain(value resource.PropertyValue, text string) []string {
	var found []string
	switch {
	case value.IsString() && strings.Contains(value.StringValue(), text):
		found = append(found, "")
	case value.IsArray():
		for i, element := range value.ArrayValue() {
			for _, at := range plain(element, text) {
				found = append(found, fmt.Sprintf("[%d]%s", i, at))
			}
		}
	case value.IsObject():
		for key, element := range value.ObjectValue() {
			for _, at := range plain(element, text) {
				found = append(found, fmt.Sprintf(".%s%s", key, at))
			}
		}
	case value.IsOutput():
		if o := value.OutputValue(); !o.Secret {
			return plain(o.Element, text)
		}
	}
	return found
}

// checkLabels holds that the console can tell apart what has no name but a tag, and that no tag hides one of the stack's.
func checkLabels(t *testing.T, r *recorder) {
	t.Helper()
	seen := map[string]string{}
	for _, registered := range r.resources {
		tags, _ := registered.values()["tags"].(map[string]any)
		for _, own := range []string{"project", "stack", "managed-by"} {
			if _, hides := tags[own]; hides {
				t.Errorf("%s %s has a tag %q of its own", registered.typ, registered.name, own)
			}
		}
		if !slices.Contains(labelled, registered.typ) {
			continue
		}
		label, _ := tags["Name"].(string)
		if !strings.HasPrefix(label, testProject+"-"+testStack+"-network") {
			t.Errorf("%s %s is labelled %q", registered.typ, registered.name, label)
		}
		if other := seen[registered.typ+label]; other != "" {
			t.Errorf("%s %s and %s are both labelled %q", registered.typ, registered.name, other, label)
		}
		seen[registered.typ+label] = registered.name
	}
}

// labelled are the types that EC2 knows by their ids.
var labelled = []string{
	"aws:ec2/vpc:Vpc", "aws:ec2/subnet:Subnet", "aws:ec2/routeTable:RouteTable", "aws:ec2/internetGateway:InternetGateway",
	"aws:ec2/eip:Eip", "aws:ec2/natGateway:NatGateway", "aws:ec2/vpcEndpoint:VpcEndpoint", "aws:ec2/securityGroup:SecurityGroup",
}

// checkOutputs holds that an update knows every output.
func checkOutputs(t *testing.T, r *recorder, outputs map[string]any) {
	t.Helper()
	for name, value := range outputs {
		if !r.preview && (value == nil || fmt.Sprint(value) == "") {
			t.Errorf("the output %s is not set", name)
		}
	}
}

// The checks above would be worth nothing if they could not fail.
func TestPlainFindsWhatIsNotSecret(t *testing.T) {
	const text = "hidden"
	value := resource.NewProperty(resource.PropertyMap{
		"open":   resource.NewProperty([]resource.PropertyValue{resource.NewProperty("x"), resource.NewProperty("so " + text + "?")}),
		"output": resource.NewProperty(resource.Output{Element: resource.NewProperty(text), Known: true}),
		"kept":   resource.MakeSecret(resource.NewProperty(text)),
		"sealed": resource.NewProperty(resource.Output{Element: resource.NewProperty(text), Known: true, Secret: true}),
	})
	got := plain(value, text)
	slices.Sort(got)
	if want := []string{".open[1]", ".output"}; !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
}
