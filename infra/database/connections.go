package database

const (
	// connectionsPerUnit is the smallest ratio of max_connections to capacity units in Aurora's table: 189 at 1 unit,
	// 823 at 4, 3,360 at 16.
	// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2.setting-capacity.html
	connectionsPerUnit = 189
	mostConnections    = 5000
	// mostConnectionsOfSmall holds when the minimum is 0 or 0.5 units, from the same page.
	mostConnectionsOfSmall = 2000
	smallMinimum           = 0.5
	// reserved are left to superusers, to Aurora itself and to people.
	reserved = 20
)

// ConnectionShare is how many connections each of maxCallers instances of the service may open: during a deployment
// twice as many run, and together they must fit into what the database accepts.
func ConnectionShare(minCapacity, maxCapacity float64, maxCallers int) int {
	return max(1, (MaxConnections(minCapacity, maxCapacity)-reserved)/(2*maxCallers))
}

// MaxConnections is how many connections the database accepts at most, or a little less.
func MaxConnections(minCapacity, maxCapacity float64) int {
	limit := mostConnections
	if minCapacity <= smallMinimum {
		limit = mostConnectionsOfSmall
	}
	return min(limit, int(maxCapacity*connectionsPerUnit))
}
