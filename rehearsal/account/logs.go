package account

import (
	"slices"

	"example.com/todo/rehearsal/schema"
)

const tokenLogGroup = "aws:cloudwatch/logGroup:LogGroup"

// exportable are the logs that the provider lets a cluster export, of whatever engine. (RDS-19)
var exportable = []schema.Rule{schema.OneOf("audit", "error", "general", "iam-db-auth-error", "instance", "postgresql", "slowquery")}

var logs = []*kind{
	{
		Type: &schema.Type{
			Token: tokenLogGroup, Tagged: true, AutoName: "name", MaxName: 512,
			Inputs: withTags(schema.Properties{
				// LOG-1
				"name": {Kind: schema.String, Replaces: true, Check: []schema.Rule{
					schema.Length(1, 512), schema.Match(`^[.\-_/#A-Za-z0-9]+$`, "must be made of alphanumeric characters, underscores, hyphens, slashes, hash signs and dots")}},
				// LOG-2
				"retentionInDays": {Kind: schema.Number, Default: 0.0, Check: []schema.Rule{
					schema.AnyOf(0, 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653)}},
			}),
			Outputs: schema.Properties{"arn": text},
		},
		service: "CloudWatch Logs", noun: "Log Group", create: "CreateLogGroup", update: "PutRetentionPolicy", destroy: "DeleteLogGroup",
		invalid: "InvalidParameterException", missing: "ResourceNotFoundException",
		made: func(c *call) error {
			// LOG-1
			if c.a.logGroupExists(c.Region, c.str("name")) {
				return c.refusal("CreateLogGroup", "ResourceAlreadyExistsException", "The specified log group already exists")
			}
			c.ID = c.str("name")
			c.set("arn", c.arn("logs", "log-group:"+c.ID))
			return nil
		},
	},
}

// logGroupExists knows also the groups that AWS makes by itself: a cluster's that exports its logs. (RDS-17)
func (a *Account) logGroupExists(region, name string) bool {
	if a.find(tokenLogGroup, name) != nil {
		return true
	}
	for _, cluster := range a.inRegion(tokenCluster, region) {
		if slices.ContainsFunc(cluster.list("enabledCloudwatchLogsExports"), func(log string) bool {
			return name == "/aws/rds/cluster/"+cluster.ID+"/"+log
		}) {
			return true
		}
	}
	return false
}
