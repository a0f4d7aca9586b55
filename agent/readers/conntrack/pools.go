package conntrack

import (
	"cmp"
	"net/netip"
	"slices"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

const (
	// allPorts is how many ports there are, unless a rule has --to-ports, firstPort
	// where they begin, for connections whose own port isn't privileged.
	allPorts  = socket.SNATPorts
	firstPort = 1<<16 - allPorts

	// maxPools is how many pools are counted at a time. The table comes in the
	// order of a hash: a pool with a share of it that matters is among the first.
	maxPools = 8192
	// maxReportedPools is how many of them a sample has, the fullest.
	maxReportedPools = 64
)

// poolKey is what a pool is one for. An entry's reply is unique in it, so that its
// entries are as many ports.
type poolKey struct {
	source, destination netip.Addr
	port, zone          uint16
	protocol            uint8
}

// poolUsage is what there is of a key.
type poolUsage struct {
	entries, evictable uint32
	first, last        uint16
	states             tcpstate.Counts
}

// poolCounter counts entries by pool.
type poolCounter struct {
	pools map[poolKey]*poolUsage
	// uncounted is the entries that belong to pools beyond maxPools.
	uncounted int
}

// addEntry counts e, if it takes a port of a pool.
func (t *poolCounter) addEntry(e conntrackEntry) {
	if e.status&statusSourceNAT == 0 || e.source.Port() < firstPort ||
		e.protocol != protocolTCP && e.protocol != protocolUDP {
		return
	}
	k := poolKey{e.source.Addr(), e.destination.Addr(), e.destination.Port(), e.zone, e.protocol}
	p := t.pools[k]
	if p == nil {
		if len(t.pools) == maxPools {
			t.uncounted++
			return
		}
		p = &poolUsage{first: e.source.Port()}
		if t.pools == nil {
			t.pools = map[poolKey]*poolUsage{}
		}
		t.pools[k] = p
	}
	p.entries++
	p.first, p.last = min(p.first, e.source.Port()), max(p.last, e.source.Port())
	if e.protocol == protocolTCP {
		p.states[e.toSocketState()]++
	}
	if e.isEvictable() {
		p.evictable++
	}
}

// listFullest is the pools with the fewest ports left, at most maxListed. evicts says
// that the kernel takes over the ports of connections that have ended, failing
// that connections fail just now.
func (t *poolCounter) listFullest(evicts, failing bool) []socket.SNATPool {
	var list []socket.SNATPool
	for k, p := range t.pools {
		list = append(list, p.toSNATPool(k, evicts, failing))
	}
	slices.SortFunc(list, func(a, b socket.SNATPool) int {
		return cmp.Or(
			cmp.Compare(a.Left(), b.Left()),
			a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port), a.Source.Compare(b.Source),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(b.Ports, a.Ports),
		)
	})
	return list[:min(maxReportedPools, len(list))]
}

func (p *poolUsage) toSNATPool(k poolKey, evicts, failing bool) socket.SNATPool {
	out := socket.SNATPool{
		Destination: socket.Destination{Source: k.source, Address: k.destination, Port: k.port, States: p.states},
		Ports:       int(p.entries),
		Capacity:    p.estimateCapacity(failing),
	}
	if k.protocol == protocolUDP {
		out.Protocol = socket.UDP
	}
	if evicts {
		out.Reusable = p.evictable
	}
	return out
}

// minRuleRange is the shortest range that is taken for one of a rule's: less than
// that happens by chance.
const minRuleRange = 32

// estimateCapacity is how many ports the pool has. A range that a rule sets can't be
// seen, but where connections fail, and the ports from the first to the last are
// nearly all taken, there is one: else the ports would be anywhere, or, from a
// Linux client, every other.
func (p *poolUsage) estimateCapacity(failing bool) int {
	span := int(p.last) - int(p.first) + 1
	if failing && span >= minRuleRange && int(p.entries)*10 >= span*9 {
		return span
	}
	return allPorts
}
