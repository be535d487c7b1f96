package cost

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/todo/rehearsal/account"
)

type inputs = map[string]any

// stackOf is what the program declares that costs something, with the settings that the costs go by.
func stackOf(cpu, memory string, least, most, minCapacity, maxCapacity float64, instances int, protect bool) []Resource {
	all := []Resource{
		{Type: typeAutoScaling, ID: "scaling", Inputs: inputs{"minSize": least, "maxSize": most}},
		{Type: "aws:apprunner/service:Service", Inputs: inputs{
			"autoScalingConfigurationArn": "scaling", "instanceConfiguration": inputs{"cpu": cpu, "memory": memory},
			"sourceConfiguration": inputs{"autoDeploymentsEnabled": false}}},
		{Type: typeCluster, ID: "todo", Inputs: inputs{
			"manageMasterUserPassword": true, "deletionProtection": protect,
			"serverlessv2ScalingConfiguration": inputs{"minCapacity": minCapacity, "maxCapacity": maxCapacity}}},
		{Type: "aws:ecr/repository:Repository", Inputs: inputs{}},
		{Type: "aws:ec2/vpc:Vpc", Inputs: inputs{}},
	}
	for range instances {
		all = append(all, Resource{Type: typeInstance, Inputs: inputs{"instanceClass": "db.serverless", "clusterIdentifier": "todo"}})
	}
	return all
}

// planned is the same before anything is made: no ids yet, and references that are not known.
func planned(resources []Resource) []Resource {
	var all []Resource
	for _, r := range resources {
		r.ID = ""
		all = append(all, r)
	}
	return all
}

var (
	dev  = stackOf("256", "512", 1, 1, 0, 1, 1, false)
	prod = stackOf("1024", "2048", 2, 10, 0.5, 8, 2, true)
)

func endpoint(zones int) Resource {
	return Resource{Type: "aws:ec2/vpcEndpoint:VpcEndpoint", Inputs: inputs{
		"vpcEndpointType": "Interface", "subnetIds": slices.Repeat([]any{"subnet"}, zones)}}
}

// The sums are computed by hand, line by line, in the comments.
func TestMonth(t *testing.T) {
	tests := map[string]struct {
		region     string
		resources  []Resource
		idle, busy string
	}{
		// Memory 0.5 × 0.007 × 730 = 2.56; CPU 0.25 × 0.064 × 730 = 11.68; 1 ACU × 0.14 × 730 = 102.20; storage 0.11 and
		// 10 × 0.22 = 2.20; secret 0.40; images 0.02.
		"dev": {euWest1, dev, "3.09", "119.17"},
		// 2 × 0.011 × 730 = 16.06, and 3 × 0.011 × 730 = 24.09.
		"dev with an endpoint": {euWest1, append(slices.Clone(dev), endpoint(2)), "19.15", "135.23"},
		"an endpoint":          {euWest1, []Resource{endpoint(3)}, "24.09", "24.09"},
		// Memory 2 × 2 and 4 × 2 GB: 20.44 and 40.88; CPU 4 × 46.72 = 186.88; 2 × 0.5 and 2 × 2 ACU: 102.20 and 408.80; storage
		// 1.10, 5.50 and 100 × 0.22 = 22; secret 0.40; images 0.02.
		"prod": {euWest1, prod, "124.16", "664.48"},
		// 2.56 + 0 + 0.10 + 0.40 + 0.02; and with 11.68 + 87.60 + 2.00.
		"dev in us-east-1": {usEast1, dev, "3.08", "104.36"},
		// 0.048 × 730 = 35.04 and 0.005 × 730 = 3.65.
		"nat": {euWest1, []Resource{{Type: "aws:ec2/natGateway:NatGateway"}, {Type: "aws:ec2/eip:Eip"}}, "38.69", "38.69"},
		"a gateway endpoint": {euWest1, []Resource{{Type: "aws:ec2/vpcEndpoint:VpcEndpoint", Inputs: inputs{
			"vpcEndpointType": "Gateway"}}}, "0.00", "0.00"},
		// Two metrics and one: 3 × 0.10.
		"alarms": {euWest1, []Resource{
			{Type: "aws:cloudwatch/metricAlarm:MetricAlarm", Inputs: inputs{"metricQueries": []any{
				inputs{"metric": inputs{}}, inputs{"metric": inputs{}}, inputs{"expression": "a / b"}}}},
			{Type: "aws:cloudwatch/metricAlarm:MetricAlarm", Inputs: inputs{"metricQueries": []any{inputs{"metric": inputs{}}}}},
		}, "0.30", "0.30"},
		"nothing": {euWest1, nil, "0.00", "0.00"},
	}
	for name, test := range tests {
		for state, resources := range map[string][]Resource{"made": test.resources, "planned": planned(test.resources)} {
			t.Run(name+" "+state, func(t *testing.T) {
				estimate, err := Of(test.region, resources)
				if err != nil {
					t.Fatal(err)
				}
				if idle, busy := estimate.Total(); idle.String() != test.idle || busy.String() != test.busy {
					t.Errorf("%s idle and %s busy, want %s and %s\n%s", idle, busy, test.idle, test.busy, estimate)
				}
				if len(estimate.Unknown) > 0 {
					t.Errorf("no price for %v", estimate.Unknown)
				}
			})
		}
	}
}

