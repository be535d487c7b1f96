// Package network declares the private network between the service and its database.
package network

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const token = "todo:aws:Network"

var addresses = netip.MustParsePrefix("10.0.0.0/16")

// Args decides what a Network is made of.
type Args struct {
	// Region is where the network lives. Required.
	Region string
	// Zones is the number of availability zones, 2 or more. Required: Aurora refuses fewer.
	Zones int
	// NAT gives the service the internet through one NAT gateway, and with it Secrets Manager.
	NAT bool
	// Secrets lets the service reach Secrets Manager without NAT, through an interface endpoint, which is a third of the price.
	// Without either it reaches nothing outside.
	Secrets bool
	// Private lets the network's own addresses, and nobody else, send requests to App Runner through an interface endpoint.
	Private bool
	// DatabasePort is what the service may reach on the database. Required.
	DatabasePort int
}

// Network is a VPC with a public and a private subnet per zone, and the security groups that say who may talk to whom.
//
// App Runner's outgoing traffic runs through private subnets only: in a public one its interfaces get no public address
// and the service fails to start. https://docs.aws.amazon.com/apprunner/latest/dg/network-vpc.html
type Network struct {
	pulumi.ResourceState

	VPCID                   pulumi.IDOutput
	PrivateSubnetIDs        pulumi.StringArray
	ServiceSecurityGroupID  pulumi.IDOutput
	DatabaseSecurityGroupID pulumi.IDOutput
	// Ready is what must be there before a connection from the service arrives.
	Ready []pulumi.CustomResource
	// RequestsEndpointID is where requests to App Runner's private services go in. Only in a private network.
	RequestsEndpointID pulumi.IDOutput
}

// New declares a network.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Network, error) {
	blocks, err := plan(addresses, args.Zones)
	if err != nil {
		return nil, err
	}
	network := &Network{}
	err = ctx.RegisterComponentResource(token, name, network, opts...)
	if err != nil {
		return nil, err
	}
	inside := pulumi.Parent(network)

	zones, err := zoneNames(ctx, args, inside)
	if err != nil {
		return nil, err
	}
	vpc, err := ec2.NewVpc(ctx, name+"-vpc", &ec2.VpcArgs{
		CidrBlock: pulumi.String(addresses.String()),
		// Both are needed before an endpoint may answer under the service's own name.
		// https://docs.aws.amazon.com/vpc/latest/privatelink/interface-endpoints.html
		EnableDnsSupport:   pulumi.Bool(true),
		EnableDnsHostnames: pulumi.Bool(true),
		Tags:               label(ctx, name),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("vpc: %w", err)
	}
	network.VPCID = vpc.ID()

	public, err := newSubnets(ctx, name+"-public", vpc, zones, func(zone int) netip.Prefix { return blocks[zone].public }, inside)
	if err != nil {
		return nil, fmt.Errorf("public subnets: %w", err)
	}
	private, err := newSubnets(ctx, name+"-private", vpc, zones, func(zone int) netip.Prefix { return blocks[zone].private }, inside)
	if err != nil {
		return nil, fmt.Errorf("private subnets: %w", err)
	}
	network.PrivateSubnetIDs = private.ids

	gateway, err := newInternetGateway(ctx, name, vpc, public, inside)
	if err != nil {
		return nil, err
	}
	groups, err := newSecurityGroups(ctx, name, vpc, args, inside)
	if err != nil {
		return nil, err
	}
	network.ServiceSecurityGroupID = groups.service.ID()
	network.DatabaseSecurityGroupID = groups.database.ID()

	switch {
	case args.NAT:
		err = newNAT(ctx, name, gateway, public, private, groups, inside)
	case args.Secrets:
		err = newSecretsEndpoint(ctx, name, args.Region, vpc, private, groups, inside)
	}
	if err != nil {
		return nil, err
	}
	network.Ready = slices.Concat(public.ways, private.ways, groups.rules)
	if args.Private {
		network.RequestsEndpointID, err = newRequestsEndpoint(ctx, name, args.Region, vpc, private, inside)
		if err != nil {
			return nil, err
		}
	}

	return network, ctx.RegisterResourceOutputs(network, pulumi.Map{
		"vpcId":                   network.VPCID,
		"privateSubnetIds":        network.PrivateSubnetIDs,
		"serviceSecurityGroupId":  network.ServiceSecurityGroupID,
		"databaseSecurityGroupId": network.DatabaseSecurityGroupID,
	})
}

// zoneNames picks the first zones in alphabetical order, so that a zone that AWS adds does not move the subnets.
func zoneNames(ctx *pulumi.Context, args *Args, opts ...pulumi.InvokeOption) ([]string, error) {
	found, err := aws.GetAvailabilityZones(ctx, &aws.GetAvailabilityZonesArgs{
		State: pulumi.StringRef("available"),
		// Local Zones are listed too, and hold neither App Runner nor Aurora.
		Filters: []aws.GetAvailabilityZonesFilter{{
			Name:   "opt-in-status",
			Values: []string{"opt-in-not-required"},
		}},
		// App Runner has no connector in this zone of us-east-1.
		// https://docs.aws.amazon.com/apprunner/latest/dg/network-vpc.html
		ExcludeZoneIds: []string{"use1-az3"},
	}, opts...)
	if err != nil {
		return nil, fmt.Errorf("availability zones: %w", err)
	}
	if len(found.Names) < args.Zones {
		return nil, fmt.Errorf("availability zones: %s offers %d, %d are asked for", args.Region, len(found.Names), args.Zones)
	}
	return slices.Sorted(slices.Values(found.Names))[:args.Zones], nil
}

// label is the name that the console shows for resources that have none of their own.
func label(ctx *pulumi.Context, name string) pulumi.StringMap {
	return pulumi.StringMap{"Name": pulumi.String(ctx.Project() + "-" + ctx.Stack() + "-" + name)}
}
