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
	// maxListed is how many of them a sample has, the fullest.
	maxListed = 64
)

// key is what a pool is one for. An entry's reply is unique in it, so that its
// entries are as many ports.
type key struct {
	source, destination netip.Addr
	port, zone          uint16
	protocol            uint8
}

// pool is what there is of a key.
type pool struct {
	entries, evictable uint32
	first, last        uint16
	states             tcpstate.Counts
}

// tally counts entries by pool.
type tally struct {
	pools map[key]*pool
	// left is the entries that belong to pools beyond maxPools.
	left int
}

// add counts e, if it takes a port of a pool.
func (t *tally) add(e entry) {
	if e.status&statusSourceNAT == 0 || e.source.Port() < firstPort ||
		e.protocol != protocolTCP && e.protocol != protocolUDP {
		return
	}
	k := key{e.source.Addr(), e.destination.Addr(), e.destination.Port(), e.zone, e.protocol}
	p := t.pools[k]
	if p == nil {
		if len(t.pools) == maxPools {
			t.left++
			return
		}
		p = &pool{first: e.source.Port()}
		if t.pools == nil {
			t.pools = map[key]*pool{}
		}
		t.pools[k] = p
	}
	p.entries++
	p.first, p.last = min(p.first, e.source.Port()), max(p.last, e.source.Port())
	if e.protocol == protocolTCP {
		p.states[e.socketState()]++
	}
	if e.evictable() {
		p.evictable++
	}
}

// listed is the pools with the fewest ports left, at most maxListed. evicts says
// that the kernel takes over the ports of connections that have ended, failing
// that connections fail just now.
func (t *tally) listed(evicts, failing bool) []socket.SNATPool {
	var list []socket.SNATPool
	for k, p := range t.pools {
		list = append(list, p.listed(k, evicts, failing))
	}
	slices.SortFunc(list, func(a, b socket.SNATPool) int {
		return cmp.Or(
			cmp.Compare(a.RemainingPorts(), b.RemainingPorts()),
			a.Address.Compare(b.Address), cmp.Compare(a.Port, b.Port), a.Source.Compare(b.Source),
			cmp.Compare(a.Protocol, b.Protocol), cmp.Compare(b.InUse, a.InUse),
		)
	})
	return list[:min(maxListed, len(list))]
}

func (p *pool) listed(k key, evicts, failing bool) socket.SNATPool {
	out := socket.SNATPool{
		Destination: socket.Destination{Source: k.source, Address: k.destination, Port: k.port, States: p.states},
		InUse:       int(p.entries),
		Capacity:    p.capacity(failing),
	}
	if k.protocol == protocolUDP {
		out.Protocol = socket.UDP
	}
	if evicts {
		out.Reusable = p.evictable
	}
	return out
}

// leastSpan is the shortest range that is taken for one of a rule's: less than
// that happens by chance.
const leastSpan = 32

// capacity is how many ports the pool has. A range that a rule sets can't be
// seen, but where connections fail, and the ports from the first to the last are
// nearly all taken, there is one: else the ports would be anywhere, or, from a
// Linux client, every other.
func (p *pool) capacity(failing bool) int {
	span := int(p.last) - int(p.first) + 1
	if failing && span >= leastSpan && int(p.entries)*10 >= span*9 {
		return span
	}
	return allPorts
}
