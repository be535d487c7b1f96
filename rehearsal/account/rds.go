package account

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/schema"
)

const (
	tokenSubnetGroup     = "aws:rds/subnetGroup:SubnetGroup"
	tokenParameterGroup  = "aws:rds/clusterParameterGroup:ClusterParameterGroup"
	tokenCluster         = "aws:rds/cluster:Cluster"
	tokenClusterInstance = "aws:rds/clusterInstance:ClusterInstance"
)

// engineVersions are the Aurora PostgreSQL versions on offer; a major alone stands for its newest minor.
// https://github.com/aws-cloudformation/cfn-lint, aws_rds_dbcluster/engine_version.json, August 2026. (RDS-1)
var engineVersions = []string{
	"18.4", "18.3", "17.10", "17.9", "17.7", "17.6", "17.5", "17.4", "16.14", "16.13", "16.11", "16.10", "16.9", "16.8",
	"15.18", "15.17", "15.15", "15.14", "15.13", "15.12", "15.10",
}

// identifier is what RDS and its provider demand of a cluster's or an instance's name. (RDS-2)
var identifier = []schema.Rule{
	schema.Match(`^[0-9a-z-]+$`, "only lowercase alphanumeric characters and hyphens allowed"),
	schema.Match(`^[a-z]`, "first character must be a letter"),
	schema.Never(`--`, "cannot contain two consecutive hyphens"),
	schema.Never(`-$`, "cannot end with a hyphen"),
}

const (
	backupWindow      = `^([01]?\d|2[0-3]):[0-5]\d-([01]?\d|2[0-3]):[0-5]\d$`
	maintenanceWindow = `^(?i)(mon|tue|wed|thu|fri|sat|sun):([01]?\d|2[0-3]):[0-5]\d-(mon|tue|wed|thu|fri|sat|sun):([01]?\d|2[0-3]):[0-5]\d$`
)