func TestWhatHasNoPriceIsListed(t *testing.T) {
	other := stackOf("256", "512", 1, 1, 0, 1, 1, false)
	other[2].Inputs["storageType"] = "aurora-iopt1"
	tests := map[string]struct {
		resources []Resource
		want      string
	}{
		"an unknown type":         {[]Resource{{Type: "aws:s3/bucket:Bucket"}, {Type: "aws:s3/bucket:Bucket"}}, "[aws:s3/bucket:Bucket]"},
		"another instance class":  {[]Resource{{Type: typeInstance, Inputs: inputs{"instanceClass": "db.r6g.large"}}}, `of class "db.r6g.large"`},
		"an instance of nobody":   {[]Resource{{Type: typeInstance, Inputs: inputs{"instanceClass": "db.serverless"}}}, "of a cluster that is not known"},
		"another storage":         {other, "storage of type aurora-iopt1"},
		"a service of whole vCPU": {[]Resource{{Type: "aws:apprunner/service:Service", Inputs: inputs{"instanceConfiguration": inputs{"cpu": "1 vCPU", "memory": "2048"}}}}, "its size or its scaling is not known"},
		"another endpoint":        {[]Resource{{Type: "aws:ec2/vpcEndpoint:VpcEndpoint", Inputs: inputs{"vpcEndpointType": "GatewayLoadBalancer"}}}, "GatewayLoadBalancer"},
		"what is no cloud's":      {[]Resource{{Type: "pulumi:pulumi:Stack"}, {Type: "todo:aws:Network"}}, "[]"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			estimate, err := Of(euWest1, test.resources)
			if err != nil {
				t.Fatal(err)
			}
			if got := fmt.Sprint(estimate.Unknown); !strings.Contains(got, test.want) || len(estimate.Unknown) > 1 {
				t.Errorf("listed %s, want %s", got, test.want)
			}
		})
	}
}

func TestRegionsWithoutPricesAreNotGuessed(t *testing.T) {
	if _, err := Of("eu-central-1", dev); err == nil {
		t.Error("a bill without prices")
	}
}

func TestEveryPriceHasBothRegionsAndASource(t *testing.T) {
	for _, p := range []price{memoryHour, processorHour, automaticDeployments, capacityHour, storageMonth, storageRequests,
		natHour, addressHour, endpointHour, imageMonth, secretMonth, metricAlarms} {
		if len(p.in) != 2 || p.in[usEast1].usd <= 0 || p.in[euWest1].usd <= 0 || p.source == "" || p.unit == "" {
			t.Errorf("%s: %+v", p.item, p)
		}
	}
	estimate, err := Of(euWest1, dev)
	if err != nil {
		t.Fatal(err)
	}
	if text := estimate.String(); !strings.Contains(text, "App Runner memory, 0.007 (assumed) per GB-hour") || !strings.Contains(text, "Aurora Serverless v2, 0.14 per ACU-hour") {
		t.Errorf("assumed prices are not told apart:\n%s", text)
	}
}

// What the rehearsal can make it can also price.
func TestEveryTypeOfTheAccountIsPricedOrFree(t *testing.T) {
	for _, token := range account.New(nil).Tokens() {
		_, costs := priced[token]
		if costs == free[token] {
			t.Errorf("%s: priced %t, free %t, want one of them", token, costs, free[token])
		}
	}
}
