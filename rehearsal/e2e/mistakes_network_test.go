package e2e

// What has resources that the smallest stack has not.
var (
	nat    = settings{"todo:egress": "nat"}
	tokens = settings{"todo:databaseLogin": "iam"}
	rich   = settings{"todo:access": "private", "todo:alarmEmail": "ops@example.com", "todo:xray": true}
)

var networkMistakes = []mutation{
	{
		name: "a VPC without DNS host names", file: "network/network.go",
		right: `EnableDnsHostnames: pulumi.Bool(true),`, wrong: ``,
		at: atUp, says: `Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true`,
	},
	{
		name: "a VPC without DNS", file: "network/network.go", settings: nat,
		right: `EnableDnsSupport:   pulumi.Bool(true),`, wrong: `EnableDnsSupport: pulumi.Bool(false),`,
		at: atReady, says: `is off, so that no name is resolved in it`,
	},
	{
		name: "zones in the order in which AWS lists them", file: "network/network.go",
		right: `slices.Sorted(slices.Values(found.Names))[:args.Zones]`, wrong: `found.Names[:args.Zones]`,
		tests: `TestZonesAreTakenInOrder: - "network-private-1": "eu-west-1c 10.0.128.0/20",`,
	},
	{
		name: "Local Zones taken for zones", file: "network/network.go",
		right: `Values: []string{"opt-in-not-required"},`, wrong: `Values: []string{"opt-in-not-required", "opted-in"},`,
		tests: `TestZonesHoldServiceAndDatabase: zones are asked for`,
	},
	{
		name: "a zone without App Runner's connectors", file: "network/network.go",
		right: `ExcludeZoneIds: []string{"use1-az3"},`, wrong: ``,
		tests: `TestZonesHoldServiceAndDatabase: + "excludeZoneIds": []any{string("use1-az3")},`,
	},
	{
		name: "private subnets over public ones", file: "network/cidr.go",
		right: `private: block(network, firstPrivate+zone),`, wrong: `private: block(network, zone),`,
		tests: `TestPlan: blocks (-got +want)`,
		at:    atUp, says: `InvalidSubnet.Conflict`,
	},
	{
		name: "subnets in one zone", file: "network/routes.go",
		right: `vpc, zoneName, block(zone), inside)`, wrong: `vpc, zones[0], block(zone), inside)`,
		tests: `TestZonesAreTakenInOrder: - "network-private-2": "eu-west-1a 10.0.144.0/20",`,
		at:    atUp, says: `DuplicateSubnetsInSameZone`,
	},
	{
		name: "subnets that give out public addresses", file: "network/routes.go",
		right: `MapPublicIpOnLaunch: pulumi.Bool(false),`, wrong: `MapPublicIpOnLaunch: pulumi.Bool(true),`,
		tests: `TestNothingGetsAPublicAddressByItself: network-private-1 gives out public addresses`,
	},
	{
		name: "a subnet without its tier's routes", file: "network/routes.go", settings: nat,
		right: "\tassociation, err := ec2.NewRouteTableAssociation(ctx, name, &ec2.RouteTableAssociationArgs{\n" +
			"\t\tRouteTableId: s.routes.ID(),\n\t\tSubnetId:     subnet.ID(),\n\t}, inside)\n" +
			"\tif err != nil {\n\t\treturn fmt.Errorf(\"routes: %w\", err)\n\t}\n\ts.ids = append(s.ids, subnet.ID())\n\ts.ways = append(s.ways, association)",
		wrong: "\ts.ids = append(s.ids, subnet.ID())",
		tests: `TestServiceComesLast: the service does not wait for RouteTableAssociation::network-private-1`,
		at:    atReady, says: `cannot reach Secrets Manager`,
	},
	{
		name: "the internet's route in the private tier", file: "network/network.go",
		right: `newInternetGateway(ctx, name, vpc, public, inside)`, wrong: `newInternetGateway(ctx, name, vpc, private, inside)`,
		at: atUp, says: `subnet`,
	},
	{
		name: "public subnets for connector and database", file: "network/network.go",
		right: `network.PrivateSubnetIDs = private.ids`, wrong: `network.PrivateSubnetIDs = public.ids`,
		tests: `TestConnector: - string("network-public-1-id"),`,
		at:    atUp, says: `is public: its network interfaces get no public address, so nothing would leave it`,
	},
	{
		name: "the NAT gateway in a private subnet", file: "network/routes.go", settings: nat,
		right: `public.ids[0].ToStringOutput(),`, wrong: `private.ids[0].ToStringOutput(),`,
		tests: `TestNoNATGatewayUnlessAskedFor: the NAT gateway is in network-private-1-id, want a public subnet`,
	},
	{
		name: "the NAT gateway's route in the public tier", file: "network/routes.go", settings: nat,
		right: "RouteTableId:         private.routes.ID(),", wrong: "RouteTableId: public.routes.ID(),",
		at: atUp, says: `RouteAlreadyExists`,
	},
	{
		name: "a NAT gateway before the internet gateway", file: "network/routes.go", settings: nat,
		right: `inside, pulumi.DependsOn([]pulumi.Resource{gateway}))`, wrong: `inside)`,
		tests: `TestNATGatewayWaitsForTheInternetGateway: it waits for`,
	},
	{
		name: "no way out of the service to the internet", file: "network/routes.go", settings: nat,
		right: `return groups.letServiceOut(ctx, name, inside)`, wrong: `return nil`,
		tests: `TestWhoMayTalkToWhom: + "out network-service-id to 0.0.0.0/0 443",`,
		at:    atReady, says: `cannot reach Secrets Manager`,
	},
	{
		name: "an endpoint of another region", file: "network/endpoints.go",
		right: `pulumi.String("com.amazonaws." + region + "." + service),`, wrong: `pulumi.String("com.amazonaws.us-east-1." + service),`,
		tests: `TestNoNATGatewayUnlessAskedFor: - "us-ea", + "eu-we",`,
	},
	{
		name: "an endpoint of a misspelt service", file: "network/endpoints.go",
		right: `"secretsmanager", true,`, wrong: `"secrets-manager", true,`,
		tests: `TestNoNATGatewayUnlessAskedFor: - "-",`,
		at:    atUp, says: `InvalidServiceName`,
	},
	{
		name: "an endpoint under names of its own", file: "network/endpoints.go",
		right: `"secretsmanager", true,`, wrong: `"secretsmanager", false,`,
		tests: `TestNoNATGatewayUnlessAskedFor: - "privateDnsEnabled": bool(false),`,
		at:    atReady, says: `cannot reach Secrets Manager`,
	},
	{
		name: "an endpoint in the VPC's default group", file: "network/endpoints.go",
		right: `SecurityGroupIds:  pulumi.StringArray{group.ID()},`, wrong: ``,
		tests: `TestNoNATGatewayUnlessAskedFor: + "securityGroupIds": []any{string("network-secrets-id")},`,
	},
	{
		name: "an endpoint of App Runner's API for its requests", file: "network/endpoints.go", settings: rich,
		right: `"apprunner.requests", false,`, wrong: `"apprunner", false,`,
		tests: `TestPrivateAccess: + ".requests",`,
		at:    atUp, says: `operation error AppRunner: CreateVpcIngressConnection, api error InvalidRequestException`,
	},
	{
		name: "the secrets' endpoint forgotten", file: "network/network.go",
		right: `err = newSecretsEndpoint(ctx, name, args.Region, vpc, private, groups, inside)`, wrong: `err = nil`,
		tests: `TestServiceComesLast: the service does not wait for VpcEndpoint::network-secrets`,
	},
	{
		name: "a service that does not wait for being let in", file: "network/security.go",
		right: `g.rules = append(g.rules, out, in)`, wrong: `_, g.rules = in, append(g.rules, out)`,
		tests: `TestServiceComesLast: the service does not wait for SecurityGroupIngressRule::network-secrets-from-service`,
	},
	{
		name: "groups that let themselves in, not the service", file: "network/security.go",
		right: `ReferencedSecurityGroupId: g.service.ID(),`, wrong: `ReferencedSecurityGroupId: target.ID(),`,
		tests: `TestWhoMayTalkToWhom: rules (-got +want)`,
	},
	{
		name: "the way to the database on another port", file: "network/security.go",
		right: `name+"-database", database, args.DatabasePort, inside)`, wrong: `name+"-database", database, 3306, inside)`,
		tests: `TestWhoMayTalkToWhom: - "3306", + "5432",`,
	},
	{
		name: "the way out for another protocol", file: "network/security.go",
		right: "ReferencedSecurityGroupId: target.ID(),\n\t\tIpProtocol:                pulumi.String(tcp),",
		wrong: "ReferencedSecurityGroupId: target.ID(),\n\t\tIpProtocol: pulumi.String(\"udp\"),",
		at:    atReady, says: `let nothing out to the security groups`,
	},
	{
		name: "the way in for the first port only", file: "network/security.go",
		right: "ToPort:                    pulumi.Int(port),\n\t\tDescription:               pulumi.String(\"From the service\"),",
		wrong: "ToPort: pulumi.Int(0),\n\t\tDescription: pulumi.String(\"From the service\"),",
		at:    atUp, says: `Invalid TCP/UDP port range`,
	},
	{
		name: "a database that the world may reach", file: "network/security.go",
		right: `ReferencedSecurityGroupId: g.service.ID(),`, wrong: `CidrIpv4: pulumi.String(anywhere),`,
		tests: `TestEveryShape: network-database-from-service lets in 0.0.0.0/0`,
	},
	{
		name: "private requests from everywhere", file: "network/security.go", settings: rich,
		right: `CidrIpv4:        network.CidrBlock,`, wrong: `CidrIpv4: pulumi.String(anywhere),`,
		tests: `TestEveryShape: network-requests-from-network lets in 0.0.0.0/0`,
	},
	{
		name: "an apostrophe in a group's description", file: "network/security.go",
		right: `fmt.Sprintf("Service in %d zones", args.Zones)`, wrong: `fmt.Sprintf("The service's %d zones", args.Zones)`,
		at: atUp, says: `Invalid security group description`,
	},
	{
		name: "the same group for every connector", file: "network/security.go",
		right: `fmt.Sprintf("Service in %d zones", args.Zones)`, wrong: `"Service"`,
		at: atChange, says: `The security groups combination provided in the request already exists`,
	},
	{
		name: "the old group locked out while the service moves", file: "network/security.go",
		right: `pulumi.ReplaceOnChanges([]string{"referencedSecurityGroupId"}))`, wrong: `pulumi.ReplaceOnChanges(nil))`,
		tests: `TestServiceIsLetInUnderBothGroupsWhileItMoves: network-database-from-service is replaced on changes of []`,
	},
}
