package network

import (
	"fmt"
	"net/netip"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const anywhere = "0.0.0.0/0"

// subnets is one tier of the network: a subnet per zone behind one route table.
type subnets struct {
	ids    pulumi.StringArray
	routes *ec2.RouteTable
	ways   []pulumi.CustomResource // what there must be for traffic to leave
}

func newSubnets(
	ctx *pulumi.Context, name string, vpc *ec2.Vpc, zones []string, block func(zone int) netip.Prefix, inside pulumi.ResourceOption,
) (*subnets, error) {
	routes, err := ec2.NewRouteTable(ctx, name+"-routes", &ec2.RouteTableArgs{
		VpcId: vpc.ID(),
		Tags:  label(ctx, name),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("route table: %w", err)
	}
	tier := &subnets{routes: routes}
	for zone, zoneName := range zones {
		err = tier.add(ctx, fmt.Sprintf("%s-%d", name, zone+1), vpc, zoneName, block(zone), inside)
		if err != nil {
			return nil, fmt.Errorf("subnet in %s: %w", zoneName, err)
		}
	}
	return tier, nil
}

func (s *subnets) add(
	ctx *pulumi.Context, name string, vpc *ec2.Vpc, zone string, block netip.Prefix, inside pulumi.ResourceOption,
) error {
	subnet, err := ec2.NewSubnet(ctx, name, &ec2.SubnetArgs{
		VpcId:               vpc.ID(),
		AvailabilityZone:    pulumi.String(zone),
		CidrBlock:           pulumi.String(block.String()),
		MapPublicIpOnLaunch: pulumi.Bool(false),
		Tags:                label(ctx, name),
	}, inside)
	if err != nil {
		return err
	}
	association, err := ec2.NewRouteTableAssociation(ctx, name, &ec2.RouteTableAssociationArgs{
		RouteTableId: s.routes.ID(),
		SubnetId:     subnet.ID(),
	}, inside)
	if err != nil {
		return fmt.Errorf("routes: %w", err)
	}
	s.ids = append(s.ids, subnet.ID())
	s.ways = append(s.ways, association)
	return nil
}

func newInternetGateway(
	ctx *pulumi.Context, name string, vpc *ec2.Vpc, public *subnets, inside pulumi.ResourceOption,
) (*ec2.InternetGateway, error) {
	gateway, err := ec2.NewInternetGateway(ctx, name+"-internet", &ec2.InternetGatewayArgs{
		VpcId: vpc.ID(),
		Tags:  label(ctx, name),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("internet gateway: %w", err)
	}
	route, err := ec2.NewRoute(ctx, name+"-public-internet", &ec2.RouteArgs{
		RouteTableId:         public.routes.ID(),
		DestinationCidrBlock: pulumi.String(anywhere),
		GatewayId:            gateway.ID(),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("route to the internet gateway: %w", err)
	}
	public.ways = append(public.ways, route)
	return gateway, nil
}

// newNAT gives the private subnets the internet. One gateway serves all zones: a second one doubles the largest fixed
// cost of the network, and the database's own traffic never depends on it.
func newNAT(
	ctx *pulumi.Context, name string, gateway *ec2.InternetGateway, public, private *subnets, groups *securityGroups,
	inside pulumi.ResourceOption,
) error {
	address, err := ec2.NewEip(ctx, name+"-nat", &ec2.EipArgs{
		Domain: pulumi.String("vpc"),
		Tags:   label(ctx, name+"-nat"),
	}, inside)
	if err != nil {
		return fmt.Errorf("nat address: %w", err)
	}
	// Without the internet gateway in place AWS fails the NAT gateway for good.
	// https://docs.aws.amazon.com/vpc/latest/userguide/nat-gateway-troubleshooting.html
	nat, err := ec2.NewNatGateway(ctx, name+"-nat", &ec2.NatGatewayArgs{
		AllocationId:     address.ID(),
		ConnectivityType: pulumi.String("public"),
		SubnetId:         public.ids[0].ToStringOutput(),
		Tags:             label(ctx, name+"-nat"),
	}, inside, pulumi.DependsOn([]pulumi.Resource{gateway}))
	if err != nil {
		return fmt.Errorf("nat gateway: %w", err)
	}
	route, err := ec2.NewRoute(ctx, name+"-private-internet", &ec2.RouteArgs{
		RouteTableId:         private.routes.ID(),
		DestinationCidrBlock: pulumi.String(anywhere),
		NatGatewayId:         nat.ID(),
	}, inside)
	if err != nil {
		return fmt.Errorf("route to the nat gateway: %w", err)
	}
	private.ways = append(private.ways, route)
	return groups.letServiceOut(ctx, name, inside)
}
