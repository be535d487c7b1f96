package network

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newSecretsEndpoint brings Secrets Manager, the only AWS API that the service ever calls, into the private subnets.
func newSecretsEndpoint(
	ctx *pulumi.Context, name, region string, vpc *ec2.Vpc, private *subnets, groups *securityGroups, inside pulumi.ResourceOption,
) error {
	group, err := groups.letServiceReachEndpoint(ctx, name, vpc, inside)
	if err != nil {
		return err
	}
	// The SDK in the service asks for Secrets Manager's own name.
	endpoint, err := newEndpoint(ctx, name+"-secrets", region, "secretsmanager", true, vpc, private, group, inside)
	if err != nil {
		return err
	}
	private.ways = append(private.ways, endpoint)
	return nil
}

// newRequestsEndpoint lets requests to private services of App Runner in. The name under which such a service answers is
// in the public DNS and leads to the endpoint's addresses, so that it needs no private one.
// https://docs.aws.amazon.com/apprunner/latest/dg/network-pl.html
func newRequestsEndpoint(
	ctx *pulumi.Context, name, region string, vpc *ec2.Vpc, private *subnets, inside pulumi.ResourceOption,
) (pulumi.IDOutput, error) {
	group, err := letNetworkReachRequests(ctx, name, vpc, inside)
	if err != nil {
		return pulumi.IDOutput{}, err
	}
	endpoint, err := newEndpoint(ctx, name+"-requests", region, "apprunner.requests", false, vpc, private, group, inside)
	if err != nil {
		return pulumi.IDOutput{}, err
	}
	return endpoint.ID(), nil
}

func newEndpoint(
	ctx *pulumi.Context, name, region, service string, privateDNS bool, vpc *ec2.Vpc, private *subnets, group *ec2.SecurityGroup,
	inside pulumi.ResourceOption,
) (*ec2.VpcEndpoint, error) {
	endpoint, err := ec2.NewVpcEndpoint(ctx, name, &ec2.VpcEndpointArgs{
		VpcId:             vpc.ID(),
		VpcEndpointType:   pulumi.String("Interface"),
		ServiceName:       pulumi.String("com.amazonaws." + region + "." + service),
		PrivateDnsEnabled: pulumi.Bool(privateDNS),
		SubnetIds:         private.ids,
		SecurityGroupIds:  pulumi.StringArray{group.ID()},
		Tags:              label(ctx, name),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("endpoint for %s: %w", service, err)
	}
	return endpoint, nil
}
