// Package database declares the PostgreSQL cluster that holds the service's data.
package database

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/rds"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	token = "todo:aws:Database"

	// Port is where the database listens.
	Port = 5432
	// Name is the database that the service uses.
	Name = "tasks"

	engine = "aurora-postgresql"
	// engineVersion is the major alone: minor versions move in the maintenance window and must not look like a change.
	engineVersion = "17"
	family        = engine + engineVersion

	// Login is the database role that the service logs in as with IAM tokens. The service makes it.
	Login = "todo"

	masterUsername = "tasks"

	protectedBackupDays = 14
	minimumBackupDays   = 1

	// In UTC, and apart: RDS refuses windows that overlap, and picks them at random where none are given.
	backupWindow      = "01:00-02:00"
	maintenanceWindow = "sun:03:00-sun:04:00"

	// idleTimeout is the number of milliseconds after which PostgreSQL ends an idle session, where an open one would keep the
	// database from pausing. The service closes idle connections itself, within 45 seconds. But App Runner takes the processor
	// away from an instance without requests, which then closes nothing. A minute lets the service come first where it can, so
	// that no request finds its connection closed. https://github.com/aws/apprunner-roadmap/issues/105
	idleTimeout = 60_000
)

// Args decides what a Database is made of.
type Args struct {
	// PhysicalName is the cluster's identifier in AWS, unique in account and region. Required.
	PhysicalName string
	// SubnetIDs are private subnets in two or more zones. Required.
	SubnetIDs pulumi.StringArrayInput
	// SecurityGroupID says who may connect. Required.
	SecurityGroupID pulumi.StringInput
	// MinCapacity and MaxCapacity are Aurora capacity units of about 2 GiB; 0 lets the database pause. Max is required.
	MinCapacity, MaxCapacity float64
	// SleepAfter is the number of seconds without a connection after which the database pauses. Only with a
	// MinCapacity of 0.
	SleepAfter int
	// Instances is the number of instances; the second and later ones take over when the writer fails. Required.
	Instances int
	// IAMLogin has CloudWatch keep why IAM tokens were refused, too.
	IAMLogin bool
	// LogRetentionDays is how long CloudWatch keeps the database's logs, one of its own numbers of days. Required.
	LogRetentionDays int
	// Protect keeps the data: it cannot be deleted, and is backed up for longer.
	Protect bool
	// FinalSnapshot has the data leave a snapshot behind when it is deleted, which Protect must not hinder any more then.
	FinalSnapshot bool
}

// mayPause reports whether the database pauses while no connection is open. Aurora does that at a minimum of 0 only.
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
func (args *Args) mayPause() bool { return args.MinCapacity == 0 }

// Database is an Aurora PostgreSQL cluster of serverless instances.
type Database struct {
	pulumi.ResourceState

	// ClusterID is the cluster's name in AWS, also where its metrics are.
	ClusterID pulumi.StringOutput
	Endpoint  pulumi.StringOutput
	SecretARN pulumi.StringOutput
	// LoginARN is the role Login, as policies name it.
	LoginARN pulumi.StringOutput
	// Ready is what must be there before somebody connects.
	Ready []pulumi.CustomResource
}

// New declares a database.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Database, error) {
	if args.Instances < 1 {
		return nil, errors.New("a cluster without instances answers nobody")
	}
	database := &Database{}
	err := ctx.RegisterComponentResource(token, name, database, opts...)
	if err != nil {
		return nil, err
	}
	inside := pulumi.Parent(database)

	subnets, err := rds.NewSubnetGroup(ctx, name+"-subnets", &rds.SubnetGroupArgs{
		SubnetIds:   args.SubnetIDs,
		Description: pulumi.String("Private subnets of the database"),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("subnet group: %w", err)
	}
	parameters, err := rds.NewClusterParameterGroup(ctx, name+"-parameters", &rds.ClusterParameterGroupArgs{
		Family:      pulumi.String(family),
		Description: pulumi.String("Only encrypted connections"),
		Parameters:  settings(args),
	}, inside)
	if err != nil {
		return nil, fmt.Errorf("parameter group: %w", err)
	}
	logs, err := newLogs(ctx, name, args, inside)
	if err != nil {
		return nil, err
	}
	cluster, err := newCluster(ctx, name, args, subnets, parameters, logs, inside)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	for i := range args.Instances {
		instance, err := newInstance(ctx, fmt.Sprintf("%s-%d", name, i+1), fmt.Sprintf("%s-%d", args.PhysicalName, i+1), cluster, inside)
		if err != nil {
			return nil, fmt.Errorf("instance %d: %w", i+1, err)
		}
		database.Ready = append(database.Ready, instance)
	}

	database.ClusterID = cluster.ClusterIdentifier
	database.Endpoint = cluster.Endpoint
	database.SecretARN = cluster.MasterUserSecrets.Index(pulumi.Int(0)).SecretArn().Elem()
	database.LoginARN = loginARN(cluster)
	return database, ctx.RegisterResourceOutputs(database, pulumi.Map{
		"clusterId": database.ClusterID,
		"endpoint":  database.Endpoint,
		"secretArn": database.SecretARN,
		"loginArn":  database.LoginARN,
	})
}

