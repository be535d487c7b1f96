package account_test

import (
	"fmt"
	"strings"
	"testing"
)

// Each row departs in one thing from what the world was made of, which was accepted, and is refused. The rule is
// the number in BEHAVIOUR.md.
func TestRefusals(t *testing.T) {
	const preview, up = "preview", "up"
	rows := []struct {
		rule, of string
		change   func(w *world) props
		moment   string
		text     string
	}{
		{"PRO-1", "vpc", set("enableDnsHostname", true), preview, "knows no such property"},
		{"PRO-1", "service", set("instanceConfiguration.cpus", "256"), preview, "instanceConfiguration.cpus: the rehearsal knows no such property"},
		{"PRO-2", "vpc", set("cidrBlock", nil), preview, `missing required argument: the argument "cidrBlock" is required`},
		{"PRO-2", "vpc", set("enableDnsSupport", "yes"), preview, "enableDnsSupport: expected a bool, got string"},
		{"PRO-3", "subnet", other("vpcId", "vpc-0"), up, "InvalidVpcID.NotFound: The VPC 'vpc-0' does not exist"},
		{"PRO-3", "connector", set("securityGroups", []string{"sg-0"}), up, "InvalidGroup.NotFound"},

		{"EC2-2", "vpc", set("cidrBlock", "10.0.0.0/8"), preview, "network prefix between /16 and /28"},
		{"EC2-2", "vpc", set("cidrBlock", "10.0.0.1/16"), preview, `did you mean "10.0.0.0/16"`},
		{"EC2-2", "subnet", other("cidrBlock", "10.1.9.0/24"), up, "InvalidSubnet.Range: The CIDR '10.1.9.0/24' is invalid."},
		{"EC2-3", "subnet", other("cidrBlock", "10.0.1.128/25"), up, "InvalidSubnet.Conflict: The CIDR '10.0.1.128/25' conflicts with another subnet"},
		{"EC2-4", "gateway", same, up, "Resource.AlreadyAssociated"},
		{"EC2-5", "route", same, up, "RouteAlreadyExists: The route identified by 0.0.0.0/0 already exists."},
		{"EC2-6", "association", same, up, "Resource.AlreadyAssociated"},
		{"EC2-7", "nat", set("allocationId", nil), up, "MissingParameter: The request must contain the parameter AllocationId"},
		{"EC2-8", "subnet", other("availabilityZone", "eu-west-1x"), up, "Value (eu-west-1x) for parameter availabilityZone is invalid"},
		{"EC2-9", "endpoint", set("serviceName", "com.amazonaws.eu-west-2.secretsmanager"), up, "InvalidServiceName"},
		{"EC2-9", "endpoint", set("serviceName", "com.amazonaws.eu-west-1.secrets-manager"), up, "InvalidServiceName"},
		{"EC2-10", "endpoint", func(w *world) props {
			return props{"subnetIds": []string{w.made["private1"].id, w.made["public"].id}}
		}, up, "DuplicateSubnetsInSameZone"},
		{"EC2-12", "endpoint", same, up, "private-dns-enabled cannot be set because there is already a conflicting DNS domain for secretsmanager.eu-west-1.amazonaws.com"},
		{"EC2-13", "caller", func(w *world) props { return props{"name": w.made["caller"].state["name"]} }, up, "InvalidGroup.Duplicate"},
		{"EC2-13", "caller", set("name", "sg-mine"), preview, "a name cannot begin with sg-"},
		{"EC2-13", "caller", set("description", "the service's group"), up, "Invalid security group description"},
		{"EC2-14", "in", set("ipProtocol", "-1"), up, "You may not specify all protocols and specific ports"},
		{"EC2-14", "in", set("toPort", nil), up, "MissingParameter"},
		{"EC2-14", "in", set("toPort", 70000), preview, "expected to be in the range (-1 - 65535), got 70000"},
		{"EC2-14", "in", set("cidrIpv4", "10.0.0.0/16"), preview, "exactly one of"},
		{"EC2-15", "in", same, up, "InvalidPermission.Duplicate"},

		{"IAM-1", "access", func(w *world) props { return props{"name": strings.ToUpper(w.made["access"].id)} }, up, "EntityAlreadyExists"},
		{"IAM-1", "access", set("name", strings.Repeat("x", 65)), preview, "expected length to be in the range (1 - 64)"},
		{"IAM-2", "access", set("assumeRolePolicy", "{"), preview, "contains an invalid JSON policy"},
		{"IAM-2", "access", set("assumeRolePolicy", allow(`"sts:AssumeRole"`, "*")), up, "MalformedPolicyDocument: Missing required field Principal"},
		{"IAM-3", "accessPolicy", set("policy", trust("ecs.amazonaws.com")), up, "Policy document should not specify a principal."},
		{"IAM-3", "accessPolicy", set("policy", allow(`"GetSecretValue"`, "*")), up, "must be prefaced by a vendor"},
		{"IAM-3", "accessPolicy", set("policy", allow(`"s3:GetObject"`, "bucket")), up, "must be in ARN format"},

		{"IAM-7", "access", trusting(`"Principal":{"Service":"build.apprunner.amazonaws.com"},"NotPrincipal":"*"`), up, "an element that the rehearsal does not evaluate"},
		{"IAM-7", "access", trusting(`"Principal":{"Service":"app-runner"}`), up, `Invalid principal in policy: "SERVICE":"app-runner"`},
		{"IAM-7", "access", trusting(`"Principal":{"AWS":"arn:aws:iam::123456789012:role/nobody"}`), up, `Invalid principal in policy: "AWS":"arn:aws:iam::123456789012:role/nobody"`},
		{"IAM-7", "accessPolicy", granting(`"Action":"s3:*","NotAction":"s3:*","Resource":"*"`), up, "must not contain both Action and NotAction"},
		{"IAM-7", "accessPolicy", granting(`"Action":"s3:*","NotResource":"*","Resource":"*"`), up, "must not contain both Resource and NotResource"},
		{"IAM-7", "accessPolicy", granting(`"Action":"s3:*","Resource":"arn:aws:s3:::${aws:username}/*"`), up, "does not evaluate the policy variable"},
		{"IAM-7", "accessPolicy", granting(`"Action":"s3:*","Resource":"*","Condition":{"StringLooksLike":{"aws:SourceArn":"*"}}`), up, "Invalid Condition type : StringLooksLike"},
		{"IAM-7", "accessPolicy", granting(`"Action":"s3:*","Resource":"*","Condition":{"IpAddress":{"aws:SourceIp":"10.0.0.0/8"}}`), up, "does not evaluate the condition operator IpAddress"},
		{"IAM-7", "accessPolicy", granting(`"Action":"s3:*","Resource":"*","Condition":{"ForAnyValue:StringEquals":{"aws:SourceArn":"*"}}`), up, "does not evaluate the condition operator ForAnyValue:StringEquals"},
		{"IAM-7", "accessPolicy", granting(`"Action":"s3:*","Resource":"*","Condition":{"StringEquals":{"aws:PrincipalTag/team":"todo"}}`), up, "does not evaluate the condition key aws:PrincipalTag/team"},
		{"IAM-7", "endpoint", func(*world) props {
			return props{"serviceName": "com.amazonaws.eu-west-1.ssm", "policy": allow(`"ssm:*"`, "*")}
		}, up, "InvalidPolicyDocument: The Statement in the policy has no Principal"},
		{"IAM-8", "access", trusting(`"Principal":{"Service":"` + strings.Repeat("x", 2048) + `.amazonaws.com"}`), up, "Cannot exceed quota for ACLSizePerRole: 2048"},
		{"IAM-8", "accessPolicy", granting(`"Action":"s3:*","Resource":"arn:aws:s3:::` + strings.Repeat("x", 10240) + `"`), up, "Maximum policy size of 10240 bytes exceeded for role access-"},

		{"RDS-1", "cluster", second("engineVersion", "17.99"), up, "Cannot find version 17.99 for aurora-postgresql"},
		{"RDS-2", "cluster", set("clusterIdentifier", "Todo"), preview, "only lowercase alphanumeric characters and hyphens allowed"},
		{"RDS-2", "cluster", set("clusterIdentifier", "todo--test"), preview, "cannot contain two consecutive hyphens"},
		{"RDS-2", "cluster", set("clusterIdentifier", strings.Repeat("x", 64)), up, "expected length to be in the range (1 - 63)"},
		{"RDS-2", "cluster", second("masterUsername", "admin"), up, "MasterUsername is a reserved word"},
		{"RDS-3", "subnets", func(w *world) props {
			return props{"subnetIds": []string{w.made["private1"].id, w.made["public"].id}}
		}, up, "DBSubnetGroupDoesNotCoverEnoughAZs"},
		{"RDS-4", "parameters", set("family", "aurora-postgresql9"), up, "is not a valid parameter group family"},
		{"RDS-4", "cluster", second("engineVersion", "16.9"), up, "InvalidParameterCombination: The Parameter Group"},
		{"RDS-5", "parameters", set("parameters", []props{{"name": "shared_preload_libraries", "value": "pg_cron"}}), up, "cannot use immediate apply method for static parameter"},
		{"RDS-6", "cluster", same, up, "DBClusterAlreadyExistsFault: DB Cluster already exists"},
		{"RDS-6", "instance", same, up, "DBInstanceAlreadyExists: DB instance already exists"},
		{"RDS-7", "cluster", second("manageMasterUserPassword", false), up, "models manageMasterUserPassword=true only"},
		{"RDS-8", "cluster", second("serverlessv2ScalingConfiguration.maxCapacity", 0.5), preview, "expected to be in the range (1 - 256), got 0.5"},
		{"RDS-8", "cluster", second("serverlessv2ScalingConfiguration.maxCapacity", 1.25), up, "expected a multiple of 0.5, got 1.25"},
		{"RDS-8", "cluster", second("serverlessv2ScalingConfiguration.minCapacity", 2), up, "can't be greater than the maximum capacity"},
		{"RDS-9", "cluster", second("serverlessv2ScalingConfiguration.secondsUntilAutoPause", 60), preview, "expected to be in the range (300 - 86400), got 60"},
		{"RDS-9", "cluster", second("serverlessv2ScalingConfiguration.minCapacity", 0.5), up, "SecondsUntilAutoPause can be set only when MinCapacity is 0."},
		{"RDS-15", "instance", func(*world) props { return props{"identifier": "todo-test-2", "engine": "aurora-mysql"} }, up, "doesn't match the engine name of your DB cluster"},
		{"RDS-17", "log", set("name", "/aws/rds/cluster/todo-test/iam-db-auth-error"), up, "ResourceAlreadyExistsException"},
		{"RDS-18", "cluster", func(*world) props {
			return props{"clusterIdentifier": "todo-second", "preferredBackupWindow": "03:30-04:30", "preferredMaintenanceWindow": "sun:03:00-sun:04:00"}
		}, up, "The backup window and maintenance window must not overlap."},
		{"RDS-19", "cluster", second("enabledCloudwatchLogsExports", []string{"everything"}), preview, "expected to be one of [audit error"},
		{"RDS-19", "cluster", second("enabledCloudwatchLogsExports", []string{"slowquery"}), up, "expected to be one of [iam-db-auth-error instance postgresql], got slowquery"},

		{"LOG-1", "log", same, up, "ResourceAlreadyExistsException: The specified log group already exists"},
		{"LOG-1", "log", set("name", "/aws/todo tasks"), preview, "must be made of alphanumeric characters"},
		{"LOG-2", "log", set("retentionInDays", 31), preview, "expected to be one of [0 1 3 5 7 14"},
		{"AR-17", "service", func(w *world) props {
			return props{"serviceName": "todo-other", "observabilityConfiguration": props{"observabilityEnabled": false, "observabilityConfigurationArn": w.made["tracing"].id}}
		}, up, "only when ObservabilityEnabled is true"},
		{"AR-18", "tracing", set("observabilityConfigurationName", "DefaultConfiguration"), up, "the name is reserved"},
		{"AR-18", "tracing", set("traceConfiguration", props{"vendor": "JAEGER"}), preview, "expected to be one of [AWSXRAY], got JAEGER"},
		{"AR-19", "domain", set("domainName", "https://example.com"), up, "must be a domain"},
		{"AR-19", "domain", set("domainName", "*.example.com"), up, "EnableWWWSubdomain must be false for a wildcard domain"},
		{"AR-19", "domain", same, up, "Domain example.com is already associated with a service"},

		{"WAF-1", "firewall", set("webAclArn", webACL("us-east-1", "global", "one")), up, "must be a regional web ACL"},
		{"WAF-1", "firewall", set("webAclArn", webACL("us-east-1", "regional", "one")), up, "The web ACL is in us-east-1, the resource in eu-west-1"},

		{"CW-1", "alarm", set("comparisonOperator", "Above"), preview, "expected to be one of [GreaterThanOrEqualToThreshold"},
		{"CW-1", "alarm", set("treatMissingData", "fine"), preview, "expected to be one of [breaching ignore missing notBreaching], got fine"},
		{"CW-1", "alarm", set("alarmActions", []string{"ops@example.com"}), preview, "is an invalid ARN"},
		{"CW-2", "alarm", queries(props{"id": "Share", "expression": "1", "returnData": true}), up, "must begin with a lower case letter"},
		{"CW-2", "alarm", queries(props{"id": "a", "expression": "1"}, props{"id": "a", "expression": "2", "returnData": true}), up, "are not unique"},
		{"CW-2", "alarm", queries(props{"id": "a", "returnData": true}), up, "Exactly one of Expression and MetricStat"},
		{"CW-2", "alarm", queries(props{"id": "a", "expression": "1"}), up, "Exactly one element of the metrics list should return data, got 0"},
		{"CW-3", "alarm", set("datapointsToAlarm", 3), up, "DatapointsToAlarm must be less than or equal to EvaluationPeriods"},
		{"CW-3", "alarm", set("evaluationPeriods", 289), up, "Metrics cannot be checked across more than a day"},
		{"CW-4", "dashboard", set("dashboardName", "todo test"), preview, "must contain only alphanumeric characters, hyphens and underscores"},
		{"CW-4", "dashboard", set("dashboardBody", "{"), preview, "invalid JSON"},
		{"CW-5", "dashboard", set("dashboardBody", "{}"), up, `should have property "widgets"`},
		{"CW-5", "dashboard", set("dashboardBody", dashboard("", 8)), up, `/widgets/0/properties should have property "region"`},
		{"CW-5", "dashboard", set("dashboardBody", dashboard("eu-west-1", 9)), up, "reaches from column 16 to 25 of 24"},
		{"CW-5", "dashboard", set("dashboardBody", strings.Replace(dashboard("eu-west-1", 8), `"DatabaseConnections"`, `"DatabaseConnections","Role"`, 1)), up, "should be namespace, name and dimensions"},

		{"SNS-1", "topic", set("name", "todo alarms"), preview, "invalid name of a topic"},
		{"SNS-2", "subscription", set("endpoint", "ops"), up, "Invalid parameter: Email address"},
		{"SNS-2", "subscription", set("protocol", "pigeon"), preview, "expected to be one of [application email"},
		{"PRO-3", "subscription", set("topic", "arn:aws:sns:eu-west-1:123456789012:other"), up, "NotFound: The Topic"},

		{"ECR-1", "repository", func(w *world) props { return props{"name": w.made["repository"].id} }, up, "RepositoryAlreadyExistsException"},
		{"ECR-1", "repository", set("name", "Todo"), up, "must satisfy regular expression"},
		{"ECR-3", "lifecycle", set("policy", lifecycle("tagged", "imageCountMoreThan", 20)), up, "LifecyclePolicyText"},
		{"ECR-3", "lifecycle", set("policy", lifecycle("any", "sinceImagePushed", 20)), up, "countUnit days is required with sinceImagePushed"},
		{"ECR-3", "lifecycle", set("policy", lifecycle("any", "imageCountMoreThan", 0)), up, "countNumber 0 must be positive"},

		{"AR-3", "service", named("instanceConfiguration.memory", "2048"), up, "combination of Cpu 256 and Memory 2048 is not supported"},
		{"AR-3", "service", named("instanceConfiguration.cpu", "300"), preview, "must be 256, 512, 1024, 2048, 4096"},
		{"AR-4", "connector", set("vpcConnectorName", "todo-other"), up, "The security groups combination provided in the request already exists"},
		{"AR-4", "connector", func(w *world) props { return props{"securityGroups": []string{w.made["callee"].id}} }, up, "VPC connector with the provided name already exists: todo-test."},
		{"AR-5", "scaling", set("minSize", 3), up, "MinSize 3 must not be greater than MaxSize 2"},
		{"AR-5", "scaling", set("maxSize", 26), preview, "expected to be in the range (1 - 25), got 26"},
		{"AR-5", "scaling", set("autoScalingConfigurationName", strings.Repeat("x", 33)), preview, "expected length to be in the range (4 - 32)"},
		{"AR-6", "service", same, up, "Service with the provided name already exists: todo-test."},
		{"AR-6", "service", set("serviceName", "abc"), up, "expected length to be in the range (4 - 40)"},
		{"AR-7", "service", named("sourceConfiguration.imageRepository.imageConfiguration.runtimeEnvironmentVariables", props{"PORT": "80"}), up, "Environment variable PORT is reserved"},
		{"AR-7", "service", named(secrets, props{"AWSAPPRUNNER_KEY": aSecret}), up, "Environment variable AWSAPPRUNNER_KEY is reserved"},
		{"AR-29", "service", named(secrets, props{"KEY": "todo/key"}), up, `"todo/key" is no ARN of a secret`},
		{"AR-29", "service", named(secrets, props{"KEY": aSecret + ":password"}), up, "is no ARN of a secret"},
		{"AR-29", "service", named(secrets, props{"KEY": "arn:aws:ssm:eu-west-1:123456789012:parameter/key"}), up, "nor parameters of Systems Manager"},
		{"AR-29", "service", func(*world) props {
			return props{"serviceName": "todo-other", secrets: props{"KEY": aSecret}, "instanceConfiguration": props{"cpu": "256", "memory": "512"}}
		}, up, "Instance Role have to be provided if passing in RuntimeEnvironmentSecrets."},
		{"AR-8", "service", named("networkConfiguration.egressConfiguration.egressType", "DEFAULT"), up, "VpcConnectorArn must be given with, and only with, EgressType VPC"},
		{"AR-10", "service", func(w *world) props {
			return props{"serviceName": "other", "sourceConfiguration.authenticationConfiguration.accessRoleArn": w.made["own"].state["arn"]}
		}, up, "Error in assuming access role"},
		{"AR-10", "service", named("sourceConfiguration.authenticationConfiguration", nil), up, "access role is required"},
		{"AR-15", "service", named("sourceConfiguration.imageRepository.imageIdentifier", "nginx:latest"), preview, "must be an ECR or ECR Public image"},
		{"AR-16", "service", named("healthCheckConfiguration.interval", 30), preview, "expected to be in the range (1 - 20), got 30"},
	}
	w := newCloud(t).world()
	for i, row := range rows {
		t.Run(fmt.Sprintf("%s/%s", row.rule, row.of), func(t *testing.T) {
			of := row.of
			if of == "subnet" {
				of = "private1"
			}
			now := *w
			now.cloud = &cloud{T: t, account: w.account, runtime: w.runtime, client: w.client}
			_, refused := now.try(w.made[of].token, fmt.Sprintf("row%d", i), w.props[of].with(row.change(&now)))
			now.mustRefuse(refused, row.moment, row.text)
		})
	}
}

