package e2e

var stackMistakes = []mutation{
	{
		name: "physical names without the stack's", file: "stack/stack.go",
		right: `limit.PhysicalName(ctx.Project(), ctx.Stack())`, wrong: `ctx.Project()`,
		tests: `TestTracing: - "observabilityConfigurationName": string("todo"),`,
		at:    atBeside, says: `already exists`,
	},
	{
		name: "names of any length", file: "stack/config.go",
		right: `errors.Join(append(s.problems, limit.CheckName(ctx.Project(), ctx.Stack()))...)`, wrong: `errors.Join(s.problems...)`,
		tests: `TestNames: stack "Dev": <nil>`,
	},
	{
		name: "misspelt settings passed over", file: "stack/config.go",
		right: `s.refuseUnknown(names)`, wrong: `_ = names`,
		tests: `TestConfigRefuses: + "todo:CPU is not a setting: did you mean todo:cpu?",`,
	},
	{
		name: "settings that AWS refuses half-way", file: "stack/config.go",
		right: `config.check(s)`, wrong: ``,
		tests: `TestConfigRefuses: accepted`,
	},
	{
		name: "the region of one stack in all", file: "stack/stack.go",
		right: `Region:      pulumi.String(config.Region),`, wrong: `Region: pulumi.String("eu-west-1"),`,
		tests: `TestProviderTagsEverything: - "region": string("eu-west-1"),`,
	},
	{
		name: "no tags", file: "stack/stack.go",
		right: `DefaultTags: aws.ProviderDefaultTagsArgs{Tags: pulumi.ToStringMap(output.Tags(ctx.Project(), ctx.Stack()))},`, wrong: ``,
		tests: `TestProviderTagsEverything: + "defaultTags": map[string]any{`,
	},
	{
		name: "a tag that hides the stack's", file: "network/network.go",
		right: `return pulumi.StringMap{"Name": pulumi.String(ctx.Project() + "-" + ctx.Stack() + "-" + name)}`,
		wrong: `return pulumi.StringMap{"stack": pulumi.String(ctx.Stack()), "Name": pulumi.String(ctx.Project() + "-" + ctx.Stack() + "-" + name)}`,
		tests: `TestEveryShape: aws:ec2/vpc:Vpc network-vpc has a tag "stack" of its own`,
	},
	{
		name: "a part in whatever region the shell says", file: "stack/stack.go",
		right: "FinalSnapshot:    config.FinalSnapshot,\n\t}, inRegion)", wrong: "FinalSnapshot: config.FinalSnapshot,\n\t})",
		tests: `TestEveryShape: aws:rds/cluster:Cluster database-cluster has provider "", want the explicit one`,
	},
	{
		name: "protection without the images", file: "stack/stack.go",
		right: "Context: repositoryRoot,\n\t\tProtect: config.Protect,", wrong: "Context: repositoryRoot,",
		tests: `TestRepository: repository with protect true is protected: false`,
	},
	{
		name: "a missing output", file: "stack/stack.go",
		right: `output.VPCID:             net.VPCID,`, wrong: ``,
		tests: `TestEveryShape: + "vpcId",`,
	},
	{
		name: "a password in an output", file: "image/image.go",
		right: `image.RepositoryURL = repository.RepositoryUrl`, wrong: `image.RepositoryURL = pulumi.Sprintf("AWS:%s@%s", login.Password(), repository.RepositoryUrl)`,
		tests: `TestEveryShape: the output repositoryUrl shows the registry's password`,
	},
	{
		name: "an address without its scheme", file: "apprunner/apprunner.go",
		right: `pulumi.Sprintf("https://%s", domain)`, wrong: `pulumi.Sprintf("%s", domain)`,
		tests: `TestOutputs: - "url": string("abc.eu-west-1.awsapprunner.com"),`,
	},
	{
		name: "alarms of a database that sleeps", file: "monitoring/alarms.go", settings: rich,
		right: `pulumi.String("notBreaching"),`, wrong: `pulumi.String("breaching"),`,
		tests: `TestAlarms: monitoring-capacity takes missing data as breaching`,
	},
	{
		name: "a treatment of missing data that is none", file: "monitoring/alarms.go", settings: rich,
		right: `pulumi.String("notBreaching"),`, wrong: `pulumi.String("notbreaching"),`,
		tests: `TestAlarms: monitoring-capacity takes missing data as notbreaching`,
		at:    atPreview, says: `expected to be one of [breaching ignore missing notBreaching], got notbreaching`,
	},
	{
		name: "an alarm that has two values", file: "monitoring/alarms.go", settings: rich,
		right: `pulumi.Bool(a.expression == ""),`, wrong: `pulumi.Bool(true),`,
		tests: `TestAlarms: monitoring-errors returns 3 values, want 1`,
	},
	{
		name: "an alarm that looks back too far", file: "monitoring/alarms.go", settings: rich,
		right: `threshold:   2000, seconds: fiveMinutes, periods: 3,`, wrong: `threshold: 2000, seconds: fiveMinutes, periods: 300,`,
		tests: `TestAlarms: - "00", " x 300 s",`,
		at:    atUp, says: `Metrics cannot be checked across more than a day`,
	},
	{
		name: "metrics without the service's id", file: "monitoring/metrics.go",
		right: `[]dimension{{"ServiceName", args.ServiceName}, {"ServiceID", args.ServiceID}}`, wrong: `[]dimension{{"ServiceName", args.ServiceName}}`,
		tests: `TestAlarms: + "ServiceID": string("0a1b"),`,
	},
	{
		name: "a dashboard without a region", file: "monitoring/dashboard.go",
		right: `"region":  args.Region,`, wrong: ``,
		tests: `TestDashboard: - "<nil>", + "eu-west-1",`,
	},
	{
		name: "graphs outside of the dashboard", file: "monitoring/dashboard.go",
		right: `i % across * (columns / across), "y"`, wrong: `i * (columns / across), "y"`,
		tests: `TestDashboard: - "24", + "0",`,
	},
	{
		name: "a renamed stack gets a second dashboard", file: "monitoring/monitoring.go",
		right: `}, inside, pulumi.IgnoreChanges([]string{"dashboardName"}))`, wrong: `}, inside)`,
		tests: `TestPhysicalNamesAreKept: monitoring-dashboard ignores changes of []`,
	},
}
