package cause

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// NetworkState is a network of the machine, and what happened in it recently.
type NetworkState struct {
	*socket.Network
	Name   string
	Recent RecentCounts
}

// RecentCounts counts recent events of a network. Each event's weight decays with its age.
type RecentCounts struct {
	// ListenOverflows are connections that a full accept queue refused. TimeWaitOverflows are
	// sockets that skipped TIME_WAIT because net.ipv4.tcp_max_tw_buckets was reached.
	ListenOverflows, TimeWaitOverflows uint64
	// Refused are calls that failed with EADDRNOTAVAIL although their pool has free ports.
	Refused uint64
}

// minRecent is the number of recent events from which they are the bottleneck. A single one may
// be a burst.
const minRecent = 10

// notPorts begins a finding about another bottleneck.
func (e *Evidence) notPorts() string {
	return fmt.Sprintf("Ephemeral ports are not the bottleneck (%d of %d are free in the fullest pool): ", e.Pool.Headroom(), e.Pool.Capacity)
}

// formatProcess returns a process of n for the middle of a sentence.
func formatProcess(p socket.Process, n NetworkState) string {
	name := p.Name
	switch {
	case name == "" && p.PID > 0:
		name = fmt.Sprintf("the process with PID %d", p.PID)
	case name == "":
		name = "the program"
	case p.PID > 0:
		name += fmt.Sprintf(" (pid %d)", p.PID)
	}
	return name + formatPlace(n)
}

// formatPlace returns the network for the end of a phrase, empty if its name says nothing.
func formatPlace(n NetworkState) string {
	if n.Network == nil || n.Name == "" {
		return ""
	}
	switch n.Owner.Kind {
	case socket.OwnerHost:
		return " on the host network"
	case socket.OwnerPod, socket.OwnerContainer:
		return " of " + n.Name
	}
	return ""
}

// formatListener returns the address of a listener, with * for a wildcard.
func formatListener(a netip.AddrPort) string {
	if !a.Addr().IsValid() || a.Addr().IsUnspecified() {
		return fmt.Sprintf("*:%d", a.Port())
	}
	return a.String()
}

// evaluateAcceptQueue matches if a program of this machine does not accept its connections.
func evaluateAcceptQueue(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	n, queue := findFullQueue(e.Networks)
	if n == nil || e.System.IsWindows {
		return Diagnosis{}, false
	}
	d := Diagnosis{
		Cause:  v1alpha1.CauseAcceptQueueFull,
		Remedy: "Call accept() sooner (more workers, nothing that blocks before it) and raise the backlog of listen(): the lower of both limits counts.",
	}
	limit := 0
	if queue != nil {
		limit = queue.Limit
		d.Finding = fmt.Sprintf("%sthe accept queue of %s is full (%d of %d), so new connections to it time out: %s does not call accept() fast enough.",
			e.notPorts(), formatListener(queue.Listener), queue.Length, queue.Limit, formatProcess(queue.Process, *n))
	} else {
		d.Finding = fmt.Sprintf("%sa listener%s does not call accept() fast enough.", e.notPorts(), formatPlace(*n))
	}
	if n.Recent.ListenOverflows > 0 {
		d.Finding += fmt.Sprintf(" %d connections were refused recently (ListenOverflows).", n.Recent.ListenOverflows)
	}
	d.Setting = e.newSysctl(settings.KeySomaxconn, fmt.Sprint(min(65535, max(4096, 2*limit))), "the program must restart, or call listen() again")
	return d, true
}

// findFullQueue returns the network whose accept queue is full, and the queue if it is known.
// A queue that is full now precedes connections that were refused recently.
func findFullQueue(all []NetworkState) (*NetworkState, *socket.AcceptQueue) {
	var overflowed *NetworkState
	for i := range all {
		n := &all[i]
		if queues := n.Evidence.AcceptQueues; len(queues) > 0 && queues[0].IsFull() {
			return n, &queues[0]
		}
		if n.Recent.ListenOverflows >= minRecent && (overflowed == nil || n.Recent.ListenOverflows > overflowed.Recent.ListenOverflows) {
			overflowed = n
		}
	}
	return overflowed, nil
}

