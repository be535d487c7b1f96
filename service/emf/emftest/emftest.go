// Package emftest reads documents of CloudWatch's embedded metric format and holds
// them to its specification and JSON schema:
// https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
package emftest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"
)

// Document is what CloudWatch makes of a line with one directive and one set of
// dimensions.
type Document struct {
	Namespace  string
	Timestamp  int64 // in milliseconds
	Dimensions []string
	Units      map[string]string // by metric
	Metrics    map[string]Values

	members map[string]any
}

// Values is what a metric's values come to.
type Values struct{ Sum, Count, Min, Max float64 }

// Has says whether the document has these members.
func (d Document) Has(members map[string]any) bool {
	for k, v := range members {
		if d.members[k] != v {
			return false
		}
	}
	return true
}

// The limits, where the specification gives them.
const (
	maxSize       = 256 << 10 // of a document, in its stricter edition
	maxDimensions = 30
	maxMetrics    = 100
	maxValues     = 100
)

// units are those of MetricDatum that make sense here.
var units = map[string]bool{"Count": true, "Milliseconds": true}

// namespaces: https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/cloudwatch_concepts.html#Namespace
var namespaces = regexp.MustCompile(`^[0-9A-Za-z._/#: -]{1,255}$`)

// IsDocument says whether a line of the log is meant for CloudWatch.
func IsDocument(line string) bool { return strings.Contains(line, `"_aws"`) }

// Parse reads a line, which ends with its only line break.
func Parse(line string) (Document, error) {
	switch {
	case strings.IndexByte(line, '\n') != len(line)-1:
		return Document{}, errors.New("not one line")
	case len(line) > maxSize:
		return Document{}, fmt.Errorf("%d bytes", len(line))
	}
	type metric struct {
		Name, Unit        string
		StorageResolution *int
	}
	type directive struct {
		Namespace  string
		Dimensions [][]string
		Metrics    []metric
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal([]byte(line), &members); err != nil {
		return Document{}, err
	}
	var metadata struct {
		Timestamp         *int64
		CloudWatchMetrics []directive
	}
	strict := json.NewDecoder(bytes.NewReader(members["_aws"])) // objects MUST NOT contain any additional members
	strict.DisallowUnknownFields()
	if err := strict.Decode(&metadata); err != nil {
		return Document{}, fmt.Errorf("metadata: %w", err)
	}
	if metadata.Timestamp == nil || len(metadata.CloudWatchMetrics) != 1 || len(metadata.CloudWatchMetrics[0].Dimensions) != 1 {
		return Document{}, errors.New("metadata without a time, one directive and one set of dimensions")
	}
	of := metadata.CloudWatchMetrics[0]
	d := Document{
		Namespace: of.Namespace, Timestamp: *metadata.Timestamp, Dimensions: of.Dimensions[0],
		Units: map[string]string{}, Metrics: map[string]Values{}, members: map[string]any{},
	}
	if err := json.Unmarshal([]byte(line), &d.members); err != nil {
		return Document{}, err
	}
	if !namespaces.MatchString(d.Namespace) {
		return Document{}, fmt.Errorf("namespace %q", d.Namespace)
	}
	if len(d.Dimensions) > maxDimensions || len(of.Metrics) > maxMetrics || len(of.Metrics) == 0 {
		return Document{}, fmt.Errorf("%d dimensions, %d metrics", len(d.Dimensions), len(of.Metrics))
	}
	for _, name := range d.Dimensions {
		value, ok := d.members[name].(string)
		if !ok || value == "" || utf8.RuneCountInString(value) > 1024 || utf8.RuneCountInString(name) > 250 {
			return Document{}, fmt.Errorf("dimension %s is %v", name, d.members[name])
		}
	}
	for _, m := range of.Metrics {
		values, err := valuesOf(members[m.Name])
		if err != nil || m.Name == "" || utf8.RuneCountInString(m.Name) > 1024 || !units[m.Unit] {
			return Document{}, fmt.Errorf("metric %q in %q is %s: %w", m.Name, m.Unit, members[m.Name], err)
		}
		d.Units[m.Name], d.Metrics[m.Name] = m.Unit, values
	}
	return d, nil
}

// valuesOf takes a number, or the histogram that AWS's own library writes.
func valuesOf(member json.RawMessage) (Values, error) {
	var number float64
	if json.Unmarshal(member, &number) == nil {
		return Values{Sum: number, Count: 1, Min: number, Max: number}, nil
	}
	var h struct {
		Values, Counts []float64
		Sum, Count     float64
		Min, Max       float64
	}
	strict := json.NewDecoder(bytes.NewReader(member))
	strict.DisallowUnknownFields()
	if err := strict.Decode(&h); err != nil {
		return Values{}, err
	}
	if len(h.Values) == 0 || len(h.Values) != len(h.Counts) || len(h.Values) > maxValues {
		return Values{}, fmt.Errorf("%d values with %d counts", len(h.Values), len(h.Counts))
	}
	count := 0.0
	for i, v := range h.Values {
		if v < h.Min || v > h.Max || h.Counts[i] <= 0 {
			return Values{}, fmt.Errorf("%v times %v, from %v to %v", h.Counts[i], v, h.Min, h.Max)
		}
		count += h.Counts[i]
	}
	if count != h.Count {
		return Values{}, fmt.Errorf("%v values are counted as %v", h.Count, count)
	}
	return Values{Sum: h.Sum, Count: h.Count, Min: h.Min, Max: h.Max}, nil
}
