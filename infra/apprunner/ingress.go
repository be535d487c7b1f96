package apprunner

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/apprunner"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// Ingress is where requests to a private service come in: an interface endpoint for App Runner's requests and its VPC.
// Both are required.
type Ingress struct {
	VPCID, EndpointID pulumi.StringInput
}

// connect gives the service a domain that answers in the VPC alone.
// https://docs.aws.amazon.com/apprunner/latest/dg/network-pl.html
func (i *Ingress) connect(
	ctx *pulumi.Context, name, physicalName string, service *apprunner.Service, inside pulumi.ResourceOption,
) (pulumi.StringOutput, error) {
	connection, err := apprunner.NewVpcIngressConnection(ctx, name+"-ingress", &apprunner.VpcIngressConnectionArgs{
		// Not Pulumi's own, which is longer than the 40 characters that there may be.
		Name:       pulumi.String(physicalName),
		ServiceArn: service.Arn,
		IngressVpcConfiguration: apprunner.VpcIngressConnectionIngressVpcConfigurationArgs{
			VpcId:         i.VPCID,
			VpcEndpointId: i.EndpointID,
		},
	}, inside, keep("name"),
		// The provider would report another endpoint as set and change nothing. A service has one connection, so the old one
		// goes first. https://github.com/hashicorp/terraform-provider-aws/blob/v5.100.0/internal/service/apprunner/vpc_ingress_connection.go
		pulumi.ReplaceOnChanges([]string{"ingressVpcConfiguration"}), pulumi.DeleteBeforeReplace(true))
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	return connection.DomainName, nil
}
