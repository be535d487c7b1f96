package account

import (
	"context"
	"fmt"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/schema"
)

const tokenIngressConnection = "aws:apprunner/vpcIngressConnection:VpcIngressConnection"

// ingress is the way into private services.
var ingress = []*kind{{
	Type: &schema.Type{
		Token: tokenIngressConnection, Tagged: true, AutoName: "name", MaxName: 255,
		Inputs: withTags(schema.Properties{
			"name":       {Kind: schema.String, API: appRunnerName(40)},
			"serviceArn": {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.Match(`^arn:`, "is an invalid ARN")}, Refers: tokenService + "#arn"},
			"ingressVpcConfiguration": {Kind: schema.Object, Required: true, Fields: schema.Properties{
				"vpcId":         {Kind: schema.String, Refers: tokenVPC},
				"vpcEndpointId": {Kind: schema.String, Refers: tokenVPCEndpoint},
			}},
		}),
		Outputs: schema.Properties{"arn": text, "domainName": text, "status": text},
	},
	service: "AppRunner", noun: "VPC Ingress Connection", create: "CreateVpcIngressConnection", update: "TagResource", destroy: "DeleteVpcIngressConnection",
	invalid: "InvalidRequestException", missing: "ResourceNotFoundException",
	made: makeIngressConnection,
	changed: func(c *call) error {
		// AR-27
		for _, property := range []resource.PropertyKey{"name", "ingressVpcConfiguration"} {
			c.Inputs[property], c.State[property] = c.old[property], c.old[property]
		}
		return nil
	},
	start: func(ctx context.Context, c *call) error {
		host, err := c.a.runtime.Connect(ctx, c.str("serviceArn"))
		if err != nil {
			return err
		}
		c.a.mu.Lock()
		defer c.a.mu.Unlock()
		c.set("domainName", host)
		c.set("status", "AVAILABLE")
		return nil
	},
	stop: func(ctx context.Context, c *call) error { return c.a.runtime.Disconnect(ctx, c.str("serviceArn")) },
}}

func makeIngressConnection(c *call) error {
	refuse := func(message string) error {
		return c.refusal("CreateVpcIngressConnection", "InvalidRequestException", message)
	}
	// AR-24
	service := c.a.find(tokenService+"#arn", c.str("serviceArn"))
	if !private(service) {
		return refuse(fmt.Sprintf("The service %s is publicly accessible", service.ID))
	}
	for _, other := range c.a.inRegion(tokenIngressConnection, c.Region) {
		if other.str("serviceArn") == service.ID {
			return refuse(fmt.Sprintf("The service %s has a VPC Ingress Connection: %s", service.ID, other.ID))
		}
		if other.str("name") == c.str("name") {
			return refuse(fmt.Sprintf("VPC Ingress Connection with the provided name already exists: %s.", c.str("name")))
		}
	}
	endpoint := c.a.find(tokenVPCEndpoint, c.str("ingressVpcConfiguration", "vpcEndpointId"))
	if endpoint == nil || endpoint.str("vpcId") != c.str("ingressVpcConfiguration", "vpcId") {
		return refuse("VpcEndpointId must be given, and be of the VPC with the given VpcId")
	}
	if name := endpoint.str("serviceName"); name != "com.amazonaws."+c.Region+".apprunner.requests" {
		return refuse(fmt.Sprintf("The VPC endpoint %s is for %s", endpoint.ID, name))
	}
	c.ID = c.arn("apprunner", fmt.Sprintf("vpcingressconnection/%s/%s", c.str("name"), c.ID))
	c.set("arn", c.ID)
	c.set("domainName", "")
	c.set("status", "PENDING_CREATION")
	return nil
}

// private says whether a service is kept from the internet. The provider takes a block that does not say for a no. (AR-25)
func private(service *Resource) bool {
	return !service.at("networkConfiguration", "ingressConfiguration").IsNull() &&
		!service.flag("networkConfiguration", "ingressConfiguration", "isPubliclyAccessible")
}

// keepConnected refuses to delete a service while there is a way in from a VPC. (AR-26)
func keepConnected(c *call) error {
	for _, connection := range c.a.inRegion(tokenIngressConnection, c.Region) {
		if connection.str("serviceArn") == c.ID {
			return c.refusal("DeleteService", "InvalidStateException", fmt.Sprintf(
				"You cannot delete a Service while it has VpcIngressConnections with a status of AVAILABLE. Service Arn: %s VpcIngressConnection Arn: %s",
				c.ID, connection.ID))
		}
	}
	return nil
}
