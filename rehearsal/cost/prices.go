package cost

// A price is what one unit costs on demand in USD. Assumed prices stand in no source that could be checked for that
// region, and are printed with a mark.
type price struct {
	item, unit string
	in         map[string]amount // by region
	source     string            // with the month in which it was read
}

type amount struct {
	usd     float64
	assumed bool
}

const (
	usEast1 = "us-east-1"
	euWest1 = "eu-west-1"

	hours = 730 // of a month, as AWS's own calculator counts
)

func sure(usd float64) amount    { return amount{usd: usd} }
func assumed(usd float64) amount { return amount{usd: usd, assumed: true} }

// inBoth are the prices of the two regions that the table knows.
func inBoth(usEast, euWest amount) map[string]amount {
	return map[string]amount{usEast1: usEast, euWest1: euWest}
}

var (
	memoryHour = price{"App Runner memory", "GB-hour", inBoth(sure(0.007), assumed(0.007)),
		"https://aws.amazon.com/apprunner/pricing/, October 2026"}
	processorHour = price{"App Runner CPU while it works", "vCPU-hour", inBoth(sure(0.064), assumed(0.064)),
		"https://aws.amazon.com/apprunner/pricing/, October 2026"}
	automaticDeployments = price{"App Runner automatic deployments", "service", inBoth(assumed(1), assumed(1)),
		"https://aws.amazon.com/apprunner/pricing/, undated"}
	capacityHour = price{"Aurora Serverless v2", "ACU-hour", inBoth(sure(0.12), sure(0.14)),
		"AWS Price List, AmazonRDS, ServerlessV2Usage, September 2026"}
	storageMonth = price{"Aurora storage", "GB", inBoth(sure(0.10), sure(0.11)),
		"https://aws.amazon.com/rds/aurora/pricing/, by Infracost, August 2026"}
	storageRequests = price{"Aurora I/O", "million", inBoth(sure(0.20), assumed(0.22)),
		"https://aws.amazon.com/rds/aurora/pricing/, by Infracost, August 2026"}
	natHour = price{"NAT gateway", "hour", inBoth(sure(0.045), sure(0.048)),
		"AWS Price List, AmazonEC2, NatGateway-Hours, 2026"}
	addressHour = price{"Public IPv4 address", "hour", inBoth(sure(0.005), sure(0.005)),
		"https://aws.amazon.com/vpc/pricing/, 2026"}
	endpointHour = price{"Interface endpoint", "zone and hour", inBoth(sure(0.01), sure(0.011)),
		"https://aws.amazon.com/privatelink/pricing/, by Infracost, August 2026, and bills of eu-west-1"}
	imageMonth = price{"ECR images", "GB", inBoth(sure(0.10), sure(0.10)),
		"AWS Price List, AmazonECR, TimedStorage-ByteHrs, May 2026"}
	secretMonth = price{"Secrets Manager secret", "secret", inBoth(sure(0.40), assumed(0.40)),
		"https://aws.amazon.com/secrets-manager/pricing/, by Infracost, August 2026"}
)

// metricAlarms are billed by the metrics that they look at.
var metricAlarms = price{"CloudWatch alarms", "metric", inBoth(assumed(0.10), assumed(0.10)),
	"https://aws.amazon.com/cloudwatch/pricing/, undated"}

// free are the types that cost nothing by themselves.
var free = map[string]bool{
	"aws:apprunner/customDomainAssociation:CustomDomainAssociation": true,
	// Traces are paid for by volume.
	"aws:apprunner/observabilityConfiguration:ObservabilityConfiguration": true,
	// The web ACL is paid for by who has it.
	"aws:wafv2/webAclAssociation:WebAclAssociation":                                 true,
	"aws:apprunner/autoScalingConfigurationVersion:AutoScalingConfigurationVersion": true,
	"aws:apprunner/vpcConnector:VpcConnector":                                       true,
	// The endpoint that it is for is paid for.
	"aws:apprunner/vpcIngressConnection:VpcIngressConnection": true,
	// Its lines are paid for by volume, which Assumptions leave out.
	"aws:cloudwatch/logGroup:LogGroup": true,
	// An account's first three are.
	"aws:cloudwatch/dashboard:Dashboard":                        true,
	"aws:sns/topic:Topic":                                       true,
	"aws:sns/topicSubscription:TopicSubscription":               true,
	"aws:ec2/internetGateway:InternetGateway":                   true,
	"aws:ec2/route:Route":                                       true,
	"aws:ec2/routeTable:RouteTable":                             true,
	"aws:ec2/routeTableAssociation:RouteTableAssociation":       true,
	"aws:ec2/securityGroup:SecurityGroup":                       true,
	"aws:ec2/subnet:Subnet":                                     true,
	"aws:ec2/vpc:Vpc":                                           true,
	"aws:ecr/lifecyclePolicy:LifecyclePolicy":                   true,
	"aws:iam/role:Role":                                         true,
	"aws:iam/rolePolicy:RolePolicy":                             true,
	"aws:rds/clusterParameterGroup:ClusterParameterGroup":       true,
	"aws:rds/subnetGroup:SubnetGroup":                           true,
	"aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule":   true,
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule": true,
	// The image itself is paid for in its repository.
	"docker:index/image:Image": true,
}
