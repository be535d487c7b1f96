package network

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/ec2"
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/vpc"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	tcp   = "tcp"
	https = 443
)

// securityGroups holds who may talk to whom. Rules are resources of their own, because groups that name each other in
// their own body could not be created in any order. AWS's open egress rule is removed from every group on creation.
type securityGroups struct {
	service, database *ec2.SecurityGroup
	rules             []pulumi.CustomResource
}

func newSecurityGroups(
	ctx *pulumi.Context, name string, network *ec2.Vpc, args *Args, inside pulumi.ResourceOption,
) (*securityGroups, error) {
	// The number of zones is in the description so that another number gives another group: App Runner refuses a
	// connector over new subnets with a group that an existing connector holds.
	// https://github.com/pulumi/pulumi-aws/issues/5364
	service, err := newSecurityGroup(ctx, name+"-service", network, fmt.Sprintf("Service in %d zones", args.Zones), inside)
	if err != nil {
		return nil, err
	}
	database, err := newSecurityGroup(ctx, name+"-database", network, "Database", inside)
	if err != nil {
		return nil, err
	}
	groups := &securityGroups{service: service, database: database}
	err = groups.letServiceReach(ctx, name+"-database", database, args.DatabasePort, inside)
	if err != nil {
		return nil, err
	}
	return groups, nil
}

func newSecurityGroup(
	ctx *pulumi.Context, name string, network *ec2.Vpc, description string, inside pulumi.ResourceOption,
) (*ec2.SecurityGroup, error) {
	group, err := ec2.NewSecurityGroup(ctx, name, &ec2.SecurityGroupArgs{
		VpcId:       network.ID(),
		Description: pulumi.String(description),
		Tags:        label(ctx, name),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("security group %s: %w", name, err)
	}
	return group, nil
}

// letServiceReach opens one port between the service and a target, on both sides.
func (g *securityGroups) letServiceReach(
	ctx *pulumi.Context, name string, target *ec2.SecurityGroup, port int, inside pulumi.ResourceOption,
) error {
	out, err := vpc.NewSecurityGroupEgressRule(ctx, name+"-from-service", &vpc.SecurityGroupEgressRuleArgs{
		SecurityGroupId:           g.service.ID(),
		ReferencedSecurityGroupId: target.ID(),
		IpProtocol:                pulumi.String(tcp),
		FromPort:                  pulumi.Int(port),
		ToPort:                    pulumi.Int(port),
		Description:               pulumi.String("Service to " + name),
	}, inside)
	if err != nil {
		return fmt.Errorf("way out to %s: %w", name, err)
	}
	in, err := vpc.NewSecurityGroupIngressRule(ctx, name+"-from-service", &vpc.SecurityGroupIngressRuleArgs{
		SecurityGroupId:           target.ID(),
		ReferencedSecurityGroupId: g.service.ID(),
		IpProtocol:                pulumi.String(tcp),
		FromPort:                  pulumi.Int(port),
		ToPort:                    pulumi.Int(port),
		Description:               pulumi.String("From the service"),
	}, inside,
		// While the service moves to another group, both groups must get in.
		pulumi.ReplaceOnChanges([]string{"referencedSecurityGroupId"}))
	if err != nil {
		return fmt.Errorf("way in to %s: %w", name, err)
	}
	g.rules = append(g.rules, out, in)
	return nil
}

func (g *securityGroups) letServiceReachEndpoint(
	ctx *pulumi.Context, name string, network *ec2.Vpc, inside pulumi.ResourceOption,
) (*ec2.SecurityGroup, error) {
	endpoint, err := newSecurityGroup(ctx, name+"-secrets", network, "Endpoint of Secrets Manager", inside)
	if err != nil {
		return nil, err
	}
	return endpoint, g.letServiceReach(ctx, name+"-secrets", endpoint, https, inside)
}

// letNetworkReachRequests opens the way to App Runner's private services to the network's own addresses.
func letNetworkReachRequests(
	ctx *pulumi.Context, name string, network *ec2.Vpc, inside pulumi.ResourceOption,
) (*ec2.SecurityGroup, error) {
	endpoint, err := newSecurityGroup(ctx, name+"-requests", network, "Endpoint of private services", inside)
	if err != nil {
		return nil, err
	}
	_, err = vpc.NewSecurityGroupIngressRule(ctx, name+"-requests-from-network", &vpc.SecurityGroupIngressRuleArgs{
		SecurityGroupId: endpoint.ID(),
		CidrIpv4:        network.CidrBlock,
		IpProtocol:      pulumi.String(tcp),
		FromPort:        pulumi.Int(https),
		ToPort:          pulumi.Int(https),
		Description:     pulumi.String("From the network"),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("way in to private services: %w", err)
	}
	return endpoint, nil
}

func (g *securityGroups) letServiceOut(ctx *pulumi.Context, name string, inside pulumi.ResourceOption) error {
	out, err := vpc.NewSecurityGroupEgressRule(ctx, name+"-internet-from-service", &vpc.SecurityGroupEgressRuleArgs{
		SecurityGroupId: g.service.ID(),
		CidrIpv4:        pulumi.String(anywhere),
		IpProtocol:      pulumi.String(tcp),
		FromPort:        pulumi.Int(https),
		ToPort:          pulumi.Int(https),
		Description:     pulumi.String("Service to the internet"),
	}, inside)
	if err != nil {
		return fmt.Errorf("way out to the internet: %w", err)
	}
	g.rules = append(g.rules, out)
	return nil
}
