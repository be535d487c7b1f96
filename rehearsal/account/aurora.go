package account

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// run has a cluster's PostgreSQL be what the account says of the cluster.
func (a *Account) run(ctx context.Context, cluster string) error {
	return a.settle(cluster, func(d Database) error { return a.runDatabase(ctx, d) })
}

func (a *Account) runDatabase(ctx context.Context, d Database) error {
	if err := a.runtime.RunDatabase(ctx, d); err != nil {
		return fmt.Errorf("run the database of cluster %s: %w", d.Cluster, err)
	}
	return nil
}

func (a *Account) failOver(ctx context.Context, cluster string) error {
	return a.settle(cluster, func(d Database) error {
		// While this waited for its turn, the instance that was to take over may have been deleted.
		if len(d.Writers) == 0 {
			return a.runDatabase(ctx, d)
		}
		if err := a.runtime.FailOver(ctx, d); err != nil {
			return fmt.Errorf("fail the database of cluster %s over: %w", cluster, err)
		}
		return nil
	})
}

// settle hands what a cluster now is to do, one at a time, so that the last description is also the last to be followed.
func (a *Account) settle(cluster string, do func(Database) error) error {
	turn, _ := a.settling.LoadOrStore(cluster, &sync.Mutex{})
	turn.(*sync.Mutex).Lock()
	defer turn.(*sync.Mutex).Unlock()
	described, exists := a.describe(cluster)
	if !exists {
		return nil
	}
	return do(described)
}

func (a *Account) describe(id string) (Database, bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	cluster := a.find(tokenCluster, id)
	if cluster == nil {
		return Database{}, false
	}
	managed := a.secrets[cluster.str("masterUserSecrets", "0", "secretArn")]
	settings, plainToo := a.settings(cluster)
	endpoint, reader := cluster.str("endpoint"), cluster.str("readerEndpoint")
	_, domain, _ := strings.Cut(endpoint, ".cluster-")
	d := Database{
		Cluster: cluster.ID, Version: cluster.str("engineVersionActual"), Endpoint: endpoint, Names: []string{endpoint, reader, "*." + domain},
		Port: int(cluster.num("port")), Name: cluster.str("databaseName"),
		User: managed.username, Password: managed.current().password, SecretARN: managed.arn,
		PlainToo: plainToo, Tokens: cluster.flag("iamDatabaseAuthenticationEnabled"), Settings: settings,
	}
	// RDS-20
	if scaling := cluster.at("serverlessv2ScalingConfiguration"); !scaling.IsNull() && cluster.num("serverlessv2ScalingConfiguration", "minCapacity") == 0 {
		d.SleepAfter = defaultSleepAfter
		if seconds := cluster.num("serverlessv2ScalingConfiguration", "secondsUntilAutoPause"); seconds > 0 {
			d.SleepAfter = time.Duration(seconds) * time.Second
		}
	}
	for _, instance := range a.instancesOf(cluster.ID) {
		if instance.flag("writer") {
			d.Writers = append(d.Writers, endpoint, instance.str("endpoint"))
		} else {
			d.Readers = append(d.Readers, instance.str("endpoint"))
		}
	}
	// The reader endpoint of a cluster without readers reaches the writer. (RDS-24)
	switch {
	case len(d.Readers) > 0:
		d.Readers = append(d.Readers, reader)
	case len(d.Writers) > 0:
		d.Writers = append(d.Writers, reader)
	}
	return d, true
}

// endpointsOf are all names under which a cluster is reached, its own first.
func (a *Account) endpointsOf(cluster *Resource) []string {
	endpoints := []string{cluster.str("endpoint"), cluster.str("readerEndpoint")}
	for _, instance := range a.instancesOf(cluster.ID) {
		endpoints = append(endpoints, instance.str("endpoint"))
	}
	return endpoints
}

// defaultSleepAfter is Aurora's. https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ServerlessV2ScalingConfiguration.html
const defaultSleepAfter = 300 * time.Second

func applyCluster(ctx context.Context, c *call) error { return c.a.run(ctx, c.ID) }

// applyParameters has all clusters of a parameter group take its values: dynamic ones at once, static ones when they start. (RDS-26)
func applyParameters(ctx context.Context, c *call) error {
	for _, cluster := range c.a.users(c.Resource, tokenCluster) {
		if err := c.a.run(ctx, cluster); err != nil {
			return err
		}
	}
	return nil
}

// users are the ids of the resources of a type that refer to r.
func (a *Account) users(r *Resource, token string) []string {
	a.mu.Lock()
	defer a.mu.Unlock()
	var ids []string
	for _, user := range a.of(token) {
		a.kinds[token].References(user.Inputs, func(_, reference, value string) {
			if a.find(reference, value) == r {
				ids = append(ids, user.ID)
			}
		})
	}
	return ids
}

// A Cluster is what there is of a database.
type Cluster struct {
	ID, Writer, SecretARN string // Writer is an instance; empty when there is none
}

