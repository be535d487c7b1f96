package account

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/schema"
)

const (
	tokenVPC                   = "aws:ec2/vpc:Vpc"
	tokenSubnet                = "aws:ec2/subnet:Subnet"
	tokenInternetGateway       = "aws:ec2/internetGateway:InternetGateway"
	tokenRouteTable            = "aws:ec2/routeTable:RouteTable"
	tokenRoute                 = "aws:ec2/route:Route"
	tokenRouteTableAssociation = "aws:ec2/routeTableAssociation:RouteTableAssociation"
	tokenEIP                   = "aws:ec2/eip:Eip"
	tokenNATGateway            = "aws:ec2/natGateway:NatGateway"
	tokenVPCEndpoint           = "aws:ec2/vpcEndpoint:VpcEndpoint"
)

var (
	text    = schema.Property{Kind: schema.String}
	number  = schema.Property{Kind: schema.Number}
	boolean = schema.Property{Kind: schema.Bool}
	tags    = schema.Property{Kind: schema.Map, Elem: &schema.Property{Kind: schema.String, API: []schema.Rule{schema.Length(0, 256)}}}
)

func withTags(ps schema.Properties) schema.Properties {
	ps["tags"] = tags
	return ps
}

var network = []*kind{
	{
		Type: &schema.Type{
			Token: tokenVPC, Tagged: true,
			Inputs: withTags(schema.Properties{
				"cidrBlock":          {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.Network(16, 28)}},
				"enableDnsSupport":   {Kind: schema.Bool, Default: true},
				"enableDnsHostnames": {Kind: schema.Bool, Computed: true},
			}),
			Outputs: schema.Properties{"arn": text, "ownerId": text, "defaultSecurityGroupId": text, "mainRouteTableId": text},
		},
		service: "EC2", noun: "VPC", create: "CreateVpc", update: "ModifyVpcAttribute", destroy: "DeleteVpc",
		invalid: "InvalidVpc.Range", missing: "InvalidVpcID.NotFound", inUse: "DependencyViolation",
		made: func(c *call) error {
			// EC2-1
			if n := len(c.a.inRegion(tokenVPC, c.Region)); n >= 5 {
				return c.refusal("CreateVpc", "VpcLimitExceeded", "The maximum number of VPCs has been reached.")
			}
			c.prefixed("vpc-")
			c.set("arn", c.arn("ec2", "vpc/"+c.ID))
			c.set("ownerId", ID)
			c.set("defaultSecurityGroupId", "sg-"+fingerprint(c.ID, "default")[:17])
			c.set("mainRouteTableId", "rtb-"+fingerprint(c.ID, "main")[:17])
			if c.at("enableDnsHostnames").IsNull() {
				c.set("enableDnsHostnames", false)
			}
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenSubnet, Tagged: true,
			Inputs: withTags(schema.Properties{
				"vpcId":               {Kind: schema.String, Required: true, Replaces: true, Refers: tokenVPC},
				"cidrBlock":           {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.Network(16, 28)}},
				"availabilityZone":    {Kind: schema.String, Replaces: true, Computed: true},
				"mapPublicIpOnLaunch": {Kind: schema.Bool, Default: false},
			}),
			Outputs: schema.Properties{"arn": text, "ownerId": text, "availabilityZoneId": {Kind: schema.String}},
		},
		service: "EC2", noun: "subnet", create: "CreateSubnet", update: "ModifySubnetAttribute", destroy: "DeleteSubnet",
		invalid: "InvalidSubnet.Range", missing: "InvalidSubnetID.NotFound", inUse: "DependencyViolation",
		made: makeSubnet,
	},
	{
		Type: &schema.Type{
			Token: tokenInternetGateway, Tagged: true,
			Inputs:  withTags(schema.Properties{"vpcId": {Kind: schema.String, Computed: true, Refers: tokenVPC}}),
			Outputs: schema.Properties{"arn": text, "ownerId": text},
		},
		service: "EC2", noun: "internet gateway", create: "AttachInternetGateway", update: "AttachInternetGateway", destroy: "DetachInternetGateway",
		missing: "InvalidInternetGatewayID.NotFound", inUse: "DependencyViolation",
		made: func(c *call) error {
			// EC2-4
			for _, other := range c.a.of(tokenInternetGateway) {
				if other.str("vpcId") == c.str("vpcId") {
					return c.refusal("AttachInternetGateway", "Resource.AlreadyAssociated",
						fmt.Sprintf("resource %s is already attached to network %s", other.ID, c.str("vpcId")))
				}
			}
			c.prefixed("igw-")
			c.set("arn", c.arn("ec2", "internet-gateway/"+c.ID))
			c.set("ownerId", ID)
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenRouteTable, Tagged: true,
			Inputs:  withTags(schema.Properties{"vpcId": {Kind: schema.String, Required: true, Replaces: true, Refers: tokenVPC}}),
			Outputs: schema.Properties{"arn": text, "ownerId": text},
		},
		service: "EC2", noun: "route table", create: "CreateRouteTable", update: "CreateTags", destroy: "DeleteRouteTable",
		missing: "InvalidRouteTableID.NotFound", inUse: "DependencyViolation",
		made: func(c *call) error {
			c.prefixed("rtb-")
			c.set("arn", c.arn("ec2", "route-table/"+c.ID))
			c.set("ownerId", ID)
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenRoute,
			Inputs: schema.Properties{
				"routeTableId":         {Kind: schema.String, Required: true, Replaces: true, Refers: tokenRouteTable},
				"destinationCidrBlock": {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.Network(0, 32)}},
				"gatewayId":            {Kind: schema.String, Refers: tokenInternetGateway, Conflicts: []string{"natGatewayId"}},
				"natGatewayId":         {Kind: schema.String, Refers: tokenNATGateway},
			},
			Outputs: schema.Properties{"origin": text, "state": text},
			Rules:   []func(resource.PropertyMap) *schema.Failure{oneOf("gatewayId", "natGatewayId")},
		},
		service: "EC2", noun: "route", create: "CreateRoute", update: "ReplaceRoute", destroy: "DeleteRoute",
		invalid: "InvalidParameterValue", missing: "InvalidRoute.NotFound",
		made: func(c *call) error {
			// EC2-5
			for _, other := range c.a.of(tokenRoute) {
				if other.str("routeTableId") == c.str("routeTableId") && other.str("destinationCidrBlock") == c.str("destinationCidrBlock") {
					return c.refusal("CreateRoute", "RouteAlreadyExists",
						fmt.Sprintf("The route identified by %s already exists.", c.str("destinationCidrBlock")))
				}
			}
			if err := checkRoute(c); err != nil {
				return err
			}
			c.ID = "r-" + c.str("routeTableId") + fingerprint(c.str("destinationCidrBlock"))[:10]
			c.set("origin", "CreateRoute")
			c.set("state", "active")
			return nil
		},
		changed: checkRoute,
	},
	{
		Type: &schema.Type{
			Token: tokenRouteTableAssociation,
			Inputs: schema.Properties{
				"routeTableId": {Kind: schema.String, Required: true, Refers: tokenRouteTable},
				"subnetId":     {Kind: schema.String, Required: true, Replaces: true, Refers: tokenSubnet},
			},
		},
		service: "EC2", noun: "route table association", create: "AssociateRouteTable", update: "ReplaceRouteTableAssociation", destroy: "DisassociateRouteTable",
		missing: "InvalidAssociationID.NotFound",
		made: func(c *call) error {
			// EC2-6
			for _, other := range c.a.of(tokenRouteTableAssociation) {
				if other.str("subnetId") == c.str("subnetId") {
					return c.refusal("AssociateRouteTable", "Resource.AlreadyAssociated",
						fmt.Sprintf("the specified association for route table %s conflicts with an existing association", c.str("routeTableId")))
				}
			}
			c.prefixed("rtbassoc-")
			return checkAssociation(c)
		},
		changed: checkAssociation,
	},
	{
		Type: &schema.Type{
			Token: tokenEIP, Tagged: true,
			Inputs:  withTags(schema.Properties{"domain": {Kind: schema.String, Computed: true, Replaces: true, Check: []schema.Rule{schema.Equals("vpc")}}}),
			Outputs: schema.Properties{"allocationId": text, "publicIp": text},
		},
		service: "EC2", noun: "EIP", create: "AllocateAddress", update: "CreateTags", destroy: "ReleaseAddress",
		missing: "InvalidAllocationID.NotFound", inUse: "InvalidIPAddress.InUse",
		made: func(c *call) error {
			// EC2-1
			if n := len(c.a.inRegion(tokenEIP, c.Region)); n >= 5 {
				return c.refusal("AllocateAddress", "AddressLimitExceeded", "The maximum number of addresses has been reached.")
			}
			c.prefixed("eipalloc-")
			c.set("allocationId", c.ID)
			c.set("publicIp", fmt.Sprintf("203.0.113.%d", len(c.a.of(tokenEIP))+1))
			if c.at("domain").IsNull() {
				c.set("domain", "vpc")
			}
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenNATGateway, Tagged: true,
			Inputs: withTags(schema.Properties{
				"subnetId":         {Kind: schema.String, Required: true, Replaces: true, Refers: tokenSubnet},
				"allocationId":     {Kind: schema.String, Replaces: true, Refers: tokenEIP},
				"connectivityType": {Kind: schema.String, Replaces: true, Default: "public", Check: []schema.Rule{schema.OneOf("private", "public")}},
			}),
			Outputs: schema.Properties{"publicIp": text},
		},
		service: "EC2", noun: "NAT gateway", create: "CreateNatGateway", update: "CreateTags", destroy: "DeleteNatGateway",
		missing: "NatGatewayNotFound", inUse: "DependencyViolation",
		made: func(c *call) error {
			// EC2-7
			subnet := c.a.find(tokenSubnet, c.str("subnetId"))
			vpc := subnet.str("vpcId")
			if !c.a.hasInternetGateway(vpc) {
				return c.refusal("CreateNatGateway", "Gateway.NotAttached", fmt.Sprintf("Network %s has no Internet gateway attached", vpc))
			}
			address := c.a.find(tokenEIP, c.str("allocationId"))
			switch public := c.str("connectivityType") == "public"; {
			case public && address == nil:
				return c.refusal("CreateNatGateway", "MissingParameter", "The request must contain the parameter AllocationId")
			case !public && address != nil:
				return c.refusal("CreateNatGateway", "InvalidParameter", "The request must not contain the parameter AllocationId for a private NAT gateway")
			case public:
				c.set("publicIp", address.str("publicIp"))
			default:
				c.set("publicIp", "")
			}
			c.prefixed("nat-")
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenVPCEndpoint, Tagged: true,
			Inputs: withTags(schema.Properties{
				"vpcId":             {Kind: schema.String, Required: true, Replaces: true, Refers: tokenVPC},
				"serviceName":       {Kind: schema.String, Required: true, Replaces: true},
				"vpcEndpointType":   {Kind: schema.String, Replaces: true, Default: "Gateway", Check: []schema.Rule{schema.OneOf("Gateway", "GatewayLoadBalancer", "Interface")}, API: []schema.Rule{schema.Equals("Interface")}},
				"subnetIds":         {Kind: schema.List, Computed: true, Elem: &schema.Property{Kind: schema.String, Refers: tokenSubnet}},
				"securityGroupIds":  {Kind: schema.List, Computed: true, Elem: &schema.Property{Kind: schema.String, Refers: tokenSecurityGroup}},
				"privateDnsEnabled": {Kind: schema.Bool, Computed: true},
				"policy":            {Kind: schema.String, Computed: true, Check: []schema.Rule{schema.JSON}},
			}),
			Outputs: schema.Properties{"arn": text, "state": text, "ownerId": text},
		},
		service: "EC2", noun: "VPC endpoint", create: "CreateVpcEndpoint", update: "ModifyVpcEndpoint", destroy: "DeleteVpcEndpoints",
		invalid: "InvalidParameter", missing: "InvalidVpcEndpointId.NotFound",
		made: makeEndpoint, changed: checkEndpoint,
	},
}