var databases = []*kind{
	{
		Type: &schema.Type{
			Token: tokenSubnetGroup, Tagged: true, AutoName: "name", MaxName: 255,
			Inputs: withTags(schema.Properties{
				"name": {Kind: schema.String, Replaces: true, Check: []schema.Rule{
					schema.Match(`^[ .0-9a-z_-]+$`, "only lowercase alphanumeric characters, hyphens, underscores, periods, and spaces allowed"),
					schema.Length(1, 255), schema.Never(`(?i)^default$`, `is not allowed as "Default"`)}},
				"description": {Kind: schema.String, Default: "Managed by Pulumi"},
				"subnetIds":   {Kind: schema.List, Required: true, Elem: &schema.Property{Kind: schema.String, Refers: tokenSubnet}},
			}),
			Outputs: schema.Properties{"arn": text, "vpcId": text},
		},
		service: "RDS", noun: "DB Subnet Group", create: "CreateDBSubnetGroup", update: "ModifyDBSubnetGroup", destroy: "DeleteDBSubnetGroup",
		invalid: "InvalidParameterValue", missing: "DBSubnetGroupNotFoundFault", inUse: "InvalidDBSubnetGroupStateFault",
		made: func(c *call) error {
			c.ID = c.str("name")
			c.set("arn", c.arn("rds", "subgrp:"+c.ID))
			return checkSubnetGroup(c)
		},
		changed: checkSubnetGroup,
	},
	{
		Type: &schema.Type{
			Token: tokenParameterGroup, Tagged: true, AutoName: "name", MaxName: 255,
			Inputs: withTags(schema.Properties{
				"name":        {Kind: schema.String, Replaces: true, Check: append([]schema.Rule{schema.Length(1, 255)}, identifier...)},
				"family":      {Kind: schema.String, Required: true, Replaces: true},
				"description": {Kind: schema.String, Replaces: true, Default: "Managed by Pulumi"},
				"parameters": {Kind: schema.List, Elem: &schema.Property{Kind: schema.Object, Fields: schema.Properties{
					"name":        {Kind: schema.String, Required: true},
					"value":       {Kind: schema.String, Required: true},
					"applyMethod": {Kind: schema.String, Default: "immediate", Check: []schema.Rule{schema.OneOf("immediate", "pending-reboot")}},
				}}},
			}),
			Outputs: schema.Properties{"arn": text},
		},
		service: "RDS", noun: "Cluster Parameter Group", create: "CreateDBClusterParameterGroup", update: "ModifyDBClusterParameterGroup", destroy: "DeleteDBClusterParameterGroup",
		invalid: "InvalidParameterValue", missing: "DBClusterParameterGroupNotFound", inUse: "InvalidDBParameterGroupState",
		made: func(c *call) error {
			// RDS-4
			if !slices.ContainsFunc(engineVersions, func(v string) bool { return "aurora-postgresql"+major(v) == c.str("family") }) {
				return c.refusal("CreateDBClusterParameterGroup", "InvalidParameterValue", fmt.Sprintf("ParameterGroupFamily %s is not a valid parameter group family", c.str("family")))
			}
			c.ID = c.str("name")
			c.set("arn", c.arn("rds", "cluster-pg:"+c.ID))
			return checkParameters(c)
		},
		changed: checkParameters, apply: applyParameters,
	},
	{
		Type: &schema.Type{
			Token: tokenCluster, Tagged: true,
			Inputs: withTags(schema.Properties{
				"clusterIdentifier":           {Kind: schema.String, Computed: true, Replaces: true, Check: identifier, API: []schema.Rule{schema.Length(1, 63)}},
				"engine":                      {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.OneOf("aurora-mysql", "aurora-postgresql", "mysql", "postgres")}, API: []schema.Rule{schema.Equals("aurora-postgresql")}},
				"engineMode":                  {Kind: schema.String, Replaces: true, Default: "provisioned", Check: []schema.Rule{schema.OneOf("global", "parallelquery", "provisioned", "serverless")}, API: []schema.Rule{schema.Equals("provisioned")}},
				"engineVersion":               {Kind: schema.String, Computed: true, API: []schema.Rule{offered}},
				"databaseName":                {Kind: schema.String, Computed: true, Replaces: true, API: []schema.Rule{schema.Length(1, 64), schema.Match(`^[A-Za-z][A-Za-z0-9]*$`, "DatabaseName must begin with a letter and contain only alphanumeric characters")}},
				"port":                        {Kind: schema.Number, Computed: true, API: []schema.Rule{schema.Between(1150, 65535)}},
				"dbSubnetGroupName":           {Kind: schema.String, Computed: true, Replaces: true, Refers: tokenSubnetGroup},
				"dbClusterParameterGroupName": {Kind: schema.String, Computed: true, Refers: tokenParameterGroup},
				"vpcSecurityGroupIds":         {Kind: schema.List, Computed: true, Elem: &schema.Property{Kind: schema.String, Refers: tokenSecurityGroup}},
				"masterUsername": {Kind: schema.String, Computed: true, Replaces: true, API: []schema.Rule{
					schema.Length(1, 16), schema.Match(`^[A-Za-z][A-Za-z0-9]*$`, "MasterUsername must begin with a letter and contain only alphanumeric characters"),
					schema.Never(`^(?i)(admin|rdsadmin|postgres|user|public|all)$`, "MasterUsername is a reserved word")}},
				"manageMasterUserPassword": {Kind: schema.Bool, Required: true},
				"storageEncrypted":         {Kind: schema.Bool, Computed: true, Replaces: true},
				"storageType":              {Kind: schema.String, Computed: true, API: []schema.Rule{schema.OneOf("aurora", "aurora-iopt1")}},
				"serverlessv2ScalingConfiguration": {Kind: schema.Object, Fields: schema.Properties{
					"minCapacity":           {Kind: schema.Number, Required: true, Check: []schema.Rule{schema.Between(0, 256)}, API: []schema.Rule{schema.Steps(0.5)}},
					"maxCapacity":           {Kind: schema.Number, Required: true, Check: []schema.Rule{schema.Between(1, 256)}, API: []schema.Rule{schema.Steps(0.5)}},
					"secondsUntilAutoPause": {Kind: schema.Number, Computed: true, Check: []schema.Rule{schema.Between(300, 86400)}},
				}},
				"backupRetentionPeriod":            {Kind: schema.Number, Default: 1.0, API: []schema.Rule{schema.Between(1, 35)}},
				"preferredBackupWindow":            {Kind: schema.String, Computed: true, Check: []schema.Rule{schema.Match(backupWindow, "must satisfy the format of hh24:mi-hh24:mi")}},
				"preferredMaintenanceWindow":       {Kind: schema.String, Computed: true, Check: []schema.Rule{schema.Match(maintenanceWindow, "must satisfy the format of ddd:hh24:mi-ddd:hh24:mi")}},
				"enabledCloudwatchLogsExports":     {Kind: schema.List, Elem: &schema.Property{Kind: schema.String, Check: exportable, API: []schema.Rule{schema.OneOf("iam-db-auth-error", "instance", "postgresql")}}},
				"copyTagsToSnapshot":               {Kind: schema.Bool, Default: false},
				"deletionProtection":               {Kind: schema.Bool},
				"skipFinalSnapshot":                {Kind: schema.Bool, Default: false},
				"applyImmediately":                 {Kind: schema.Bool, Computed: true},
				"iamDatabaseAuthenticationEnabled": {Kind: schema.Bool},
				"finalSnapshotIdentifier": {Kind: schema.String, Check: []schema.Rule{
					schema.Match(`^[0-9A-Za-z-]+$`, "only alphanumeric characters and hyphens allowed"), schema.Never(`--`, "cannot contain two consecutive hyphens"), schema.Never(`-$`, "cannot end in a hyphen")}},
			}),
			Outputs: schema.Properties{
				"arn": text, "clusterResourceId": text, "endpoint": text, "readerEndpoint": text, "engineVersionActual": text,
				"masterUserSecrets": {Kind: schema.List, Elem: &schema.Property{Kind: schema.Object, Fields: schema.Properties{
					"kmsKeyId": text, "secretArn": text, "secretStatus": text}}},
			},
		},
		service: "RDS", noun: "Cluster", create: "CreateDBCluster", update: "ModifyDBCluster", destroy: "DeleteDBCluster",
		invalid: "InvalidParameterValue", missing: "DBClusterNotFoundFault",
		made: makeCluster, changed: checkCluster, apply: applyCluster, refuse: refuseClusterDelete, stop: stopCluster,
	},
	clusterInstance,
}

