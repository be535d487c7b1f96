package account

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"example.com/todo/rehearsal/schema"
)

var clusterInstance = &kind{
	Type: &schema.Type{
		Token: tokenClusterInstance, Tagged: true,
		Inputs: withTags(schema.Properties{
			"identifier":                 {Kind: schema.String, Computed: true, Replaces: true, Check: identifier, API: []schema.Rule{schema.Length(1, 63)}},
			"clusterIdentifier":          {Kind: schema.String, Required: true, Replaces: true, Refers: tokenCluster},
			"engine":                     {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{schema.OneOf("aurora-mysql", "aurora-postgresql", "mysql", "postgres")}},
			"instanceClass":              {Kind: schema.String, Required: true, API: []schema.Rule{schema.Equals("db.serverless")}},
			"dbSubnetGroupName":          {Kind: schema.String, Computed: true, Replaces: true, Refers: tokenSubnetGroup},
			"publiclyAccessible":         {Kind: schema.Bool, Computed: true},
			"caCertIdentifier":           {Kind: schema.String, Computed: true, API: []schema.Rule{schema.OneOf("rds-ca-rsa2048-g1", "rds-ca-rsa4096-g1", "rds-ca-ecc384-g1")}},
			"copyTagsToSnapshot":         {Kind: schema.Bool, Default: false},
			"promotionTier":              {Kind: schema.Number, Default: 0.0, Check: []schema.Rule{schema.Between(0, 15)}},
			"applyImmediately":           {Kind: schema.Bool, Computed: true},
			"autoMinorVersionUpgrade":    {Kind: schema.Bool, Default: true},
			"preferredMaintenanceWindow": {Kind: schema.String, Computed: true, Check: []schema.Rule{schema.Match(maintenanceWindow, "must satisfy the format of ddd:hh24:mi-ddd:hh24:mi")}},
			"performanceInsightsEnabled": {Kind: schema.Bool, Computed: true},
			"monitoringInterval":         {Kind: schema.Number, Default: 0.0, Check: []schema.Rule{schema.AnyOf(0, 1, 5, 10, 15, 30, 60)}},
		}),
		Outputs: schema.Properties{"arn": text, "endpoint": text, "dbiResourceId": text, "writer": boolean, "availabilityZone": text},
	},
	service: "RDS", noun: "Cluster Instance", create: "CreateDBInstance", update: "ModifyDBInstance", destroy: "DeleteDBInstance",
	invalid: "InvalidParameterValue", missing: "DBInstanceNotFound",
	made: makeInstance, changed: checkInstance, start: startInstance, stop: stopInstance,
}

func makeInstance(c *call) error {
	cluster := c.a.find(tokenCluster, c.str("clusterIdentifier"))
	if c.str("identifier") == "" {
		c.set("identifier", "tf-"+c.ID[:20])
	}
	// RDS-6
	if c.a.find(tokenClusterInstance, c.str("identifier")) != nil {
		return c.refusal("CreateDBInstance", "DBInstanceAlreadyExists", "DB instance already exists")
	}
	// RDS-14
	if cluster.at("serverlessv2ScalingConfiguration").IsNull() {
		return c.refusal("CreateDBInstance", "InvalidDBClusterStateFault", "Set the Serverless v2 scaling configuration on the parent DB cluster before creating a Serverless v2 DB instance.")
	}
	// RDS-15
	if c.str("engine") != cluster.str("engine") {
		return c.refusal("CreateDBInstance", "InvalidParameterCombination", "The engine name requested for your DB instance doesn't match the engine name of your DB cluster.")
	}
	if name := c.str("dbSubnetGroupName"); name != "" && name != cluster.str("dbSubnetGroupName") {
		return c.refusal("CreateDBInstance", "InvalidParameterCombination", "The DB subnet group requested doesn't match the DB subnet group of the DB cluster.")
	}
	number := c.ID
	c.ID = c.str("identifier")
	_, domain, _ := strings.Cut(cluster.str("endpoint"), ".cluster-")
	siblings := len(c.a.instancesOf(cluster.ID))
	c.set("arn", c.arn("rds", "db:"+c.ID))
	c.set("endpoint", c.ID+"."+domain)
	c.set("dbiResourceId", "db-"+strings.ToUpper(number[:26]))
	c.set("writer", siblings == 0)
	c.set("availabilityZone", zones(c.Region)[siblings%len(zoneLetters)])
	return nil
}

// startInstance gives the cluster compute: without an instance its endpoint does not answer. (RDS-16)
func startInstance(ctx context.Context, c *call) error { return c.a.run(ctx, clusterOf(c)) }

// stopInstance takes it away: a reader takes over from a writer, and without another instance the data alone stays. (RDS-27)
func stopInstance(ctx context.Context, c *call) error {
	if c.a.abdicate(c.Resource) {
		return c.a.failOver(ctx, clusterOf(c))
	}
	return c.a.run(ctx, clusterOf(c))
}

func clusterOf(c *call) string { return c.Inputs["clusterIdentifier"].StringValue() }

// abdicate counts an instance that is to go out and, when it was the writer, makes a reader the writer; false when there is
// none to become it.
func (a *Account) abdicate(instance *Resource) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	instance.leaving = true
	readers := a.readersOf(instance.str("clusterIdentifier"))
	if !instance.flag("writer") || len(readers) == 0 {
		return false
	}
	promote(instance, readers[0])
	return true
}

func promote(writer, reader *Resource) {
	writer.set("writer", false)
	reader.set("writer", true)
}

// instancesOf are a cluster's instances, in the order of their ids, but for those that are being deleted.
func (a *Account) instancesOf(cluster string) []*Resource {
	var all []*Resource
	for _, instance := range a.of(tokenClusterInstance) {
		if instance.str("clusterIdentifier") == cluster && !instance.leaving {
			all = append(all, instance)
		}
	}
	return all
}

// readersOf are those that may take over, the first to do so first. (RDS-23)
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/Concepts.AuroraHighAvailability.html
func (a *Account) readersOf(cluster string) []*Resource {
	readers := slices.DeleteFunc(a.instancesOf(cluster), func(r *Resource) bool { return r.flag("writer") })
	slices.SortStableFunc(readers, func(x, y *Resource) int { return cmp.Compare(x.num("promotionTier"), y.num("promotionTier")) })
	return readers
}