func makeSubnet(c *call) error {
	vpc := c.a.find(tokenVPC, c.str("vpcId"))
	block, whole := netip.MustParsePrefix(c.str("cidrBlock")), netip.MustParsePrefix(vpc.str("cidrBlock"))
	// EC2-2
	if !whole.Contains(block.Addr()) || block.Bits() < whole.Bits() {
		return c.refusal("CreateSubnet", "InvalidSubnet.Range", fmt.Sprintf("The CIDR '%s' is invalid.", block))
	}
	// EC2-3
	for _, other := range c.a.of(tokenSubnet) {
		if other.str("vpcId") == vpc.ID && netip.MustParsePrefix(other.str("cidrBlock")).Overlaps(block) {
			return c.refusal("CreateSubnet", "InvalidSubnet.Conflict", fmt.Sprintf("The CIDR '%s' conflicts with another subnet", block))
		}
	}
	zone := c.str("availabilityZone")
	if zone == "" {
		zone = c.Region + "a"
		c.set("availabilityZone", zone)
	}
	// EC2-8
	if !strings.HasPrefix(zone, c.Region) || len(zone) != len(c.Region)+1 || !strings.Contains(zoneLetters, zone[len(zone)-1:]) {
		return c.refusal("CreateSubnet", "InvalidParameterValue", fmt.Sprintf("Value (%s) for parameter availabilityZone is invalid. Subnets can currently only be created in the following availability zones: %s.", zone, strings.Join(zones(c.Region), ", ")))
	}
	c.prefixed("subnet-")
	c.set("arn", c.arn("ec2", "subnet/"+c.ID))
	c.set("ownerId", ID)
	c.set("availabilityZoneId", zoneID(c.Region, strings.Index(zoneLetters, zone[len(zone)-1:])))
	return nil
}

