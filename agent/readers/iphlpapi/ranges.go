package iphlpapi

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"portreeve.io/portreeve/agent/readers/osdefaults"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/ports"
)

// portConfig contains the ranges of a machine and the ports excluded from them.
type portConfig struct {
	ranges     [2][2]dynamicPorts // by family (index) and socket.Protocol
	excluded   []socket.ExcludedPorts
	unobserved []socket.Unobserved
}

// dynamicPorts is one of the four dynamic ranges.
type dynamicPorts struct {
	ports    ports.Range
	source   socket.RangeSource
	reserved *ports.Set // nil if the exclusions could not be read
}

// families contains the families in the order of portConfig.ranges.
var families = [2]struct {
	family socket.Family
	netsh  netsh.Family
}{{socket.IPv4, netsh.IPv4}, {socket.IPv6, netsh.IPv6}}

// registryValues contains the values from which a range is derived if netsh fails.
type registryValues struct {
	Major, Minor uint32  // of Windows
	MaxUserPort  *uint32 // nil if it is not set
	Err          error   // if MaxUserPort could not be read
}

// readPortConfig reads all ranges and exclusions through netsh, until ctx ends.
func readPortConfig(ctx context.Context, c netsh.Client, r func() registryValues) portConfig {
	var p portConfig
	for i, f := range families {
		for _, protocol := range netsh.Protocols {
			p.ranges[i][protocol] = p.readDynamicPorts(ctx, c, f.netsh, protocol, r)
			p.readExclusions(ctx, c, i, protocol)
		}
	}
	return p
}

func (p *portConfig) readDynamicPorts(
	ctx context.Context, c netsh.Client, f netsh.Family, protocol socket.Protocol, r func() registryValues,
) dynamicPorts {
	found, err := c.ShowDynamicPorts(ctx, f, protocol)
	if err == nil {
		return dynamicPorts{ports: found, source: socket.RangeNetsh}
	}
	d, registryErr := r().deriveDynamicPorts()
	p.addUnobserved(itemDynamicPorts, fmt.Errorf("%v is assumed (%s): %w", d.ports, d.source, errors.Join(err, registryErr)))
	return d
}

// deriveDynamicPorts returns the documented range for the values.
func (r registryValues) deriveDynamicPorts() (dynamicPorts, error) {
	system := osdefaults.FindWindows(r.Major, r.Minor)
	d := dynamicPorts{ports: system.Range, source: socket.RangeDefault}
	if r.MaxUserPort == nil {
		return d, r.Err
	}
	found, err := system.ComputeRange(int(*r.MaxUserPort))
	if err != nil {
		return d, fmt.Errorf("MaxUserPort %w", err)
	}
	return dynamicPorts{ports: found, source: socket.RangeRegistry}, nil
}

func (p *portConfig) readExclusions(ctx context.Context, c netsh.Client, family int, protocol socket.Protocol) {
	f := families[family]
	list, err := c.ShowExclusions(ctx, f.netsh, protocol)
	if err != nil {
		p.addUnobserved(itemExcludedPorts, err)
		return
	}
	set := new(ports.Set)
	for _, e := range list {
		set.AddRange(e.Range)
		p.excluded = append(p.excluded,
			socket.ExcludedPorts{Family: f.family, Protocol: protocol, Range: e.Range, Administered: e.Administered})
	}
	p.ranges[family][protocol].reserved = set
}

// The items that could not be read.
const (
	itemDynamicPorts  = "dynamic ports"
	itemExcludedPorts = "excluded ports"
)

// addUnobserved records an item that could not be read, with its first reason only.
func (p *portConfig) addUnobserved(item string, reason error) {
	for _, u := range p.unobserved {
		if u.Item == item {
			return
		}
	}
	p.unobserved = append(p.unobserved, socket.Unobserved{Item: item, Reason: strings.Join(strings.Fields(reason.Error()), " ")})
}

// hasSeparateRanges reports whether the ranges of IPv4 and IPv6 differ.
func (p *portConfig) hasSeparateRanges() bool {
	for _, protocol := range netsh.Protocols {
		if p.ranges[0][protocol].ports != p.ranges[1][protocol].ports {
			return true
		}
	}
	return false
}

// mergeReserved returns the excluded ports of family. If the families share a range, it
// returns those of both, since underestimating the available ports is the safer error.
func (p *portConfig) mergeReserved(family int, protocol socket.Protocol) *ports.Set {
	own := p.ranges[family][protocol].reserved
	if p.hasSeparateRanges() {
		return own
	}
	other := p.ranges[1-family][protocol].reserved
	if own == nil || other == nil {
		return own
	}
	both := *own
	both.AddAll(other)
	return &both
}

// describeRange returns the usage of a range with the used ports.
func (p *portConfig) describeRange(family int, protocol socket.Protocol, used *ports.Set) socket.DynamicRange {
	d := &p.ranges[family][protocol]
	r := socket.DynamicRange{Family: families[family].family, Protocol: protocol, Range: d.ports, Source: d.source}
	if d.reserved != nil {
		unavailable := *d.reserved
		unavailable.AddAll(used)
		r.Excluded, r.FreeBlocks = new(d.reserved.CountIn(d.ports)), new(socket.CountFreeBlocks(d.ports, &unavailable))
	}
	return r
}
