// Package stack puts the parts together: one stack is one environment.
package stack

import (
	"fmt"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"

	"example.com/todo/infra/apprunner"
	"example.com/todo/infra/database"
	"example.com/todo/infra/image"
	"example.com/todo/infra/limit"
	"example.com/todo/infra/monitoring"
	"example.com/todo/infra/network"
	"example.com/todo/infra/output"
)

// repositoryRoot is where the program, which runs in its own directory, finds the Dockerfile.
const repositoryRoot = ".."

// Deploy declares everything that a stack is made of, and its outputs. Nothing is declared when the configuration is
// wrong.
func Deploy(ctx *pulumi.Context) error {
	outputs, err := declare(ctx)
	if err != nil {
		return err
	}
	for name, value := range outputs {
		ctx.Export(name, value)
	}
	return nil
}

func declare(ctx *pulumi.Context) (pulumi.Map, error) {
	config, err := readConfig(ctx)
	if err != nil {
		return nil, err
	}
	name := limit.PhysicalName(ctx.Project(), ctx.Stack())

	provider, err := aws.NewProvider(ctx, "aws", &aws.ProviderArgs{
		Region:      pulumi.String(config.Region),
		DefaultTags: aws.ProviderDefaultTagsArgs{Tags: pulumi.ToStringMap(output.Tags(ctx.Project(), ctx.Stack()))},
	})
	if err != nil {
		return nil, fmt.Errorf("aws provider: %w", err)
	}
	inRegion := pulumi.Providers(provider)

	net, err := network.New(ctx, "network", &network.Args{
		Region:       config.Region,
		Zones:        config.Zones,
		NAT:          config.Egress == egressNAT,
		Secrets:      config.readsSecrets(),
		Private:      config.Access == accessPrivate,
		DatabasePort: database.Port,
	}, inRegion)
	if err != nil {
		return nil, fmt.Errorf("network: %w", err)
	}

	db, err := database.New(ctx, "database", &database.Args{
		PhysicalName:     name,
		SubnetIDs:        net.PrivateSubnetIDs,
		SecurityGroupID:  net.DatabaseSecurityGroupID,
		MinCapacity:      config.DatabaseMinCapacity,
		MaxCapacity:      config.DatabaseMaxCapacity,
		SleepAfter:       config.DatabaseSleepAfter,
		Instances:        config.DatabaseInstances,
		IAMLogin:         config.DatabaseLogin == loginIAM,
		LogRetentionDays: config.LogRetentionDays,
		Protect:          config.Protect,
		FinalSnapshot:    config.FinalSnapshot,
	}, inRegion)
	if err != nil {
		return nil, fmt.Errorf("database: %w", err)
	}

	img, err := image.New(ctx, "image", &image.Args{
		Context: repositoryRoot,
		Protect: config.Protect,
	}, inRegion)
	if err != nil {
		return nil, fmt.Errorf("image: %w", err)
	}

	var ingress *apprunner.Ingress
	if config.Access == accessPrivate {
		ingress = &apprunner.Ingress{VPCID: net.VPCID, EndpointID: net.RequestsEndpointID}
	}
	var login *apprunner.Login
	if config.DatabaseLogin == loginIAM {
		login = &apprunner.Login{User: database.Login, ARN: db.LoginARN}
	}
	service, err := apprunner.New(ctx, "service", &apprunner.Args{
		PhysicalName:    name,
		Image:           img.Reference,
		RepositoryARN:   img.RepositoryARN,
		SubnetIDs:       net.PrivateSubnetIDs,
		SecurityGroupID: net.ServiceSecurityGroupID,
		Ingress:         ingress,
		CPU:             config.CPU,
		Memory:          config.Memory,
		MinInstances:    config.MinInstances,
		MaxInstances:    config.MaxInstances,
		Concurrency:     config.Concurrency,
		XRay:            config.XRay,
		CustomDomain:    config.CustomDomain,
		WebACLARN:       config.WebACLARN,
		Environment: apprunner.Environment{
			Region:       config.Region,
			DatabaseHost: db.Endpoint,
			DatabasePort: database.Port,
			DatabaseName: database.Name,
			DatabaseConnections: database.ConnectionShare(
				config.DatabaseMinCapacity, config.DatabaseMaxCapacity, config.MaxInstances),
			SecretARN:     db.SecretARN,
			Login:         login,
			LogLevel:      config.LogLevel,
			APIKeysSecret: config.APIKeysSecret,
			CORSOrigins:   config.CORSOrigins,
			RateLimit:     config.RateLimit,
			Metrics:       config.Metrics,
		},
		After: slices.Concat(net.Ready, db.Ready),
	}, inRegion)
	if err != nil {
		return nil, fmt.Errorf("service: %w", err)
	}

	monitor, err := monitoring.New(ctx, "monitoring", &monitoring.Args{
		PhysicalName:   name,
		Region:         config.Region,
		ServiceName:    service.Name,
		ServiceID:      service.ID,
		DatabaseID:     db.ClusterID,
		MinCapacity:    config.DatabaseMinCapacity,
		MaxCapacity:    config.DatabaseMaxCapacity,
		MaxConnections: database.MaxConnections(config.DatabaseMinCapacity, config.DatabaseMaxCapacity),
		Email:          config.AlarmEmail,
		TopicARN:       config.AlarmTopicARN,
	}, inRegion)
	if err != nil {
		return nil, fmt.Errorf("monitoring: %w", err)
	}

	outputs := pulumi.Map{
		output.URL:               service.URL,
		output.Image:             img.Reference,
		output.Version:           pulumi.String(img.Version),
		output.ServiceARN:        service.ARN,
		output.ServiceLogGroup:   service.LogGroup,
		output.DashboardURL:      monitor.URL,
		output.DatabaseEndpoint:  db.Endpoint,
		output.DatabaseSecretARN: db.SecretARN,
		output.RepositoryURL:     img.RepositoryURL,
		output.VPCID:             net.VPCID,
	}
	if config.CustomDomain != "" {
		outputs[output.DNSRecords] = service.DNSRecords
	}
	return outputs, nil
}
