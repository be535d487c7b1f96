package account

import (
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/schema"
)

const (
	tokenSecurityGroup = "aws:ec2/securityGroup:SecurityGroup"
	tokenIngressRule   = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
	tokenEgressRule    = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
)

const groupCharacters = `^[a-zA-Z0-9 ._:/()#,@\[\]+=&;{}!$*-]*$`

var securityGroups = []*kind{
	{
		Type: &schema.Type{
			Token: tokenSecurityGroup, Tagged: true, AutoName: "name", MaxName: 255,
			Inputs: withTags(schema.Properties{
				"name": {Kind: schema.String, Replaces: true, Check: []schema.Rule{
					schema.Length(0, 255), schema.Never("^sg-", "a name cannot begin with sg-")},
					API: []schema.Rule{schema.Match(groupCharacters, "Invalid group name: a-z A-Z 0-9, spaces and ._-:/()#,@[]+=&;{}!$*")}},
				"description": {Kind: schema.String, Replaces: true, Default: "Managed by Pulumi", Check: []schema.Rule{schema.Length(0, 255)},
					API: []schema.Rule{schema.Match(groupCharacters, "Invalid security group description. Valid descriptions are strings less than 256 characters from the following set: a-zA-Z0-9. _-:/()#,@[]+=&;{}!$*")}},
				"vpcId": {Kind: schema.String, Replaces: true, Computed: true, Refers: tokenVPC},
			}),
			Outputs: schema.Properties{"arn": text, "ownerId": text},
		},
		service: "EC2", noun: "security group", create: "CreateSecurityGroup", update: "CreateTags", destroy: "DeleteSecurityGroup",
		invalid: "InvalidParameterValue", missing: "InvalidGroup.NotFound", inUse: "DependencyViolation",
		made: func(c *call) error {
			// EC2-13
			for _, other := range c.a.of(tokenSecurityGroup) {
				if other.str("vpcId") == c.str("vpcId") && other.str("name") == c.str("name") {
					return c.refusal("CreateSecurityGroup", "InvalidGroup.Duplicate",
						fmt.Sprintf("The security group '%s' already exists for VPC '%s'", c.str("name"), c.str("vpcId")))
				}
			}
			c.prefixed("sg-")
			c.set("arn", c.arn("ec2", "security-group/"+c.ID))
			c.set("ownerId", ID)
			return nil
		},
	},
	ruleKind(tokenIngressRule, "ingress", "AuthorizeSecurityGroupIngress", "RevokeSecurityGroupIngress"),
	ruleKind(tokenEgressRule, "egress", "AuthorizeSecurityGroupEgress", "RevokeSecurityGroupEgress"),
}

func ruleKind(token, direction, create, destroy string) *kind {
	port := schema.Property{Kind: schema.Number, Check: []schema.Rule{schema.Between(-1, 65535)}}
	return &kind{
		Type: &schema.Type{
			Token: token, Tagged: true,
			Inputs: withTags(schema.Properties{
				"securityGroupId":           {Kind: schema.String, Required: true, Replaces: true, Refers: tokenSecurityGroup},
				"referencedSecurityGroupId": {Kind: schema.String, Refers: tokenSecurityGroup},
				"cidrIpv4":                  {Kind: schema.String, Check: []schema.Rule{schema.Network(0, 32)}},
				"ipProtocol":                {Kind: schema.String, Required: true},
				"fromPort":                  port,
				"toPort":                    port,
				"description":               {Kind: schema.String, API: []schema.Rule{schema.Length(0, 255), schema.Match(groupCharacters, "Invalid rule description")}},
			}),
			Outputs: schema.Properties{"arn": text, "securityGroupRuleId": text},
			Rules:   []func(resource.PropertyMap) *schema.Failure{oneOf("referencedSecurityGroupId", "cidrIpv4")},
		},
		service: "EC2", noun: "security group " + direction + " rule", create: create, update: "ModifySecurityGroupRules", destroy: destroy,
		invalid: "InvalidParameterValue", missing: "InvalidSecurityGroupRuleId.NotFound",
		made: func(c *call) error {
			c.prefixed("sgr-")
			c.set("arn", c.arn("ec2", "security-group-rule/"+c.ID))
			c.set("securityGroupRuleId", c.ID)
			return checkRule(c)
		},
		changed: checkRule,
	}
}

func checkRule(c *call) error {
	refuse := func(code, format string, args ...any) error {
		return c.refusal(c.operation(), code, fmt.Sprintf(format, args...))
	}
	// EC2-14
	switch all := c.str("ipProtocol") == "-1"; {
	case all && (!c.at("fromPort").IsNull() || !c.at("toPort").IsNull()):
		return refuse("InvalidParameterValue", "You may not specify all protocols and specific ports. Please specify each protocol and port range combination individually, or all protocols and no port range.")
	case all:
	case c.at("fromPort").IsNull() || c.at("toPort").IsNull():
		return refuse("MissingParameter", "The request must contain the parameters fromPort and toPort for protocol %s", c.str("ipProtocol"))
	case c.num("fromPort") > c.num("toPort"):
		return refuse("InvalidParameterValue", "Invalid TCP/UDP port range (%v:%v)", c.num("fromPort"), c.num("toPort"))
	}
	// EC2-15
	for _, other := range c.a.of(c.Token) {
		if other != c.Resource && sameRule(other, c.Resource) {
			return refuse("InvalidPermission.Duplicate", `the specified rule "peer: %s, %s, from port: %v, to port: %v, ALLOW" already exists`,
				peer(c.Resource), c.str("ipProtocol"), c.num("fromPort"), c.num("toPort"))
		}
	}
	// EC2-17
	if id := c.str("referencedSecurityGroupId"); id != "" && c.a.networkOf(id) != c.a.networkOf(c.str("securityGroupId")) {
		return refuse("InvalidGroup.NotFound", "You have specified two resources that belong to different networks.")
	}
	return nil
}

func sameRule(a, b *Resource) bool {
	return a.str("securityGroupId") == b.str("securityGroupId") && peer(a) == peer(b) && a.str("ipProtocol") == b.str("ipProtocol") &&
		a.num("fromPort") == b.num("fromPort") && a.num("toPort") == b.num("toPort")
}

func peer(rule *Resource) string {
	return rule.str("referencedSecurityGroupId") + rule.str("cidrIpv4")
}
