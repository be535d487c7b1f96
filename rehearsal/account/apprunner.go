package account

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"example.com/todo/rehearsal/schema"
)

const (
	tokenConnector   = "aws:apprunner/vpcConnector:VpcConnector"
	tokenAutoScaling = "aws:apprunner/autoScalingConfigurationVersion:AutoScalingConfigurationVersion"
	tokenService     = "aws:apprunner/service:Service"
)

// The principals that App Runner assumes roles as.
// https://docs.aws.amazon.com/apprunner/latest/dg/security_iam_service-with-iam.html
const (
	buildPrincipal = "build.apprunner.amazonaws.com"
	tasksPrincipal = "tasks.apprunner.amazonaws.com"
)

const instanceRoleRefused = "Error in assuming instance role "

func appRunnerName(most int) []schema.Rule {
	return []schema.Rule{schema.Length(4, most), schema.Match(`^[A-Za-z0-9][A-Za-z0-9_-]*$`, "Member must satisfy regular expression pattern: [A-Za-z0-9][A-Za-z0-9-_]*")}
}

// sizes are the pairs of CPU units and MB of memory. https://docs.aws.amazon.com/apprunner/latest/dg/architecture.html (AR-3)
var sizes = map[string][]string{
	"256": {"512", "1024"}, "512": {"1024"}, "1024": {"2048", "3072", "4096"}, "2048": {"4096", "6144"}, "4096": {"8192", "10240", "12288"},
}

