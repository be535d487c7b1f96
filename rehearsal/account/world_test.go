package account_test

import (
	"fmt"
	"time"

	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"

	"example.com/todo/rehearsal/account"
)

// A world is a cloud with one of everything, each accepted: the right program, from which the tests depart.
type world struct {
	*cloud
	props map[string]props
	made  map[string]made
}

func (c *cloud) world() *world {
	c.Helper()
	w := &world{cloud: c, props: map[string]props{}, made: map[string]made{}}
	add := func(name, token string, p props) made {
		c.Helper()
		w.props[name] = p
		w.made[name] = c.make(token, name, p)
		return w.made[name]
	}
	vpc := add("vpc", "aws:ec2/vpc:Vpc", props{"cidrBlock": "10.0.0.0/16", "enableDnsHostnames": true})
	gateway := add("gateway", "aws:ec2/internetGateway:InternetGateway", props{"vpcId": vpc.id})
	subnet := func(name, zone string, n int) made {
		return add(name, "aws:ec2/subnet:Subnet", props{"vpcId": vpc.id, "availabilityZone": "eu-west-1" + zone, "cidrBlock": fmt.Sprintf("10.0.%d.0/24", n)})
	}
	private1, private2, public := subnet("private1", "a", 1), subnet("private2", "b", 2), subnet("public", "a", 3)
	table := add("table", "aws:ec2/routeTable:RouteTable", props{"vpcId": vpc.id})
	add("route", "aws:ec2/route:Route", props{"routeTableId": table.id, "destinationCidrBlock": "0.0.0.0/0", "gatewayId": gateway.id})
	add("association", "aws:ec2/routeTableAssociation:RouteTableAssociation", props{"routeTableId": table.id, "subnetId": public.id})
	address := add("address", "aws:ec2/eip:Eip", props{"domain": "vpc"})
	add("nat", "aws:ec2/natGateway:NatGateway", props{"subnetId": public.id, "allocationId": address.id})

	group := func(name string) made {
		return add(name, "aws:ec2/securityGroup:SecurityGroup", props{"vpcId": vpc.id, "description": "of " + name})
	}
	caller, callee := group("caller"), group("callee")
	rule := func(name, token string, own, peer made, port int) {
		add(name, token, props{"securityGroupId": own.id, "referencedSecurityGroupId": peer.id, "ipProtocol": "tcp", "fromPort": port, "toPort": port})
	}
	rule("out", egressRule, caller, callee, 5432)
	rule("in", ingressRule, callee, caller, 5432)
	rule("apiOut", egressRule, caller, callee, 443)
	rule("apiIn", ingressRule, callee, caller, 443)
	add("endpoint", "aws:ec2/vpcEndpoint:VpcEndpoint", props{
		"vpcId": vpc.id, "serviceName": "com.amazonaws.eu-west-1.secretsmanager", "vpcEndpointType": "Interface",
		"subnetIds": []string{private1.id, private2.id}, "securityGroupIds": []string{callee.id}, "privateDnsEnabled": true,
	})

	subnets := add("subnets", "aws:rds/subnetGroup:SubnetGroup", props{"subnetIds": []string{private1.id, private2.id}})
	parameters := add("parameters", "aws:rds/clusterParameterGroup:ClusterParameterGroup", props{
		"family": "aurora-postgresql17", "parameters": []props{{"name": "rds.force_ssl", "value": "1"}}})
	add("log", "aws:cloudwatch/logGroup:LogGroup", props{"name": "/aws/rds/cluster/todo-test/postgresql", "retentionInDays": 14})
	cluster := add("cluster", "aws:rds/cluster:Cluster", props{
		"clusterIdentifier": "todo-test", "engine": "aurora-postgresql", "engineVersion": "17", "databaseName": "tasks",
		"masterUsername": "tasks", "manageMasterUserPassword": true, "storageEncrypted": true, "skipFinalSnapshot": true, "applyImmediately": true,
		"dbSubnetGroupName": subnets.id, "dbClusterParameterGroupName": parameters.id, "vpcSecurityGroupIds": []string{callee.id},
		"enabledCloudwatchLogsExports":     []string{"postgresql", "iam-db-auth-error"},
		"serverlessv2ScalingConfiguration": props{"minCapacity": 0, "maxCapacity": 1, "secondsUntilAutoPause": 300},
	})
	add("instance", "aws:rds/clusterInstance:ClusterInstance", props{
		"identifier": "todo-test-1", "clusterIdentifier": cluster.id, "engine": "aurora-postgresql", "instanceClass": "db.serverless", "applyImmediately": true})

	repository := add("repository", "aws:ecr/repository:Repository", props{"imageTagMutability": "IMMUTABLE"})
	add("lifecycle", "aws:ecr/lifecyclePolicy:LifecyclePolicy", props{"repository": repository.id, "policy": lifecycle("any", "imageCountMoreThan", 20)})
	image := w.push("v1")

	role := func(name, service, policy string) made {
		r := add(name, "aws:iam/role:Role", props{"assumeRolePolicy": trust(service)})
		add(name+"Policy", "aws:iam/rolePolicy:RolePolicy", props{"role": r.id, "policy": policy})
		return r
	}
	access := role("access", "build.apprunner.amazonaws.com", allow(`["ecr:GetAuthorizationToken","ecr:BatchGetImage","ecr:GetDownloadUrlForLayer","ecr:DescribeImages"]`, "*"))
	own := role("own", "tasks.apprunner.amazonaws.com", allow(`"secretsmanager:GetSecretValue"`, w.secret()))
	connector := add("connector", "aws:apprunner/vpcConnector:VpcConnector", props{
		"vpcConnectorName": "todo-test", "subnets": []string{private1.id, private2.id}, "securityGroups": []string{caller.id}})
	scaling := add("scaling", "aws:apprunner/autoScalingConfigurationVersion:AutoScalingConfigurationVersion", props{
		"autoScalingConfigurationName": "todo-test", "minSize": 1, "maxSize": 2, "maxConcurrency": 80})
	w.account.Clock.Skip(time.Minute) // the roles are known everywhere
	service := add("service", "aws:apprunner/service:Service", props{
		"serviceName": "todo-test", "autoScalingConfigurationArn": scaling.id,
		"sourceConfiguration": props{
			"autoDeploymentsEnabled":      false,
			"authenticationConfiguration": props{"accessRoleArn": access.state["arn"]},
			"imageRepository": props{"imageRepositoryType": "ECR", "imageIdentifier": image,
				"imageConfiguration": props{"port": "8080", "runtimeEnvironmentVariables": props{"LOG_LEVEL": "info"}}},
		},
		"instanceConfiguration":    props{"cpu": "256", "memory": "512", "instanceRoleArn": own.state["arn"]},
		"healthCheckConfiguration": props{"protocol": "HTTP", "path": "/"},
		"networkConfiguration":     props{"egressConfiguration": props{"egressType": "VPC", "vpcConnectorArn": connector.id}},
	})
	add("tracing", "aws:apprunner/observabilityConfiguration:ObservabilityConfiguration", props{
		"observabilityConfigurationName": "todo-test", "traceConfiguration": props{"vendor": "AWSXRAY"}})
	add("domain", "aws:apprunner/customDomainAssociation:CustomDomainAssociation", props{"serviceArn": service.id, "domainName": "example.com"})
	add("firewall", "aws:wafv2/webAclAssociation:WebAclAssociation", props{"resourceArn": service.id, "webAclArn": webACL("eu-west-1", "regional", "one")})
	topic := add("topic", "aws:sns/topic:Topic", props{})
	add("subscription", "aws:sns/topicSubscription:TopicSubscription", props{"topic": topic.id, "protocol": "email", "endpoint": "ops@example.com"})
	add("alarm", "aws:cloudwatch/metricAlarm:MetricAlarm", alarm(topic.id))
	add("dashboard", "aws:cloudwatch/dashboard:Dashboard", props{"dashboardName": "todo-test", "dashboardBody": dashboard("eu-west-1", 8)})
	return w
}

