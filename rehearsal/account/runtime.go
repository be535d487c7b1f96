package account

import "context"

// A Runtime runs what the resources of an account stand for.
type Runtime interface {
	// StartDatabase starts a cluster's PostgreSQL; it answers when it accepts connections.
	StartDatabase(context.Context, Database) error
	// StopDatabase stops a cluster's PostgreSQL and forgets its data; a cluster without one is no error.
	StopDatabase(ctx context.Context, cluster string) error
	// Deploy starts new instances of a service, waits until they are healthy, turns the traffic to them and
	// stops the old ones. When they do not become healthy the old ones stay. The host under which the
	// service is reached (host:port) is the same for every deployment of one ARN, and is answered with an error too.
	Deploy(context.Context, Service) (host string, err error)
	// Connect opens the way into a service from inside a VPC, and answers the host (host:port) under which it is
	// reached there; Disconnect shuts it. Neither is an error when it is so already.
	Connect(ctx context.Context, arn string) (host string, err error)
	Disconnect(ctx context.Context, arn string) error
	// Event takes a line of the service's own log, for people.
	Event(arn, text string)
	// Remove stops a service for good.
	Remove(ctx context.Context, arn string) error
}

// A Database is a cluster with at least one instance.
type Database struct {
	Cluster, Endpoint string
	Port              int
	Name              string // of the first database; empty for none
	User, Password    string
}

// A Service is one revision of an App Runner service.
type Service struct {
	ARN, Name, Region string
	// Image is where the image is pulled from, in the role of AccessRoleARN.
	Image, AccessRoleARN string
	Port                 string
	Environment          map[string]string
	RoleARN              string // whose credentials the instances get; empty for none
	Scaling              Scaling
	Health               HealthCheck
	// Private services do not answer the internet.
	Private bool
	// ConnectorARN is the VPC connector that all its connections go through; empty for none.
	ConnectorARN string
	// Databases are the endpoints that the environment names, whether there is a way to them or not.
	Databases []string
}

// Scaling says how many instances a service has at least and at most, and how many requests at once take another one.
type Scaling struct {
	Least, Most, Concurrency int
}

// A HealthCheck is App Runner's, times in seconds.
type HealthCheck struct {
	Protocol, Path                        string
	Interval, Timeout, Healthy, Unhealthy int
}