var services = []*kind{
	{
		Type: &schema.Type{
			Token: tokenConnector, Tagged: true,
			Inputs: withTags(schema.Properties{
				"vpcConnectorName": {Kind: schema.String, Required: true, Replaces: true, Check: appRunnerName(40)},
				"subnets":          {Kind: schema.List, Required: true, Replaces: true, Elem: &schema.Property{Kind: schema.String, Refers: tokenSubnet}},
				"securityGroups":   {Kind: schema.List, Required: true, Replaces: true, Elem: &schema.Property{Kind: schema.String, Refers: tokenSecurityGroup}},
			}),
			Outputs: schema.Properties{"arn": text, "status": text, "vpcConnectorRevision": number},
		},
		service: "AppRunner", noun: "VPC Connector", create: "CreateVpcConnector", update: "TagResource", destroy: "DeleteVpcConnector",
		invalid: "InvalidRequestException", missing: "ResourceNotFoundException",
		made: makeConnector,
		refuse: func(c *call) error {
			// AR-2
			if user := c.a.userOf(c.Resource); user != nil {
				return c.refusal("DeleteVpcConnector", "InvalidRequestException", "Provided VPC connector arn is being used by other services. ARN: "+c.str("arn"))
			}
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenAutoScaling, Tagged: true,
			Inputs: withTags(schema.Properties{
				"autoScalingConfigurationName": {Kind: schema.String, Required: true, Replaces: true, Check: appRunnerName(32)},
				"maxConcurrency":               {Kind: schema.Number, Replaces: true, Default: 100.0, Check: []schema.Rule{schema.Between(1, 200)}},
				"minSize":                      {Kind: schema.Number, Replaces: true, Default: 1.0, Check: []schema.Rule{schema.Between(1, 25)}},
				"maxSize":                      {Kind: schema.Number, Replaces: true, Default: 25.0, Check: []schema.Rule{schema.Between(1, 25)}},
			}),
			Outputs: schema.Properties{"arn": text, "status": text, "autoScalingConfigurationRevision": number, "latest": boolean},
		},
		service: "AppRunner", noun: "AutoScaling Configuration Version", create: "CreateAutoScalingConfiguration", update: "TagResource", destroy: "DeleteAutoScalingConfiguration",
		invalid: "InvalidRequestException", missing: "ResourceNotFoundException",
		made: makeAutoScaling,
		refuse: func(c *call) error {
			// AR-2
			if user := c.a.userOf(c.Resource); user != nil {
				return c.refusal("DeleteAutoScalingConfiguration", "InvalidRequestException", "The auto scaling configuration is being used by other services. ARN: "+c.str("arn"))
			}
			return nil
		},
	},
	{
		Type: &schema.Type{
			Token: tokenService, Tagged: true,
			Inputs: withTags(schema.Properties{
				"serviceName":                 {Kind: schema.String, Required: true, Replaces: true, API: appRunnerName(40)},
				"autoScalingConfigurationArn": {Kind: schema.String, Computed: true, Refers: tokenAutoScaling + "#arn"},
				"sourceConfiguration": {Kind: schema.Object, Required: true, Fields: schema.Properties{
					"autoDeploymentsEnabled": {Kind: schema.Bool, Default: true},
					"authenticationConfiguration": {Kind: schema.Object, Fields: schema.Properties{
						"accessRoleArn": {Kind: schema.String, Refers: tokenRole + "#arn"}}},
					"imageRepository": {Kind: schema.Object, Required: true, Fields: schema.Properties{
						// AR-15
						"imageIdentifier": {Kind: schema.String, Required: true, Check: []schema.Rule{
							schema.Match(`([0-9]{12}\.dkr\.ecr\.[a-z\-]+-[0-9]{1}\.amazonaws\.com/.*)|(^public\.ecr\.aws/.+/.+)`, "must be an ECR or ECR Public image")}},
						"imageRepositoryType": {Kind: schema.String, Required: true, Check: []schema.Rule{schema.OneOf("ECR", "ECR_PUBLIC")}, API: []schema.Rule{schema.Equals("ECR")}},
						"imageConfiguration": {Kind: schema.Object, Fields: schema.Properties{
							"port":                        {Kind: schema.String, Default: "8080", API: []schema.Rule{schema.Match(`^[0-9]{1,5}$`, "port must be a number")}},
							"startCommand":                {Kind: schema.String, API: []schema.Rule{schema.Equals("")}},
							"runtimeEnvironmentVariables": {Kind: schema.Map, Elem: &text},
							"runtimeEnvironmentSecrets":   {Kind: schema.Map, Elem: &text},
						}},
					}},
				}},
				"instanceConfiguration": {Kind: schema.Object, Computed: true, Fields: schema.Properties{
					"cpu":             {Kind: schema.String, Default: "1024", Check: []schema.Rule{schema.Match(`256|512|1024|2048|4096|(0.25|0.5|1|2|4) vCPU`, "must be 256, 512, 1024, 2048, 4096 or (0.25|0.5|1|2|4) vCPU")}},
					"memory":          {Kind: schema.String, Default: "2048", Check: []schema.Rule{schema.Match(`512|1024|2048|3072|4096|6144|8192|10240|12288|(0.5|1|2|3|4|6|8|10|12) GB`, "must be 512 to 12288 or (0.5|1|2|3|4|6|8|10|12) GB")}},
					"instanceRoleArn": {Kind: schema.String, Refers: tokenRole + "#arn"},
				}},
				"observabilityConfiguration": {Kind: schema.Object, Computed: true, Fields: schema.Properties{
					"observabilityEnabled":          {Kind: schema.Bool, Required: true},
					"observabilityConfigurationArn": {Kind: schema.String, Refers: tokenObservability + "#arn"},
				}},
				// AR-16
				"healthCheckConfiguration": {Kind: schema.Object, Computed: true, Fields: schema.Properties{
					"protocol":           {Kind: schema.String, Default: "TCP", Check: []schema.Rule{schema.OneOf("TCP", "HTTP")}},
					"path":               {Kind: schema.String, Default: "/", Check: []schema.Rule{schema.Length(1, 51200)}},
					"interval":           {Kind: schema.Number, Default: 5.0, Check: []schema.Rule{schema.Between(1, 20)}},
					"timeout":            {Kind: schema.Number, Default: 2.0, Check: []schema.Rule{schema.Between(1, 20)}},
					"healthyThreshold":   {Kind: schema.Number, Default: 1.0, Check: []schema.Rule{schema.Between(1, 20)}},
					"unhealthyThreshold": {Kind: schema.Number, Default: 5.0, Check: []schema.Rule{schema.Between(1, 20)}},
				}},
				"networkConfiguration": {Kind: schema.Object, Computed: true, Fields: schema.Properties{
					"egressConfiguration": {Kind: schema.Object, Fields: schema.Properties{
						"egressType":      {Kind: schema.String, Check: []schema.Rule{schema.OneOf("DEFAULT", "VPC")}},
						"vpcConnectorArn": {Kind: schema.String, Refers: tokenConnector + "#arn"},
					}},
					"ingressConfiguration": {Kind: schema.Object, Fields: schema.Properties{"isPubliclyAccessible": {Kind: schema.Bool}}},
					"ipAddressType":        {Kind: schema.String, Default: "IPV4", Check: []schema.Rule{schema.OneOf("IPV4", "DUAL_STACK")}},
				}},
			}),
			Outputs:  schema.Properties{"arn": text, "serviceId": text, "serviceUrl": text, "status": text},
			Volatile: []string{"status"},
		},
		service: "AppRunner", noun: "Service", create: "CreateService", update: "UpdateService", destroy: "DeleteService",
		invalid: "InvalidRequestException", missing: "ResourceNotFoundException",
		// The provider gives IAM time for the instance's role, but for the access role none. (IAM-10)
		again: func(err error) bool { return strings.Contains(err.Error(), instanceRoleRefused) },
		made:  makeService, start: startService, changed: checkService, apply: updateService,
		stop:   func(ctx context.Context, c *call) error { return c.a.runtime.Remove(ctx, c.ID) },
		refuse: keepConnected,
	},
}

