package apprunner

import (
	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"example.com/todo/infra/iampolicy"
)

// newKeysPolicy lets the service read the secret with the API's keys. It is a policy of its own: made before the deployment
// that asks for keys, and deleted after the one that no longer does.
func newKeysPolicy(
	ctx *pulumi.Context, name string, role *iam.Role, secretARN string, inside pulumi.ResourceOption,
) (*iam.RolePolicy, error) {
	return newPolicy(ctx, name+"-keys", role, pulumi.String(secretARN), func(arn string) iampolicy.Document {
		return iampolicy.Permissions(iampolicy.Allow(arn, "secretsmanager:GetSecretValue"))
	}, inside)
}
