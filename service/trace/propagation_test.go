package trace

import (
	"encoding/hex"
	"strings"
	"testing"
)

const (
	traceID = "4bf92f3577b34da6a3ce929d0e0e4736"
	spanID  = "00f067aa0ba902b7"
)

func TestExtract(t *testing.T) {
	const parent = "00-" + traceID + "-" + spanID + "-01"
	const amazonRoot = "Root=1-5759e988-bd862e3fe1be46a994272793"
	const amazonID = "5759e988bd862e3fe1be46a994272793"
	for _, tc := range []struct {
		name, traceparent, amazon string
		traceID, spanID           string // empty for nothing
		sampled                   decision
	}{
		{name: "nothing"},
		{"sampled", parent, "", traceID, spanID, keep},
		{"not sampled", "00-" + traceID + "-" + spanID + "-00", "", traceID, spanID, leave},
		{"other flags", "00-" + traceID + "-" + spanID + "-fe", "", traceID, spanID, leave},
		{"both", parent, amazonRoot + ";Sampled=0", traceID, spanID, keep},
		{"a later version", "cc-" + traceID + "-" + spanID + "-01", "", traceID, spanID, keep},
		{"a later version with more", "cc-" + traceID + "-" + spanID + "-01-what-else", "", traceID, spanID, keep},
		{name: "a later version with other flags", traceparent: "cc-" + traceID + "-" + spanID + "-01.what"},
		{name: "the first version with more", traceparent: parent + "-what"},
		{name: "version ff", traceparent: "ff-" + traceID + "-" + spanID + "-01"},
		{name: "no version", traceparent: "0x-" + traceID + "-" + spanID + "-01"},
		{name: "no flags", traceparent: "00-" + traceID + "-" + spanID + "-0"},
		{name: "flags that are none", traceparent: "00-" + traceID + "-" + spanID + "-0x"},
		{name: "upper case", traceparent: strings.ToUpper(parent)},
		{name: "no trace", traceparent: "00-" + strings.Repeat("0", 32) + "-" + spanID + "-01"},
		{name: "no span", traceparent: "00-" + traceID + "-" + strings.Repeat("0", 16) + "-01"},
		{name: "short", traceparent: "00-" + traceID[1:] + "-" + spanID + "-01"},
		{name: "other separators", traceparent: strings.ReplaceAll(parent, "-", "_")},
		{"malformed beside Amazon's", parent[1:], amazonRoot, amazonID, "", undecided},

		{"a load balancer", "", amazonRoot, amazonID, "", undecided},
		{"Amazon's whole", "", amazonRoot + ";Parent=53995c3f42cd8ad8;Sampled=1", amazonID, "53995c3f42cd8ad8", keep},
		{"in another order", "", "Sampled=0; Self=1-67891233-12456789abcdef012345678a; " + amazonRoot + ";Lineage=1:2", amazonID, "", leave},
		{"to be decided", "", amazonRoot + ";Sampled=?", amazonID, "", undecided},
		{name: "no root", amazon: "Parent=53995c3f42cd8ad8;Sampled=1"},
		{name: "another version", amazon: "Root=2-5759e988-bd862e3fe1be46a994272793"},
		{name: "a short root", amazon: "Root=1-5759e988-bd862e3fe1be46a99427279"},
		{name: "a root that is none", amazon: "Root=1-5759e988-bd862e3fe1be46a99427279x"},
		{name: "no trace", amazon: "Root=1-00000000-000000000000000000000000"},
		{name: "a malformed parent", amazon: amazonRoot + ";Parent=x"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			ctx := Extract(t.Context(), tc.traceparent, tc.amazon)
			if got := ID(ctx); got != tc.traceID {
				t.Fatalf("trace %q, want %q", got, tc.traceID)
			}
			if tc.traceID == "" {
				return
			}
			p := current(ctx).place
			if got := strings.Trim(hex.EncodeToString(p.spanID[:]), "0"); got != strings.Trim(tc.spanID, "0") || p.sampled != tc.sampled {
				t.Errorf("span %s, decision %d; want %s, %d", got, p.sampled, tc.spanID, tc.sampled)
			}
		})
	}
}

// Whatever a client sends, the trace is a valid one or none.
func FuzzExtract(f *testing.F) {
	f.Add("00-"+traceID+"-"+spanID+"-01", "")
	f.Add("cc-"+traceID+"-"+spanID+"-01-more", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
	f.Fuzz(func(t *testing.T, traceparent, amazon string) {
		s := current(Extract(t.Context(), traceparent, amazon))
		if s == nil {
			return
		}
		id := hex.EncodeToString(s.traceID[:])
		if id == strings.Repeat("0", 32) {
			t.Error("a trace without an id")
		}
		if !strings.Contains(traceparent, id) && !strings.Contains(strings.ReplaceAll(amazon, "-", ""), id) {
			t.Errorf("%s is in neither %q nor %q", id, traceparent, amazon)
		}
	})
}