func makeConnector(c *call) error {
	// AR-1
	if n := len(c.a.inRegion(tokenConnector, c.Region)); n >= 10 {
		return c.refusal("CreateVpcConnector", "ServiceQuotaExceededException", "You have reached the maximum number of VPC connectors.")
	}
	vpcs := map[string]bool{}
	for _, id := range c.list("subnets") {
		vpcs[c.a.find(tokenSubnet, id).str("vpcId")] = true
	}
	if len(vpcs) != 1 {
		return c.refusal("CreateVpcConnector", "InvalidRequestException", "All subnets must be in the same VPC.")
	}
	for _, id := range c.list("securityGroups") {
		if !vpcs[c.a.find(tokenSecurityGroup, id).str("vpcId")] {
			return c.refusal("CreateVpcConnector", "InvalidRequestException", fmt.Sprintf("The security group %s is not in the VPC of the subnets.", id))
		}
	}
	// AR-4
	for _, other := range c.a.inRegion(tokenConnector, c.Region) {
		if other.str("vpcConnectorName") == c.str("vpcConnectorName") {
			return c.refusal("CreateVpcConnector", "InvalidRequestException", fmt.Sprintf("VPC connector with the provided name already exists: %s.", c.str("vpcConnectorName")))
		}
		if slices.Equal(slices.Sorted(slices.Values(other.list("securityGroups"))), slices.Sorted(slices.Values(c.list("securityGroups")))) {
			return c.refusal("CreateVpcConnector", "InvalidRequestException", fmt.Sprintf("The security groups combination provided in the request already exists on existing vpc connector. Existing VPC connector arn: %s, Security Groups: %v", other.str("arn"), c.list("securityGroups")))
		}
	}
	c.ID = c.arn("apprunner", fmt.Sprintf("vpcconnector/%s/1/%s", c.str("vpcConnectorName"), c.ID))
	c.set("arn", c.ID)
	c.set("status", "ACTIVE")
	c.set("vpcConnectorRevision", 1.0)
	return nil
}

func makeAutoScaling(c *call) error {
	// AR-5
	if c.num("minSize") > c.num("maxSize") {
		return c.refusal("CreateAutoScalingConfiguration", "InvalidRequestException", fmt.Sprintf("MinSize %v must not be greater than MaxSize %v", c.num("minSize"), c.num("maxSize")))
	}
	// AR-1
	revision := 1.0
	revisions := 0
	for _, other := range c.a.inRegion(tokenAutoScaling, c.Region) {
		if other.str("autoScalingConfigurationName") == c.str("autoScalingConfigurationName") {
			revisions++
			revision = max(revision, other.num("autoScalingConfigurationRevision")+1)
		}
	}
	if revisions >= 5 {
		return c.refusal("CreateAutoScalingConfiguration", "ServiceQuotaExceededException", "You have reached the maximum number of revisions for the auto scaling configuration.")
	}
	c.ID = c.arn("apprunner", fmt.Sprintf("autoscalingconfiguration/%s/%v/%s", c.str("autoScalingConfigurationName"), revision, c.ID))
	c.set("arn", c.ID)
	c.set("status", "active")
	c.set("autoScalingConfigurationRevision", revision)
	c.set("latest", true)
	return nil
}

