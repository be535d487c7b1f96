package stack

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestDatabase(t *testing.T) {
	want := map[string]any{
		"applyImmediately":             true,
		"backupRetentionPeriod":        1.0,
		"clusterIdentifier":            "todo-dev",
		"copyTagsToSnapshot":           true,
		"preferredBackupWindow":        "01:00-02:00",
		"preferredMaintenanceWindow":   "sun:03:00-sun:04:00",
		"enabledCloudwatchLogsExports": []any{"postgresql", "instance"},
		"databaseName":                 "tasks",
		"dbClusterParameterGroupName":  "database-parameters-1a2b3c4",
		"dbSubnetGroupName":            "database-subnets-1a2b3c4",
		"deletionProtection":           false,
		"engine":                       "aurora-postgresql",
		"engineVersion":                "17",
		// With passwords, too: who goes back to them has instances with tokens until its deployment is done.
		"iamDatabaseAuthenticationEnabled": true,
		"manageMasterUserPassword":         true,
		"masterUsername":                   "tasks",
		"port":                             5432.0,
		"serverlessv2ScalingConfiguration": map[string]any{
			"minCapacity": 0.0, "maxCapacity": 1.0, "secondsUntilAutoPause": 300.0,
		},
		"skipFinalSnapshot":       false,
		"finalSnapshotIdentifier": "todo-dev-final-1a2b3c4",
		"storageEncrypted":        true,
		"vpcSecurityGroupIds":     []any{"network-database-id"},
	}
	cluster := up(t, shapes["password"]).only(t, "aws:rds/cluster:Cluster")
	if diff := cmp.Diff(cluster.values(), want); diff != "" {
		t.Errorf("cluster (-got +want):\n%s", diff)
	}
	if cluster.request.GetProtect() {
		t.Error("cluster is protected, want it disposable")
	}

	want["backupRetentionPeriod"] = 14.0
	want["deletionProtection"] = true
	want["serverlessv2ScalingConfiguration"] = map[string]any{"minCapacity": 0.5, "maxCapacity": 1.0}
	want["enabledCloudwatchLogsExports"] = []any{"postgresql", "iam-db-auth-error"}
	r := up(t, shapes["protected"])
	cluster = r.only(t, "aws:rds/cluster:Cluster")
	if diff := cmp.Diff(cluster.values(), want); diff != "" {
		t.Errorf("protected cluster (-got +want):\n%s", diff)
	}
	if !cluster.request.GetProtect() {
		t.Error("cluster is not protected")
	}
	if got := len(r.all("aws:rds/clusterInstance:ClusterInstance")); got != 2 {
		t.Errorf("%d instances, want 2", got)
	}
}

func TestDatabaseLeavesNoSnapshotWhenToldTo(t *testing.T) {
	cluster := up(t, map[string]string{"todo:finalSnapshot": "false", "todo:protect": "true"}).only(t, "aws:rds/cluster:Cluster").values()
	if cluster["skipFinalSnapshot"] != true || cluster["finalSnapshotIdentifier"] != nil {
		t.Errorf("skips: %v, as %v; want no final snapshot", cluster["skipFinalSnapshot"], cluster["finalSnapshotIdentifier"])
	}
}

func TestDatabaseInstance(t *testing.T) {
	want := map[string]any{
		"applyImmediately":           true,
		"autoMinorVersionUpgrade":    true,
		"caCertIdentifier":           "rds-ca-rsa2048-g1",
		"clusterIdentifier":          "database-cluster-id",
		"copyTagsToSnapshot":         true,
		"dbSubnetGroupName":          "database-subnets-1a2b3c4",
		"engine":                     "aurora-postgresql",
		"identifier":                 "todo-dev-1",
		"instanceClass":              "db.serverless",
		"preferredMaintenanceWindow": "sun:03:00-sun:04:00",
		"promotionTier":              1.0,
		"publiclyAccessible":         false,
	}
	instance := up(t, nil).only(t, "aws:rds/clusterInstance:ClusterInstance")
	if diff := cmp.Diff(instance.values(), want); diff != "" {
		t.Errorf("instance (-got +want):\n%s", diff)
	}
}