func offered(v resource.PropertyValue) string {
	if version := v.StringValue(); newest(version) == "" {
		return fmt.Sprintf("Cannot find version %s for aurora-postgresql", version)
	}
	return ""
}

// newest is the version that AWS runs when asked for one; empty when it offers none.
func newest(version string) string {
	for _, v := range engineVersions {
		if v == version || major(v) == version {
			return v
		}
	}
	return ""
}

func major(version string) string {
	before, _, _ := strings.Cut(version, ".")
	return before
}

// RDS-3
func checkSubnetGroup(c *call) error {
	vpcs, inZones := map[string]bool{}, map[string]bool{}
	for _, id := range c.list("subnetIds") {
		subnet := c.a.find(tokenSubnet, id)
		vpcs[subnet.str("vpcId")], inZones[subnet.str("availabilityZone")] = true, true
		c.set("vpcId", subnet.str("vpcId"))
	}
	if len(vpcs) > 1 {
		return c.refusal(c.kind.create, "InvalidSubnet", "The requested subnets are not all in the same VPC.")
	}
	if len(inZones) < 2 {
		return c.refusal(c.kind.create, "DBSubnetGroupDoesNotCoverEnoughAZs", "The DB subnet group doesn't meet Availability Zone (AZ) coverage requirement. Current AZ coverage: "+fmt.Sprint(len(inZones))+". Add subnets to cover at least 2 AZs.")
	}
	return nil
}

func makeCluster(c *call) error {
	if c.str("clusterIdentifier") == "" {
		c.set("clusterIdentifier", "tf-"+c.ID[:20])
	}
	// RDS-6
	if c.a.find(tokenCluster, c.str("clusterIdentifier")) != nil {
		return c.refusal("CreateDBCluster", "DBClusterAlreadyExistsFault", "DB Cluster already exists")
	}
	if c.str("masterUsername") == "" {
		return c.refusal("CreateDBCluster", "InvalidParameterCombination", "MasterUsername must be provided")
	}
	if err := checkCluster(c); err != nil {
		return err
	}
	number := c.ID
	c.ID = c.str("clusterIdentifier")
	for name, value := range map[string]any{"port": 5432.0, "engineVersion": engineVersions[2], "storageEncrypted": false, "databaseName": ""} {
		if c.at(name).IsNull() {
			c.set(name, value)
		}
	}
	domain := number[:12] + "." + c.Region + ".rds.amazonaws.com"
	c.set("arn", c.arn("rds", "cluster:"+c.ID))
	c.set("clusterResourceId", "cluster-"+strings.ToUpper(number[:26]))
	c.set("endpoint", c.ID+".cluster-"+domain)
	c.set("readerEndpoint", c.ID+".cluster-ro-"+domain)
	c.set("engineVersionActual", newest(c.str("engineVersion")))
	c.set("masterUserSecrets", c.a.manageSecret(c, number).describe("active"))
	return nil
}

