package account

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"

	"example.com/todo/rehearsal/schema"
)

const (
	tokenAlarm     = "aws:cloudwatch/metricAlarm:MetricAlarm"
	tokenDashboard = "aws:cloudwatch/dashboard:Dashboard"
)

var (
	operators = schema.OneOf("GreaterThanOrEqualToThreshold", "GreaterThanThreshold", "LessThanThreshold", "LessThanOrEqualToThreshold")
	statistic = schema.Match(`^(SampleCount|Average|Sum|Minimum|Maximum|(p|tm|tc|ts|wm)\d{1,2}(\.\d+)?)$`, "must be a statistic or a percentile")
	seconds   = []schema.Rule{schema.AnyOf(10, 30, 60, 120, 180, 240, 300, 600, 900, 1800, 3600, 21600, 86400)}
	actions   = schema.Property{Kind: schema.List, Elem: &schema.Property{Kind: schema.String, Check: []schema.Rule{schema.Match(`^arn:`, "is an invalid ARN")}}}
)

var monitoring = []*kind{
	{
		Type: &schema.Type{
			Token: tokenAlarm, Tagged: true, AutoName: "name", MaxName: 255,
			Inputs: withTags(schema.Properties{
				"name":             {Kind: schema.String, Replaces: true, Check: []schema.Rule{schema.Length(1, 255)}},
				"alarmDescription": {Kind: schema.String, Check: []schema.Rule{schema.Length(0, 1024)}},
				// CW-1
				"comparisonOperator": {Kind: schema.String, Required: true, Check: []schema.Rule{operators}},
				"threshold":          {Kind: schema.Number},
				"evaluationPeriods":  {Kind: schema.Number, Required: true, Check: []schema.Rule{schema.Between(1, 604800)}},
				"datapointsToAlarm":  {Kind: schema.Number, Check: []schema.Rule{schema.Between(1, 604800)}},
				"treatMissingData":   {Kind: schema.String, Default: "missing", Check: []schema.Rule{schema.OneOf("breaching", "ignore", "missing", "notBreaching")}},
				"actionsEnabled":     {Kind: schema.Bool, Default: true},
				"alarmActions":       actions,
				"okActions":          actions,
				"metricQueries": {Kind: schema.List, Elem: &schema.Property{Kind: schema.Object, Fields: schema.Properties{
					"id":         {Kind: schema.String, Required: true, Check: []schema.Rule{schema.Length(1, 255)}},
					"expression": {Kind: schema.String, Check: []schema.Rule{schema.Length(1, 2048)}},
					"label":      text,
					"returnData": boolean,
					"metric": {Kind: schema.Object, Fields: schema.Properties{
						"namespace":  {Kind: schema.String, Check: []schema.Rule{schema.Length(1, 255)}},
						"metricName": {Kind: schema.String, Required: true, Check: []schema.Rule{schema.Length(1, 255)}},
						"dimensions": {Kind: schema.Map, Elem: &text},
						"stat":       {Kind: schema.String, Required: true, Check: []schema.Rule{statistic}},
						"period":     {Kind: schema.Number, Required: true, API: seconds},
					}},
				}}},
			}),
			Outputs: schema.Properties{"arn": text},
		},
		service: "CloudWatch", noun: "Metric Alarm", create: "PutMetricAlarm", update: "PutMetricAlarm", destroy: "DeleteAlarms",
		invalid: "ValidationError", missing: "ResourceNotFound",
		made: func(c *call) error {
			c.ID = c.str("name")
			c.set("arn", c.arn("cloudwatch", "alarm:"+c.ID))
			return checkAlarm(c)
		},
		changed: checkAlarm,
	},
	{
		Type: &schema.Type{
			Token: tokenDashboard,
			Inputs: schema.Properties{
				// CW-4
				"dashboardName": {Kind: schema.String, Required: true, Replaces: true, Check: []schema.Rule{
					schema.Length(1, 255), schema.Match(`^[\-_A-Za-z0-9]+$`, "must contain only alphanumeric characters, hyphens and underscores")}},
				"dashboardBody": {Kind: schema.String, Required: true, Check: []schema.Rule{schema.JSON}},
			},
			Outputs: schema.Properties{"dashboardArn": text},
		},
		service: "CloudWatch", noun: "Dashboard", create: "PutDashboard", update: "PutDashboard", destroy: "DeleteDashboards",
		invalid: "InvalidParameterInput", missing: "DashboardNotFoundError",
		made: func(c *call) error {
			c.ID = c.str("dashboardName")
			c.set("dashboardArn", fmt.Sprintf("arn:aws:cloudwatch::%s:dashboard/%s", ID, c.ID))
			return checkDashboard(c)
		},
		changed: checkDashboard,
	},
}

