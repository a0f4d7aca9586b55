package socket

import (
	"cmp"
	"iter"
	"math"
)

// Kind is the kind of call that takes ports from a pool.
type Kind uint8

// The kinds of pool.
const (
	Connect Kind = iota // connect() without a bind() before it
	Bind                // bind() to port 0
	SNAT                // none: the kernel, for a connection that it translates
)

func (k Kind) String() string { return [...]string{"Connect", "Bind", "SNAT"}[min(k, SNAT)] }

// Protocol is the transport protocol of a pool.
type Protocol uint8

// The protocols of pools.
const (
	TCP Protocol = iota
	UDP
)

func (p Protocol) String() string {
	if p == UDP {
		return "UDP"
	}
	return "TCP"
}

// Pool is a set of ports that is exhausted as a whole: those of a network that connect() can
// use for one destination, that bind(0) can return, or to which source addresses can be
// translated. It points into its Network, so it is small, and valid until that changes.
type Pool struct {
	Network *Network
	// Destination is nil for the pools that belong to no destination: bind(0), UDP, and
	// connect() to a destination that has no sockets yet.
	Destination *Destination
	// Used and Capacity count ports. Used can exceed Capacity by one, because Capacity does not
	// include a port that only some calls can use (Settings.Capacity).
	Used, Capacity int32
	// UsedMax is the upper bound of the used ports where only bounds are known, with Used as the
	// lower one (Network.BindUnknown, Network.Uncounted); 0 where Used is exact.
	UsedMax  int32
	Kind     Kind
	Protocol Protocol
	// Advisory pools are shown and never set the level (see takesPortsByBind).
	Advisory bool
}

// MaxUsed returns the maximum number of ports in use, which is Used where that is exact.
func (p Pool) MaxUsed() int32 { return max(p.Used, p.UsedMax) }

// Headroom returns the minimum number of free ports. It is never negative.
func (p Pool) Headroom() int { return max(0, int(p.Capacity)-int(p.MaxUsed())) }

// UsedPercent returns a whole number, 0 to 100, rounded down. 100 means that no port is free,
// also if the capacity is 0. Where Used is not exact it is based on UsedMax, so that the level
// errs on the side of a warning.
func (p Pool) UsedPercent() int {
	if p.Headroom() == 0 {
		return 100
	}
	return int(p.MaxUsed()) * 100 / int(p.Capacity)
}

// Capacity returns the number of ports that connect() and bind(0) are certain to find in a
// range. Both search the range one parity at a time with a rounded-down even count
// (inet_hash_connect and inet_csk_find_open_port, "remaining &= ~1U"), so in a range of odd
// length each call misses the first or the last port, except in a range of one port.
func (s Settings) Capacity() int {
	n := s.Range.Len() - s.Reserved
	if l := s.Range.Len(); l > 1 && l%2 == 1 && !s.TriesEveryPort {
		n--
	}
	return max(0, n)
}

// countUDPPorts returns the number of ports of UDP's range that are not reserved. All of them
// can be used, since udp_lib_get_port tries every port.
func (s Settings) countUDPPorts() int {
	u := UDPSettings{s.Range, s.Reserved}
	if s.UDP != nil {
		u = *s.UDP
	}
	return max(0, u.Range.Len()-u.Reserved)
}

// UnobservedReason returns the reason why n's ports can't be measured, empty if they can.
func (n *Network) UnobservedReason() string {
	switch {
	case n.Owner.Sandbox != "":
		return n.Owner.Sandbox + " keeps its sockets outside the host kernel"
	case n.Settings.Range.First == 0: // the kernel's minimum is 1
		return "its port range could not be read"
	}
	return ""
}

