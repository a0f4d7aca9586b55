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

// portConfig is the ranges of a machine and what is excluded from them.
type portConfig struct {
	ranges     [2][2]dynamicPorts // by family (index) and socket.Protocol
	excluded   []socket.ExcludedPorts
	unobserved []socket.Unobserved
}

// dynamicPorts is one of the four ranges.
type dynamicPorts struct {
	ports    ports.Range
	source   socket.RangeSource
	reserved *ports.Set // nil where the exclusions could not be read
}

// families are those of portConfig.ranges, in its order.
var families = [2]struct {
	family socket.Family
	netsh  netsh.Family
}{{socket.IPv4, netsh.IPv4}, {socket.IPv6, netsh.IPv6}}

// registryValues is what the range is told by where netsh doesn't answer.
type registryValues struct {
	Major, Minor uint32  // of Windows
	MaxUserPort  *uint32 // nil where it isn't set
	Err          error   // it could not be read
}

// readPortConfig asks netsh for everything, and for nothing more once it timed out.
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

func (p *portConfig) readDynamicPorts(ctx context.Context, c netsh.Client, f netsh.Family, protocol socket.Protocol, r func() registryValues) dynamicPorts {
	b, err := c.ShowDynamicPorts(ctx, f, protocol)
	if err == nil {
		return dynamicPorts{ports: ports.Range{First: uint16(b.Start), Last: uint16(b.Last())}, source: socket.RangeNetsh}
	}
	d, assumed := r().deriveDynamicPorts()
	p.addUnobserved(itemDynamicPorts, fmt.Errorf("%v is assumed (%s): %w", d.ports, d.source, errors.Join(err, assumed)))
	return d
}

// deriveDynamicPorts is the range as documents have it.
func (r registryValues) deriveDynamicPorts() (dynamicPorts, error) {
	system := osdefaults.FindWindows(r.Major, r.Minor)
	d := dynamicPorts{ports: system.Range, source: socket.RangeDefault}
	if r.MaxUserPort == nil {
		return d, r.Err
	}
	found, err := system.ComputeRange(int(*r.MaxUserPort))
	if err != nil {
		return d, fmt.Errorf("MaxUserPort is %w", err)
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
		r := ports.Range{First: uint16(e.First), Last: uint16(e.Last)}
		set.AddRange(r)
		p.excluded = append(p.excluded, socket.ExcludedPorts{Family: f.family, Protocol: protocol, Range: r, Administered: e.Administered})
	}
	p.ranges[family][protocol].reserved = set
}

// What could not be read.
const (
	itemDynamicPorts  = "dynamic ports"
	itemExcludedPorts = "excluded ports"
)

// addUnobserved notes what could not be read, the first reason of each.
func (p *portConfig) addUnobserved(what string, why error) {
	for _, u := range p.unobserved {
		if u.Item == what {
			return
		}
	}
	p.unobserved = append(p.unobserved, socket.Unobserved{Item: what, Reason: strings.Join(strings.Fields(why.Error()), " ")})
}

// hasSeparateRanges says that IPv4 and IPv6 have ranges of their own.
func (p *portConfig) hasSeparateRanges() bool {
	for _, protocol := range netsh.Protocols {
		if p.ranges[0][protocol].ports != p.ranges[1][protocol].ports {
			return true
		}
	}
	return false
}

// mergeReserved is the ports that family (any where they are not apart) leaves out. Where
// they share a range, a port that one of them leaves out counts as left out: fewer ports
// than there are is the safer error.
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

// describeRange is what a sample says of a range, whose used ports are taken.
func (p *portConfig) describeRange(family int, protocol socket.Protocol, taken *ports.Set) socket.DynamicRange {
	d := &p.ranges[family][protocol]
	r := socket.DynamicRange{Family: families[family].family, Protocol: protocol, Range: d.ports, Source: d.source}
	if d.reserved != nil {
		gone := *d.reserved
		gone.AddAll(taken)
		r.Excluded, r.FreeBlocks = new(d.reserved.In(d.ports)), new(socket.FreeBlocks(d.ports, &gone))
	}
	return r
}
