package apprunner

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"example.com/todo/infra/iampolicy"
)

// Login is a role of the database that takes IAM tokens instead of a password, and its ARN. Both are required.
type Login struct {
	User string
	ARN  pulumi.StringInput
}

// newLoginPolicy lets the service log in as that role. It is a policy of its own: when a stack goes back to passwords, it is
// deleted after the deployment, until when instances log in with tokens; one policy for all would be changed before.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
func newLoginPolicy(
	ctx *pulumi.Context, name string, role *iam.Role, login *Login, inside pulumi.ResourceOption,
) (*iam.RolePolicy, error) {
	return newPolicy(ctx, name+"-login", role, login.ARN, func(arn string) iampolicy.Document {
		return iampolicy.Permissions(iampolicy.Allow(arn, "rds-db:connect"))
	}, inside)
}
