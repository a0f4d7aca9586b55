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
	ranges   [2][2]dynamic // by family (index) and socket.Protocol
	excluded []socket.ExcludedPorts
	unseen   []socket.Unobserved
}

// dynamic is one of the four ranges.
type dynamic struct {
	ports    ports.Range
	source   socket.RangeSource
	reserved *ports.Set // nil where the exclusions could not be read
}

// families are those of portConfig.ranges, in its order.
var families = [2]struct {
	family socket.Family
	netsh  netsh.Family
}{{socket.IPv4, netsh.IPv4}, {socket.IPv6, netsh.IPv6}}

// registry is what the range is told by where netsh doesn't answer.
type registry struct {
	Major, Minor uint32  // of Windows
	MaxUserPort  *uint32 // nil where it isn't set
	Err          error   // it could not be read
}

// readPorts asks netsh for everything, and for nothing more once it timed out.
func readPorts(ctx context.Context, c netsh.Client, r func() registry) portConfig {
	var p portConfig
	for i, f := range families {
		for _, protocol := range netsh.Protocols {
			p.ranges[i][protocol] = p.dynamic(ctx, c, f.netsh, protocol, r)
			p.exclude(ctx, c, i, protocol)
		}
	}
	return p
}

func (p *portConfig) dynamic(ctx context.Context, c netsh.Client, f netsh.Family, protocol socket.Protocol, r func() registry) dynamic {
	b, err := c.DynamicPorts(ctx, f, protocol)
	if err == nil {
		return dynamic{ports: ports.Range{First: uint16(b.Start), Last: uint16(b.Last())}, source: socket.RangeNetsh}
	}
	d, assumed := r().dynamic()
	p.miss(missDynamic, fmt.Errorf("%v is assumed (%s): %w", d.ports, d.source, errors.Join(err, assumed)))
	return d
}

// dynamic is the range as documents have it.
func (r registry) dynamic() (dynamic, error) {
	system := osdefaults.FindWindows(r.Major, r.Minor)
	d := dynamic{ports: system.Range, source: socket.RangeDefault}
	if r.MaxUserPort == nil {
		return d, r.Err
	}
	found, err := system.ComputeRange(int(*r.MaxUserPort))
	if err != nil {
		return d, fmt.Errorf("MaxUserPort is %w", err)
	}
	return dynamic{ports: found, source: socket.RangeRegistry}, nil
}

func (p *portConfig) exclude(ctx context.Context, c netsh.Client, family int, protocol socket.Protocol) {
	f := families[family]
	list, err := c.Exclusions(ctx, f.netsh, protocol)
	if err != nil {
		p.miss(missExcluded, err)
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
	missDynamic  = "dynamic ports"
	missExcluded = "excluded ports"
)

// miss notes what could not be read, the first reason of each.
func (p *portConfig) miss(what string, why error) {
	for _, u := range p.unseen {
		if u.Item == what {
			return
		}
	}
	p.unseen = append(p.unseen, socket.Unobserved{Item: what, Reason: strings.Join(strings.Fields(why.Error()), " ")})
}

// apart says that IPv4 and IPv6 have ranges of their own.
func (p *portConfig) apart() bool {
	for _, protocol := range netsh.Protocols {
		if p.ranges[0][protocol].ports != p.ranges[1][protocol].ports {
			return true
		}
	}
	return false
}

// reserved is the ports that family (any where they are not apart) leaves out. Where
// they share a range, a port that one of them leaves out counts as left out: fewer ports
// than there are is the safer error.
func (p *portConfig) reserved(family int, protocol socket.Protocol) *ports.Set {
	own := p.ranges[family][protocol].reserved
	if p.apart() {
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

// dynamicRange is what a sample says of a range, whose used ports are taken.
func (p *portConfig) dynamicRange(family int, protocol socket.Protocol, taken *ports.Set) socket.DynamicRange {
	d := &p.ranges[family][protocol]
	r := socket.DynamicRange{Family: families[family].family, Protocol: protocol, Range: d.ports, Source: d.source}
	if d.reserved != nil {
		gone := *d.reserved
		gone.AddAll(taken)
		r.Excluded, r.FreeBlocks = new(d.reserved.In(d.ports)), new(socket.FreeBlocks(d.ports, &gone))
	}
	return r
}
