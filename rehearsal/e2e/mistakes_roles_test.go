package e2e

var rolesMistakes = []mutation{
	{
		name: "an access role that trusts the instances", file: "apprunner/roles.go",
		right: `name+"-access", imagePuller, repositoryARN`, wrong: `name+"-access", serviceInstance, repositoryARN`,
		tests: `TestRolesHoldTheLeast: - "Principal": map[string]any{"Service": string("tasks.apprunner.amazonaws.com")},`,
		at:    atUp, says: `Error in assuming access role`,
	},
	{
		name: "an instance role that trusts ECS", file: "apprunner/roles.go",
		right: `name+"-instance", serviceInstance, secretARN`, wrong: `name+"-instance", "ecs-tasks.amazonaws.com", secretARN`,
		tests: `TestRolesHoldTheLeast: documents (-got +want)`,
	},
	{
		name: "a principal that is no service", file: "apprunner/roles.go",
		right: `name+"-instance", serviceInstance, secretARN`, wrong: `name+"-instance", "tasks.apprunner.aws.com", secretARN`,
		tests: `TestRolesHoldTheLeast: documents (-got +want)`,
		at:    atUp, says: `Invalid principal in policy: "SERVICE":"tasks.apprunner.aws.com"`,
	},
	{
		name: "a trust in the wrong action", file: "iampolicy/iampolicy.go",
		right: `Action:    []string{"sts:AssumeRole"},`, wrong: `Action: []string{"sts:AssumeRoleWithWebIdentity"},`,
		tests: `TestJSON: "Action":["sts:AssumeRoleWithWebIdentity"]`,
	},
	{
		name: "a version of the policy language that is none", file: "iampolicy/iampolicy.go",
		right: `return Document{Version: version, Statement: statements}`, wrong: `return Document{Version: "2021-10-17", Statement: statements}`,
		tests: `TestRolesHoldTheLeast: - "Version": string("2021-10-17"),`,
	},
	{
		name: "an action that may not be missing", file: "apprunner/roles.go",
		right: `"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer"`,
		wrong: `"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages"`,
		tests: `TestRolesHoldTheLeast: + string("ecr:GetDownloadUrlForLayer"),`,
		at:    atUp, says: `is not authorized to perform: ecr:GetDownloadUrlForLayer`,
	},
	{
		name: "an action without a resource, restricted to one", file: "apprunner/roles.go",
		right: `iampolicy.Allow(iampolicy.Everything, "ecr:GetAuthorizationToken")`, wrong: `iampolicy.Allow(arn, "ecr:GetAuthorizationToken")`,
		tests: `TestRolesHoldTheLeast: + "Resource": []any{string("*")},`,
	},
	{
		name: "a misspelt action", file: "apprunner/roles.go",
		right: `"secretsmanager:GetSecretValue"`, wrong: `"secretsmanager:GetSecret"`,
		tests: `TestRolesHoldTheLeast: - "Action": []any{string("secretsmanager:GetSecret")},`,
		at:    atReady, says: `credentials for the database are not to be had`,
	},
	{
		name: "an ARN's pattern that matches nothing", file: "apprunner/roles.go",
		right: `iampolicy.Allow(arn, "secretsmanager:GetSecretValue")`, wrong: `iampolicy.Allow(arn+"-??????", "secretsmanager:GetSecretValue")`,
		tests: `TestRolesHoldTheLeast: documents (-got +want)`,
	},
	{
		name: "any secret may be read", file: "apprunner/roles.go",
		right: `iampolicy.Allow(arn, "secretsmanager:GetSecretValue")`, wrong: `iampolicy.Allow(iampolicy.Everything, "secretsmanager:GetSecretValue")`,
		tests: `TestEveryShape: service-instance allows secretsmanager:GetSecretValue on *`,
	},
	{
		name: "all that Secrets Manager can do", file: "apprunner/roles.go",
		right: `"secretsmanager:GetSecretValue"`, wrong: `"secretsmanager:*"`,
		tests: `TestEveryShape: service-instance allows secretsmanager:*`,
	},
	{
		name: "roles called as another stack's", file: "apprunner/roles.go",
		right: `&iam.RoleArgs{AssumeRolePolicy`, wrong: `&iam.RoleArgs{Name: pulumi.String(name), AssumeRolePolicy`,
		at: atBeside, says: `EntityAlreadyExists`,
	},
	{
		name: "a service before its roles may do anything", file: "apprunner/apprunner.go",
		right: `ready := []pulumi.Resource{access.policy, instance.policy, connector, scaling}`, wrong: `ready := []pulumi.Resource{connector, scaling}`,
		tests: `TestServiceComesLast: the service does not wait for RolePolicy::service-access`,
	},
	{
		name: "no right to log in with tokens", file: "apprunner/login.go", settings: tokens,
		right: `"rds-db:connect"`, wrong: `"rds:connect"`,
		tests: `TestLoginPolicyHoldsTheLeast: - "Action": []any{string("rds:connect")},`,
		at:    atReady, says: `answered 503`,
	},
	{
		name: "the cluster's ARN for its role's", file: "apprunner/login.go",
		right: `iampolicy.Allow(arn, "rds-db:connect")`, wrong: `iampolicy.Allow(arn[:len(arn)-len(login.User)-1], "rds-db:connect")`,
		tests: `TestLoginPolicyHoldsTheLeast: policies of the instance role (-got +want)`,
	},
	{
		name: "any role of any database", file: "apprunner/login.go",
		right: `iampolicy.Allow(arn, "rds-db:connect")`, wrong: `iampolicy.Allow(iampolicy.Everything, "rds-db:connect")`,
		tests: `TestEveryShape: service-login allows rds-db:connect on *`,
	},
	{
		name: "a cluster that takes no tokens", file: "database/database.go", settings: tokens,
		right: `IamDatabaseAuthenticationEnabled: pulumi.Bool(true),`, wrong: `IamDatabaseAuthenticationEnabled: pulumi.Bool(false),`,
		tests: `TestDatabase: - "iamDatabaseAuthenticationEnabled": bool(false),`,
		at:    atReady, says: `answered 503`,
	},
	{
		name: "nobody who makes the service's role", file: "apprunner/environment.go",
		right: `if args.Environment.Login == nil {`, wrong: `if args.Environment.Login != nil {`,
		tests: `TestLoginWithTokensNeedsNoSecretAtRunTime: + "runtimeEnvironmentSecrets": map[string]any{`,
	},
}
