package apprunner

import (
	"fmt"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/iam"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"example.com/todo/infra/iampolicy"
)

// https://docs.aws.amazon.com/apprunner/latest/dg/security_iam_service-with-iam.html
const (
	imagePuller     = "build.apprunner.amazonaws.com"
	serviceInstance = "tasks.apprunner.amazonaws.com"
)

type grantedRole struct {
	role   *iam.Role
	policy *iam.RolePolicy
}

// newAccessRole lets App Runner pull from one repository.
func newAccessRole(
	ctx *pulumi.Context, name string, repositoryARN pulumi.StringInput, inside pulumi.ResourceOption,
) (*grantedRole, error) {
	return newRole(ctx, name+"-access", imagePuller, repositoryARN, func(arn string) iampolicy.Document {
		return iampolicy.Permissions(
			iampolicy.Allow(iampolicy.Everything, "ecr:GetAuthorizationToken"),
			iampolicy.Allow(arn,
				"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"),
		)
	}, inside)
}

// newInstanceRole lets one secret be read, by the service or by App Runner for it, and, when the service is traced, App Runner's
// collector write its traces.
// https://docs.aws.amazon.com/aws-managed-policy/latest/reference/AWSXRayDaemonWriteAccess.html
func newInstanceRole(
	ctx *pulumi.Context, name string, secretARN pulumi.StringInput, traced bool, inside pulumi.ResourceOption,
) (*grantedRole, error) {
	return newRole(ctx, name+"-instance", serviceInstance, secretARN, func(arn string) iampolicy.Document {
		statements := []iampolicy.Statement{iampolicy.Allow(arn, "secretsmanager:GetSecretValue")}
		if traced {
			statements = append(statements, iampolicy.Allow(iampolicy.Everything,
				"xray:GetSamplingRules", "xray:GetSamplingStatisticSummaries", "xray:GetSamplingTargets",
				"xray:PutTelemetryRecords", "xray:PutTraceSegments"))
		}
		return iampolicy.Permissions(statements...)
	}, inside)
}

func newRole(
	ctx *pulumi.Context, name, principal string, resource pulumi.StringInput, may func(arn string) iampolicy.Document,
	inside pulumi.ResourceOption,
) (*grantedRole, error) {
	trust, err := iampolicy.Trust(principal).JSON()
	if err != nil {
		return nil, err
	}
	role, err := iam.NewRole(ctx, name, &iam.RoleArgs{AssumeRolePolicy: pulumi.String(trust)}, inside)
	if err != nil {
		return nil, err
	}
	policy, err := newPolicy(ctx, name, role, resource, may, inside)
	if err != nil {
		return nil, err
	}
	return &grantedRole{role: role, policy: policy}, nil
}

func newPolicy(
	ctx *pulumi.Context, name string, role *iam.Role, resource pulumi.StringInput, may func(arn string) iampolicy.Document,
	inside pulumi.ResourceOption,
) (*iam.RolePolicy, error) {
	policy, err := iam.NewRolePolicy(ctx, name, &iam.RolePolicyArgs{
		Role: role.ID(),
		Policy: resource.ToStringOutput().ApplyT(func(arn string) (string, error) {
			return may(arn).JSON()
		}).(pulumi.StringOutput),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("policy: %w", err)
	}
	return policy, nil
}