// RDS would make the groups itself, to be kept for ever, if they were not there first.
func TestDatabaseLogIsThereBeforeTheCluster(t *testing.T) {
	r := up(t, map[string]string{"todo:logRetentionDays": "30"})
	want := map[string]any{
		"database-log":    map[string]any{"name": "/aws/rds/cluster/todo-dev/postgresql", "retentionInDays": 30.0},
		"database-tokens": map[string]any{"name": "/aws/rds/cluster/todo-dev/iam-db-auth-error", "retentionInDays": 30.0},
		"database-pauses": map[string]any{"name": "/aws/rds/cluster/todo-dev/instance", "retentionInDays": 30.0},
	}
	got := map[string]any{}
	dependencies := r.only(t, "aws:rds/cluster:Cluster").request.GetDependencies()
	for _, group := range r.all("aws:cloudwatch/logGroup:LogGroup") {
		got[group.name] = group.values()
		if !slices.ContainsFunc(dependencies, func(urn string) bool { return strings.HasSuffix(urn, "LogGroup::"+group.name) }) {
			t.Errorf("the cluster does not wait for its log group %s", group.name)
		}
	}
	if diff := cmp.Diff(got, any(want)); diff != "" {
		t.Errorf("log groups (-got +want):\n%s", diff)
	}
}

// PostgreSQL logs that a token was refused; why, RDS writes to a log of its own. So does Aurora, why a database did not pause.
func TestDatabaseExportsTheLogsThatItHas(t *testing.T) {
	for shape, want := range map[string][]any{
		"default":   {"postgresql", "iam-db-auth-error", "instance"},
		"password":  {"postgresql", "instance"},
		"protected": {"postgresql", "iam-db-auth-error"},
	} {
		got := up(t, shapes[shape]).only(t, "aws:rds/cluster:Cluster").values()["enabledCloudwatchLogsExports"]
		if diff := cmp.Diff(got, any(want)); diff != "" {
			t.Errorf("logs of the shape %s (-got +want):\n%s", shape, diff)
		}
	}
}

func TestDatabaseSpeaksTLSOnly(t *testing.T) {
	got := parameters(t, up(t, shapes["protected"]))
	want := []any{map[string]any{"name": "rds.force_ssl", "value": "1", "applyMethod": "immediate"}}
	if diff := cmp.Diff(got, any(want)); diff != "" {
		t.Errorf("parameters (-got +want):\n%s", diff)
	}
}

// An instance of the service without the processor closes nothing, and an open connection keeps the database awake.
func TestDatabaseThatMayPauseEndsIdleSessions(t *testing.T) {
	got := parameters(t, up(t, nil))
	want := []any{
		map[string]any{"name": "rds.force_ssl", "value": "1", "applyMethod": "immediate"},
		map[string]any{"name": "idle_session_timeout", "value": "60000", "applyMethod": "immediate"},
	}
	if diff := cmp.Diff(got, any(want)); diff != "" {
		t.Errorf("parameters (-got +want):\n%s", diff)
	}
}

func parameters(t *testing.T, r *recorder) any {
	t.Helper()
	return r.only(t, "aws:rds/clusterParameterGroup:ClusterParameterGroup").values()["parameters"]
}

func TestRepository(t *testing.T) {
	for protect, forceDelete := range map[string]bool{"false": true, "true": false} {
		repository := up(t, map[string]string{"todo:protect": protect}).only(t, ecrRepository)
		want := map[string]any{
			"encryptionConfigurations":   []any{map[string]any{"encryptionType": "AES256"}},
			"forceDelete":                forceDelete,
			"imageScanningConfiguration": map[string]any{"scanOnPush": true},
			"imageTagMutability":         "MUTABLE",
		}
		if diff := cmp.Diff(repository.values(), want); diff != "" {
			t.Errorf("repository with protect %s (-got +want):\n%s", protect, diff)
		}
		if got := repository.request.GetProtect(); got == forceDelete {
			t.Errorf("repository with protect %s is protected: %t", protect, got)
		}
	}
}

