package network

import (
	"net/netip"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlan(t *testing.T) {
	tests := map[string]struct {
		network string
		zones   int
		want    []string
	}{
		"two zones": {"10.0.0.0/16", 2, []string{
			"10.0.0.0/20", "10.0.128.0/20", "10.0.16.0/20", "10.0.144.0/20",
		}},
		"a third zone moves no other": {"10.0.0.0/16", 3, []string{
			"10.0.0.0/20", "10.0.128.0/20", "10.0.16.0/20", "10.0.144.0/20", "10.0.32.0/20", "10.0.160.0/20",
		}},
		"another network": {"172.31.0.0/16", 1, []string{"172.31.0.0/20", "172.31.128.0/20"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			blocks, err := plan(netip.MustParsePrefix(test.network), test.zones)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, zone := range blocks {
				got = append(got, zone.public.String(), zone.private.String())
			}
			if diff := cmp.Diff(got, test.want); diff != "" {
				t.Errorf("blocks (-got +want):\n%s", diff)
			}
		})
	}
}

func TestPlanRefuses(t *testing.T) {
	tests := map[string]struct {
		network string
		zones   int
	}{
		"no zone":               {"10.0.0.0/16", 0},
		"too many zones":        {"10.0.0.0/16", 9},
		"too small a network":   {"10.0.0.0/17", 2},
		"smaller than a subnet": {"10.0.0.0/24", 1},
		"not a network":         {"10.0.0.1/16", 2},
		"ipv6":                  {"fd00::/16", 2},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			blocks, err := plan(netip.MustParsePrefix(test.network), test.zones)
			if err == nil {
				t.Errorf("accepted as %v", blocks)
			}
		})
	}
}

func FuzzPlan(f *testing.F) {
	f.Add(uint32(10<<24), 16, 3)
	f.Fuzz(func(t *testing.T, address uint32, bits, zones int) {
		addr := netip.AddrFrom4([4]byte{byte(address >> 24), byte(address >> 16), byte(address >> 8), byte(address)})
		network, err := addr.Prefix(bits)
		if err != nil {
			t.Skip("not a network")
		}
		blocks, err := plan(network, zones)
		if err != nil {
			t.Skip("not a network that plan takes")
		}
		var all []netip.Prefix
		for _, zone := range blocks {
			all = append(all, zone.public, zone.private)
		}
		for i, block := range all {
			if !network.Contains(block.Addr()) || block.Masked() != block {
				t.Errorf("%s is no block of %s", block, network)
			}
			for _, other := range all[:i] {
				if block.Overlaps(other) {
					t.Errorf("%s overlaps %s", block, other)
				}
			}
		}
	})
}