// zoneLetters are the zones of every simulated region.
const zoneLetters = "abc"

func zones(region string) []string {
	var all []string
	for _, letter := range zoneLetters {
		all = append(all, region+string(letter))
	}
	return all
}

// zoneID is the account-independent name of a region's i-th zone, such as euw1-az1.
func zoneID(region string, i int) string {
	parts := strings.Split(region, "-")
	return fmt.Sprintf("%s%s%s-az%d", parts[0], parts[1][:1], parts[2], i+1)
}

func (a *Account) inRegion(token, region string) []*Resource {
	var all []*Resource
	for _, r := range a.of(token) {
		if r.Region == region {
			all = append(all, r)
		}
	}
	return all
}

// oneOf demands exactly one of the named properties, as Terraform's ExactlyOneOf does.
func oneOf(names ...string) func(resource.PropertyMap) *schema.Failure {
	return func(inputs resource.PropertyMap) *schema.Failure {
		var given []string
		for _, name := range names {
			if inputs.HasValue(resource.PropertyKey(name)) {
				given = append(given, name)
			}
		}
		if len(given) == 1 {
			return nil
		}
		return &schema.Failure{Reason: fmt.Sprintf("exactly one of %s must be given, got %d", strings.Join(names, ", "), len(given))}
	}
}
