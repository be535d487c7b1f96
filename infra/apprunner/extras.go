package apprunner

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/apprunner"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// newTracing lets App Runner's collector, which listens beside each instance, pass what the service traces on to X-Ray.
// https://docs.aws.amazon.com/apprunner/latest/dg/monitor-xray.html
func newTracing(
	ctx *pulumi.Context, name string, args *Args, inside pulumi.ResourceOption,
) (*apprunner.ServiceObservabilityConfigurationArgs, error) {
	if !args.XRay {
		// Said aloud: a block that is left out changes nothing, so that tracing would go on.
		return &apprunner.ServiceObservabilityConfigurationArgs{ObservabilityEnabled: pulumi.Bool(false)}, nil
	}
	configuration, err := apprunner.NewObservabilityConfiguration(ctx, name+"-tracing", &apprunner.ObservabilityConfigurationArgs{
		ObservabilityConfigurationName: pulumi.String(args.PhysicalName),
		TraceConfiguration: apprunner.ObservabilityConfigurationTraceConfigurationArgs{
			Vendor: pulumi.String("AWSXRAY"),
		},
	}, inside, keep("observabilityConfigurationName"))
	if err != nil {
		return nil, err
	}
	return &apprunner.ServiceObservabilityConfigurationArgs{
		ObservabilityEnabled:          pulumi.Bool(true),
		ObservabilityConfigurationArn: configuration.Arn,
	}, nil
}

// newCustomDomain lets the service answer under a domain of its own, once the records that it gives are in the domain's
// zone: name, type and value, a line each. The top of a zone takes no CNAME, but an ALIAS to the same target.
// https://docs.aws.amazon.com/apprunner/latest/dg/manage-custom-domains.html
func newCustomDomain(
	ctx *pulumi.Context, name, domain string, service *apprunner.Service, inside pulumi.ResourceOption,
) (pulumi.StringOutput, error) {
	association, err := apprunner.NewCustomDomainAssociation(ctx, name+"-domain", &apprunner.CustomDomainAssociationArgs{
		ServiceArn: service.Arn,
		DomainName: pulumi.String(domain),
		// What is asked for and nothing else: AWS would add www to it.
		EnableWwwSubdomain: pulumi.Bool(false),
	}, inside)
	if err != nil {
		return pulumi.StringOutput{}, err
	}
	validation := association.CertificateValidationRecords.ApplyT(
		func(records []apprunner.CustomDomainAssociationCertificateValidationRecord) string {
			var lines []string
			for _, r := range records {
				if r.Name != nil && r.Type != nil && r.Value != nil {
					lines = append(lines, fmt.Sprintf("\n%s %s %s", *r.Name, *r.Type, *r.Value))
				}
			}
			slices.Sort(lines)
			return strings.Join(lines, "")
		}).(pulumi.StringOutput)
	return pulumi.Sprintf("%s CNAME %s%s", domain, association.DnsTarget, validation), nil
}

// webACLAssociation puts a web ACL before the service. The SDK's own type is not used: its package takes gigabytes and many
// minutes to compile, for two strings.
type webACLAssociation struct {
	pulumi.CustomResourceState
}

type webACLAssociationArgs struct {
	ResourceARN pulumi.StringInput `pulumi:"resourceArn"`
	WebACLARN   pulumi.StringInput `pulumi:"webAclArn"`
}

// ElementType implements pulumi.Input.
func (webACLAssociationArgs) ElementType() reflect.Type {
	return reflect.TypeFor[struct {
		ResourceARN string `pulumi:"resourceArn"`
		WebACLARN   string `pulumi:"webAclArn"`
	}]()
}

func protectWith(ctx *pulumi.Context, name, webACL string, service *apprunner.Service, inside pulumi.ResourceOption) error {
	return ctx.RegisterResource("aws:wafv2/webAclAssociation:WebAclAssociation", name+"-firewall", webACLAssociationArgs{
		ResourceARN: service.Arn,
		WebACLARN:   pulumi.String(webACL),
	}, &webACLAssociation{}, inside,
		// WAF takes an association away by the service's name alone: made first, the new one would go with the old.
		// https://github.com/pulumi/pulumi-aws/issues/4782
		pulumi.DeleteBeforeReplace(true))
}
