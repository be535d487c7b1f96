package recovery

import (
	"strings"

	"example.com/todo/deploy/pulumi"
)

// A kind is how resources of a type are known by their ARN.
type kind struct {
	service, prefix string
	// name is the input that the ARN holds after the prefix; where there is none, nothing but the type tells them apart.
	name string
	// whole says that Pulumi's id is the whole ARN, not what comes after the prefix.
	whole bool
	// renamed says that Pulumi makes up the name: it would make up another for what is adopted, and replace it at once.
	// https://www.pulumi.com/docs/iac/concepts/resources/names/#autonaming
	renamed bool
}

// kinds are by type.
// https://docs.aws.amazon.com/service-authorization/latest/reference/reference_policies_actions-resources-contextkeys.html
var kinds = map[string]kind{
	"aws:rds/cluster:Cluster":                                                       {service: "rds", prefix: "cluster:", name: "clusterIdentifier"},
	"aws:rds/clusterInstance:ClusterInstance":                                       {service: "rds", prefix: "db:", name: "identifier"},
	"aws:rds/subnetGroup:SubnetGroup":                                               {service: "rds", prefix: "subgrp:", renamed: true},
	"aws:rds/clusterParameterGroup:ClusterParameterGroup":                           {service: "rds", prefix: "cluster-pg:", renamed: true},
	"aws:cloudwatch/logGroup:LogGroup":                                              {service: "logs", prefix: "log-group:", name: "name"},
	"aws:ecr/repository:Repository":                                                 {service: "ecr", prefix: "repository/", renamed: true},
	"aws:sns/topic:Topic":                                                           {service: "sns", renamed: true},
	"aws:apprunner/service:Service":                                                 {service: "apprunner", prefix: "service/", name: "serviceName", whole: true},
	"aws:apprunner/vpcConnector:VpcConnector":                                       {service: "apprunner", prefix: "vpcconnector/", name: "vpcConnectorName", whole: true},
	"aws:apprunner/autoScalingConfigurationVersion:AutoScalingConfigurationVersion": {service: "apprunner", prefix: "autoscalingconfiguration/", name: "autoScalingConfigurationName", whole: true},
	"aws:apprunner/observabilityConfiguration:ObservabilityConfiguration":           {service: "apprunner", prefix: "observabilityconfiguration/", name: "observabilityConfigurationName", whole: true},
	"aws:apprunner/vpcIngressConnection:VpcIngressConnection":                       {service: "apprunner", prefix: "vpcingressconnection/", name: "name", whole: true},
	"aws:ec2/vpc:Vpc":                                                               {service: "ec2", prefix: "vpc/"},
	"aws:ec2/subnet:Subnet":                                                         {service: "ec2", prefix: "subnet/"},
	"aws:ec2/internetGateway:InternetGateway":                                       {service: "ec2", prefix: "internet-gateway/"},
	"aws:ec2/routeTable:RouteTable":                                                 {service: "ec2", prefix: "route-table/"},
	"aws:ec2/eip:Eip":                                                               {service: "ec2", prefix: "elastic-ip/"},
	"aws:ec2/natGateway:NatGateway":                                                 {service: "ec2", prefix: "natgateway/"},
	"aws:ec2/vpcEndpoint:VpcEndpoint":                                               {service: "ec2", prefix: "vpc-endpoint/"},
	"aws:ec2/securityGroup:SecurityGroup":                                           {service: "ec2", prefix: "security-group/", renamed: true},
	"aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule":                     {service: "ec2", prefix: "security-group-rule/"},
	"aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule":                       {service: "ec2", prefix: "security-group-rule/"},
}

// of says whether an ARN is of the kind, and what comes after the prefix.
func (k kind) of(arn string) (rest string, is bool) {
	parts := strings.SplitN(arn, ":", 6)
	if len(parts) < 6 || parts[2] != k.service {
		return "", false
	}
	return strings.CutPrefix(parts[5], k.prefix)
}

func (k kind) id(arn string) string {
	if k.whole {
		return arn
	}
	rest, _ := k.of(arn)
	return rest
}

// match finds what the plan would create among the ARNs, as far as there is no doubt: the ids by URN, and the ARNs that are
// left and of a known kind.
func match(planned []pulumi.Step, arns []string) (found map[string]string, left []string) {
	found = map[string]string{}
	adopted := map[string]bool{}
	for _, step := range planned {
		k, known := kinds[step.Type()]
		if !known || k.renamed || k.name == "" && alike(planned, k) > 1 {
			continue
		}
		var candidates []string
		for _, arn := range arns {
			if rest, is := k.of(arn); is && (k.name == "" || named(k, rest) == step.NewState.Inputs[k.name]) {
				candidates = append(candidates, arn)
			}
		}
		if len(candidates) == 1 {
			found[step.URN], adopted[candidates[0]] = k.id(candidates[0]), true
		}
	}
	for _, arn := range arns {
		if !adopted[arn] && idOf(arn) != "" {
			left = append(left, arn)
		}
	}
	return found, left
}

// idOf is Pulumi's id of what has an ARN; empty when its kind is not known.
func idOf(arn string) string {
	for _, k := range kinds {
		if _, is := k.of(arn); is {
			return k.id(arn)
		}
	}
	return ""
}

// alike counts what the plan would create of a kind, by what is in the ARN.
func alike(planned []pulumi.Step, k kind) int {
	n := 0
	for _, step := range planned {
		if other, known := kinds[step.Type()]; known && other.service == k.service && other.prefix == k.prefix {
			n++
		}
	}
	return n
}

// named is the name after a kind's prefix: App Runner's ARNs go on with a revision and a number.
func named(k kind, rest string) any {
	if k.whole {
		rest, _, _ = strings.Cut(rest, "/")
	}
	return rest
}
