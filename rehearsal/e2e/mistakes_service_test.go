package e2e

var serviceMistakes = []mutation{
	{
		name: "a service before the way to its database", file: "stack/stack.go",
		right: `slices.Concat(net.Ready, db.Ready),`, wrong: `db.Ready,`,
		tests: `TestServiceComesLast: the service does not wait for SecurityGroupIngressRule::network-database-from-service`,
	},
	{
		name: "memory that does not go with the processor", file: "apprunner/apprunner.go",
		right: `pulumi.String(strconv.Itoa(args.Memory)),`, wrong: `pulumi.String(strconv.Itoa(8 * args.CPU)),`,
		tests: `TestService: - "memory": string("2048"),`,
		at:    atUp, says: `The provided combination of Cpu 256 and Memory 2048 is not supported`,
	},
	{
		name: "processor and memory swapped", file: "apprunner/apprunner.go",
		right: `pulumi.String(strconv.Itoa(args.CPU)),`, wrong: `pulumi.String(strconv.Itoa(args.Memory / 4)),`,
		tests: `TestService: - "cpu": string("128"),`,
	},
	{
		name: "no instance role", file: "apprunner/apprunner.go",
		right: `InstanceRoleArn: instance.role.Arn,`, wrong: ``,
		tests: `TestService: + "instanceRoleArn": string("arn:aws:x:eu-west-1:123456789012:service-instance"),`,
		at:    atUp, says: `Health check failed on port '8080'. Check your configured port number. For more information, read the application logs: the program ended`,
	},
	{
		name: "a health check where nothing is", file: "apprunner/apprunner.go",
		right: `pulumi.String(healthPath),`, wrong: `pulumi.String("/health"),`,
		tests: `TestService: - "path": string("/health"),`,
	},
	{
		name: "a health check that wakes the database", file: "apprunner/apprunner.go",
		right: `pulumi.String(healthPath),`, wrong: `pulumi.String("/readyz"),`,
		tests: `TestService: - "path": string("/readyz"),`,
	},
	{
		name: "a health check that any open port passes", file: "apprunner/apprunner.go",
		right: `pulumi.String("HTTP"),`, wrong: `pulumi.String("TCP"),`,
		tests: `TestService: - "protocol": string("TCP"),`,
	},
	{
		name: "a health check in a protocol that is none", file: "apprunner/apprunner.go",
		right: `pulumi.String("HTTP"),`, wrong: `pulumi.String("HTTPS"),`,
		tests: `TestService: - "protocol": string("HTTPS"),`,
		at:    atPreview, says: `expected to be one of [TCP HTTP], got HTTPS`,
	},
	{
		name: "another port than the service's", file: "apprunner/apprunner.go",
		right: `pulumi.String(port),`, wrong: `pulumi.String("80"),`,
		tests: `TestService: - "port": string("80"),`,
	},
	{
		name: "PORT in the environment", file: "apprunner/environment.go",
		right: `region:           pulumi.String(e.Region),`, wrong: `region: pulumi.String(e.Region), "PORT": pulumi.String(port),`,
		tests: `TestService: - "PORT": string("8080"),`,
		at:    atUp, says: `Environment variable PORT is reserved`,
	},
	{
		name: "deployments that nobody asked for", file: "apprunner/apprunner.go",
		right: `AutoDeploymentsEnabled: pulumi.Bool(false),`, wrong: `AutoDeploymentsEnabled: pulumi.Bool(true),`,
		tests: `TestService: - "autoDeploymentsEnabled": bool(true),`,
	},
	{
		name: "a public registry's image type", file: "apprunner/apprunner.go",
		right: `pulumi.String("ECR"),`, wrong: `pulumi.String("ECR_PUBLIC"),`,
		tests: `TestService: - "imageRepositoryType": string("ECR_PUBLIC"),`,
	},
	{
		name: "egress past the connector", file: "apprunner/apprunner.go",
		right: `EgressType:      pulumi.String("VPC"),`, wrong: `EgressType: pulumi.String("DEFAULT"),`,
		tests: `TestService: - "egressType": string("DEFAULT"),`,
		at:    atUp, says: `VpcConnectorArn must be given with, and only with, EgressType VPC`,
	},
	{
		name: "egress without a connector", file: "apprunner/apprunner.go",
		right: `VpcConnectorArn: connector.Arn,`, wrong: ``,
		tests: `TestService: + "vpcConnectorArn": string("arn:aws:x:eu-west-1:123456789012:service-connector-2"),`,
	},
	{
		name: "no way into the VPC", file: "apprunner/apprunner.go",
		right: "EgressType:      pulumi.String(\"VPC\"),\n\t\t\t\tVpcConnectorArn: connector.Arn,", wrong: `EgressType: pulumi.String("DEFAULT"),`,
		tests: `TestService: - "egressType": string("DEFAULT"),`,
	},
	{
		name: "the database's group for the service", file: "stack/stack.go",
		right: `SecurityGroupID: net.ServiceSecurityGroupID,`, wrong: `SecurityGroupID: net.DatabaseSecurityGroupID,`,
		tests: `TestConnector: - "securityGroups": []any{string("network-database-id")},`,
	},
	{
		name: "a public service beside a private address", file: "apprunner/apprunner.go", settings: rich,
		right: `pulumi.Bool(args.Ingress == nil),`, wrong: `pulumi.Bool(true),`,
		tests: `TestPrivateAccess: - "isPubliclyAccessible": bool(true),`,
		at:    atUp, says: `is publicly accessible`,
	},
	{
		name: "Pulumi's name for an ingress connection", file: "apprunner/ingress.go", settings: rich,
		right: `Name:       pulumi.String(physicalName),`, wrong: `Name: pulumi.String("the-ingress-connection-of-" + name + "-in-" + physicalName),`,
		tests: `TestPrivateAccess: - "name": string("the-ingress-connection-of-service-in-todo-dev"),`,
	},
	{
		name: "an ingress connection that is not replaced", file: "apprunner/ingress.go",
		right: `pulumi.ReplaceOnChanges([]string{"ingressVpcConfiguration"}), `, wrong: ``,
		tests: `TestPrivateAccess: the connection is replaced on changes of []`,
	},
	{
		name: "a second connection beside the first", file: "apprunner/ingress.go",
		right: `, pulumi.DeleteBeforeReplace(true))`, wrong: `)`,
		tests: `TestPrivateAccess: the connection is replaced on changes of [ingressVpcConfiguration], old one first: false`,
	},
	{
		name: "every scaling configuration under one name", file: "apprunner/apprunner.go",
		right: `AutoScalingConfigurationName: pulumi.String(scalingName(args)),`, wrong: `AutoScalingConfigurationName: pulumi.String(args.PhysicalName),`,
		tests: `TestScalingIsNamedByItsSettings: - "autoScalingConfigurationName": string("todo-dev"),`,
	},
	{
		name: "a scaling configuration's name that is too long", file: "apprunner/apprunner.go",
		right: `return args.PhysicalName[:min(len(args.PhysicalName), longestScalingName-len(settings))] + settings`, wrong: `return args.PhysicalName + settings`,
		tests: `TestScalingIsNamedByItsSettings: - "aaaaaaa",`,
	},
	{
		name: "every connector under one name", file: "apprunner/apprunner.go",
		right: `pulumi.Sprintf("%s-%d", args.PhysicalName, zones),`, wrong: `pulumi.String(args.PhysicalName),`,
		tests: `TestConnector: - "vpcConnectorName": string("todo-dev"),`,
	},
	{
		name: "a renamed stack gets a new address", file: "apprunner/apprunner.go",
		right: "\t\tkeep(\"serviceName\"))", wrong: ")",
		tests: `TestPhysicalNamesAreKept: service-apprunner ignores changes of [], want serviceName among them`,
	},
	{
		name: "a variable by another name", file: "apprunner/environment.go",
		right: `databaseHost:     e.DatabaseHost,`, wrong: `"DB_HOST": e.DatabaseHost,`,
		tests: `TestService: + "DATABASE_HOST": string("todo.cluster-x.eu-west-1.rds.amazonaws.com"),`,
		at:    atReady, says: `answered 503`,
	},
	{
		name: "another region in the environment", file: "apprunner/environment.go",
		right: `pulumi.String(e.Region),`, wrong: `pulumi.String("us-east-1"),`,
		tests: `TestService: - "AWS_REGION": string("us-east-1"),`,
		at:    atReady, says: `answered 503`,
	},
	{
		name: "another secret in the environment", file: "apprunner/environment.go",
		right: `variables[secretName] = e.SecretARN`, wrong: `variables[secretName] = pulumi.Sprintf("%s-old", e.SecretARN)`,
		tests: `TestService: - "-old",`,
	},
	{
		name: "another database in the environment", file: "apprunner/environment.go",
		right: `pulumi.String(e.DatabaseName),`, wrong: `pulumi.String("todo"),`,
		tests: `TestService: - "DATABASE_NAME": string("todo"),`,
	},
	{
		name: "all connections for one instance", file: "stack/stack.go",
		right: "DatabaseConnections: database.ConnectionShare(\n\t\t\t\tconfig.DatabaseMinCapacity, config.DatabaseMaxCapacity, config.MaxInstances),",
		wrong: "DatabaseConnections: database.MaxConnections(config.DatabaseMinCapacity, config.DatabaseMaxCapacity),",
		tests: `TestService: - "DATABASE_MAX_CONNS": string("189"),`,
	},
	{
		name: "all memory for the Go runtime", file: "apprunner/environment.go",
		right: `args.Memory*memoryPercent/100`, wrong: `args.Memory`,
		tests: `TestService: - "GOMEMLIMIT": string("512MiB"),`,
	},
	{
		name: "a memory limit in a unit that Go does not know", file: "apprunner/environment.go",
		right: `"MiB"),`, wrong: `"MB"),`,
		tests: `TestService: - "GOMEMLIMIT": string("409MB"),`,
		at:    atUp, says: `runtime.readGOMEMLIMIT()`,
	},
	{
		name: "every proxy trusted", file: "apprunner/environment.go",
		right: `pulumi.String(strconv.Itoa(appRunnersProxies))`, wrong: `pulumi.String("9")`,
		tests: `TestService: - "TRUSTED_PROXIES": string("9"),`,
	},
	{
		name: "tracing that is left as it is", file: "apprunner/extras.go",
		right: `return &apprunner.ServiceObservabilityConfigurationArgs{ObservabilityEnabled: pulumi.Bool(false)}, nil`, wrong: `return nil, nil`,
		tests: `TestService: + "observabilityConfiguration": map[string]any{"observabilityEnabled": bool(false)},`,
	},
	{
		name: "a name where an ARN is wanted", file: "apprunner/extras.go", settings: rich,
		right: `ObservabilityConfigurationArn: configuration.Arn,`, wrong: `ObservabilityConfigurationArn: configuration.ObservabilityConfigurationName,`,
		tests: `TestTracing: - "observabilityConfigurationArn": string("todo-dev"),`,
	},
	{
		name: "tracing by an unknown vendor", file: "apprunner/extras.go", settings: rich,
		right: `pulumi.String("AWSXRAY"),`, wrong: `pulumi.String("XRAY"),`,
		tests: `TestTracing: - "traceConfiguration": map[string]any{"vendor": string("XRAY")},`,
	},
	{
		name: "www beside the domain", file: "apprunner/extras.go",
		right: `pulumi.Bool(false),`, wrong: `pulumi.Bool(true),`,
		tests: `TestCustomDomain: - "enableWwwSubdomain": bool(true),`,
	},
	{
		name: "a new web ACL that goes with the old", file: "apprunner/extras.go",
		right: `pulumi.DeleteBeforeReplace(true))`, wrong: `pulumi.DeleteBeforeReplace(false))`,
		tests: `TestFirewall: a new web ACL would be taken away with the old one`,
	},
}
