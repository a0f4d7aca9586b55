package socket

import (
	"cmp"
	"net/netip"
	"slices"

	"portreeve.io/portreeve/internal/ports"
)

// Evidence has the limits of a network's connections other than its ephemeral ports. What
// was not read is nil.
type Evidence struct {
	// AcceptQueues are the listeners, the fullest accept queue first, at most
	// MaxEvidence; empty, not nil, if there are none.
	AcceptQueues []AcceptQueue
	// CloseWait are the sockets in CLOSE_WAIT by process, the most first, at most
	// MaxEvidence. It is read if there are MinCloseWait of them.
	CloseWait []CloseWaitGroup
	// Privileged is the number of ports of PrivilegedPorts that connections use.
	Privileged *int
	// IsIPv6Off reports whether no interface has an IPv6 address, not even loopback.
	IsIPv6Off *bool
	// Listeners are the listeners on ports of the ephemeral range that are not reserved, in
	// ascending order of ports, at most MaxListeners. Reserved are all reserved ports.
	Listeners []netip.AddrPort
	Reserved  *ports.Set
	// BoundAddress is the local address of most connections with an ephemeral port. It is read
	// if bind() took at least a quarter of the range.
	BoundAddress netip.Addr
	// HeldPorts are the ports of well-known services in the ephemeral range that
	// connections of other programs use, in ascending order, at most MaxEvidence.
	HeldPorts []HeldPort
}

// MaxEvidence is the maximum length of each list of Evidence.
const MaxEvidence = 4

// MaxListeners is the maximum length of Evidence.Listeners.
const MaxListeners = 16

// PrivilegedPorts are the source ports of NFS clients (net/sunrpc/xprtsock.c, xprt_min_resvport
// and xprt_max_resvport), and most of those of bindresvport(3), which rsh and mount.nfs use.
var PrivilegedPorts = ports.Range{First: 665, Last: 1023}

// Process is the owner of a socket.
type Process struct {
	Name string
	PID  int // 0 if it is not known
}

// AcceptQueue is the queue of the connections that a listener has not accepted yet.
type AcceptQueue struct {
	Listener netip.AddrPort
	// Length is the number of connections in the queue, Limit the maximum: the backlog of
	// listen(), at most net.core.somaxconn. The kernel refuses one more only if Length
	// exceeds Limit (sk_acceptq_is_full in include/net/sock.h).
	Length, Limit int
	Process       Process
}

// IsFull reports whether the next connection is refused or delayed.
func (q AcceptQueue) IsFull() bool { return q.Length > 0 && q.Length >= q.Limit }

// SelectFullest sorts the queues, the fullest first, and returns at most MaxEvidence.
func SelectFullest(queues []AcceptQueue) []AcceptQueue {
	slices.SortFunc(queues, func(a, b AcceptQueue) int {
		return cmp.Or(
			cmp.Compare(b.Length*max(1, a.Limit), a.Length*max(1, b.Limit)),
			cmp.Compare(b.Length, a.Length),
			a.Listener.Compare(b.Listener),
		)
	})
	return queues[:min(len(queues), MaxEvidence)]
}

// HeldPort is a port that a program would bind to, and that a socket of another one uses.
type HeldPort struct {
	Port    uint16
	Peer    netip.AddrPort // of the connection
	Process Process        // that uses the port
}

// MinCloseWait is the number of sockets in CLOSE_WAIT from which they may be a leak. Some are
// normal: a program needs a moment to close what its peer has closed.
const MinCloseWait = 100

// CloseWaitGroup has the sockets in CLOSE_WAIT of one process, on one of its listening ports
// or to any peer.
type CloseWaitGroup struct {
	Process Process
	// Listener is the local port to which the peers connected, 0 if the process opened the
	// connections itself.
	Listener uint16
	Sockets  int
	// Open is the number of connections of the group that are open on both sides.
	Open int
	// Peers is the number of different addresses of the peers, with the ports of services.
	// Peer is that of the most sockets; the zero value for a Listener.
	Peers int
	Peer  netip.AddrPort
}

// CloseWaitCounter groups the sockets in CLOSE_WAIT. Its memory is bounded: beyond
// maxCloseWaitKeys local ports or peers it counts no further ones.
type CloseWaitCounter struct {
	sockets map[closeWaitKey]int // in CLOSE_WAIT
	open    map[closeWaitKey]int
}

type closeWaitKey struct {
	process Process
	local   uint16
	peer    netip.AddrPort
}

const maxCloseWaitKeys = 1 << 16

// Add counts a connection of process that is in CLOSE_WAIT or, if isOpen is true, open on
// both sides.
func (c *CloseWaitCounter) Add(local uint16, peer netip.AddrPort, process Process, isOpen bool) {
	if c.sockets == nil {
		c.sockets, c.open = map[closeWaitKey]int{}, map[closeWaitKey]int{}
	}
	counts, key := c.sockets, closeWaitKey{process, local, peer}
	if isOpen {
		counts, key.peer = c.open, netip.AddrPort{}
	}
	if _, ok := counts[key]; ok || len(counts) < maxCloseWaitKeys {
		counts[key]++
	}
}

// Groups returns the groups, the largest first, at most MaxEvidence. isListening reports
// whether a port has a listener.
func (c *CloseWaitCounter) Groups(isListening func(uint16) bool) []CloseWaitGroup {
	type groupKey struct {
		process  Process
		listener uint16
	}
	groups := map[groupKey]*CloseWaitGroup{}
	peers := map[groupKey]map[netip.AddrPort]int{}
	keyOf := func(k closeWaitKey) groupKey {
		if isListening(k.local) {
			return groupKey{k.process, k.local}
		}
		return groupKey{k.process, 0}
	}
	for k, n := range c.sockets {
		at := keyOf(k)
		if groups[at] == nil {
			groups[at] = &CloseWaitGroup{Process: at.process, Listener: at.listener}
			peers[at] = map[netip.AddrPort]int{}
		}
		groups[at].Sockets += n
		peer := k.peer
		if at.listener != 0 {
			peer = netip.AddrPortFrom(peer.Addr(), 0) // the ports of clients differ
		}
		peers[at][peer] += n
	}
	for k, n := range c.open {
		if g := groups[keyOf(k)]; g != nil {
			g.Open += n
		}
	}
	list := make([]CloseWaitGroup, 0, len(groups))
	for at, g := range groups {
		g.Peers = len(peers[at])
		if at.listener == 0 {
			g.Peer = findMostFrequent(peers[at])
		}
		list = append(list, *g)
	}
	slices.SortFunc(list, func(a, b CloseWaitGroup) int {
		return cmp.Or(cmp.Compare(b.Sockets, a.Sockets), cmp.Compare(a.Listener, b.Listener),
			cmp.Compare(a.Process.Name, b.Process.Name), cmp.Compare(a.Process.PID, b.Process.PID))
	})
	return list[:min(len(list), MaxEvidence)]
}

func findMostFrequent(counts map[netip.AddrPort]int) (most netip.AddrPort) {
	for p, n := range counts {
		if n > counts[most] || n == counts[most] && p.Compare(most) < 0 {
			most = p
		}
	}
	return most
}

// IsLeak reports whether the process seems not to close its connections: there are at least
// as many of them as open ones, or very many.
func (g CloseWaitGroup) IsLeak() bool {
	return g.Sockets >= MinCloseWait && (g.Sockets >= g.Open || g.Sockets >= 10*MinCloseWait)
}

// FileUsage is a process with its open files and its limit of them (RLIMIT_NOFILE, soft).
type FileUsage struct {
	Process
	Container string // its ID, empty if it is in none
	Open, Max int
}