var queryID = regexp.MustCompile(`^[a-z][a-zA-Z0-9_]*$`)

func checkAlarm(c *call) error {
	refuse := func(message string) error { return c.refusal("PutMetricAlarm", "ValidationError", message) }
	// CW-2
	var ids []string
	returned, longest := 0, 0.0
	for i := range c.elements("metricQueries") {
		at := func(path ...string) []string { return append([]string{"metricQueries", fmt.Sprint(i)}, path...) }
		id := c.str(at("id")...)
		if !queryID.MatchString(id) {
			return refuse(fmt.Sprintf("The value for id %q must begin with a lower case letter and have letters, digits and underscores only", id))
		}
		if slices.Contains(ids, id) {
			return refuse("The values for parameter id in MetricDataQueries are not unique: " + id)
		}
		ids = append(ids, id)
		if c.at(at("metric")...).IsNull() == (c.str(at("expression")...) == "") {
			return refuse("Exactly one of Expression and MetricStat must be given in the query " + id)
		}
		if c.flag(at("returnData")...) {
			returned++
		}
		longest = max(longest, c.num(at("metric", "period")...))
	}
	if returned != 1 {
		return refuse(fmt.Sprintf("Exactly one element of the metrics list should return data, got %d", returned))
	}
	// CW-3
	if n := c.num("datapointsToAlarm"); n > c.num("evaluationPeriods") {
		return refuse("DatapointsToAlarm must be less than or equal to EvaluationPeriods")
	}
	if window := longest * c.num("evaluationPeriods"); longest < 3600 && window > 86400 || window > 604800 {
		return refuse("Metrics cannot be checked across more than a day (EvaluationPeriods * Period must be <= 86400), or a week with periods of an hour and more")
	}
	return nil
}

// CW-5
func checkDashboard(c *call) error {
	refuse := func(format string, a ...any) error {
		return c.refusal("PutDashboard", "InvalidParameterInput", "The dashboard body is invalid: "+fmt.Sprintf(format, a...))
	}
	body, err := parseJSON(c.str("dashboardBody"))
	if err != nil || !body.IsObject() || !body.ObjectValue()["widgets"].IsArray() {
		return refuse("should have property \"widgets\"")
	}
	for i, widget := range body.ObjectValue()["widgets"].ArrayValue() {
		w := &Resource{State: resource.PropertyMap{}}
		if widget.IsObject() {
			w.State = widget.ObjectValue()
		}
		if kind := w.str("type"); kind != "metric" {
			return refuse("the rehearsal knows metric widgets only, /widgets/%d is %q", i, kind)
		}
		if w.str("properties", "region") == "" {
			return refuse("/widgets/%d/properties should have property \"region\"", i)
		}
		if x, width := w.num("x"), w.num("width"); x < 0 || width < 1 || x+width > 24 {
			return refuse("/widgets/%d reaches from column %v to %v of 24", i, x, x+width)
		}
		for j, row := range w.elements("properties", "metrics") {
			// Namespace, name and pairs of dimensions, all text, and what to do with it.
			if !row.IsArray() || !evenText(row.ArrayValue()) {
				return refuse("/widgets/%d/properties/metrics/%d should be namespace, name and dimensions", i, j)
			}
		}
	}
	return nil
}

func evenText(row []resource.PropertyValue) bool {
	if n := len(row); n > 0 && row[n-1].IsObject() {
		row = row[:n-1]
	}
	return len(row) >= 2 && len(row)%2 == 0 && !slices.ContainsFunc(row, func(v resource.PropertyValue) bool { return !v.IsString() })
}
