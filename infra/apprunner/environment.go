package apprunner

import (
	"strconv"

	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

// The service reads these variables. PORT is not among them: App Runner sets it and refuses to be told.
// https://docs.aws.amazon.com/apprunner/latest/dg/env-variable.html
const (
	databaseHost     = "DATABASE_HOST"
	databasePort     = "DATABASE_PORT"
	databaseName     = "DATABASE_NAME"
	databaseMaxConns = "DATABASE_MAX_CONNS"
	databaseUser     = "DATABASE_USER"
	secretName       = "AWS_SECRET_NAME"
	region           = "AWS_REGION"
	logLevel         = "LOG_LEVEL"
	trustedProxies   = "TRUSTED_PROXIES"
	rateLimit        = "RATE_LIMIT"
	apiKeysSecret    = "API_KEYS_SECRET"
	corsOrigins      = "CORS_ORIGINS"
	metrics          = "METRICS"

	// memoryLimit is not the service's own variable but the Go runtime's. https://pkg.go.dev/runtime#hdr-Environment_Variables
	memoryLimit = "GOMEMLIMIT"

	// databaseAdminSecret is injected: a JSON document with the master's user name and password.
	databaseAdminSecret = "DATABASE_ADMIN_SECRET"

	// https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/
	tracesExporter = "OTEL_TRACES_EXPORTER"
	otlpEndpoint   = "OTEL_EXPORTER_OTLP_ENDPOINT"
	serviceName    = "OTEL_SERVICE_NAME"
)

// collector is where App Runner's own listens beside each instance. https://docs.aws.amazon.com/apprunner/latest/dg/monitor-xray.html
const collector = "http://localhost:4317"

// appRunnersProxies is how many proxies App Runner puts before a public service: one, which writes the client's address into
// X-Forwarded-For, last. https://docs.aws.amazon.com/apprunner/latest/dg/network-incoming.html
const appRunnersProxies = 1

// memoryPercent is the share of an instance's memory up to which the Go runtime collects garbage no more often than it has to.
// The rest is for what the runtime does not count, such as the kernel's buffers, and for the start of a burst: the runtime may
// exceed its limit, but an instance that runs out of memory is killed. https://go.dev/doc/gc-guide#Memory_limit
const memoryPercent = 80

// Environment is what the service is told. All fields are required but those that say otherwise.
type Environment struct {
	Region       string
	DatabaseHost pulumi.StringInput
	DatabasePort int
	DatabaseName string
	// DatabaseConnections is how many connections one instance may open.
	DatabaseConnections int
	// SecretARN is the secret with the database's master user and its password.
	SecretARN pulumi.StringInput
	// Login is the role that the service logs in as; without one, which is not required, that is the master user.
	Login    *Login
	LogLevel string
	// APIKeysSecret is the ARN of the secret with the API's keys, which the service reads in the same way. Without it the API
	// is open.
	APIKeysSecret string
	// CORSOrigins are those whose pages may use the API.
	CORSOrigins string
	// RateLimit is how many requests a second one client may send, 0 for any number. Empty for the service's own limit, or
	// none where clients cannot be told apart.
	RateLimit string
	// Metrics has the service write metrics into its log.
	Metrics bool
}

// variables are what the environment and the way the service is set up come to.
func (args *Args) variables() pulumi.StringMap {
	e := args.Environment
	variables := pulumi.StringMap{
		databaseHost:     e.DatabaseHost,
		databasePort:     pulumi.String(strconv.Itoa(e.DatabasePort)),
		databaseName:     pulumi.String(e.DatabaseName),
		databaseMaxConns: pulumi.String(strconv.Itoa(e.DatabaseConnections)),
		region:           pulumi.String(e.Region),
		logLevel:         pulumi.String(e.LogLevel),
		memoryLimit:      pulumi.String(strconv.Itoa(args.Memory*memoryPercent/100) + "MiB"),
		corsOrigins:      pulumi.String(e.CORSOrigins),
	}
	if e.Login == nil {
		// The service reads it itself and anew, because what App Runner injects stays as it was on the day of the deployment.
		variables[secretName] = e.SecretARN
	} else {
		variables[databaseUser] = pulumi.String(e.Login.User)
	}
	if args.Ingress == nil {
		variables[trustedProxies] = pulumi.String(strconv.Itoa(appRunnersProxies))
	} else {
		// Behind a VPC endpoint X-Forwarded-For holds false values: nothing tells one client from another.
		variables[rateLimit] = pulumi.String("0")
	}
	if e.RateLimit != "" {
		variables[rateLimit] = pulumi.String(e.RateLimit)
	}
	if e.APIKeysSecret != "" {
		variables[apiKeysSecret] = pulumi.String(e.APIKeysSecret)
	}
	if args.XRay || e.Metrics {
		// What tells this stack's traces and metrics from another's.
		variables[serviceName] = pulumi.String(args.PhysicalName)
	}
	if e.Metrics {
		variables[metrics] = pulumi.String("emf")
	}
	if args.XRay {
		variables[tracesExporter] = pulumi.String("otlp")
		variables[otlpEndpoint] = pulumi.String(collector)
	}
	return variables
}

// secrets are what App Runner reads for the service when it deploys: what makes its own role, when that is not there yet. That
// takes no way out of the network. https://docs.aws.amazon.com/apprunner/latest/dg/env-variable.html
func (args *Args) secrets() pulumi.StringMapInput {
	if args.Environment.Login == nil {
		return nil
	}
	return pulumi.StringMap{databaseAdminSecret: args.Environment.SecretARN}
}