// Pools returns the pools of n, unsorted, and none if n has an UnobservedReason. Connect pools
// without a destination and the pools of bind(0) and UDP are always among them.
func (n *Network) Pools() iter.Seq[Pool] {
	return func(yield func(Pool) bool) {
		if n.UnobservedReason() != "" {
			return
		}
		capacity := int32(n.Settings.Capacity())
		// A port that bind(0) took and connect() skips is unavailable for every destination, known
		// or not.
		if !yield(Pool{Network: n, Kind: Connect, Used: boundCount(n.Skipped), UsedMax: n.maxUsed(n.Skipped), Capacity: capacity}) ||
			!yield(Pool{Network: n, Kind: Bind, Used: boundCount(n.InUse), Capacity: capacity, Advisory: !n.takesPortsByBind()}) ||
			!yield(n.newUDPPool()) {
			return
		}
		for i := range n.Destinations {
			d := &n.Destinations[i]
			used := n.Skipped + d.States.Total() - int(d.Reusable)
			if n.DetailAge > 0 { // ports may have become free since
				used = min(used, n.InUse)
			}
			if !yield(Pool{Network: n, Destination: d, Kind: Connect, Used: boundCount(used), UsedMax: n.maxUsed(used), Capacity: capacity}) {
				return
			}
		}
		for i := range n.SNAT {
			if !yield(n.newSNATPool(&n.SNAT[i])) {
				return
			}
		}
	}
}

// maxUsed returns Pool.UsedMax of a Connect pool of which used ports are certainly in use.
func (n *Network) maxUsed(used int) int32 {
	switch {
	case n.BindUnknown:
		return boundCount(n.InUse)
	case n.Uncounted > 0:
		return boundCount(min(used+n.Uncounted, n.InUse))
	}
	return 0
}

func (n *Network) newSNATPool(s *SNATPool) Pool {
	return Pool{Network: n, Destination: &s.Destination, Kind: SNAT, Protocol: s.Protocol,
		Used: boundCount(s.InUse - int(s.Reusable)), Capacity: boundCount(s.Capacity)}
}

// UDPPool returns the pool of UDP, whose ports belong to no destination; false if n has an
// UnobservedReason.
func (n *Network) UDPPool() (Pool, bool) { return n.newUDPPool(), n.UnobservedReason() == "" }

func (n *Network) newUDPPool() Pool {
	return Pool{Network: n, Kind: Bind, Protocol: UDP, Used: boundCount(n.UDPInUse), Capacity: int32(n.Settings.countUDPPorts())}
}

// boundCount limits n to the range of int32, so that an absurd value does not overflow.
func boundCount(n int) int32 { return int32(min(max(0, n), math.MaxInt32)) }

// takesPortsByBind reports whether programs here take ports by bind() and not only by
// connect(): at least a tenth of the ports in use, without listeners. Otherwise the TCP Bind
// pool means nothing: a busy proxy uses every port by connect(), each for many destinations,
// and is healthy.
func (n *Network) takesPortsByBind() bool {
	return n.InUse > 0 && (n.Skipped-n.SkippedListening)*10 >= n.InUse
}

// ComparePools orders pools, the tightest first: those that set the level before those that
// don't, then by percentage, by kind (connect() to a destination, to any, bind(0), UDP, SNAT),
// by ports used, by network, by destination.
func ComparePools(a, b Pool) int {
	if c := cmp.Compare(b.sortPercent(), a.sortPercent()); c != 0 {
		return c
	}
	if c := cmp.Or(
		cmp.Compare(a.sortRank(), b.sortRank()),
		cmp.Compare(b.Used, a.Used),
		cmp.Compare(a.Network.Inode, b.Network.Inode),
		cmp.Compare(a.Network.Cookie, b.Network.Cookie),
	); c != 0 || a.Destination == nil || b.Destination == nil {
		return c
	}
	return a.Destination.compareTo(b.Destination)
}

// sortPercent returns UsedPercent, below 0 for advisory pools.
func (p Pool) sortPercent() int {
	if p.Advisory {
		return p.UsedPercent() - 101
	}
	return p.UsedPercent()
}

func (p Pool) sortRank() int {
	switch {
	case p.Kind == SNAT:
		return 4 + int(p.Protocol)
	case p.Protocol == UDP:
		return 3
	case p.Kind == Bind:
		return 2
	case p.Destination == nil:
		return 1
	}
	return 0
}

func (d *Destination) compareTo(o *Destination) int {
	return cmp.Or(
		d.Address.Compare(o.Address),
		cmp.Compare(d.Port, o.Port),
		d.Source.Compare(o.Source),
	)
}
