package account

import (
	"context"
	"time"
)

// A Runtime runs what the resources of an account stand for.
type Runtime interface {
	// RunDatabase has a cluster's PostgreSQL be as described, and answers when it is: it starts one where there is none,
	// ends it but keeps its data when the description has no writer, and wakes a paused one if anything has changed.
	RunDatabase(context.Context, Database) error
	// RestartDatabase restarts a cluster's PostgreSQL, which cuts all connections.
	RestartDatabase(ctx context.Context, cluster string) error
	// FailOver does the same and moves the endpoints to where the description has them, a writer among them.
	FailOver(context.Context, Database) error
	// SetPassword gives a cluster's master user another password; open connections stay.
	SetPassword(ctx context.Context, cluster, password string) error
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

// A Database is what runs for a cluster.
type Database struct {
	Cluster string
	Version string // of Aurora's; another one takes a restart
	// Endpoint is the cluster's own. Writers are all endpoints that reach the writer, Readers those whose sessions may only
	// read. Without writers there is no instance.
	Endpoint         string
	Writers, Readers []string
	// Names are what its certificate is for.
	Names []string
	Port  int
	Name  string // of the first database; empty for none
	// User and Password are the master's when the database is made; SecretARN is where they are kept afterwards.
	User, Password, SecretARN string
	// SleepAfter is AWS's time without a connection after which it pauses; 0 for never.
	SleepAfter time.Duration
	// PlainToo says that connections without TLS are accepted.
	PlainToo bool
	// Tokens says that roles which inherit rds_iam log in with IAM tokens, and with nothing else.
	Tokens bool
	// Settings are PostgreSQL's.
	Settings map[string]string
}

// A Service is one revision of an App Runner service.
type Service struct {
	ARN, Name, Region string
	// Image is where the image is pulled from, in the role of AccessRoleARN.
	Image, AccessRoleARN string
	Port                 string
	Environment          map[string]string
	Secrets              map[string]string // what the environment has besides, by what Account.Injected takes
	RoleARN              string            // whose credentials the instances get, and that reads their secrets; empty for none
	Scaling              Scaling
	Health               HealthCheck
	// Private services do not answer the internet.
	Private bool
	// ConnectorARN is the VPC connector that all its connections go through; empty for none.
	ConnectorARN string
	// Databases are where the environment says that databases are, whether there is a way to them or not.
	Databases []Destination
}

// A Destination is what a service connects to.
type Destination struct {
	Host string
	Port int
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
