package cost

import (
	"fmt"
	"math"
	"strconv"
)

const (
	typeCluster     = "aws:rds/cluster:Cluster"
	typeInstance    = "aws:rds/clusterInstance:ClusterInstance"
	typeAutoScaling = "aws:apprunner/autoScalingConfigurationVersion:AutoScalingConfigurationVersion"
)

// priced are the types that cost something, by what of their inputs the price goes.
var priced = map[string]func(*bill, Resource){
	"aws:apprunner/service:Service": service,
	typeCluster:                     cluster,
	typeInstance:                    instance,
	"aws:ec2/natGateway:NatGateway": func(b *bill, _ Resource) { b.add(natHour, hours, hours) },
	"aws:ec2/eip:Eip":               func(b *bill, _ Resource) { b.add(addressHour, hours, hours) },
	"aws:ec2/vpcEndpoint:VpcEndpoint": func(b *bill, r Resource) {
		switch r.text("vpcEndpointType") {
		case "Interface":
			zones := float64(len(r.list("subnetIds")))
			b.add(endpointHour, zones*hours, zones*hours)
		case "Gateway", "":
		default:
			b.unknown(r, r.text("vpcEndpointType"))
		}
	},
	"aws:cloudwatch/metricAlarm:MetricAlarm": func(b *bill, r Resource) {
		metrics := 0.0
		for _, query := range r.list("metricQueries") {
			if fields, _ := query.(map[string]any); fields["metric"] != nil {
				metrics++
			}
		}
		b.add(metricAlarms, metrics, metrics)
	},
	"aws:ecr/repository:Repository": func(b *bill, _ Resource) { b.add(imageMonth, imageGB, imageGB) },
}

func service(b *bill, r Resource) {
	vcpu, gb := units(r.text("instanceConfiguration", "cpu")), units(r.text("instanceConfiguration", "memory"))
	scaling, found := b.referred(typeAutoScaling, r.text("autoScalingConfigurationArn"))
	if vcpu == 0 || gb == 0 || !found {
		b.unknown(r, "its size or its scaling is not known")
		return
	}
	least := scaling.number("minSize")
	busy := math.Min(2*least, scaling.number("maxSize"))
	b.add(memoryHour, least*gb*hours, busy*gb*hours)
	b.add(processorHour, 0, busy*vcpu*hours)
	if r.flag("sourceConfiguration", "autoDeploymentsEnabled") {
		b.add(automaticDeployments, 1, 1)
	}
}

// units turns App Runner's plain numbers, 1024 to a processor or a GB, into whole ones; 0 for another form.
func units(text string) float64 {
	n, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0
	}
	return n / 1024
}

func cluster(b *bill, r Resource) {
	if kind := r.text("storageType"); kind != "" && kind != "aurora" {
		b.unknown(r, "storage of type "+kind)
	} else if r.flag("deletionProtection") {
		b.add(storageMonth, protectedIdleGB, protectedBusyGB)
		b.add(storageRequests, 0, protectedBusyMillions)
	} else {
		b.add(storageMonth, idleGB, busyGB)
		b.add(storageRequests, 0, busyMillions)
	}
	if r.flag("manageMasterUserPassword") {
		b.add(secretMonth, 1, 1)
	}
}

func instance(b *bill, r Resource) {
	if class := r.text("instanceClass"); class != "db.serverless" {
		b.unknown(r, fmt.Sprintf("of class %q", class))
		return
	}
	of, found := b.referred(typeCluster, r.text("clusterIdentifier"))
	if !found {
		b.unknown(r, "of a cluster that is not known")
		return
	}
	least := of.number("serverlessv2ScalingConfiguration", "minCapacity")
	most := of.number("serverlessv2ScalingConfiguration", "maxCapacity")
	busy := math.Max(least, math.Min(most, math.Max(1, most/4)))
	b.add(capacityHour, least*hours, busy*hours)
}

// referred is the resource with an id, or the only one of its type when a plan does not know ids yet.
func (b *bill) referred(typ, id string) (Resource, bool) {
	var all []Resource
	for _, r := range b.resources {
		if r.Type == typ {
			all = append(all, r)
		}
	}
	for _, r := range all {
		if r.ID != "" && r.ID == id {
			return r, true
		}
	}
	if len(all) == 1 && all[0].ID == "" {
		return all[0], true
	}
	return Resource{}, false
}

// at follows a path of nested objects; nil where there is nothing.
func (r Resource) at(path ...string) any {
	var value any = r.Inputs
	for _, step := range path {
		object, _ := value.(map[string]any)
		value = object[step]
	}
	return value
}

func (r Resource) text(path ...string) string {
	text, _ := r.at(path...).(string)
	return text
}

func (r Resource) number(path ...string) float64 {
	n, _ := r.at(path...).(float64)
	return n
}

func (r Resource) flag(path ...string) bool {
	is, _ := r.at(path...).(bool)
	return is
}

func (r Resource) list(path ...string) []any {
	list, _ := r.at(path...).([]any)
	return list
}
