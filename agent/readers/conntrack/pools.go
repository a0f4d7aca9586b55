package conntrack

import (
	"cmp"
	"net/netip"
	"slices"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

const (
	// allPorts is the number of ports of a pool without --to-ports, and firstPort the
	// first of them, for connections whose own port isn't privileged.
	allPorts  = socket.SNATPorts
	firstPort = 1<<16 - allPorts

	// maxPools is the maximum number of pools that are counted. The table comes in hash
	// order, so a pool with a relevant share of it is among the first.
	maxPools = 8192
	// maxReportedPools is the maximum number of pools in a sample, the fullest ones.
	maxReportedPools = 64
)

// snatPoolKey identifies a pool. Reply tuples are unique, so each entry of a pool uses another
// port.
type snatPoolKey struct {
	source, destination netip.Addr
	port, zone          uint16
	protocol            uint8
}

// poolUsage has the counts of a pool.
type poolUsage struct {
	entries, evictable uint32
	first, last        uint16
	states             tcpstate.Counts
}

// poolCounter counts the table's entries by pool.
type poolCounter struct {
	pools map[snatPoolKey]*poolUsage
	// uncounted is the number of entries of pools beyond maxPools.
	uncounted int
}

// addEntry counts e if it uses a port of a pool.
func (t *poolCounter) addEntry(e conntrackEntry) {
	if e.status&statusSourceNAT == 0 || e.source.Port() < firstPort ||
		e.protocol != protocolTCP && e.protocol != protocolUDP {
		return
	}
	k := snatPoolKey{
		source: e.source.Addr(), destination: e.destination.Addr(), port: e.destination.Port(),
		zone: e.zone, protocol: e.protocol,
	}
	p := t.pools[k]
	if p == nil {
		if len(t.pools) == maxPools {
			t.uncounted++
			return
		}
		p = &poolUsage{first: e.source.Port()}
		if t.pools == nil {
			t.pools = map[snatPoolKey]*poolUsage{}
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

// listFullest returns at most maxReportedPools pools, those with the fewest ports left.
// canEvict means that the kernel reuses the ports of connections that have ended, and
// isFailing that connections are currently failing.
func (t *poolCounter) listFullest(canEvict, isFailing bool) []socket.SNATPool {
	var list []socket.SNATPool
	for k, p := range t.pools {
		list = append(list, p.toSNATPool(k, canEvict, isFailing))
	}
	slices.SortFunc(list, func(a, b socket.SNATPool) int {
		return cmp.Or(
			cmp.Compare(a.RemainingPorts(), b.RemainingPorts()),
			a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port), a.Source.Compare(b.Source),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(b.InUse, a.InUse),
		)
	})
	return list[:min(maxReportedPools, len(list))]
}

func (p *poolUsage) toSNATPool(k snatPoolKey, canEvict, isFailing bool) socket.SNATPool {
	out := socket.SNATPool{
		Destination: socket.Destination{Source: k.source, Address: k.destination, Port: k.port, States: p.states},
		InUse:       int(p.entries),
		Capacity:    p.estimateCapacity(isFailing),
	}
	if k.protocol == protocolUDP {
		out.Protocol = socket.UDP
	}
	if canEvict {
		out.Reusable = p.evictable
	}
	return out
}

// minRuleRange is the shortest range that is assumed to come from a rule. Shorter ones
// occur by chance.
const minRuleRange = 32

// estimateCapacity returns the number of ports that the pool has. The range of a rule is
// not visible, but it is assumed if connections fail while nearly all ports from the
// first to the last are in use. Without a rule the ports would be anywhere, or every
// other one from a Linux client.
func (p *poolUsage) estimateCapacity(isFailing bool) int {
	span := int(p.last) - int(p.first) + 1
	if isFailing && span >= minRuleRange && int(p.entries)*10 >= span*9 {
		return span
	}
	return allPorts
}