func TestImageIsBuiltForAppRunner(t *testing.T) {
	r := up(t, nil)
	image := r.only(t, "docker:index/image:Image")
	build, _ := image.values()["build"].(map[string]any)
	for key, want := range map[string]string{"context": "..", "dockerfile": "../Dockerfile", "platform": "linux/amd64"} {
		if build[key] != want {
			t.Errorf("build has %s %v, want %s", key, build[key], want)
		}
	}
	args, _ := build["args"].(map[string]any)
	if got := args["COMMIT"]; got != "unknown" {
		t.Errorf("COMMIT outside of a git repository is %v, want unknown", got)
	}
	if password := image.inputs["registry"].ObjectValue()["password"]; !password.IsSecret() {
		t.Errorf("the registry's password is not a secret: %v", password)
	}
}

func TestService(t *testing.T) {
	service := up(t, shapes["password"]).only(t, "aws:apprunner/service:Service")
	want := map[string]any{
		"serviceName":                 "todo-dev",
		"autoScalingConfigurationArn": "arn:aws:x:eu-west-1:123456789012:service-scaling",
		"healthCheckConfiguration":    map[string]any{"path": "/", "protocol": "HTTP"},
		// Not left out: that would leave tracing as it is.
		"observabilityConfiguration": map[string]any{"observabilityEnabled": false},
		"instanceConfiguration": map[string]any{
			"cpu": "256", "memory": "512", "instanceRoleArn": "arn:aws:x:eu-west-1:123456789012:service-instance",
		},
		"networkConfiguration": map[string]any{
			"egressConfiguration": map[string]any{
				"egressType": "VPC", "vpcConnectorArn": "arn:aws:x:eu-west-1:123456789012:service-connector-2",
			},
			"ingressConfiguration": map[string]any{"isPubliclyAccessible": true},
		},
		"sourceConfiguration": map[string]any{
			"autoDeploymentsEnabled": false,
			"authenticationConfiguration": map[string]any{
				"accessRoleArn": "arn:aws:x:eu-west-1:123456789012:service-access",
			},
			"imageRepository": map[string]any{
				"imageIdentifier":     imageReference,
				"imageRepositoryType": "ECR",
				"imageConfiguration": map[string]any{
					"port": "8080",
					"runtimeEnvironmentVariables": map[string]any{
						"AWS_REGION":         "eu-west-1",
						"AWS_SECRET_NAME":    secretARN,
						"CORS_ORIGINS":       "*",
						"DATABASE_HOST":      "todo.cluster-x.eu-west-1.rds.amazonaws.com",
						"DATABASE_MAX_CONNS": "42",
						"DATABASE_NAME":      "tasks",
						"DATABASE_PORT":      "5432",
						"GOMEMLIMIT":         "409MiB",
						"LOG_LEVEL":          "info",
						"TRUSTED_PROXIES":    "1",
					},
				},
			},
		},
	}
	if diff := cmp.Diff(service.values(), want); diff != "" {
		t.Errorf("service (-got +want):\n%s", diff)
	}
}

func TestScalingIsNamedByItsSettings(t *testing.T) {
	for name, test := range map[string]struct{ stack, want string }{
		"short": {testStack, "todo-dev-1-2-80"},
		"cut":   {strings.Repeat("a", 27), "todo-" + strings.Repeat("a", 20) + "-1-2-80"},
	} {
		t.Run(name, func(t *testing.T) {
			r := &recorder{stack: test.stack}
			if _, err := r.run(t, nil); err != nil {
				t.Fatal(err)
			}
			want := map[string]any{
				"autoScalingConfigurationName": test.want, "minSize": 1.0, "maxSize": 2.0, "maxConcurrency": 80.0,
			}
			scaling := r.only(t, "aws:apprunner/autoScalingConfigurationVersion:AutoScalingConfigurationVersion")
			if diff := cmp.Diff(scaling.values(), want); diff != "" {
				t.Errorf("scaling (-got +want):\n%s", diff)
			}
		})
	}
}

