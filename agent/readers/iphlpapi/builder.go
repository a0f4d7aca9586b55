package iphlpapi

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/agent/windows/powershell"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// networkBuilder builds a machine's networks from its tables. It is reused for each sample.
type networkBuilder struct {
	ports *portConfig
	// counters are the counters of IPv4 and IPv6. If they share a range, the first counts both.
	counters [2]*portusage.Counter
	holders  holderNumbers
	zones    zoneNames
	// udpByHolder counts the UDP sockets in the range of each counter, by holder.
	udpByHolder [2][]int
	// tcpPorts are the local ports of the rows of TCP.
	tcpPorts ports.Set
	// unknownStates counts the sockets in unknown states.
	unknownStates int
}

// startSample prepares n for a new sample.
func (n *networkBuilder) startSample(p *portConfig) {
	n.ports, n.unknownStates, n.tcpPorts = p, 0, ports.Set{}
	n.holders.reset()
	n.udpByHolder = [2][]int{n.udpByHolder[0][:0], n.udpByHolder[1][:0]}
	if n.zones == nil {
		n.zones = zoneNames{}
	}
	n.counters[0] = resetCounter(n.counters[0], p.counterOptions(0))
	if p.hasSeparateRanges() {
		n.counters[1] = resetCounter(n.counters[1], p.counterOptions(1))
	} else {
		n.counters[1] = nil
	}
}

func resetCounter(t *portusage.Counter, o portusage.Options) *portusage.Counter {
	if t == nil {
		return portusage.New(o)
	}
	t.Reset(o)
	return t
}

func (p *portConfig) counterOptions(family int) portusage.Options {
	d := &p.ranges[family]
	return portusage.Options{
		Range: d[socket.TCP].ports, Reserved: p.mergeReserved(family, socket.TCP),
		UDPRange: d[socket.UDP].ports, ReservedUDP: p.mergeReserved(family, socket.UDP),
		Windows: true, UniqueRows: true,
	}
}

// addTable counts the rows of a table.
func (n *networkBuilder) addTable(t tableKind, rows []byte) {
	var r tableRow
	size := rowBytes[t]
	for ; len(rows) >= size; rows = rows[size:] {
		t.decodeRow(rows, &r, n.zones)
		if r.hasUnknownState {
			n.unknownStates++
		}
		r.Holder = n.holders.assignNumber(r.pid)
		if r.Protocol == socket.TCP {
			n.tcpPorts.Add(r.Local.Port())
		}
		n.addRow(t, &r.Row)
	}
}

// addBoundPorts counts ports that are bound without a connection. It follows the tables: a
// row of them with the same port has the connection or the listener that the port belongs
// to.
func (n *networkBuilder) addBoundPorts(list []powershell.BoundPort) {
	for _, b := range list {
		if n.tcpPorts.Contains(b.Port) {
			continue
		}
		table := tcp4
		if b.IsIPv6 {
			table = tcp6
		}
		n.addRow(table, &portusage.Row{Local: netip.AddrPortFrom(b.Address, b.Port), State: tcpstate.Bound,
			Holder: n.holders.assignNumber(b.PID)})
	}
}

// addRow counts a row in its family. An IPv6 socket without an address may also serve IPv4,
// so its port is in use in both.
func (n *networkBuilder) addRow(t tableKind, r *portusage.Row) {
	isIPv6 := t == tcp6 || t == udp6
	if n.counters[1] == nil || !isIPv6 || r.Local.Addr().Is4() {
		n.countRow(0, r)
		return
	}
	n.countRow(1, r)
	if !r.Local.Addr().IsValid() && !r.Remote.Addr().IsValid() {
		n.counters[0].AddPort(r)
	}
}

func (n *networkBuilder) countRow(to int, r *portusage.Row) {
	n.counters[to].Add(r)
	if r.Protocol != socket.UDP || !n.counters[to].UDPRange.Contains(r.Local.Port()) {
		return
	}
	if short := r.Holder + 1 - len(n.udpByHolder[to]); short > 0 {
		n.udpByHolder[to] = append(n.udpByHolder[to], make([]int, short)...)
	}
	n.udpByHolder[to][r.Holder]++
}

