package stack

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	metricAlarm  = "aws:cloudwatch/metricAlarm:MetricAlarm"
	topic        = "aws:sns/topic:Topic"
	subscription = "aws:sns/topicSubscription:TopicSubscription"
)

func TestNobodyToHearNoAlarms(t *testing.T) {
	r := up(t, nil)
	for _, typ := range []string{metricAlarm, topic, subscription} {
		if got := r.all(typ); len(got) > 0 {
			t.Errorf("%d of %s, want none", len(got), typ)
		}
	}
}

func TestWhoHearsTheAlarms(t *testing.T) {
	const given = "arn:aws:sns:eu-west-1:123456789012:alarms"
	tests := map[string]struct {
		settings map[string]string
		want     string
		topics   int
	}{
		"a topic":   {map[string]string{"todo:alarmTopicArn": given}, given, 0},
		"an e-mail": {map[string]string{"todo:alarmEmail": "ops@example.com"}, "arn:aws:x:eu-west-1:123456789012:monitoring-alarms", 1},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := up(t, test.settings)
			if got := len(r.all(topic)); got != test.topics {
				t.Errorf("%d topics, want %d", got, test.topics)
			}
			for _, s := range r.all(subscription) {
				want := map[string]any{"protocol": "email", "endpoint": "ops@example.com", "topic": test.want}
				if diff := cmp.Diff(s.values(), want); diff != "" {
					t.Errorf("subscription (-got +want):\n%s", diff)
				}
			}
			alarms := r.all(metricAlarm)
			if len(alarms) == 0 {
				t.Error("no alarms")
			}
			for _, alarm := range alarms {
				for _, moment := range []string{"alarmActions", "okActions"} {
					if diff := cmp.Diff(alarm.values()[moment], any([]any{test.want})); diff != "" {
						t.Errorf("%s of %s (-got +want):\n%s", moment, alarm.name, diff)
					}
				}
			}
		})
	}
}

// Each alarm as its value, its threshold, and how long it takes.
func TestAlarms(t *testing.T) {
	want := map[string]string{
		"monitoring-capacity":    "AWS/RDS ACUUtilization Average > 90 in 3 x 300 s",
		"monitoring-connections": "AWS/RDS DatabaseConnections Maximum > 151 in 3 x 300 s",
		"monitoring-errors":      "IF(requests >= 20, 100 * FILL(failed, 0) / requests, 0) > 5 in 2 x 300 s",
		"monitoring-instances":   "IF(requests > 0 AND FILL(instances, 0) < 1, 1, 0) > 0 in 3 x 60 s",
		"monitoring-latency":     "AWS/AppRunner RequestLatency p95 > 2000 in 3 x 300 s",
	}
	got := map[string]string{}
	for _, alarm := range up(t, map[string]string{"todo:alarmEmail": "ops@example.com"}).all(metricAlarm) {
		v := alarm.values()
		if v["treatMissingData"] != "notBreaching" || v["comparisonOperator"] != "GreaterThanThreshold" {
			t.Errorf("%s takes missing data as %v and compares with %v", alarm.name, v["treatMissingData"], v["comparisonOperator"])
		}
		value, seconds, returned := "", any(nil), 0
		for _, q := range v["metricQueries"].([]any) {
			query := q.(map[string]any)
			metric, _ := query["metric"].(map[string]any)
			if metric != nil {
				seconds = metric["period"]
				checkDimensions(t, alarm.name, metric)
			}
			if query["returnData"] == true {
				returned++
				if value, _ = query["expression"].(string); value == "" {
					value = fmt.Sprint(metric["namespace"], " ", metric["metricName"], " ", metric["stat"])
				}
			} else if id := fmt.Sprint(query["id"]); !strings.Contains(want[alarm.name], id) {
				t.Errorf("%s does not use %s", alarm.name, id)
			}
		}
		if returned != 1 {
			t.Errorf("%s returns %d values, want 1", alarm.name, returned)
		}
		got[alarm.name] = fmt.Sprintf("%s > %v in %v x %v s", value, v["threshold"], v["evaluationPeriods"], seconds)
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("alarms (-got +want):\n%s", diff)
	}
}

// A metric with other dimensions than its own has no data, and an alarm on it never goes off.
func checkDimensions(t *testing.T, of string, metric map[string]any) {
	t.Helper()
	want := map[string]any{"ServiceName": "todo-dev", "ServiceID": "0a1b"}
	if metric["namespace"] == "AWS/RDS" {
		want = map[string]any{"DBClusterIdentifier": "todo-dev"}
	}
	if diff := cmp.Diff(metric["dimensions"], any(want)); diff != "" {
		t.Errorf("dimensions of %s (-got +want):\n%s", of, diff)
	}
}

func TestNoCapacityAlarmWhereTheDatabaseIsAlwaysAtItsMost(t *testing.T) {
	r := up(t, map[string]string{"todo:alarmEmail": "a@example.com", "todo:databaseMinCapacity": "2", "todo:databaseMaxCapacity": "2"})
	if slices.ContainsFunc(r.all(metricAlarm), func(a registration) bool { return a.name == "monitoring-capacity" }) {
		t.Error("an alarm that would never end")
	}
}

func TestDashboard(t *testing.T) {
	dashboard := up(t, nil).only(t, "aws:cloudwatch/dashboard:Dashboard")
	if got := dashboard.values()["dashboardName"]; got != "todo-dev" {
		t.Errorf("the dashboard is called %v", got)
	}
	body, _ := parse(t, dashboard.values()["dashboardBody"]).(map[string]any)
	var got []string
	for _, w := range body["widgets"].([]any) {
		widget := w.(map[string]any)
		properties := widget["properties"].(map[string]any)
		got = append(got, fmt.Sprintf("%v,%v %v: %v", widget["x"], widget["y"], properties["region"], properties["metrics"]))
	}
	const service = "ServiceName todo-dev ServiceID 0a1b map[stat:"
	want := []string{
		"0,0 eu-west-1: [[AWS/AppRunner 2xxStatusResponses " + service + "Sum]] [AWS/AppRunner 4xxStatusResponses " + service +
			"Sum]] [AWS/AppRunner 5xxStatusResponses " + service + "Sum]]]",
		"8,0 eu-west-1: [[AWS/AppRunner RequestLatency " + service + "p50]] [AWS/AppRunner RequestLatency " + service + "p95]]]",
		"16,0 eu-west-1: [[AWS/AppRunner ActiveInstances " + service + "Maximum]]]",
		"0,6 eu-west-1: [[AWS/RDS ServerlessDatabaseCapacity DBClusterIdentifier todo-dev map[stat:Average]]]",
		"8,6 eu-west-1: [[AWS/RDS ACUUtilization DBClusterIdentifier todo-dev map[stat:Average]]]",
		"16,6 eu-west-1: [[AWS/RDS DatabaseConnections DBClusterIdentifier todo-dev map[stat:Maximum]]]",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("widgets (-got +want):\n%s", diff)
	}
}
