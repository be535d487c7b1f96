package account

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/schema"
)

const (
	tokenObservability     = "aws:apprunner/observabilityConfiguration:ObservabilityConfiguration"
	tokenCustomDomain      = "aws:apprunner/customDomainAssociation:CustomDomainAssociation"
	tokenWebACLAssociation = "aws:wafv2/webAclAssociation:WebAclAssociation"
)

// serviceExtras are what a service may have beside what every service has.
var serviceExtras = []*kind{
	{
		Type: &schema.Type{
			Token: tokenObservability, Tagged: true,
			Inputs: withTags(schema.Properties{
				// AR-18
				"observabilityConfigurationName": {Kind: schema.String, Required: true, Replaces: true,
					Check: appRunnerName(32), API: []schema.Rule{schema.Never(`^DefaultConfiguration$`, "the name is reserved")}},
				"traceConfiguration": {Kind: schema.Object, Fields: schema.Properties{
					"vendor": {Kind: schema.String, Check: []schema.Rule{schema.OneOf("AWSXRAY")}},
				}},
			}),
			Outputs: schema.Properties{"arn": text, "status": text, "observabilityConfigurationRevision": number, "latest": boolean},
		},
		service: "AppRunner", noun: "Observability Configuration", create: "CreateObservabilityConfiguration", update: "TagResource", destroy: "DeleteObservabilityConfiguration",
		invalid: "InvalidRequestException", missing: "ResourceNotFoundException",
		made: func(c *call) error {
			c.ID = c.arn("apprunner", fmt.Sprintf("observabilityconfiguration/%s/1/%s", c.str("observabilityConfigurationName"), c.ID))
			c.set("arn", c.ID)
			c.set("status", "ACTIVE")
			c.set("observabilityConfigurationRevision", 1.0)
			c.set("latest", true)
			return nil
		},
		refuse: func(c *call) error {
			// AR-2
			if user := c.a.userOf(c.Resource); user != nil {
				return c.refusal("DeleteObservabilityConfiguration", "InvalidRequestException", "The observability configuration is being used by other services. ARN: "+c.ID)
			}
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenCustomDomain,
			Inputs: schema.Properties{
				// AR-19
				"domainName":         {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.Length(1, 255)}, API: []schema.Rule{schema.Match(`^[A-Za-z0-9*.-]{1,255}$`, "must be a domain")}},
				"enableWwwSubdomain": {Kind: schema.Bool, Default: true, Replaces: true},
				"serviceArn":         {Kind: schema.String, Required: true, Replaces: true, Refers: tokenService + "#arn"},
			},
			Outputs: schema.Properties{
				"dnsTarget": text, "status": text,
				"certificateValidationRecords": {Kind: schema.List, Elem: &schema.Property{Kind: schema.Object, Fields: schema.Properties{
					"name": text, "status": text, "type": text, "value": text}}},
			},
		},
		service: "AppRunner", noun: "Custom Domain Association", create: "AssociateCustomDomain", destroy: "DisassociateCustomDomain",
		invalid: "InvalidRequestException", missing: "ResourceNotFoundException",
		made: makeCustomDomain,
	},
	{
		Type: &schema.Type{
			Token: tokenWebACLAssociation,
			Inputs: schema.Properties{
				// WAF-1
				"webAclArn": {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.Match(`^arn:`, "is an invalid ARN")}, API: []schema.Rule{
					schema.Match(`^arn:aws:wafv2:[a-z0-9-]+:\d{12}:regional/webacl/[\w-]{1,128}/[0-9a-f-]{36}$`, "must be a regional web ACL")}},
				"resourceArn": {Kind: schema.String, Required: true, Replaces: true, Refers: tokenService + "#arn"},
			},
		},
		service: "WAFV2", noun: "Web ACL Association", create: "AssociateWebACL", destroy: "DisassociateWebACL",
		invalid: "WAFInvalidParameterException", missing: "WAFNonexistentItemException",
		made: func(c *call) error {
			// WAF-1
			if region := strings.Split(c.str("webAclArn"), ":")[3]; region != c.Region {
				return c.refusal("AssociateWebACL", "WAFInvalidParameterException", fmt.Sprintf("The web ACL is in %s, the resource in %s", region, c.Region))
			}
			c.ID = c.str("webAclArn") + "," + c.str("resourceArn")
			return nil
		},
		refuse: func(c *call) error {
			// WAF-2
			for _, other := range c.a.of(tokenWebACLAssociation) {
				if other != c.Resource && other.str("resourceArn") == c.str("resourceArn") {
					delete(c.a.resources[tokenWebACLAssociation], other.ID)
				}
			}
			return nil
		},
	},
}

// makeCustomDomain answers as soon as the certificate's records are known, long before the domain is of use. (AR-20)
func makeCustomDomain(c *call) error {
	domain, www := c.str("domainName"), c.flag("enableWwwSubdomain")
	refuse := func(message string) error {
		return c.refusal("AssociateCustomDomain", "InvalidRequestException", message)
	}
	// AR-19
	if strings.HasPrefix(domain, "*.") && www {
		return refuse("EnableWWWSubdomain must be false for a wildcard domain")
	}
	siblings := 0
	for _, other := range c.a.inRegion(tokenCustomDomain, c.Region) {
		if other.str("domainName") == domain {
			return refuse(fmt.Sprintf("Domain %s is already associated with a service", domain))
		}
		if other.str("serviceArn") == c.str("serviceArn") {
			siblings++
		}
	}
	if siblings >= 5 {
		return c.refusal("AssociateCustomDomain", "ServiceQuotaExceededException", "You have reached the maximum number of custom domains for the service.")
	}
	var records []resource.PropertyValue
	names := []string{strings.TrimPrefix(domain, "*.")}
	if www {
		names = append(names, "www."+domain)
	}
	for _, name := range names {
		number := fingerprint(c.ID, name)
		records = append(records, resource.NewProperty(resource.PropertyMap{
			"name": resource.NewProperty("_" + number + "." + name + "."), "type": resource.NewProperty("CNAME"),
			"value":  resource.NewProperty("_" + fingerprint(number) + ".acm-validations.aws."),
			"status": resource.NewProperty("PENDING_VALIDATION"),
		}))
	}
	c.ID = domain + "," + c.str("serviceArn")
	c.set("dnsTarget", c.a.find(tokenService+"#arn", c.str("serviceArn")).str("serviceUrl"))
	c.set("status", "pending_certificate_dns_validation")
	c.set("certificateValidationRecords", records)
	return nil
}