func makeService(c *call) error {
	// AR-1
	if n := len(c.a.inRegion(tokenService, c.Region)); n >= 30 {
		return c.refusal("CreateService", "ServiceQuotaExceededException", "You have reached the maximum number of services.")
	}
	// AR-6
	for _, other := range c.a.inRegion(tokenService, c.Region) {
		if other.str("serviceName") == c.str("serviceName") {
			return c.refusal("CreateService", "InvalidRequestException", fmt.Sprintf("Service with the provided name already exists: %s.", c.str("serviceName")))
		}
	}
	c.set("serviceId", c.ID)
	c.ID = c.arn("apprunner", fmt.Sprintf("service/%s/%s", c.str("serviceName"), c.ID))
	if err := checkService(c); err != nil {
		return err
	}
	c.set("arn", c.ID)
	c.set("serviceUrl", "")
	c.set("status", "OPERATION_IN_PROGRESS")
	return nil
}

func checkService(c *call) error {
	refuse := func(message string) error { return c.refusal(c.operation(), "InvalidRequestException", message) }
	// AR-3
	cpu, memory := c.str("instanceConfiguration", "cpu"), c.str("instanceConfiguration", "memory")
	if cpu != "" && !slices.Contains(sizes[units(cpu)], units(memory)) {
		return refuse(fmt.Sprintf("The provided combination of Cpu %s and Memory %s is not supported", cpu, memory))
	}
	// AR-7
	for _, environment := range []map[string]string{c.variables(), c.secrets()} {
		for name := range environment {
			if name == "PORT" || strings.HasPrefix(name, "AWSAPPRUNNER") {
				return refuse(fmt.Sprintf("Environment variable %s is reserved", name))
			}
		}
	}
	// AR-29
	for name, reference := range c.secrets() {
		if _, err := parseReference(reference); err != nil {
			return refuse(fmt.Sprintf("Environment secret %s: %v", name, err))
		}
	}
	if len(c.secrets()) > 0 && c.str("instanceConfiguration", "instanceRoleArn") == "" {
		return refuse("Instance Role have to be provided if passing in RuntimeEnvironmentSecrets.")
	}
	// AR-8
	kind, connector := c.str("networkConfiguration", "egressConfiguration", "egressType"), c.str("networkConfiguration", "egressConfiguration", "vpcConnectorArn")
	if (kind == "VPC") != (connector != "") {
		return refuse("VpcConnectorArn must be given with, and only with, EgressType VPC")
	}
	// AR-17
	if c.str("observabilityConfiguration", "observabilityConfigurationArn") != "" && !c.flag("observabilityConfiguration", "observabilityEnabled") {
		return refuse("ObservabilityConfigurationArn may be given only when ObservabilityEnabled is true")
	}
	// AR-9
	if connector != "" {
		for _, id := range c.a.find(tokenConnector+"#arn", connector).list("subnets") {
			if c.a.isPublic(id) {
				return refuse(fmt.Sprintf("the VPC connector's subnet %s is public: its network interfaces get no public address, so nothing would leave it", id))
			}
		}
	}
	// AR-10
	access := c.str("sourceConfiguration", "authenticationConfiguration", "accessRoleArn")
	if access == "" {
		return refuse("Authentication configuration with an access role is required for an ECR image repository")
	}
	if err := c.a.assumable(access, buildPrincipal, c.ID); err != nil {
		return refuse("Error in assuming access role " + access)
	}
	if role := c.str("instanceConfiguration", "instanceRoleArn"); role != "" {
		if err := c.a.assumable(role, tasksPrincipal, c.ID); err != nil {
			return refuse(instanceRoleRefused + role)
		}
	}
	return nil
}

var (
	vCPU = regexp.MustCompile(`^([0-9.]+) vCPU$`)
	gb   = regexp.MustCompile(`^([0-9]+|0\.5) GB$`)
)

// units turns "0.25 vCPU" and "1 GB" into AWS's plain numbers.
func units(size string) string {
	for _, form := range []*regexp.Regexp{vCPU, gb} {
		if m := form.FindStringSubmatch(size); m != nil {
			var n float64
			if _, err := fmt.Sscan(m[1], &n); err == nil {
				return fmt.Sprint(n * 1024)
			}
		}
	}
	return size
}
