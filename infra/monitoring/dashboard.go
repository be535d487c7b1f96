package monitoring

import "github.com/pulumi/pulumi/sdk/v3/go/pulumi"

// A dashboard has 24 columns.
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/APIReference/CloudWatch-Dashboard-Body-Structure.html
const (
	columns = 24
	across  = 3
	height  = 6
)

// graph is one picture on the dashboard.
type graph struct {
	title   string
	metrics []metric
}

var graphs = []graph{
	{"Requests", []metric{succeeded, refused, failed}},
	{"Latency in ms", []metric{typical, latency}},
	{"Instances at work", []metric{instances}},
	{"Database capacity in ACU", []metric{capacity}},
	{"Database capacity in percent of the maximum", []metric{capacityUsed}},
	{"Database connections", []metric{connections}},
}

func dashboardBody(args *Args) pulumi.StringOutput {
	widgets := make([]any, len(graphs))
	for i, g := range graphs {
		widgets[i] = map[string]any{
			"type": "metric",
			"x":    i % across * (columns / across), "y": i / across * height,
			"width": columns / across, "height": height,
			"properties": map[string]any{
				"title":   g.title,
				"region":  args.Region,
				"view":    "timeSeries",
				"period":  minute,
				"metrics": g.rows(args),
			},
		}
	}
	return pulumi.JSONMarshal(map[string]any{"widgets": widgets})
}

// rows are the graph's metrics as a dashboard writes them: namespace, name, and a name and a value for each dimension.
func (g graph) rows(args *Args) []any {
	rows := make([]any, len(g.metrics))
	for i, m := range g.metrics {
		row := []any{m.namespace, m.name}
		for _, d := range m.dimensions(args) {
			row = append(row, d.name, d.value)
		}
		rows[i] = append(row, map[string]any{"stat": m.stat})
	}
	return rows
}
