package account

import (
	"go/build"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/apprunner"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/rds"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/sns"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/vpc"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
	"example.com/todo/rehearsal/schema/schematest"
)

// sdkTypes are the SDK's own descriptions of what the account models: arguments and outputs.
var sdkTypes = map[string]struct {
	args     pulumi.Input
	resource any
}{
	tokenVPC:                   {ec2.VpcArgs{}, ec2.Vpc{}},
	tokenSubnet:                {ec2.SubnetArgs{}, ec2.Subnet{}},
	tokenInternetGateway:       {ec2.InternetGatewayArgs{}, ec2.InternetGateway{}},
	tokenRouteTable:            {ec2.RouteTableArgs{}, ec2.RouteTable{}},
	tokenRoute:                 {ec2.RouteArgs{}, ec2.Route{}},
	tokenRouteTableAssociation: {ec2.RouteTableAssociationArgs{}, ec2.RouteTableAssociation{}},
	tokenEIP:                   {ec2.EipArgs{}, ec2.Eip{}},
	tokenNATGateway:            {ec2.NatGatewayArgs{}, ec2.NatGateway{}},
	tokenVPCEndpoint:           {ec2.VpcEndpointArgs{}, ec2.VpcEndpoint{}},
	tokenSecurityGroup:         {ec2.SecurityGroupArgs{}, ec2.SecurityGroup{}},
	tokenIngressRule:           {vpc.SecurityGroupIngressRuleArgs{}, vpc.SecurityGroupIngressRule{}},
	tokenEgressRule:            {vpc.SecurityGroupEgressRuleArgs{}, vpc.SecurityGroupEgressRule{}},
	tokenRole:                  {iam.RoleArgs{}, iam.Role{}},
	tokenRolePolicy:            {iam.RolePolicyArgs{}, iam.RolePolicy{}},
	tokenSubnetGroup:           {rds.SubnetGroupArgs{}, rds.SubnetGroup{}},
	tokenParameterGroup:        {rds.ClusterParameterGroupArgs{}, rds.ClusterParameterGroup{}},
	tokenCluster:               {rds.ClusterArgs{}, rds.Cluster{}},
	tokenClusterInstance:       {rds.ClusterInstanceArgs{}, rds.ClusterInstance{}},
	tokenRepository:            {ecr.RepositoryArgs{}, ecr.Repository{}},
	tokenLifecyclePolicy:       {ecr.LifecyclePolicyArgs{}, ecr.LifecyclePolicy{}},
	tokenObservability:         {apprunner.ObservabilityConfigurationArgs{}, apprunner.ObservabilityConfiguration{}},
	tokenCustomDomain:          {apprunner.CustomDomainAssociationArgs{}, apprunner.CustomDomainAssociation{}},
	tokenLogGroup:              {cloudwatch.LogGroupArgs{}, cloudwatch.LogGroup{}},
	tokenAlarm:                 {cloudwatch.MetricAlarmArgs{}, cloudwatch.MetricAlarm{}},
	tokenDashboard:             {cloudwatch.DashboardArgs{}, cloudwatch.Dashboard{}},
	tokenTopic:                 {sns.TopicArgs{}, sns.Topic{}},
	tokenSubscription:          {sns.TopicSubscriptionArgs{}, sns.TopicSubscription{}},
	tokenConnector:             {apprunner.VpcConnectorArgs{}, apprunner.VpcConnector{}},
	tokenAutoScaling:           {apprunner.AutoScalingConfigurationVersionArgs{}, apprunner.AutoScalingConfigurationVersion{}},
	tokenIngressConnection:     {apprunner.VpcIngressConnectionArgs{}, apprunner.VpcIngressConnection{}},
	tokenService:               {apprunner.ServiceArgs{}, apprunner.Service{}},
}

var sdkFunctions = map[string]struct{ args, result any }{
	"aws:index/getAvailabilityZones:getAvailabilityZones": {aws.GetAvailabilityZonesArgs{}, aws.GetAvailabilityZonesResult{}},
	"aws:ecr/getAuthorizationToken:getAuthorizationToken": {ecr.GetAuthorizationTokenArgs{}, ecr.GetAuthorizationTokenResult{}},
	"aws:index/getCallerIdentity:getCallerIdentity":       {aws.GetCallerIdentityArgs{}, aws.GetCallerIdentityResult{}},
}

// A misspelt or mistyped property would make the simulation accept, or answer, what AWS's provider does not.
func TestPropertiesAreTheSDKs(t *testing.T) {
	a := New(nil)
	for _, token := range a.Tokens() {
		if token == tokenWebACLAssociation {
			continue // below
		}
		sdk, known := sdkTypes[token]
		if !known {
			t.Errorf("%s: not compared with the SDK", token)
			continue
		}
		modelled, _ := a.Type(token)
		schematest.Compare(t, token, modelled.Inputs, sdk.args.ElementType(), true)
		schematest.Compare(t, token, modelled.Outputs, reflect.TypeOf(sdk.resource), false)
		schematest.Compare(t, token, modelled.Inputs, reflect.TypeOf(sdk.resource), false)
	}
	if got, want := len(a.Tokens()), len(sdkTypes)+1; got != want {
		t.Errorf("%d types are modelled, %d compared", got, want)
	}
}

// The package of the web ACL association takes gigabytes to compile: its source is read instead.
func TestWebACLAssociationIsTheSDKs(t *testing.T) {
	pkg, err := build.Import("github.com/pulumi/pulumi-aws/sdk/v6/go/aws/wafv2", ".", build.FindOnly)
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile(filepath.Join(pkg.Dir, "webAclAssociation.go"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(source), `RegisterResource("`+tokenWebACLAssociation+`"`) {
		t.Errorf("the SDK registers another type than %s", tokenWebACLAssociation)
	}
	sdk := map[string]bool{}
	// Plain strings are the required arguments, as a program gives them.
	for _, field := range regexp.MustCompile("\\w +string +`pulumi:\"(\\w+)\"`").FindAllStringSubmatch(string(source), -1) {
		sdk[field[1]] = true
	}
	modelled, _ := New(nil).Type(tokenWebACLAssociation)
	if len(sdk) != len(modelled.Inputs) {
		t.Errorf("the SDK requires %v, %d are modelled", sdk, len(modelled.Inputs))
	}
	for name, p := range modelled.Inputs {
		if !sdk[name] || !p.Required || p.Kind != schema.String {
			t.Errorf("%s: modelled as %+v, the SDK requires the strings %v", name, p, sdk)
		}
	}
}

func TestFunctionsAreTheSDKs(t *testing.T) {
	for token, function := range functions {
		sdk, known := sdkFunctions[token]
		if !known {
			t.Errorf("%s: not compared with the SDK", token)
			continue
		}
		for _, name := range function.args {
			if _, exists := schematest.Fields(reflect.TypeOf(sdk.args))[name]; !exists {
				t.Errorf("%s: the SDK has no argument %q", token, name)
			}
		}
		for name := range function.call(New(nil), provider.Session{Region: "eu-west-1"}, nil) {
			if _, exists := schematest.Fields(reflect.TypeOf(sdk.result))[string(name)]; !exists {
				t.Errorf("%s: the SDK has no result %q", token, name)
			}
		}
	}
}
