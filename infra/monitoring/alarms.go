package monitoring

import (
	"fmt"
	"maps"
	"slices"

	"github.com/pulumi/pulumi-aws/sdk/v6/go/aws/cloudwatch"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
)

const (
	minute      = 60
	fiveMinutes = 300
)

// alarm goes off when a value is above its threshold for a number of periods on end.
type alarm struct {
	name, description string
	// metrics by the names that expression uses; without an expression there is one, and it is the value.
	metrics          map[string]metric
	expression       string
	threshold        float64
	seconds, periods int
}

func alarms(args *Args) []alarm {
	all := []alarm{
		{
			name:        "errors",
			description: "More than 5 in 100 requests failed for ten minutes. The service's log says why.",
			metrics:     map[string]metric{"requests": requests, "failed": failed},
			// A few requests to a database that wakes up are no share to speak of.
			expression: "IF(requests >= 20, 100 * FILL(failed, 0) / requests, 0)",
			threshold:  5, seconds: fiveMinutes, periods: 2,
		},
		{
			name:        "latency",
			description: "One in 20 requests took more than two seconds for 15 minutes.",
			metrics:     map[string]metric{"latency": latency},
			threshold:   2000, seconds: fiveMinutes, periods: 3,
		},
		{
			name:        "instances",
			description: "Requests came for three minutes, and no instance took them.",
			metrics:     map[string]metric{"requests": requests, "instances": instances},
			// An instance that nobody asks is not active: without requests 0 is as it should be.
			// https://docs.aws.amazon.com/apprunner/latest/dg/monitor-cw.html
			expression: "IF(requests > 0 AND FILL(instances, 0) < 1, 1, 0)",
			threshold:  0, seconds: minute, periods: 3,
		},
		{
			name:        "connections",
			description: fmt.Sprintf("More than 80 in 100 of the database's %d connections were taken for 15 minutes.", args.MaxConnections),
			metrics:     map[string]metric{"connections": connections},
			threshold:   float64(args.MaxConnections * 80 / 100), seconds: fiveMinutes, periods: 3,
		},
	}
	const near = 90
	// A database whose least is near its most would never be far from it.
	if 100*args.MinCapacity < near*args.MaxCapacity {
		all = append(all, alarm{
			name:        "capacity",
			description: fmt.Sprintf("The database used more than %d in 100 of its %g capacity units for 15 minutes.", near, args.MaxCapacity),
			metrics:     map[string]metric{"used": capacityUsed},
			threshold:   near, seconds: fiveMinutes, periods: 3,
		})
	}
	return all
}

func newAlarms(ctx *pulumi.Context, name string, args *Args, recipient pulumi.StringInput, inside pulumi.ResourceOption) error {
	for _, alarm := range alarms(args) {
		_, err := cloudwatch.NewMetricAlarm(ctx, name+"-"+alarm.name, &cloudwatch.MetricAlarmArgs{
			AlarmDescription:   pulumi.String(alarm.description),
			MetricQueries:      alarm.queries(args),
			ComparisonOperator: pulumi.String("GreaterThanThreshold"),
			Threshold:          pulumi.Float64(alarm.threshold),
			EvaluationPeriods:  pulumi.Int(alarm.periods),
			// A database that sleeps has no connections to count, and a service that nobody asks no latency.
			// https://docs.aws.amazon.com/AmazonRDS/latest/AuroraUserGuide/aurora-serverless-v2-auto-pause.html
			TreatMissingData: pulumi.String("notBreaching"),
			AlarmActions:     pulumi.Array{recipient},
			OkActions:        pulumi.Array{recipient},
		}, inside)
		if err != nil {
			return fmt.Errorf("alarm %s: %w", alarm.name, err)
		}
	}
	return nil
}

// queries are the metrics, sorted, and what the alarm looks at: the expression, or else the one metric.
func (a alarm) queries(args *Args) cloudwatch.MetricAlarmMetricQueryArray {
	var queries cloudwatch.MetricAlarmMetricQueryArray
	for _, id := range slices.Sorted(maps.Keys(a.metrics)) {
		m, dimensions := a.metrics[id], pulumi.StringMap{}
		for _, d := range m.dimensions(args) {
			dimensions[d.name] = d.value
		}
		queries = append(queries, cloudwatch.MetricAlarmMetricQueryArgs{
			Id: pulumi.String(id),
			Metric: cloudwatch.MetricAlarmMetricQueryMetricArgs{
				Namespace:  pulumi.String(m.namespace),
				MetricName: pulumi.String(m.name),
				Dimensions: dimensions,
				Stat:       pulumi.String(m.stat),
				Period:     pulumi.Int(a.seconds),
			},
			ReturnData: pulumi.Bool(a.expression == ""),
		})
	}
	if a.expression == "" {
		return queries
	}
	return append(queries, cloudwatch.MetricAlarmMetricQueryArgs{
		Id:         pulumi.String("alarm"),
		Expression: pulumi.String(a.expression),
		Label:      pulumi.String(a.name),
		ReturnData: pulumi.Bool(true),
	})
}
