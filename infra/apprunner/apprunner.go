// Package apprunner declares the running service: what it may do, how far it grows, and where it answers.
package apprunner

import (
	"fmt"
	"strconv"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/apprunner"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	token = "todo:aws:Service"

	port       = "8080"
	healthPath = "/"

	// https://docs.aws.amazon.com/apprunner/latest/api/API_CreateAutoScalingConfiguration.html
	longestScalingName = 32
)

// Args decides what a Service is made of.
type Args struct {
	// PhysicalName names the service in AWS, unique in account and region, 4 to 32 characters. Required.
	PhysicalName string
	// Image is repository@digest in ECR, and RepositoryARN that repository. Required.
	Image, RepositoryARN pulumi.StringInput
	// SubnetIDs are private subnets, one per zone; SecurityGroupID says what the service may reach. Required.
	SubnetIDs       pulumi.StringArray
	SecurityGroupID pulumi.StringInput
	// Ingress is the only way in to a private service; a service without it answers the internet.
	Ingress *Ingress
	// CPU is in 1/1024 of a processor, Memory in MiB; only some pairs exist. Required.
	CPU, Memory int
	// MinInstances are always there, MaxInstances at most; each takes Concurrency requests at once. Required.
	MinInstances, MaxInstances, Concurrency int
	// XRay has the service trace, and passes that on.
	XRay bool
	// CustomDomain is a domain of its own beside the one that App Runner gives, and WebACLARN what WAF lets through.
	CustomDomain, WebACLARN string
	// Environment is what the service is told. Required.
	Environment Environment
	// After is what must work before the service starts, beyond what the other fields come from. Of a component the SDK
	// would wait for those children only that it happens to know by then.
	After []pulumi.CustomResource
}

// Service is an App Runner service behind a public or a private address, with its outgoing traffic in a VPC.
type Service struct {
	pulumi.ResourceState

	ARN pulumi.StringOutput
	URL pulumi.StringOutput
	// Name and ID are what metrics and logs are filed under.
	Name, ID pulumi.StringOutput
	// LogGroup is where the service's own output goes. App Runner makes the group with the service and keeps it for ever: its
	// name holds an id that AWS makes up, so that no group, and no retention, can be declared before it is there.
	// https://docs.aws.amazon.com/apprunner/latest/dg/monitor-cwl.html
	LogGroup pulumi.StringOutput
	// DNSRecords are what a custom domain's zone must hold, a line each. Only with a custom domain.
	DNSRecords pulumi.StringOutput
}

