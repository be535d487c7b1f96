package recovery

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"example.com/todo/deploy/pulumi"
)

const prefix = "urn:pulumi:dev::todo::"

func create(token, name string, inputs map[string]any) pulumi.Step {
	s := pulumi.Step{Op: "create", URN: prefix + token + "::" + name}
	s.NewState.Inputs = inputs
	return s
}

func TestMatch(t *testing.T) {
	const (
		ec2     = "arn:aws:ec2:eu-west-1:123456789012:"
		rds     = "arn:aws:rds:eu-west-1:123456789012:"
		service = "arn:aws:apprunner:eu-west-1:123456789012:service/todo-dev/0123"
	)
	instance := create("aws:rds/clusterInstance:ClusterInstance", "database-1", map[string]any{"identifier": "todo-dev-1"})
	runner := create("aws:apprunner/service:Service", "service-apprunner", map[string]any{"serviceName": "todo-dev"})
	endpoint := create("aws:ec2/vpcEndpoint:VpcEndpoint", "network-secrets", nil)
	first, second := create("aws:ec2/subnet:Subnet", "private-1", nil), create("aws:ec2/subnet:Subnet", "private-2", nil)
	in, out := create("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule", "in", nil), create("aws:vpc/securityGroupEgressRule:SecurityGroupEgressRule", "out", nil)
	group := create("aws:rds/subnetGroup:SubnetGroup", "subnets", map[string]any{"name": "todo-dev-subnets-2222222"})
	for _, row := range []struct {
		name    string
		planned []pulumi.Step
		arns    []string
		found   map[string]string
		left    []string
	}{
		{"nothing", []pulumi.Step{instance}, nil, map[string]string{}, nil},
		{"by name, the id is a name", []pulumi.Step{instance, runner}, []string{rds + "db:todo-dev-1"}, map[string]string{instance.URN: "todo-dev-1"}, nil},
		{"by name, the id is an ARN", []pulumi.Step{instance, runner}, []string{service}, map[string]string{runner.URN: service}, nil},
		{"another name", []pulumi.Step{instance}, []string{rds + "db:todo-dev-2"}, map[string]string{}, []string{rds + "db:todo-dev-2"}},
		{"the only one of its type", []pulumi.Step{endpoint}, []string{ec2 + "vpc-endpoint/vpce-1"}, map[string]string{endpoint.URN: "vpce-1"}, nil},
		{"one of two orphans", []pulumi.Step{endpoint}, []string{ec2 + "vpc-endpoint/vpce-1", ec2 + "vpc-endpoint/vpce-2"}, map[string]string{}, []string{ec2 + "vpc-endpoint/vpce-1", ec2 + "vpc-endpoint/vpce-2"}},
		{"one of two planned", []pulumi.Step{first, second}, []string{ec2 + "subnet/subnet-1"}, map[string]string{}, []string{ec2 + "subnet/subnet-1"}},
		{"rules in and out have the same ARNs", []pulumi.Step{in, out}, []string{ec2 + "security-group-rule/sgr-1"}, map[string]string{}, []string{ec2 + "security-group-rule/sgr-1"}},
		{"a name that Pulumi makes up", []pulumi.Step{group}, []string{rds + "subgrp:todo-dev-subnets-1111111"}, map[string]string{}, []string{rds + "subgrp:todo-dev-subnets-1111111"}},
		{"a snapshot is meant to stay", []pulumi.Step{instance}, []string{rds + "cluster-snapshot:todo-dev-final-1"}, map[string]string{}, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			found, left := match(row.planned, row.arns)
			if diff := cmp.Diff(row.found, found); diff != "" {
				t.Errorf("found (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(row.left, left); diff != "" {
				t.Errorf("left (-want +got):\n%s", diff)
			}
		})
	}
}
