package monitoring

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// https://docs.aws.amazon.com/apprunner/latest/dg/monitor-cw.html and
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
const (
	appRunner = "AWS/AppRunner"
	aurora    = "AWS/RDS"
)

// metric is one of CloudWatch's, with how the values of a period become one.
type metric struct {
	namespace, name, stat string
}

var (
	requests     = metric{appRunner, "Requests", "Sum"}
	succeeded    = metric{appRunner, "2xxStatusResponses", "Sum"}
	refused      = metric{appRunner, "4xxStatusResponses", "Sum"}
	failed       = metric{appRunner, "5xxStatusResponses", "Sum"}
	latency      = metric{appRunner, "RequestLatency", "p95"}
	typical      = metric{appRunner, "RequestLatency", "p50"}
	instances    = metric{appRunner, "ActiveInstances", "Maximum"}
	capacity     = metric{aurora, "ServerlessDatabaseCapacity", "Average"}
	capacityUsed = metric{aurora, "ACUUtilization", "Average"}
	connections  = metric{aurora, "DatabaseConnections", "Maximum"}
)

// dimension is a name and a value that say whose metric it is.
type dimension struct {
	name  string
	value pulumi.StringInput
}

// dimensions of a metric; App Runner's match only with both of theirs.
func (m metric) dimensions(args *Args) []dimension {
	if m.namespace == aurora {
		return []dimension{{"DBClusterIdentifier", args.DatabaseID}}
	}
	return []dimension{{"ServiceName", args.ServiceName}, {"ServiceID", args.ServiceID}}
}
