package database

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The logs that RDS exports: PostgreSQL's own, with errors and connections that were refused; why IAM refused tokens, of which
// PostgreSQL knows only that they were; and why the database did not pause. Aurora has the last one only where it may pause.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/USER_LogAccess.Concepts.PostgreSQL.html
const (
	serverLog = "postgresql"
	tokensLog = "iam-db-auth-error"
	pausesLog = "instance"
)

// exportedLogs are the names that RDS knows logs by, and the groups that they go to.
type exportedLogs struct {
	names  pulumi.StringArray
	groups []pulumi.Resource
}

func newLogs(ctx *pulumi.Context, name string, args *Args, inside pulumi.ResourceOption) (*exportedLogs, error) {
	logs := &exportedLogs{}
	err := logs.add(ctx, name+"-log", serverLog, args, inside)
	if err == nil && args.IAMLogin {
		err = logs.add(ctx, name+"-tokens", tokensLog, args, inside)
	}
	if err == nil && args.mayPause() {
		err = logs.add(ctx, name+"-pauses", pausesLog, args, inside)
	}
	return logs, err
}

// add takes the name that RDS would give the group, before RDS can: a group that RDS makes keeps its logs, and their
// bill, for ever, and one that is there already cannot be declared any more.
func (l *exportedLogs) add(ctx *pulumi.Context, name, log string, args *Args, inside pulumi.ResourceOption) error {
	group, err := cloudwatch.NewLogGroup(ctx, name, &cloudwatch.LogGroupArgs{
		Name:            pulumi.String("/aws/rds/cluster/" + args.PhysicalName + "/" + log),
		RetentionInDays: pulumi.Int(args.LogRetentionDays),
	}, inside, pulumi.IgnoreChanges([]string{"name"}))
	if err != nil {
		return fmt.Errorf("log group of %s: %w", log, err)
	}
	l.names, l.groups = append(l.names, pulumi.String(log)), append(l.groups, group)
	return nil
}