// The service starts when everything it needs is there: IAM has had minutes to settle, and the database answers.
func TestServiceComesLast(t *testing.T) {
	tests := map[string][]string{
		"endpoints": {"VpcEndpoint::network-secrets", "SecurityGroupIngressRule::network-secrets-from-service"},
		"nat": {"Route::network-private-internet", "Route::network-public-internet", "RouteTableAssociation::network-public-1",
			"SecurityGroupEgressRule::network-internet-from-service"},
	}
	for egress, want := range tests {
		t.Run(egress, func(t *testing.T) {
			needs := append(want,
				"RolePolicy::service-access", "RolePolicy::service-instance", "ClusterInstance::database-1",
				"VpcConnector::service-connector-2", "SecurityGroupIngressRule::network-database-from-service",
				"SecurityGroupEgressRule::network-database-from-service", "RouteTableAssociation::network-private-1")
			dependencies := up(t, map[string]string{"todo:databaseLogin": "password", "todo:egress": egress}).
				only(t, "aws:apprunner/service:Service").request.GetDependencies()
			for _, need := range needs {
				if !slices.ContainsFunc(dependencies, func(urn string) bool { return strings.HasSuffix(urn, need) }) {
					t.Errorf("the service does not wait for %s", need)
				}
			}
		})
	}
}

func TestRolesWaitForNothing(t *testing.T) {
	for _, role := range up(t, nil).all("aws:iam/role:Role") {
		if dependencies := role.request.GetDependencies(); len(dependencies) != 0 {
			t.Errorf("%s waits for %v", role.name, dependencies)
		}
	}
}

func TestRolesHoldTheLeast(t *testing.T) {
	type statement = map[string]any
	document := func(statements ...any) any {
		return map[string]any{"Version": "2012-10-17", "Statement": statements}
	}
	trust := func(service string) any {
		return document(statement{
			"Effect": "Allow", "Principal": map[string]any{"Service": service}, "Action": []any{"sts:AssumeRole"},
		})
	}
	want := map[string]any{
		"service-access trust": trust("build.apprunner.amazonaws.com"),
		"service-access": document(
			statement{"Effect": "Allow", "Action": []any{"ecr:GetAuthorizationToken"}, "Resource": []any{"*"}},
			statement{
				"Effect": "Allow",
				"Action": []any{
					"ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:DescribeImages", "ecr:GetDownloadUrlForLayer",
				},
				"Resource": []any{"arn:aws:x:eu-west-1:123456789012:image-repository"},
			},
		),
		"service-instance trust": trust("tasks.apprunner.amazonaws.com"),
		"service-instance": document(
			statement{"Effect": "Allow", "Action": []any{"secretsmanager:GetSecretValue"}, "Resource": []any{secretARN}},
		),
	}
	r := up(t, shapes["password"])
	got := map[string]any{}
	for _, role := range r.all("aws:iam/role:Role") {
		got[role.name+" trust"] = parse(t, role.values()["assumeRolePolicy"])
	}
	for _, policy := range r.all("aws:iam/rolePolicy:RolePolicy") {
		got[policy.name] = parse(t, policy.values()["policy"])
		if role := policy.values()["role"]; role != policy.name+"-id" {
			t.Errorf("policy %s belongs to %v", policy.name, role)
		}
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("documents (-got +want):\n%s", diff)
	}
}

func parse(t *testing.T, document any) any {
	t.Helper()
	var parsed any
	err := json.Unmarshal([]byte(document.(string)), &parsed)
	if err != nil {
		t.Fatalf("%v: %v", document, err)
	}
	return parsed
}

// A renamed stack keeps what it has: a new physical name would be a new database or a new address.
func TestPhysicalNamesAreKept(t *testing.T) {
	r := up(t, nil)
	for typ, property := range map[string]string{
		"aws:rds/cluster:Cluster":                 "clusterIdentifier",
		"aws:rds/clusterInstance:ClusterInstance": "identifier",
		"aws:cloudwatch/logGroup:LogGroup":        "name",
		"aws:apprunner/service:Service":           "serviceName",
		"aws:apprunner/vpcConnector:VpcConnector": "vpcConnectorName",
		"aws:cloudwatch/dashboard:Dashboard":      "dashboardName",
	} {
		if len(r.all(typ)) == 0 {
			t.Errorf("there is no %s", typ)
		}
		for _, registered := range r.all(typ) {
			if got := registered.request.GetIgnoreChanges(); !slices.Contains(got, property) {
				t.Errorf("%s %s ignores changes of %v, want %s among them", typ, registered.name, got, property)
			}
		}
	}
}