// buildNetworks returns one network, or one for each family if they have separate ranges.
func (n *networkBuilder) buildNetworks() []socket.Network {
	list := []socket.Network{n.counters[0].BuildNetwork()}
	if n.counters[1] != nil {
		list = append(list, n.counters[1].BuildNetwork())
		list[0].Family, list[1].Family = socket.IPv4, socket.IPv6
		list[1].Inode = uint64(6)
	}
	return list
}

// describeRanges returns the usage of the four ranges. It is valid after buildNetworks.
func (n *networkBuilder) describeRanges() (list []socket.DynamicRange) {
	for family := range families {
		t := cmp.Or(n.counters[family], n.counters[0])
		for _, protocol := range netsh.Protocols {
			list = append(list, n.ports.describeRange(family, protocol, t.CollectUsedPorts(protocol)))
		}
	}
	return list
}

// listUnobserved returns what the tables did not contain.
func (n *networkBuilder) listUnobserved() []socket.Unobserved {
	var list []socket.Unobserved
	dropped := n.counters[0].Summarize().Dropped
	if n.counters[1] != nil {
		dropped += n.counters[1].Summarize().Dropped
	}
	if dropped > 0 {
		list = append(list, socket.Unobserved{Item: "small destinations",
			Reason: fmt.Sprintf("there are more than %d destinations; the smallest, with %d sockets, are omitted",
				portusage.MaxDestinations, dropped)})
	}
	if n.unknownStates > 0 {
		list = append(list, socket.Unobserved{Item: "states",
			Reason: fmt.Sprintf("%d sockets are in an unknown state and count as established", n.unknownStates)})
	}
	return list
}

// inspectPool returns the processes that use the most ports of p. It is valid after
// buildNetworks.
func (n *networkBuilder) inspectPool(p socket.Pool) *socket.PoolDetail {
	family := 0
	if p.Network.Family == socket.IPv6 {
		family = 1
	}
	l := &socket.PoolDetail{Inode: p.Network.Inode, Cookie: p.Network.Cookie, Protocol: p.Protocol}
	if d := p.Destination; d != nil {
		l.Source, l.Destination, l.Port = d.Source, d.Address, d.Port
	}
	counts := n.udpByHolder[family]
	if p.Protocol == socket.TCP {
		all := n.counters[family].CountByHolder(p)
		counts = all[:]
	}
	for i, sockets := range counts {
		if i > 0 && sockets > 0 {
			l.Holders = append(l.Holders, socket.Holder{PID: int(n.holders.pids[i]), Sockets: sockets})
			l.ProcessSockets += sockets
		}
	}
	slices.SortFunc(l.Holders, func(a, b socket.Holder) int {
		return cmp.Or(cmp.Compare(b.Sockets, a.Sockets), cmp.Compare(a.PID, b.PID))
	})
	l.Holders = l.Holders[:min(4, len(l.Holders))]
	return l
}

// holderNumbers numbers processes from 1, in the order of their first sockets. Processes
// beyond portusage.MaxHolders have the number 0.
type holderNumbers struct {
	index      map[uint32]int
	pids       []uint32 // by number
	lastPID    uint32
	lastNumber int // the number of lastPID
}

func (h *holderNumbers) reset() {
	if h.index == nil {
		h.index = map[uint32]int{}
	}
	clear(h.index)
	*h = holderNumbers{index: h.index, pids: append(h.pids[:0], 0)}
}

// assignNumber returns the number of a process, and 0 for PID 0, which owns TIME_WAIT.
func (h *holderNumbers) assignNumber(pid uint32) int {
	switch pid {
	case 0:
		return 0
	case h.lastPID:
		return h.lastNumber
	}
	at, ok := h.index[pid]
	if !ok && len(h.pids) <= portusage.MaxHolders {
		at = len(h.pids)
		h.pids = append(h.pids, pid)
		h.index[pid] = at
	}
	h.lastPID, h.lastNumber = pid, at
	return at
}
