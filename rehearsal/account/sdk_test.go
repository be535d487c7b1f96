package account

import (
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/apprunner"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ecr"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/rds"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/vpc"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"example.com/todo/rehearsal/provider"
	"example.com/todo/rehearsal/schema"
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
	tokenConnector:             {apprunner.VpcConnectorArgs{}, apprunner.VpcConnector{}},
	tokenAutoScaling:           {apprunner.AutoScalingConfigurationVersionArgs{}, apprunner.AutoScalingConfigurationVersion{}},
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
		sdk, known := sdkTypes[token]
		if !known {
			t.Errorf("%s: not compared with the SDK", token)
			continue
		}
		modelled, _ := a.Type(token)
		compare(t, token, modelled.Inputs, sdk.args.ElementType(), true)
		compare(t, token, modelled.Outputs, reflect.TypeOf(sdk.resource), false)
		compare(t, token, modelled.Inputs, reflect.TypeOf(sdk.resource), false)
	}
	if got, want := len(a.Tokens()), len(sdkTypes); got != want {
		t.Errorf("%d types are modelled, %d compared", got, want)
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
			if _, exists := fields(reflect.TypeOf(sdk.args))[name]; !exists {
				t.Errorf("%s: the SDK has no argument %q", token, name)
			}
		}
		for name := range function.call(New(nil), provider.Session{Region: "eu-west-1"}, nil) {
			if _, exists := fields(reflect.TypeOf(sdk.result))[string(name)]; !exists {
				t.Errorf("%s: the SDK has no result %q", token, name)
			}
		}
	}
}

// compare walks modelled properties beside a Go struct of the SDK. Of arguments also the required ones must agree.
func compare(t *testing.T, at string, modelled schema.Properties, sdk reflect.Type, args bool) {
	t.Helper()
	known := fields(sdk)
	for name, p := range modelled {
		field, exists := known[name]
		if !exists {
			t.Errorf("%s: the SDK's %s has no property %q", at, sdk, name)
			continue
		}
		compareKind(t, at+"."+name, p, field.Type, args)
	}
	if !args {
		return
	}
	for name, field := range known {
		required := !slices.Contains([]reflect.Kind{reflect.Pointer, reflect.Slice, reflect.Map, reflect.Interface}, field.Type.Kind())
		if required && !modelled[name].Required {
			t.Errorf("%s: the SDK requires %q, the model does not", at, name)
		}
	}
}

func compareKind(t *testing.T, at string, p schema.Property, sdk reflect.Type, args bool) {
	t.Helper()
	sdk = plain(sdk)
	want := map[reflect.Kind]schema.Kind{
		reflect.String: schema.String, reflect.Bool: schema.Bool, reflect.Int: schema.Number, reflect.Float64: schema.Number,
		reflect.Slice: schema.List, reflect.Map: schema.Map, reflect.Struct: schema.Object,
	}
	kind, modelled := want[sdk.Kind()]
	switch {
	case sdk.Kind() == reflect.Interface:
		// The SDK takes anything here, a role by name or as a resource: on the wire it is a string.
		kind = schema.String
	case !modelled:
		t.Errorf("%s: the SDK's type %s is none that is modelled", at, sdk)
		return
	}
	if p.Kind != kind {
		t.Errorf("%s: modelled as %s, the SDK has %s", at, p.Kind, sdk)
		return
	}
	switch kind {
	case schema.List, schema.Map:
		if p.Elem == nil {
			t.Errorf("%s: the elements are not modelled", at)
			return
		}
		compareKind(t, at+"[]", *p.Elem, sdk.Elem(), args)
	case schema.Object:
		compare(t, at, p.Fields, sdk, args)
	}
}

// plain is the Go type of a value behind pointers and Pulumi outputs.
func plain(t reflect.Type) reflect.Type {
	for {
		if output, ok := reflect.Zero(t).Interface().(pulumi.Output); ok && t.Kind() == reflect.Struct {
			t = output.ElementType()
			continue
		}
		if t.Kind() != reflect.Pointer {
			return t
		}
		t = t.Elem()
	}
}

func fields(t reflect.Type) map[string]reflect.StructField {
	all := map[string]reflect.StructField{}
	for i := range t.NumField() {
		if tag, ok := t.Field(i).Tag.Lookup("pulumi"); ok {
			name, _, _ := strings.Cut(tag, ",")
			all[name] = t.Field(i)
		}
	}
	return all
}