// Clusters are all databases, in the order of their ids.
func (a *Account) Clusters() []Cluster {
	a.mu.Lock()
	defer a.mu.Unlock()
	var all []Cluster
	for _, r := range a.of(tokenCluster) {
		c := Cluster{ID: r.ID, SecretARN: r.str("masterUserSecrets", "0", "secretArn")}
		for _, instance := range a.instancesOf(r.ID) {
			if instance.flag("writer") {
				c.Writer = instance.ID
			}
		}
		all = append(all, c)
	}
	return all
}

// RebootDBInstance answers RDS's operation of that name, about a writer. (RDS-22)
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_RebootDBInstance.html
func (a *Account) RebootDBInstance(ctx context.Context, id string) error {
	cluster, err := a.mayReboot(id)
	if err != nil {
		return err
	}
	return a.runtime.RestartDatabase(ctx, cluster)
}

func (a *Account) mayReboot(instance string) (cluster string, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	refusal := func(code, message string) error {
		return &APIError{Service: "RDS", Operation: "RebootDBInstance", Code: code, Message: message}
	}
	switch r := a.find(tokenClusterInstance, instance); {
	case r == nil:
		return "", refusal("DBInstanceNotFound", fmt.Sprintf("DBInstance %s not found.", instance))
	case !r.flag("writer"):
		return "", refusal("InvalidDBInstanceState", "the rehearsal restarts the writer only: its readers share one PostgreSQL with it")
	default:
		return r.str("clusterIdentifier"), nil
	}
}

// FailoverDBCluster answers RDS's operation of that name: a reader becomes the writer, and the writer a reader. (RDS-23)
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_FailoverDBCluster.html
func (a *Account) FailoverDBCluster(ctx context.Context, id string) error {
	if err := a.swap(id); err != nil {
		return err
	}
	return a.failOver(ctx, id)
}

func (a *Account) swap(cluster string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	refusal := func(code, message string) error {
		return &APIError{Service: "RDS", Operation: "FailoverDBCluster", Code: code, Message: message}
	}
	if a.find(tokenCluster, cluster) == nil {
		return refusal("DBClusterNotFoundFault", fmt.Sprintf("DBCluster %s not found.", cluster))
	}
	readers := a.readersOf(cluster)
	if len(readers) == 0 {
		return refusal("InvalidDBClusterStateFault", fmt.Sprintf("Cluster %s has no reader to fail over to.", cluster))
	}
	for _, instance := range a.instancesOf(cluster) {
		if instance.flag("writer") {
			promote(instance, readers[0])
			break
		}
	}
	return nil
}

// UpgradeMinorVersion does what AWS does in a cluster's maintenance window when there is a newer minor version: nothing,
// unless all its instances take such by themselves. A version of which the program gives the beginning only is as
// the provider sees it still the same; one that it gives whole is not. (RDS-29)
// https://github.com/hashicorp/terraform-provider-aws/blob/v5.100.0/internal/service/rds/engine_version.go
func (a *Account) UpgradeMinorVersion(ctx context.Context, id, version string) error {
	if err := a.takeVersion(id, version); err != nil {
		return err
	}
	return a.run(ctx, id)
}

func (a *Account) takeVersion(id, version string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	cluster := a.find(tokenCluster, id)
	if cluster == nil {
		return fmt.Errorf("there is no cluster %s to upgrade", id)
	}
	actual := cluster.str("engineVersionActual")
	if major(actual) != major(version) || !newer(version, actual) {
		return fmt.Errorf("%s is no newer minor version of cluster %s than %s", version, id, actual)
	}
	for _, instance := range a.instancesOf(id) {
		if !instance.flag("autoMinorVersionUpgrade") {
			return fmt.Errorf("instance %s does not take minor versions by itself", instance.ID)
		}
	}
	cluster.set("engineVersionActual", version)
	if asked := cluster.str("engineVersion"); !strings.HasPrefix(version, asked) {
		cluster.set("engineVersion", version)
		cluster.Inputs["engineVersion"] = resource.NewProperty(version)
	}
	return nil
}

// changeVersion is what ModifyDBCluster says to another engine version. (RDS-30)
// https://docs.aws.amazon.com/AmazonRDS/latest/APIReference/API_ModifyDBCluster.html
func changeVersion(c *call) error {
	asked, actual := c.str("engineVersion"), c.str("engineVersionActual")
	switch {
	case c.old == nil || asked == "" || strings.HasPrefix(actual, asked):
		return nil
	case major(asked) != major(actual):
		return c.refusal("ModifyDBCluster", "InvalidParameterCombination", "The AllowMajorVersionUpgrade flag must be present when upgrading to a new major version.")
	case !newer(newest(asked), actual):
		return c.refusal("ModifyDBCluster", "InvalidParameterCombination", fmt.Sprintf("Cannot upgrade aurora-postgresql from %s to %s", actual, asked))
	}
	c.set("engineVersionActual", newest(asked))
	return refuseWaiting(c, "engineVersion")
}

// newer compares minor versions of one major.
func newer(version, than string) bool {
	minor := func(v string) int {
		_, after, _ := strings.Cut(v, ".")
		n, err := strconv.Atoi(after)
		if err != nil {
			return 0
		}
		return n
	}
	return minor(version) > minor(than)
}