const (
	egressRule  = "aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule"
	ingressRule = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
)

func webACL(region, scope, name string) string {
	return fmt.Sprintf("arn:aws:wafv2:%s:%s:%s/webacl/%s/01234567-89ab-cdef-0123-456789abcdef", region, account.ID, scope, name)
}

// alarm is on the share of failed requests.
func alarm(topic string) props {
	query := func(id, metric string) props {
		return props{"id": id, "metric": props{"namespace": "AWS/AppRunner", "metricName": metric, "stat": "Sum", "period": 300,
			"dimensions": props{"ServiceName": "todo-test"}}}
	}
	return props{
		"comparisonOperator": "GreaterThanThreshold", "threshold": 5, "evaluationPeriods": 2, "alarmActions": []string{topic},
		"metricQueries": []props{query("failed", "5xxStatusResponses"), query("requests", "Requests"),
			{"id": "share", "expression": "100 * failed / requests", "returnData": true}},
	}
}

func dashboard(region string, width int) string {
	return fmt.Sprintf(`{"widgets":[{"type":"metric","x":16,"width":%d,"properties":{"region":%q,"metrics":[["AWS/RDS","DatabaseConnections",{"stat":"Maximum"}]]}}]}`, width, region)
}

// token logs in to the registry.
func (c *cloud) token() string {
	c.Helper()
	answer, err := c.client.Invoke(c.Context(), &pulumirpc.InvokeRequest{Tok: "aws:ecr/getAuthorizationToken:getAuthorizationToken"})
	if err != nil {
		c.Fatal(err)
	}
	return answer.GetReturn().AsMap()["password"].(string)
}

func (w *world) repositoryURL() string { return w.made["repository"].state["repositoryUrl"].(string) }

func (w *world) secret() string {
	secrets := w.made["cluster"].state["masterUserSecrets"].([]any)
	return secrets[0].(map[string]any)["secretArn"].(string)
}

func trust(service string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"` + service + `"},"Action":"sts:AssumeRole"}]}`
}

func allow(actions, resource string) string {
	return `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":` + actions + `,"Resource":"` + resource + `"}]}`
}

func lifecycle(tagStatus, countType string, count int) string {
	return fmt.Sprintf(`{"rules":[{"rulePriority":1,"description":"keep the newest images of the service","selection":{"tagStatus":%q,"countType":%q,"countNumber":%d},"action":{"type":"expire"}}]}`, tagStatus, countType, count)
}
