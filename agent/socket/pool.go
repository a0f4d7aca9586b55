package socket

import (
	"cmp"
	"iter"
	"math"
)

// Kind says which call takes ports from a pool.
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

// Pool is a supply of ports that runs out as one: the ports of a network that
// connect() can still use towards one destination, that bind(0) can give, or that
// source addresses can be translated to.
// It points into its Network, so it is small, and valid as long as that is
// left alone.
type Pool struct {
	Network *Network
	// Destination is nil for the pools that belong to no destination: bind(0),
	// UDP, and connect() to a destination that has no sockets yet.
	Destination *Destination
	// Used and Capacity count ports. Used can pass Capacity by one, because
	// Capacity leaves out a port that only some calls reach (Settings.Capacity).
	Used, Capacity int32
	// UsedMax is the most that Used can be, where it is only known to lie between
	// the two (Network.BindUnknown); 0 where Used is what it is.
	UsedMax  int32
	Kind     Kind
	Protocol Protocol
	// Advisory pools are shown and never set the level (see bindsInUse).
	Advisory bool
}

// MaxUsed is how many ports may be in use: Used, where that is certain.
func (p Pool) MaxUsed() int32 { return max(p.Used, p.UsedMax) }

// Headroom is how many ports are left at the least, never negative.
func (p Pool) Headroom() int { return max(0, int(p.Capacity)-int(p.MaxUsed())) }

// UsedPercent is a whole number, 0 to 100, rounded down: 100 means that no port
// is left, also where there never was one. Where Used is not certain it is that of
// UsedMax: a level errs on the side of a warning.
func (p Pool) UsedPercent() int {
	if p.Headroom() == 0 {
		return 100
	}
	return int(p.MaxUsed()) * 100 / int(p.Capacity)
}

// Capacity is how many ports connect() and bind(0) are certain to find in a
// range. Both walk the range one parity at a time with a rounded-down even
// count (inet_hash_connect and inet_csk_find_open_port, "remaining &= ~1U"), so
// in a range of odd length each call misses the first or the last port; a range
// of one port is spared.
func (s Settings) Capacity() int {
	n := s.Range.Len() - s.Reserved
	if l := s.Range.Len(); l > 1 && l%2 == 1 && !s.TriesEveryPort {
		n--
	}
	return max(0, n)
}

// countUDPPorts is the ports of UDP's range that aren't reserved: it can give out all
// of them, since udp_lib_get_port tries every port.
func (s Settings) countUDPPorts() int {
	u := UDPSettings{s.Range, s.Reserved}
	if s.UDP != nil {
		u = *s.UDP
	}
	return max(0, u.Range.Len()-u.Reserved)
}

// UnobservedReason says why nothing can be said of n's ports; it is empty where it can.
func (n *Network) UnobservedReason() string {
	switch {
	case n.Owner.Sandbox != "":
		return n.Owner.Sandbox + " keeps its sockets outside the host kernel"
	case n.Settings.Range.First == 0: // the kernel's minimum is 1
		return "its port range could not be read"
	}
	return ""
}

// Pools are the pools of n in no order; none where n is Blind. Connect pools
// without a destination and the pools of bind(0) and of UDP are always there.
func (n *Network) Pools() iter.Seq[Pool] {
	return func(yield func(Pool) bool) {
		if n.UnobservedReason() != "" {
			return
		}
		capacity, most := int32(n.Settings.Capacity()), int32(0)
		if n.BindUnknown {
			most = boundCount(n.InUse)
		}
		// A port that bind(0) took and connect() skips is lost to every
		// destination, known or not.
		if !yield(Pool{Network: n, Kind: Connect, Used: boundCount(n.Skipped), UsedMax: most, Capacity: capacity}) ||
			!yield(Pool{Network: n, Kind: Bind, Used: boundCount(n.InUse), Capacity: capacity, Advisory: !n.takesPortsByBind()}) ||
			!yield(n.newUDPPool()) {
			return
		}
		for i := range n.Destinations {
			d := &n.Destinations[i]
			used := n.Skipped + d.States.Total() - int(d.Reusable)
			if !yield(Pool{Network: n, Destination: d, Kind: Connect, Used: boundCount(used), UsedMax: most, Capacity: capacity}) {
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

func (n *Network) newSNATPool(s *SNATPool) Pool {
	return Pool{Network: n, Destination: &s.Destination, Kind: SNAT, Protocol: s.Protocol,
		Used: boundCount(s.InUse - int(s.Reusable)), Capacity: boundCount(s.Capacity)}
}

// UDPPool is the pool of UDP, whose ports belong to no destination; false where
// n is Blind.
func (n *Network) UDPPool() (Pool, bool) { return n.newUDPPool(), n.UnobservedReason() == "" }

func (n *Network) newUDPPool() Pool {
	return Pool{Network: n, Kind: Bind, Protocol: UDP, Used: boundCount(n.UDPInUse), Capacity: int32(n.Settings.countUDPPorts())}
}

// boundCount bounds n, so that a figure gone wild can't wrap round.
func boundCount(n int) int32 { return int32(min(max(0, n), math.MaxInt32)) }

// takesPortsByBind says whether programs here take ports by bind() and not only by
// connect(): at least a tenth of the ports held, listeners apart. Without that
// the TCP Bind pool says nothing: a busy proxy holds every port once by
// connect(), uses each for many destinations, and is healthy.
func (n *Network) takesPortsByBind() bool {
	return n.InUse > 0 && (n.Skipped-n.SkippedListening)*10 >= n.InUse
}

// ComparePools orders pools, the tightest first: those that set the level before
// those that don't, then by percent, by kind (connect() to a destination, to
// any, bind(0), UDP, SNAT), by ports used, by network, by destination.
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

// sortPercent is UsedPercent, below 0 for advisory pools.
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