// New declares a service.
func New(ctx *pulumi.Context, name string, args *Args, opts ...pulumi.ResourceOption) (*Service, error) {
	service := &Service{}
	err := ctx.RegisterComponentResource(token, name, service, opts...)
	if err != nil {
		return nil, err
	}
	inside := pulumi.Parent(service)

	access, err := newAccessRole(ctx, name, args.RepositoryARN, inside)
	if err != nil {
		return nil, fmt.Errorf("access role: %w", err)
	}
	instance, err := newInstanceRole(ctx, name, args.Environment.SecretARN, args.XRay, inside)
	if err != nil {
		return nil, fmt.Errorf("instance role: %w", err)
	}
	connector, err := newConnector(ctx, name, args, inside)
	if err != nil {
		return nil, fmt.Errorf("vpc connector: %w", err)
	}
	scaling, err := newScaling(ctx, name, args, inside)
	if err != nil {
		return nil, fmt.Errorf("scaling: %w", err)
	}

	tracing, err := newTracing(ctx, name, args, inside)
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}

	// A role without its policy yet, or a database that does not answer yet, fails the first deployment for good.
	ready := []pulumi.Resource{access.policy, instance.policy, connector, scaling}
	if login := args.Environment.Login; login != nil {
		policy, err := newLoginPolicy(ctx, name, instance.role, login, inside)
		if err != nil {
			return nil, fmt.Errorf("database login: %w", err)
		}
		ready = append(ready, policy)
	}
	if secret := args.Environment.APIKeysSecret; secret != "" {
		policy, err := newKeysPolicy(ctx, name, instance.role, secret, inside)
		if err != nil {
			return nil, fmt.Errorf("api keys: %w", err)
		}
		ready = append(ready, policy)
	}
	for _, r := range args.After {
		ready = append(ready, r)
	}
	running, err := apprunner.NewService(ctx, name+"-apprunner", &apprunner.ServiceArgs{
		ServiceName:                 pulumi.String(args.PhysicalName),
		AutoScalingConfigurationArn: scaling.Arn,
		SourceConfiguration: apprunner.ServiceSourceConfigurationArgs{
			// There is nothing to watch behind a digest: a new image is a new deployment of this program.
			AutoDeploymentsEnabled: pulumi.Bool(false),
			AuthenticationConfiguration: apprunner.ServiceSourceConfigurationAuthenticationConfigurationArgs{
				AccessRoleArn: access.role.Arn,
			},
			ImageRepository: apprunner.ServiceSourceConfigurationImageRepositoryArgs{
				ImageRepositoryType: pulumi.String("ECR"),
				ImageIdentifier:     args.Image,
				ImageConfiguration: apprunner.ServiceSourceConfigurationImageRepositoryImageConfigurationArgs{
					Port:                        pulumi.String(port),
					RuntimeEnvironmentVariables: args.variables(),
					RuntimeEnvironmentSecrets:   args.secrets(),
				},
			},
		},
		InstanceConfiguration: apprunner.ServiceInstanceConfigurationArgs{
			Cpu:             pulumi.String(strconv.Itoa(args.CPU)),
			Memory:          pulumi.String(strconv.Itoa(args.Memory)),
			InstanceRoleArn: instance.role.Arn,
		},
		HealthCheckConfiguration: apprunner.ServiceHealthCheckConfigurationArgs{
			Protocol: pulumi.String("HTTP"),
			Path:     pulumi.String(healthPath),
		},
		ObservabilityConfiguration: tracing,
		NetworkConfiguration: apprunner.ServiceNetworkConfigurationArgs{
			EgressConfiguration: apprunner.ServiceNetworkConfigurationEgressConfigurationArgs{
				EgressType:      pulumi.String("VPC"),
				VpcConnectorArn: connector.Arn,
			},
			IngressConfiguration: apprunner.ServiceNetworkConfigurationIngressConfigurationArgs{
				IsPubliclyAccessible: pulumi.Bool(args.Ingress == nil),
			},
		},
	}, inside, pulumi.DependsOn(ready),
		// A new name is a new service under a new address: a renamed stack keeps the one it has.
		keep("serviceName"))
	if err != nil {
		return nil, fmt.Errorf("app runner service: %w", err)
	}

	if args.CustomDomain != "" {
		service.DNSRecords, err = newCustomDomain(ctx, name, args.CustomDomain, running, inside)
		if err != nil {
			return nil, fmt.Errorf("custom domain: %w", err)
		}
	}
	if args.WebACLARN != "" {
		err = protectWith(ctx, name, args.WebACLARN, running, inside)
		if err != nil {
			return nil, fmt.Errorf("web acl: %w", err)
		}
	}

	domain := running.ServiceUrl
	if args.Ingress != nil {
		domain, err = args.Ingress.connect(ctx, name, args.PhysicalName, running, inside)
		if err != nil {
			return nil, fmt.Errorf("ingress connection: %w", err)
		}
	}

	service.ARN = running.Arn
	service.URL = pulumi.Sprintf("https://%s", domain)
	service.Name, service.ID = running.ServiceName, running.ServiceId
	service.LogGroup = pulumi.Sprintf("/aws/apprunner/%s/%s/application", service.Name, service.ID)
	return service, ctx.RegisterResourceOutputs(service, pulumi.Map{
		"arn":      service.ARN,
		"url":      service.URL,
		"name":     service.Name,
		"id":       service.ID,
		"logGroup": service.LogGroup,
	})
}

// newConnector gives the service its way into the VPC. Neither its subnets nor its groups can change, and App Runner
// refuses a second connector of the same name, so another number of subnets is another connector, made before the
// service lets go of the old one. https://github.com/pulumi/pulumi-aws/issues/5364
func newConnector(
	ctx *pulumi.Context, name string, args *Args, inside pulumi.ResourceOption,
) (*apprunner.VpcConnector, error) {
	zones := len(args.SubnetIDs)
	return apprunner.NewVpcConnector(ctx, fmt.Sprintf("%s-connector-%d", name, zones), &apprunner.VpcConnectorArgs{
		VpcConnectorName: pulumi.Sprintf("%s-%d", args.PhysicalName, zones),
		Subnets:          args.SubnetIDs,
		SecurityGroups:   pulumi.StringArray{args.SecurityGroupID},
	}, inside, keep("vpcConnectorName"))
}

// newScaling says how far the service grows. Nothing of it can change, so other settings are another configuration, made
// before the service lets go of the old one; each carries its settings in its name, because App Runner takes five
// revisions of one name and no more. https://docs.aws.amazon.com/apprunner/latest/dg/architecture.html
func newScaling(
	ctx *pulumi.Context, name string, args *Args, inside pulumi.ResourceOption,
) (*apprunner.AutoScalingConfigurationVersion, error) {
	return apprunner.NewAutoScalingConfigurationVersion(ctx, name+"-scaling", &apprunner.AutoScalingConfigurationVersionArgs{
		AutoScalingConfigurationName: pulumi.String(scalingName(args)),
		MinSize:                      pulumi.Int(args.MinInstances),
		MaxSize:                      pulumi.Int(args.MaxInstances),
		MaxConcurrency:               pulumi.Int(args.Concurrency),
	}, inside)
}

// scalingName is such as "todo-dev-1-2-80". What is too long is cut: two stacks may share a name, as two revisions of it.
func scalingName(args *Args) string {
	settings := fmt.Sprintf("-%d-%d-%d", args.MinInstances, args.MaxInstances, args.Concurrency)
	return args.PhysicalName[:min(len(args.PhysicalName), longestScalingName-len(settings))] + settings
}

// keep holds on to the name that a resource was made with, as Pulumi does with the names it makes up itself.
func keep(property string) pulumi.ResourceOption {
	return pulumi.IgnoreChanges([]string{property})
}
