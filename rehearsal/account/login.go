package account

import "fmt"

// ConnectDatabase says in AWS's words why a caller may not log in to a cluster's databases as one of their roles; nil when it
// may. The resource is the cluster by the id that AWS gave it, not by its name. (RDS-33)
// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/UsingWithRDS.IAMDBAuth.IAMPolicy.html
func (a *Account) ConnectDatabase(caller Caller, cluster, role string) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.find(tokenCluster, cluster)
	if r == nil {
		return fmt.Errorf("there is no cluster %s", cluster)
	}
	if caller.Region != r.Region {
		return fmt.Errorf("the token is for %s, the cluster is in %s", caller.Region, r.Region)
	}
	resource := fmt.Sprintf("arn:aws:rds-db:%s:%s:dbuser:%s/%s", r.Region, ID, r.str("clusterResourceId"), role)
	return a.authorize(caller, "rds-db:connect", resource)
}
