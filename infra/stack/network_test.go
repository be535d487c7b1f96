package stack

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// What is asked of AWS leaves out the zones that cannot hold the stack.
func TestZonesHoldServiceAndDatabase(t *testing.T) {
	const zones = "aws:index/getAvailabilityZones:getAvailabilityZones"
	r := up(t, nil)
	var got []map[string]any
	for _, invoke := range r.invokes {
		if invoke.Token == zones {
			got = append(got, invoke.Args.Mappable())
		}
	}
	want := []map[string]any{{
		"state": "available", "excludeZoneIds": []any{"use1-az3"},
		"filters": []any{map[string]any{"name": "opt-in-status", "values": []any{"opt-in-not-required"}}},
	}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("zones are asked for (-got +want):\n%s", diff)
	}
}

func TestNothingGetsAPublicAddressByItself(t *testing.T) {
	for _, subnet := range up(t, nil).all("aws:ec2/subnet:Subnet") {
		if subnet.values()["mapPublicIpOnLaunch"] != false {
			t.Errorf("%s gives out public addresses", subnet.name)
		}
	}
}

// AWS fails a NAT gateway for good that is there before the internet gateway.
func TestNATGatewayWaitsForTheInternetGateway(t *testing.T) {
	dependencies := up(t, shapes["nat"]).only(t, "aws:ec2/natGateway:NatGateway").request.GetDependencies()
	if !slices.ContainsFunc(dependencies, func(urn string) bool { return strings.HasSuffix(urn, "InternetGateway::network-internet") }) {
		t.Errorf("it waits for %v only", dependencies)
	}
}

// A connector's name has one revision, so that another number of subnets needs another name.
func TestConnector(t *testing.T) {
	want := map[string]any{
		"vpcConnectorName": "todo-dev-2",
		"subnets":          []any{"network-private-1-id", "network-private-2-id"},
		"securityGroups":   []any{"network-service-id"},
	}
	if diff := cmp.Diff(up(t, nil).only(t, "aws:apprunner/vpcConnector:VpcConnector").values(), want); diff != "" {
		t.Errorf("connector (-got +want):\n%s", diff)
	}
}

// A rule that only changed would lock the old group out while the service still has it.
func TestServiceIsLetInUnderBothGroupsWhileItMoves(t *testing.T) {
	for _, rule := range up(t, nil).all("aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule") {
		if got := rule.request.GetReplaceOnChanges(); !slices.Contains(got, "referencedSecurityGroupId") {
			t.Errorf("%s is replaced on changes of %v", rule.name, got)
		}
	}
}
