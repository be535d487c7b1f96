package network

import (
	"encoding/binary"
	"fmt"
	"net/netip"
)

const (
	subnetBits = 20
	// firstPrivate leaves the lower half of the blocks to public subnets, so that no zone ever moves another one's block.
	firstPrivate = 8
)

type zoneBlocks struct {
	public, private netip.Prefix
}

// plan gives each zone a public and a private block of the network. A zone's blocks depend on its place alone: adding a
// zone leaves the others as they are.
func plan(network netip.Prefix, zones int) ([]zoneBlocks, error) {
	if !network.Addr().Is4() || network != network.Masked() {
		return nil, fmt.Errorf("network %s: must be an IPv4 network address", network)
	}
	available := 0
	if network.Bits() <= subnetBits {
		available = 1 << (subnetBits - network.Bits())
	}
	if zones < 1 || zones > firstPrivate || firstPrivate+zones > available {
		return nil, fmt.Errorf("network %s: no room for %d zones of /%d subnets", network, zones, subnetBits)
	}
	blocks := make([]zoneBlocks, zones)
	for zone := range blocks {
		blocks[zone] = zoneBlocks{
			public:  block(network, zone),
			private: block(network, firstPrivate+zone),
		}
	}
	return blocks, nil
}

func block(network netip.Prefix, index int) netip.Prefix {
	first := network.Addr().As4()
	address := binary.BigEndian.Uint32(first[:]) + uint32(index)<<(32-subnetBits)
	binary.BigEndian.PutUint32(first[:], address)
	return netip.PrefixFrom(netip.AddrFrom4(first), subnetBits)
}