// evaluateCloseWait matches if a program does not close its connections, whichever side opened
// them, and although they fill no pool: those that peers opened take no port.
func evaluateCloseWait(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	n, group := FindCloseWaitLeak(e.Networks)
	if n == nil {
		return Diagnosis{}, false
	}
	what := fmt.Sprintf("%d connections are in CLOSE_WAIT", group.Sockets)
	switch {
	case group.Listener != 0:
		what = fmt.Sprintf("%d connections to port %d are in CLOSE_WAIT", group.Sockets, group.Listener)
	case group.Peers == 1:
		what = fmt.Sprintf("%d connections to %v are in CLOSE_WAIT", group.Sockets, group.Peer)
	case group.Peers > 1:
		what = fmt.Sprintf("%d connections to %d peers, most to %v, are in CLOSE_WAIT", group.Sockets, group.Peers, group.Peer)
	}
	limit := "File descriptors run"
	if e.System.IsWindows {
		limit = "Memory runs"
	}
	return Diagnosis{
		Cause: v1alpha1.CauseCloseWaitLeak,
		Finding: fmt.Sprintf("%s%s: the other side has closed them, but %s has not. %s out first.",
			e.notPorts(), what, formatProcess(group.Process, *n), limit),
		Remedy: "Fix the application: call close() when a read returns end of file, on error paths too. A restart frees them until then; no setting helps, since CLOSE_WAIT has no time-out.",
	}, true
}

// FindCloseWaitLeak returns the network with the largest leak of sockets in CLOSE_WAIT, and the
// sockets; nil if there is none.
func FindCloseWaitLeak(all []NetworkState) (n *NetworkState, worst socket.CloseWaitGroup) {
	for i := range all {
		if g := findLeakingGroup(all[i].Network); g.Sockets > worst.Sockets {
			n, worst = &all[i], g
		}
	}
	return n, worst
}

// findLeakingGroup returns the largest group of n that is a leak, without a process if only the
// number of sockets is known.
func findLeakingGroup(n *socket.Network) socket.CloseWaitGroup {
	for _, g := range n.Evidence.CloseWait {
		if g.IsLeak() {
			return g
		}
	}
	closed, open := int(n.States[tcpstate.CloseWait]), int(n.States[tcpstate.Established])
	if n.Evidence.CloseWait != nil || !n.Detailed || closed < socket.MinCloseWait || closed < open {
		return socket.CloseWaitGroup{}
	}
	return socket.CloseWaitGroup{Sockets: closed, Open: open}
}

// evaluateProcessFiles matches if a process of the machine is close to its RLIMIT_NOFILE.
func evaluateProcessFiles(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	if len(e.FileUsage) == 0 || e.System.IsWindows {
		return Diagnosis{}, false
	}
	f := e.FileUsage[0]
	return Diagnosis{
		Cause: v1alpha1.CauseFileDescriptors,
		Finding: fmt.Sprintf("%s%s has %d of %d files open, and further sockets fail with EMFILE.",
			e.notPorts(), formatProcess(f.Process, NetworkState{}), f.Open, f.Max),
		Remedy: fileLimitRemedy,
	}, Usage{Used: uint64(max(0, f.Open)), Max: uint64(max(0, f.Max))}.computePercent() >= nearlyFullPercent
}

const fileLimitRemedy = "Check for a file descriptor leak; otherwise raise the limit (ulimit -n, LimitNOFILE= of the unit or of the container runtime)."

// evaluateTimeWaitLimit matches if TIME_WAIT has reached net.ipv4.tcp_max_tw_buckets. No call
// fails, but connections that end skip the state, which protects later ones.
func evaluateTimeWaitLimit(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	i := slices.IndexFunc(e.Networks, func(n NetworkState) bool {
		limit := n.Settings.MaxTimeWait
		return n.Recent.TimeWaitOverflows >= minRecent || limit > 0 && int(n.States[tcpstate.TimeWait]) >= limit
	})
	if i < 0 || e.System.IsWindows {
		return Diagnosis{}, false
	}
	n := e.Networks[i]
	d := Diagnosis{
		Cause: v1alpha1.CauseTimeWaitLimit,
		Finding: fmt.Sprintf("%sTIME_WAIT%s has reached its limit (net.ipv4.tcp_max_tw_buckets), and closed connections skip the state: late segments can reach new connections, which then fail.",
			e.notPorts(), formatPlace(n)),
		Remedy: "Reuse connections (keep-alive, a pool).",
	}
	if limit := n.Settings.MaxTimeWait; limit > 0 {
		d.Setting = e.newSysctl(settings.KeyTCPMaxTWBuckets, fmt.Sprint(max(8192, 2*limit)), "never lower it")
	}
	return d, true
}

