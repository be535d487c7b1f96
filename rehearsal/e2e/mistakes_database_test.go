package e2e

var databaseMistakes = []mutation{
	{
		name: "a subnet group of one zone", file: "database/database.go",
		right: `SubnetIds:   args.SubnetIDs,`, wrong: `SubnetIds: pulumi.StringArray{args.SubnetIDs.ToStringArrayOutput().Index(pulumi.Int(0))},`,
		at: atUp, says: `DBSubnetGroupDoesNotCoverEnoughAZs`,
	},
	{
		name: "parameters of another version's family", file: "database/database.go",
		right: `Family:      pulumi.String(family),`, wrong: `Family: pulumi.String(engine + "16"),`,
		at: atUp, says: `with DBParameterGroupFamily aurora-postgresql16 can't be used for this instance`,
	},
	{
		name: "a static parameter at once", file: "database/database.go",
		right: `setting("rds.force_ssl", 1)`, wrong: `setting("max_connections", 100)`,
		tests: `TestDatabaseSpeaksTLSOnly: - "name": string("max_connections"),`,
		at:    atUp, says: `cannot use immediate apply method for static parameter`,
	},
	{
		name: "connections without TLS", file: "database/database.go",
		right: `setting("rds.force_ssl", 1)`, wrong: `setting("rds.force_ssl", 0)`,
		tests: `TestEveryShape: the database takes connections without TLS`,
	},
	{
		name: "a parameter's value in words", file: "database/database.go",
		right: `pulumi.String(strconv.Itoa(value)),`, wrong: `pulumi.String("on"),`,
		tests: `TestDatabaseSpeaksTLSOnly: - "value": string("on"),`,
	},
	{
		name: "idle sessions that keep a database awake", file: "database/database.go",
		right: `set = append(set, setting("idle_session_timeout", idleTimeout))`, wrong: ``,
		tests: `TestDatabaseThatMayPauseEndsIdleSessions: + "name": string("idle_session_timeout"),`,
	},
	{
		name: "idle sessions that end in a database that never pauses", file: "database/database.go",
		right: "if args.mayPause() {\n\t\tset", wrong: "{\n\t\tset",
		tests: `TestDatabaseSpeaksTLSOnly: - "name": string("idle_session_timeout"),`,
	},
	{
		name: "an idle session's time in seconds", file: "database/database.go",
		right: `setting("idle_session_timeout", idleTimeout)`, wrong: `setting("idle_session_timeout", idleTimeout/1000)`,
		tests: `TestDatabaseThatMayPauseEndsIdleSessions: - "value": string("60"),`,
	},
	{
		name: "a minor version pinned", file: "database/database.go",
		right: `pulumi.String(engineVersion),`, wrong: `pulumi.String(engineVersion + ".7"),`,
		tests: `TestDatabase: - "engineVersion": string("17.7"),`,
	},
	{
		name: "a version that Aurora does not have", file: "database/database.go",
		right: `pulumi.String(engineVersion),`, wrong: `pulumi.String(engineVersion + ".0"),`,
		tests: `TestDatabase: - "engineVersion": string("17.0"),`,
		at:    atUp, says: `Cannot find version 17.0 for aurora-postgresql`,
	},
	{
		name: "a misspelt engine", file: "database/database.go",
		right: `Engine:                      pulumi.String(engine),`, wrong: `Engine: pulumi.String("aurora-postgres"),`,
		tests: `TestDatabase: - "engine": string("aurora-postgres"),`,
		at:    atPreview, says: `expected to be one of`,
	},
	{
		name: "the engine mode of the first Serverless", file: "database/database.go",
		right: `Engine:                      pulumi.String(engine),`, wrong: `Engine: pulumi.String(engine), EngineMode: pulumi.String("serverless"),`,
		tests: `TestDatabase: - "engineMode": string("serverless"),`,
	},
	{
		name: "a reserved user name", file: "database/database.go",
		right: `pulumi.String(masterUsername),`, wrong: `pulumi.String("rdsadmin"),`,
		tests: `TestDatabase: - "masterUsername": string("rdsadmin"),`,
	},
	{
		name: "a password in the program", file: "database/database.go",
		right: `ManageMasterUserPassword: pulumi.Bool(true),`, wrong: `MasterPassword: pulumi.String("correct horse"),`,
		tests: `TestDatabase: - "masterPassword": &resource.Secret`,
	},
	{
		name: "storage that is not encrypted", file: "database/database.go",
		right: `StorageEncrypted:                 pulumi.Bool(true),`, wrong: ``,
		tests: `TestEveryShape: the database's storage is not encrypted`,
	},
	{
		name: "no scaling for serverless instances", file: "database/database.go",
		right: `Serverlessv2ScalingConfiguration: capacity(args),`, wrong: ``,
		tests: `TestDatabase: + "serverlessv2ScalingConfiguration": map[string]any{`,
	},
	{
		name: "least and most capacity swapped", file: "database/database.go",
		right: "MinCapacity: pulumi.Float64(args.MinCapacity),\n\t\tMaxCapacity: pulumi.Float64(args.MaxCapacity),",
		wrong: "MinCapacity: pulumi.Float64(args.MaxCapacity),\n\t\tMaxCapacity: pulumi.Float64(args.MinCapacity),",
		tests: `TestDatabase: - "minCapacity": float64(1),`,
	},
	{
		name: "a pause for a database that never pauses", file: "database/database.go",
		right: "if args.mayPause() {\n\t\tscaling", wrong: "if args.SleepAfter > 0 {\n\t\tscaling",
		tests: `TestDatabase: - "secondsUntilAutoPause": float64(300),`,
	},
	{
		name: "backups while AWS maintains", file: "database/database.go",
		right: `pulumi.String(backupWindow),`, wrong: `pulumi.String("03:30-04:30"),`,
		tests: `TestDatabase: - "preferredBackupWindow": string("03:30-04:30"),`,
		at:    atUp, says: `The backup window and maintenance window must not overlap.`,
	},
	{
		name: "a window in another notation", file: "database/database.go",
		right: `pulumi.String(backupWindow),`, wrong: `pulumi.String("1-2 am"),`,
		tests: `TestDatabase: - "preferredBackupWindow": string("1-2 am"),`,
		at:    atPreview, says: `invalid value "1-2 am" (must satisfy the format of hh24:mi-hh24:mi)`,
	},
	{
		name: "no longer backups for data that is kept", file: "database/database.go",
		right: `cluster.BackupRetentionPeriod = pulumi.Int(protectedBackupDays)`, wrong: ``,
		tests: `TestDatabase: - "backupRetentionPeriod": float64(1),`,
	},
	{
		name: "another engine's log exported", file: "database/database.go",
		right: `logs.names,`, wrong: `pulumi.StringArray{pulumi.String("slowquery")},`,
		tests: `TestDatabase: - string("slowquery"),`,
	},
	{
		name: "a log that is not kept for long enough, or for ever", file: "database/logs.go",
		right: `RetentionInDays: pulumi.Int(args.LogRetentionDays),`, wrong: ``,
		tests: `TestDatabaseLogIsThereBeforeTheCluster: + "retentionInDays": float64(30),`,
	},
	{
		name: "a retention that CloudWatch does not have", file: "database/logs.go",
		right: `pulumi.Int(args.LogRetentionDays),`, wrong: `pulumi.Int(args.LogRetentionDays + 1),`,
		tests: `TestDatabaseLogIsThereBeforeTheCluster: - "retentionInDays": float64(31),`,
	},
	{
		name: "nothing that says why a database did not pause", file: "database/logs.go",
		right: `err = logs.add(ctx, name+"-pauses", pausesLog, args, inside)`, wrong: ``,
		tests: `TestDatabaseExportsTheLogsThatItHas: logs of the shape default`,
	},
	{
		name: "a log that only a database has that may pause", file: "database/logs.go",
		right: ` && args.mayPause()`, wrong: ``,
		tests: `TestDatabaseExportsTheLogsThatItHas: logs of the shape protected`,
	},
	{
		name: "the log's group after the cluster", file: "database/database.go",
		right: `, pulumi.DependsOn(logs.groups),`, wrong: `,`,
		tests: `TestDatabaseLogIsThereBeforeTheCluster: the cluster does not wait for its log group`,
	},
	{
		name: "a log group called as another stack's", file: "database/logs.go",
		right: `"/aws/rds/cluster/" + args.PhysicalName + "/" + log`, wrong: `"/aws/rds/cluster/tasks/" + log`,
		tests: `TestDatabaseLogIsThereBeforeTheCluster: - "asks", + "odo-dev",`,
	},
	{
		name: "no name for the final snapshot", file: "database/database.go",
		right: `if args.FinalSnapshot {`, wrong: `if args.FinalSnapshot && args.Protect {`,
		tests: `TestDatabase: + "finalSnapshotIdentifier": string("todo-dev-final-1a2b3c4"),`,
	},
	{
		name: "the same final snapshot in each life", file: "database/database.go",
		right: `return cluster + "-final-" + subnetGroup[strings.LastIndex(subnetGroup, "-")+1:]`, wrong: `return cluster + "-final"`,
		tests: `TestDatabase: - "finalSnapshotIdentifier": string("todo-dev-final"),`,
	},
	{
		name: "data that is to be kept without deletion protection", file: "database/database.go",
		right: `DeletionProtection:               pulumi.Bool(args.Protect),`, wrong: ``,
		tests: `TestDatabase: + "deletionProtection": bool(true),`,
	},
	{
		name: "data that is to be kept without Pulumi's protection", file: "database/database.go",
		right: `inside, pulumi.Protect(args.Protect), `, wrong: `inside, `,
		tests: `TestDatabase: cluster is not protected`,
	},
	{
		name: "changes in the next maintenance window", file: "database/database.go",
		right: "ApplyImmediately: pulumi.Bool(true),\n\t}\n\tif", wrong: "ApplyImmediately: pulumi.Bool(false),\n\t}\n\tif",
		tests: `TestDatabase: - "applyImmediately": bool(false),`,
	},
	{
		name: "a renamed stack gets an empty database", file: "database/database.go",
		right: `pulumi.IgnoreChanges([]string{"clusterIdentifier"})`, wrong: `pulumi.IgnoreChanges(nil)`,
		tests: `TestPhysicalNamesAreKept: database-cluster ignores changes of []`,
	},
	{
		name: "a cluster called as another stack's", file: "database/database.go",
		right: `ClusterIdentifier:           pulumi.String(args.PhysicalName),`, wrong: `ClusterIdentifier: pulumi.String(Name),`,
		tests: `TestDatabase: - "clusterIdentifier": string("tasks"),`,
	},
	{
		name: "an instance called as another stack's", file: "database/database.go",
		right: `fmt.Sprintf("%s-%d", args.PhysicalName, i+1), cluster`, wrong: `fmt.Sprintf("%s-%d", name, i+1), cluster`,
		tests: `TestDatabaseInstance: - "identifier": string("database-1"),`,
	},
	{
		name: "the VPC's default group for the database", file: "database/database.go",
		right: `VpcSecurityGroupIds:         pulumi.StringArray{args.SecurityGroupID},`, wrong: ``,
		tests: `TestDatabase: + "vpcSecurityGroupIds": []any{string("network-database-id")},`,
		at:    atReady, says: `let nothing out to the security groups`,
	},
	{
		name: "a database on a port that no rule lets through", file: "database/database.go",
		right: `Port:                        pulumi.Int(Port),`, wrong: `Port: pulumi.Int(Port + 1),`,
		tests: `TestDatabase: - "port": float64(5433),`,
	},
	{
		name: "instances of another engine", file: "database/database.go",
		right: `Engine:             pulumi.String(engine),`, wrong: `Engine: pulumi.String("postgres"),`,
		tests: `TestDatabaseInstance: - "engine": string("postgres"),`,
	},
	{
		name: "instances with a public address", file: "database/database.go",
		right: `PubliclyAccessible: pulumi.Bool(false),`, wrong: `PubliclyAccessible: pulumi.Bool(true),`,
		tests: `TestDatabaseInstance: - "publiclyAccessible": bool(true),`,
	},
	{
		name: "a certificate authority left to AWS", file: "database/database.go",
		right: `CaCertIdentifier:   pulumi.String("rds-ca-rsa2048-g1"),`, wrong: ``,
		tests: `TestDatabaseInstance: + "caCertIdentifier": string("rds-ca-rsa2048-g1"),`,
	},
	{
		name: "readers too small to take over", file: "database/database.go",
		right: `PromotionTier:    pulumi.Int(1),`, wrong: ``,
		tests: `TestDatabaseInstance: + "promotionTier": float64(1),`,
	},
	{
		name: "a service before its database", file: "database/database.go",
		right: `database.Ready = append(database.Ready, instance)`, wrong: `_ = instance`,
		tests: `TestServiceComesLast: the service does not wait for ClusterInstance::database-1`,
	},
	{
		name: "no connections left for a deployment", file: "database/connections.go",
		right: `(2*maxCallers)`, wrong: `maxCallers`,
		tests: `TestConnectionShare: got 84, want 42`,
	},
}
