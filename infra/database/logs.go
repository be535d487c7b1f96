package database

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// exportedLog is PostgreSQL's own: errors, and connections that were refused.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/AuroraPostgreSQL.CloudWatch.html
const exportedLog = "postgresql"

// newLogGroup takes the name that RDS would give the group, before RDS can: a group that RDS makes keeps its logs, and
// their bill, for ever, and one that is there already cannot be declared any more.
func newLogGroup(ctx *pulumi.Context, name string, args *Args, inside pulumi.ResourceOption) (*cloudwatch.LogGroup, error) {
	return cloudwatch.NewLogGroup(ctx, name+"-log", &cloudwatch.LogGroupArgs{
		Name:            pulumi.String("/aws/rds/cluster/" + args.PhysicalName + "/" + exportedLog),
		RetentionInDays: pulumi.Int(args.LogRetentionDays),
	}, inside, pulumi.IgnoreChanges([]string{"name"}))
}