// NeighbourTable is the machine's table of link-layer addresses of one IP version. Entries are
// of all networks; Overflows are the attempts to add one that failed recently.
type NeighbourTable struct {
	Usage
	Overflows uint64
}

// evaluateNeighbours matches if the neighbour table is full: connects to addresses without an
// entry fail with ENOBUFS (net/core/neighbour.c, neigh_alloc).
func evaluateNeighbours(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	for i, table := range e.Machine.Neighbours {
		name, key := "ARP", settings.KeyNeighThresh3
		if i == 1 {
			name, key = "NDP", settings.KeyNeigh6Thresh3
		}
		if e.System.IsWindows || table.Overflows == 0 && table.computePercent() < nearlyFullPercent {
			continue
		}
		return Diagnosis{
			Cause: v1alpha1.CauseNeighbourTableFull,
			Finding: fmt.Sprintf("%sthe neighbour table (%s) has %d of %d entries, and connections to further addresses fail (ENOBUFS, \"neighbour table overflow\").",
				e.notPorts(), name, table.Used, table.Max),
			Remedy:  "Raise its limits.",
			Setting: e.newSysctl(key, fmt.Sprint(max(4096, 4*table.Max)), "raise gc_thresh1 and gc_thresh2 with it"),
		}, true
	}
	return Diagnosis{}, false
}

// evaluatePrivilegedPorts matches if the source ports of NFS and rsh, which have their own
// range, are used up.
func evaluatePrivilegedPorts(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	size := uint64(socket.PrivilegedPorts.Len())
	for _, n := range e.Networks {
		if n.Evidence.Privileged == nil || e.System.IsWindows {
			continue
		}
		used := Usage{Used: uint64(max(0, *n.Evidence.Privileged)), Max: size}
		if used.computePercent() >= nearlyFullPercent {
			return Diagnosis{
				Cause: v1alpha1.CausePrivilegedPorts,
				Finding: fmt.Sprintf("%s%d of %d privileged source ports (%v)%s are in use, and NFS mounts and rsh fail (\"Address already in use\").",
					e.notPorts(), used.Used, size, socket.PrivilegedPorts, formatPlace(n)),
				Remedy: "Mount with noresvport, mount less often (a closed connection keeps its port for a minute) and with a smaller nconnect. The ephemeral range has no effect on these ports.",
			}, true
		}
	}
	return Diagnosis{}, false
}

// evaluateAddress matches if calls fail with EADDRNOTAVAIL although ports are free: the address
// is the reason.
func evaluateAddress(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	i := slices.IndexFunc(e.Networks, func(n NetworkState) bool { return n.Recent.Refused > 0 })
	if i < 0 || e.System.IsWindows {
		return Diagnosis{}, false
	}
	n := e.Networks[i]
	d := Diagnosis{
		Cause: v1alpha1.CauseAddressNotAvailable,
		Finding: fmt.Sprintf("%s%d calls%s failed recently with EADDRNOTAVAIL although their pools have free ports.",
			e.notPorts(), n.Recent.Refused, formatPlace(n)),
		Remedy: "Check the local address that the program binds to (is it on an interface here?) and whether it narrows the range with IP_LOCAL_PORT_RANGE.",
	}
	if off := n.Evidence.IsIPv6Off; off != nil && *off {
		d.Remedy = "IPv6 is off there: connect to IPv4 addresses, or turn it on (net.ipv6.conf.*.disable_ipv6). " + d.Remedy
	}
	return d, true
}

// explainAddress returns what EADDRNOTAVAIL would mean where IPv6 is off, empty where it is
// not.
func (e *Evidence) explainAddress() string {
	var names []string
	for _, n := range e.Networks {
		if off := n.Evidence.IsIPv6Off; off != nil && *off {
			names = append(names, n.Name)
		}
	}
	if len(names) == 0 || e.System.IsWindows {
		return ""
	}
	more := ""
	if len(names) > 2 {
		names, more = names[:2], fmt.Sprintf(" and %d more", len(names)-2)
	}
	return fmt.Sprintf(" If calls fail with EADDRNOTAVAIL, ephemeral ports are not the bottleneck but the address: IPv6 is off, so ::1 is not available (%s%s).",
		strings.Join(names, ", "), more)
}
