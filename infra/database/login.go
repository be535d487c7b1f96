package database

import (
	"fmt"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/rds"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// loginARN names the role Login of one cluster. AWS gives out no such ARN, but all that it is made of.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
func loginARN(cluster *rds.Cluster) pulumi.StringOutput {
	return pulumi.All(cluster.Arn, cluster.ClusterResourceId).ApplyT(func(known []any) (string, error) {
		return dbUser(known[0].(string), known[1].(string), Login)
	}).(pulumi.StringOutput)
}

func dbUser(clusterARN, resourceID, role string) (string, error) {
	parts := strings.SplitN(clusterARN, ":", 6)
	if len(parts) != 6 {
		return "", fmt.Errorf("%q is no ARN of a cluster", clusterARN)
	}
	return fmt.Sprintf("arn:%s:rds-db:%s:%s:dbuser:%s/%s", parts[1], parts[3], parts[4], resourceID, role), nil
}
