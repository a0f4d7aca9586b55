package iphlpapi

import (
	"cmp"
	"fmt"
	"slices"

	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
)

// node makes a machine's networks of its tables. It is used again for the next sample.
type node struct {
	ports *portConfig
	// tallies are IPv4's and IPv6's; where they share a range, the first has both.
	tallies [2]*portusage.Counter
	holders holders
	zones   zones
	// udp is how many UDP sockets each holder has in the range of each tally.
	udp [2][]int
	// odd is sockets in a state that is not known.
	odd int
}

// begin begins a sample.
func (n *node) begin(p *portConfig) {
	n.ports, n.odd = p, 0
	n.holders.reset()
	n.udp = [2][]int{n.udp[0][:0], n.udp[1][:0]}
	if n.zones == nil {
		n.zones = zones{}
	}
	n.tallies[0] = renew(n.tallies[0], p.options(0))
	if p.apart() {
		n.tallies[1] = renew(n.tallies[1], p.options(1))
	} else {
		n.tallies[1] = nil
	}
}

func renew(t *portusage.Counter, o portusage.Options) *portusage.Counter {
	if t == nil {
		return portusage.New(o)
	}
	t.Reset(o)
	return t
}

func (p *portConfig) options(family int) portusage.Options {
	d := &p.ranges[family]
	return portusage.Options{
		Range: d[socket.TCP].ports, Reserved: p.reserved(family, socket.TCP),
		UDPRange: d[socket.UDP].ports, ReservedUDP: p.reserved(family, socket.UDP),
		Windows: true, UniqueRows: true,
	}
}

// add adds the rows of a table up.
func (n *node) add(t table, rows []byte) {
	var r record
	size := rowBytes[t]
	for ; len(rows) >= size; rows = rows[size:] {
		t.decode(rows, &r, n.zones)
		if r.odd {
			n.odd++
		}
		r.Holder = n.holders.number(r.pid)
		n.put(t, &r.Row)
	}
}

// put gives a row to the tally of its family. A socket of IPv6 without an address may
// serve IPv4 as well: it has its port in both.
func (n *node) put(t table, r *portusage.Row) {
	six := t == tcp6 || t == udp6
	if n.tallies[1] == nil || !six || r.Local.Addr().Is4() {
		n.give(0, r)
		return
	}
	n.give(1, r)
	if !r.Local.Addr().IsValid() && !r.Remote.Addr().IsValid() {
		n.tallies[0].AddPort(r)
	}
}

func (n *node) give(to int, r *portusage.Row) {
	n.tallies[to].Add(r)
	if r.Protocol != socket.UDP || !n.tallies[to].UDPRange.Contains(r.Local.Port()) {
		return
	}
	if short := r.Holder + 1 - len(n.udp[to]); short > 0 {
		n.udp[to] = append(n.udp[to], make([]int, short)...)
	}
	n.udp[to][r.Holder]++
}

// networks are the figures: one network, or one for each family.
func (n *node) networks() []socket.Network {
	list := []socket.Network{n.tallies[0].BuildNetwork()}
	if n.tallies[1] != nil {
		list = append(list, n.tallies[1].BuildNetwork())
		list[0].Family, list[1].Family = socket.IPv4, socket.IPv6
		list[1].Inode = uint64(6)
	}
	return list
}

// ranges are what a sample says of the four of them, after networks.
func (n *node) ranges() (list []socket.DynamicRange) {
	for family := range families {
		t := cmp.Or(n.tallies[family], n.tallies[0])
		for _, protocol := range netsh.Protocols {
			list = append(list, n.ports.dynamicRange(family, protocol, t.CollectUsedPorts(protocol)))
		}
	}
	return list
}

// unseen is what the tables didn't tell.
func (n *node) unseen() []socket.Unobserved {
	var list []socket.Unobserved
	left := n.tallies[0].Summarize().Dropped
	if n.tallies[1] != nil {
		left += n.tallies[1].Summarize().Dropped
	}
	if left > 0 {
		list = append(list, socket.Unobserved{Item: "small destinations", Reason: fmt.Sprintf("more than %d of them: the smallest, with %d sockets, are left out", portusage.MaxDestinations, left)})
	}
	if n.odd > 0 {
		list = append(list, socket.Unobserved{Item: "states", Reason: fmt.Sprintf("%d sockets are in a state that is not known, and count as established", n.odd)})
	}
	return list
}

// look tells who holds the ports of p, after networks.
func (n *node) look(p socket.Pool) *socket.Look {
	of := 0
	if p.Network.Family == socket.IPv6 {
		of = 1
	}
	l := &socket.Look{Inode: p.Network.Inode, Cookie: p.Network.Cookie, Protocol: p.Protocol}
	if d := p.Destination; d != nil {
		l.Source, l.Destination, l.Port = d.Source, d.Address, d.Port
	}
	counts := n.udp[of]
	if p.Protocol == socket.TCP {
		all := n.tallies[of].CountByHolder(p)
		counts = all[:]
	}
	for i, sockets := range counts {
		if i > 0 && sockets > 0 {
			l.Holders = append(l.Holders, socket.Holder{PID: int(n.holders.pids[i]), Sockets: sockets})
			l.Held += sockets
		}
	}
	slices.SortFunc(l.Holders, func(a, b socket.Holder) int {
		return cmp.Or(cmp.Compare(b.Sockets, a.Sockets), cmp.Compare(a.PID, b.PID))
	})
	l.Holders = l.Holders[:min(4, len(l.Holders))]
	return l
}

// holders numbers processes from 1 on, in the order of their first sockets. Those
// beyond tally.MaxHolders are nobody.
type holders struct {
	index map[uint32]int
	pids  []uint32 // by number
	last  uint32
	at    int // the number of last
}

func (h *holders) reset() {
	if h.index == nil {
		h.index = map[uint32]int{}
	}
	clear(h.index)
	*h = holders{index: h.index, pids: append(h.pids[:0], 0)}
}

// number is 0 for PID 0, which TIME_WAIT has.
func (h *holders) number(pid uint32) int {
	switch pid {
	case 0:
		return 0
	case h.last:
		return h.at
	}
	at, ok := h.index[pid]
	if !ok && len(h.pids) <= portusage.MaxHolders {
		at = len(h.pids)
		h.pids = append(h.pids, pid)
		h.index[pid] = at
	}
	h.last, h.at = pid, at
	return at
}