// settings returns the parameters that differ from Aurora's defaults. All of them take effect at once.
func settings(args *Args) rds.ClusterParameterGroupParameterArray {
	set := rds.ClusterParameterGroupParameterArray{setting("rds.force_ssl", 1)}
	if args.mayPause() {
		set = append(set, setting("idle_session_timeout", idleTimeout))
	}
	return set
}

func setting(name string, value int) rds.ClusterParameterGroupParameterArgs {
	return rds.ClusterParameterGroupParameterArgs{
		Name:        pulumi.String(name),
		Value:       pulumi.String(strconv.Itoa(value)),
		ApplyMethod: pulumi.String("immediate"),
	}
}

func newCluster(
	ctx *pulumi.Context, name string, args *Args, subnets *rds.SubnetGroup, parameters *rds.ClusterParameterGroup,
	logs *exportedLogs, inside pulumi.ResourceOption,
) (*rds.Cluster, error) {
	cluster := &rds.ClusterArgs{
		ClusterIdentifier:           pulumi.String(args.PhysicalName),
		Engine:                      pulumi.String(engine),
		EngineVersion:               pulumi.String(engineVersion),
		DatabaseName:                pulumi.String(Name),
		Port:                        pulumi.Int(Port),
		DbSubnetGroupName:           subnets.Name,
		DbClusterParameterGroupName: parameters.Name,
		VpcSecurityGroupIds:         pulumi.StringArray{args.SecurityGroupID},
		MasterUsername:              pulumi.String(masterUsername),
		// RDS makes the password, keeps it in Secrets Manager and changes it every seven days.
		// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/rds-secrets-manager.html
		ManageMasterUserPassword: pulumi.Bool(true),
		// Whoever logs in by password, too: a stack that goes back to that has instances with tokens until its deployment is
		// done. Only roles that were granted rds_iam are asked for tokens.
		IamDatabaseAuthenticationEnabled: pulumi.Bool(true),
		StorageEncrypted:                 pulumi.Bool(true),
		Serverlessv2ScalingConfiguration: capacity(args),
		BackupRetentionPeriod:            pulumi.Int(minimumBackupDays),
		PreferredBackupWindow:            pulumi.String(backupWindow),
		PreferredMaintenanceWindow:       pulumi.String(maintenanceWindow),
		EnabledCloudwatchLogsExports:     logs.names,
		CopyTagsToSnapshot:               pulumi.Bool(true),
		DeletionProtection:               pulumi.Bool(args.Protect),
		SkipFinalSnapshot:                pulumi.Bool(!args.FinalSnapshot),
		// Otherwise a change waits for the maintenance window while the deployment reports success.
		ApplyImmediately: pulumi.Bool(true),
	}
	if args.Protect {
		cluster.BackupRetentionPeriod = pulumi.Int(protectedBackupDays)
	}
	if args.FinalSnapshot {
		cluster.FinalSnapshotIdentifier = subnets.Name.ApplyT(func(name string) string {
			return snapshotName(args.PhysicalName, name)
		}).(pulumi.StringOutput)
	}
	return rds.NewCluster(ctx, name+"-cluster", cluster, inside, pulumi.Protect(args.Protect), pulumi.DependsOn(logs.groups),
		// A new identifier is a new, empty cluster: a renamed stack keeps the one it has.
		pulumi.IgnoreChanges([]string{"clusterIdentifier"}))
}

// snapshotName ends in the subnet group's random suffix: that is new in each life of the stack, and so must be the name of
// what stays of one.
func snapshotName(cluster, subnetGroup string) string {
	return cluster + "-final-" + subnetGroup[strings.LastIndex(subnetGroup, "-")+1:]
}

// capacity sets the time until a pause only where there is one. AWS refuses it elsewhere.
func capacity(args *Args) rds.ClusterServerlessv2ScalingConfigurationArgs {
	scaling := rds.ClusterServerlessv2ScalingConfigurationArgs{
		MinCapacity: pulumi.Float64(args.MinCapacity),
		MaxCapacity: pulumi.Float64(args.MaxCapacity),
	}
	if args.mayPause() {
		scaling.SecondsUntilAutoPause = pulumi.Int(args.SleepAfter)
	}
	return scaling
}

func newInstance(
	ctx *pulumi.Context, name, physicalName string, cluster *rds.Cluster, inside pulumi.ResourceOption,
) (*rds.ClusterInstance, error) {
	return rds.NewClusterInstance(ctx, name, &rds.ClusterInstanceArgs{
		Identifier:         pulumi.String(physicalName),
		ClusterIdentifier:  cluster.ID(),
		Engine:             pulumi.String(engine),
		InstanceClass:      pulumi.String("db.serverless"),
		DbSubnetGroupName:  cluster.DbSubnetGroupName,
		PubliclyAccessible: pulumi.Bool(false),
		CaCertIdentifier:   pulumi.String("rds-ca-rsa2048-g1"),
		// Minor versions come in the window, and never at once because of ApplyImmediately: they are AWS's change, not ours.
		AutoMinorVersionUpgrade:    pulumi.Bool(true),
		PreferredMaintenanceWindow: pulumi.String(maintenanceWindow),
		CopyTagsToSnapshot:         pulumi.Bool(true),
		// Tier 0 and 1 readers keep the writer's size, so that a takeover does not start small.
		// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-administration.html
		PromotionTier:    pulumi.Int(1),
		ApplyImmediately: pulumi.Bool(true),
	}, inside, pulumi.IgnoreChanges([]string{"identifier"}))
}