func checkCluster(c *call) error {
	operation := c.kind.create
	if c.old != nil {
		operation = c.kind.update
	}
	if err := refuseWaiting(c, "iamDatabaseAuthenticationEnabled"); err != nil {
		return err
	}
	// RDS-7
	if !c.flag("manageMasterUserPassword") {
		return c.refusal(operation, "InvalidParameterCombination", "the rehearsal models manageMasterUserPassword=true only")
	}
	// RDS-8
	minimum, maximum := c.num("serverlessv2ScalingConfiguration", "minCapacity"), c.num("serverlessv2ScalingConfiguration", "maxCapacity")
	if minimum > maximum {
		return c.refusal(operation, "InvalidParameterValue", fmt.Sprintf("Serverless v2 minimum capacity %v can't be greater than the maximum capacity %v.", minimum, maximum))
	}
	// RDS-9
	if minimum > 0 && !c.at("serverlessv2ScalingConfiguration", "secondsUntilAutoPause").IsNull() {
		return c.refusal(operation, "InvalidParameterCombination", "SecondsUntilAutoPause can be set only when MinCapacity is 0.")
	}
	// RDS-18
	if backup, maintenance := c.str("preferredBackupWindow"), c.str("preferredMaintenanceWindow"); backup != "" && maintenance != "" && overlap(backup, maintenance) {
		return c.refusal(operation, "InvalidParameterValue", "The backup window and maintenance window must not overlap.")
	}
	if err := changeVersion(c); err != nil {
		return err
	}
	// RDS-4
	if group := c.a.find(tokenParameterGroup, c.str("dbClusterParameterGroupName")); group != nil {
		if version := c.str("engineVersion"); version != "" && group.str("family") != "aurora-postgresql"+major(version) {
			return c.refusal(operation, "InvalidParameterCombination", fmt.Sprintf("The Parameter Group %s with DBParameterGroupFamily %s can't be used for this instance. Please use a Parameter Group with DBParameterGroupFamily aurora-postgresql%s", group.ID, group.str("family"), major(version)))
		}
	}
	// RDS-10
	if group := c.a.find(tokenSubnetGroup, c.str("dbSubnetGroupName")); group != nil {
		for _, id := range c.list("vpcSecurityGroupIds") {
			if c.a.find(tokenSecurityGroup, id).str("vpcId") != group.str("vpcId") {
				return c.refusal(operation, "InvalidVPCNetworkStateFault", fmt.Sprintf("The security group %s is not in the VPC of the DB subnet group %s", id, group.ID))
			}
		}
	}
	return nil
}

func refuseClusterDelete(c *call) error {
	// RDS-11
	if len(c.a.instancesOf(c.ID)) > 0 {
		return c.refusal("DeleteDBCluster", "InvalidDBClusterStateFault", "Cluster cannot be deleted, it still contains DB instances in non-deleting state.")
	}
	// RDS-12
	if c.flag("deletionProtection") {
		return c.refusal("DeleteDBCluster", "InvalidParameterCombination", "Cannot delete protected Cluster, please disable deletion protection and try again.")
	}
	// RDS-13
	if c.flag("skipFinalSnapshot") {
		return nil
	}
	snapshot := c.str("finalSnapshotIdentifier")
	if snapshot == "" {
		return fmt.Errorf("RDS Cluster final_snapshot_identifier is required when skip_final_snapshot is false")
	}
	// RDS-28
	if slices.Contains(c.a.snapshots, snapshot) {
		return c.refusal("DeleteDBCluster", "DBClusterSnapshotAlreadyExistsFault", "Cannot create the cluster snapshot because a snapshot with the identifier "+snapshot+" already exists.")
	}
	c.a.snapshots = append(c.a.snapshots, snapshot)
	return nil
}

// Snapshots are the names of what clusters left behind when they were deleted. (RDS-28)
func (a *Account) Snapshots() []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	return slices.Clone(a.snapshots)
}

func stopCluster(ctx context.Context, c *call) error {
	if err := c.a.runtime.StopDatabase(ctx, c.ID); err != nil {
		return fmt.Errorf("stop the database of cluster %s: %w", c.ID, err)
	}
	c.a.forgetSecret(c.str("masterUserSecrets", "0", "secretArn"))
	return nil
}