const (
	secrets = "sourceConfiguration.imageRepository.imageConfiguration.runtimeEnvironmentSecrets"
	aSecret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:key-abcdef"
)

// set changes one property.
func set(path string, value any) func(*world) props {
	return func(*world) props { return props{path: value} }
}

// trusting is a role that may be assumed by the principal of a statement, and granting a policy of one statement.
func trusting(principal string) func(*world) props {
	return set("assumeRolePolicy", `{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"sts:AssumeRole",`+principal+`}}`)
}

func granting(rest string) func(*world) props {
	return set("policy", document("Allow", rest))
}

// queries are what an alarm looks at instead.
func queries(all ...props) func(*world) props {
	return func(*world) props { return props{"metricQueries": all} }
}

// same repeats a resource as it is.
func same(*world) props { return props{} }

// other is a further subnet with one property of its own.
func other(path string, value any) func(*world) props {
	return func(*world) props {
		p := props{"cidrBlock": "10.0.99.0/24"}
		p[path] = value
		return p
	}
}

// second is a further cluster with one property of its own.
func second(path string, value any) func(*world) props {
	return func(*world) props { return props{"clusterIdentifier": "todo-second", path: value} }
}

// named is a further service with one property of its own.
func named(path string, value any) func(*world) props {
	return func(*world) props { return props{"serviceName": "todo-other", path: value} }
}
