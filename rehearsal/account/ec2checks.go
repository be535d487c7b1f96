package account

import (
	"fmt"
	"slices"
	"strings"
)

// EC2-17
func checkRoute(c *call) error {
	if gateway := c.str("gatewayId") + c.str("natGatewayId"); c.a.networkOf(c.str("routeTableId")) != c.a.networkOf(gateway) {
		return c.refusal(c.operation(), "InvalidParameterValue", fmt.Sprintf("route table %s and network gateway %s belong to different networks", c.str("routeTableId"), gateway))
	}
	return nil
}

// EC2-17
func checkAssociation(c *call) error {
	if c.a.networkOf(c.str("routeTableId")) != c.a.networkOf(c.str("subnetId")) {
		return c.refusal(c.operation(), "InvalidParameterValue", fmt.Sprintf("Route table %s and subnet %s belong to different networks", c.str("routeTableId"), c.str("subnetId")))
	}
	return nil
}

func makeEndpoint(c *call) error {
	if err := checkEndpoint(c); err != nil {
		return err
	}
	c.prefixed("vpce-")
	c.set("arn", c.arn("ec2", "vpc-endpoint/"+c.ID))
	c.set("state", "available")
	c.set("ownerId", ID)
	return nil
}

// endpointServices are those of the services that a stack like this one's may use.
// https://docs.aws.amazon.com/vpc/latest/privatelink/aws-services-privatelink-support.html
var endpointServices = []string{
	"apprunner", "apprunner.requests", "ec2", "ecr.api", "ecr.dkr", "kms", "logs", "monitoring", "rds", "secretsmanager", "sns", "ssm", "sts", "xray",
}

func checkEndpoint(c *call) error {
	vpc := c.a.find(tokenVPC, c.str("vpcId"))
	refuse := func(code, format string, args ...any) error {
		return c.refusal(c.operation(), code, fmt.Sprintf(format, args...))
	}
	// EC2-9
	if name := c.str("serviceName"); !slices.Contains(endpointServices, strings.TrimPrefix(name, "com.amazonaws."+c.Region+".")) {
		return refuse("InvalidServiceName", "The Vpc Endpoint Service '%s' does not exist", name)
	}
	// EC2-10
	seen := map[string]bool{}
	for _, id := range c.list("subnetIds") {
		subnet := c.a.find(tokenSubnet, id)
		if subnet.str("vpcId") != vpc.ID {
			return refuse("InvalidParameter", "The subnet ID '%s' does not belong to %s", id, vpc.ID)
		}
		if seen[subnet.str("availabilityZone")] {
			return refuse("DuplicateSubnetsInSameZone", "Found another VPC endpoint subnet in the availability zone of %s", id)
		}
		seen[subnet.str("availabilityZone")] = true
	}
	// EC2-17
	for _, id := range c.list("securityGroupIds") {
		if c.a.networkOf(id) != vpc.ID {
			return refuse("InvalidParameter", "The security group ID '%s' does not belong to %s", id, vpc.ID)
		}
	}
	// IAM-7, NET-8
	if document := c.str("policy"); document != "" {
		parsed, err := parsePolicy(document)
		if err != nil {
			return refuse("InvalidPolicyDocument", "%v", err)
		}
		for _, s := range parsed.Statement {
			if len(s.Principal) == 0 {
				return refuse("InvalidPolicyDocument", "The Statement in the policy has no Principal")
			}
		}
	}
	if !c.flag("privateDnsEnabled") {
		return nil
	}
	// EC2-11
	if !vpc.flag("enableDnsSupport") || !vpc.flag("enableDnsHostnames") {
		return refuse("InvalidParameter", "Enabling private DNS requires both enableDnsSupport and enableDnsHostnames VPC attributes set to true for %s", vpc.ID)
	}
	// EC2-12
	for _, other := range c.a.of(tokenVPCEndpoint) {
		if other != c.Resource && other.str("vpcId") == vpc.ID && other.str("serviceName") == c.str("serviceName") && other.flag("privateDnsEnabled") {
			name := strings.TrimPrefix(c.str("serviceName"), "com.amazonaws."+c.Region+".")
			return refuse("InvalidParameter", "private-dns-enabled cannot be set because there is already a conflicting DNS domain for %s.%s.amazonaws.com in the VPC %s", name, c.Region, vpc.ID)
		}
	}
	return nil
}

// networkOf is the VPC of something in one.
func (a *Account) networkOf(id string) string {
	if gateway := a.find(tokenNATGateway, id); gateway != nil {
		id = gateway.str("subnetId")
	}
	for _, token := range []string{tokenSubnet, tokenRouteTable, tokenInternetGateway, tokenSecurityGroup} {
		if r := a.find(token, id); r != nil {
			return r.str("vpcId")
		}
	}
	return ""
}
