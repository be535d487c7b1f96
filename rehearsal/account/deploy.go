package account

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
)

// startService deploys a new service; one that fails stays as CREATE_FAILED. (AR-11)
func startService(ctx context.Context, c *call) error {
	host, err := c.a.deploy(ctx, c)
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	c.set("serviceUrl", host)
	if err != nil {
		c.set("status", "CREATE_FAILED")
		return fmt.Errorf("waiting for completion: unexpected state 'CREATE_FAILED', wanted target 'RUNNING'. last error: %w", err)
	}
	c.set("status", "RUNNING")
	return nil
}

// updateService deploys a change. One that fails is rolled back, and the provider does not notice. (AR-12)
func updateService(ctx context.Context, c *call) error {
	_, err := c.a.deploy(ctx, c)
	c.a.mu.Lock()
	defer c.a.mu.Unlock()
	if err == nil {
		c.set("status", "RUNNING")
		return nil
	}
	if c.str("status") == "CREATE_FAILED" {
		return fmt.Errorf("waiting for completion: unexpected state 'CREATE_FAILED', wanted target 'RUNNING'. last error: %w", err)
	}
	outputs := c.State
	c.Inputs, c.State = c.old, stateOf(c.old)
	for name := range c.kind.Outputs {
		c.State[resource.PropertyKey(name)] = outputs[resource.PropertyKey(name)]
	}
	c.a.runtime.Event(c.ID, fmt.Sprintf("Service update failed and was rolled back: %v", err))
	return nil
}

// revision is what the service's instances are started from.
func (a *Account) revision(c *call) Service {
	a.mu.Lock()
	defer a.mu.Unlock()
	port := c.str("sourceConfiguration", "imageRepository", "imageConfiguration", "port")
	if port == "" {
		port = "8080"
	}
	// AR-21
	scaling := Scaling{Least: 1, Most: 25, Concurrency: 100} // of the configuration that an account begins with
	if given := a.find(tokenAutoScaling+"#arn", c.str("autoScalingConfigurationArn")); given != nil {
		scaling = Scaling{int(given.num("minSize")), int(given.num("maxSize")), int(given.num("maxConcurrency"))}
	}
	environment := c.variables()
	return Service{
		ARN: c.ID, Name: c.str("serviceName"), Region: c.Region, Port: port, Scaling: scaling,
		Image:         c.str("sourceConfiguration", "imageRepository", "imageIdentifier"),
		AccessRoleARN: c.str("sourceConfiguration", "authenticationConfiguration", "accessRoleArn"),
		Environment:   environment, Secrets: c.secrets(), Databases: a.destinations(environment),
		RoleARN: c.str("instanceConfiguration", "instanceRoleArn"),
		Health: HealthCheck{
			Protocol: c.str("healthCheckConfiguration", "protocol"), Path: c.str("healthCheckConfiguration", "path"),
			Interval: int(c.num("healthCheckConfiguration", "interval")), Timeout: int(c.num("healthCheckConfiguration", "timeout")),
			Healthy: int(c.num("healthCheckConfiguration", "healthyThreshold")), Unhealthy: int(c.num("healthCheckConfiguration", "unhealthyThreshold")),
		},
		Private:      private(c.Resource),
		ConnectorARN: c.str("networkConfiguration", "egressConfiguration", "vpcConnectorArn"),
	}
}

// postgresPort is where clients connect that are told no port.
const postgresPort = 5432

// destinations are the databases' endpoints that an environment names, each with the port that the variable beside it gives:
// NAME_PORT beside NAME_HOST. (NET-9)
func (a *Account) destinations(environment map[string]string) []Destination {
	var all []Destination
	for variable, value := range environment {
		if a.clusterAt(value) == nil {
			continue
		}
		port := postgresPort
		if name, is := strings.CutSuffix(variable, "_HOST"); is {
			if given, err := strconv.Atoi(environment[name+"_PORT"]); err == nil {
				port = given
			}
		}
		all = append(all, Destination{value, port})
	}
	return all
}
