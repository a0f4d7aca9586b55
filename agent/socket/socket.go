// Package socket is the domain of the agent: what a reader of the kernel's
// tables saw (Sample), and what follows from it for the ports that programs can
// still take (Pool). It is pure: no operating system, no Kubernetes, no clock.
package socket

import (
	"net/netip"
	"time"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Reuse is net.ipv4.tcp_tw_reuse: whose TIME_WAIT sockets connect() may take over.
type Reuse uint8

// The values of net.ipv4.tcp_tw_reuse.
const (
	ReuseOff      Reuse = 0
	ReuseAll      Reuse = 1
	ReuseLoopback Reuse = 2
)

// Settings are the per-namespace settings that decide how many ports there are.
type Settings struct {
	// Range is net.ipv4.ip_local_port_range; on Windows, TCP's dynamic port range.
	Range ports.Range
	// Reserved is the number of ports of net.ipv4.ip_local_reserved_ports inside
	// Range, on Windows of those excluded: connect() and bind(0) never pick them.
	Reserved int
	// UDP is the same for UDP, nil where UDP has no range of its own (Linux).
	UDP *UDPSettings
	// TriesEveryPort says that connect() and bind(0) try every port of the range (Windows),
	// and not those of one parity after those of the other.
	TriesEveryPort bool
	// Reuse is net.ipv4.tcp_tw_reuse.
	Reuse Reuse
	// ReuseDelay is how old a TIME_WAIT must be before it is reused
	// (net.ipv4.tcp_tw_reuse_delay, 1 s before Linux 6.14).
	ReuseDelay time.Duration
	// Timestamps is net.ipv4.tcp_timestamps other than 0.
	Timestamps bool
	// FinTimeout is net.ipv4.tcp_fin_timeout.
	FinTimeout time.Duration
	// MaxTimeWait is net.ipv4.tcp_max_tw_buckets.
	MaxTimeWait int
}

// UDPSettings are Settings.Range and Settings.Reserved of UDP.
type UDPSettings struct {
	Range    ports.Range
	Reserved int
}

// Destination is the sockets of one namespace with the same source address,
// destination address and destination port, whose local port is in the range,
// is not reserved, and is not a port that connect() skips. Their local ports are
// distinct, so sockets are ports. IPv4-mapped IPv6 addresses are unmapped: the
// kernel draws both from one pool.
type Destination struct {
	Source, Address netip.Addr
	Port            uint16
	// States counts the sockets by state; Listen and Bound are always 0 here.
	States tcpstate.Counts
	// Reusable is how many of States[TimeWait] connect() to this destination
	// would take over right now.
	Reusable uint32
	// ReusableIfAll is what Reusable would be if Settings.Reuse were ReuseAll. It is
	// counted where half of the range's ports are held, and may be no more than
	// Reusable elsewhere: no pool is near its end there.
	ReusableIfAll uint32
}

// Network is one network namespace.
type Network struct {
	// Inode is the number in "net:[4026531840]", what /proc/PID/ns/net shows.
	Inode uint64
	// Cookie tells namespaces apart that got the same Inode one after another
	// (SO_NETNS_COOKIE); 0 where the reader cannot know it.
	Cookie   uint64
	Owner    Owner
	Settings Settings
	// Family is the version of IP whose ports these are, where each has a range of its
	// own (Windows, when they differ); AnyFamily elsewhere.
	Family Family

	// InUse is the number of ports of the range, not reserved, that any TCP
	// socket is bound to, by connect() or by bind(). For a reader that cannot
	// see the bind hash it is a lower bound.
	InUse int
	// Skipped is how many of Held connect() skips for every destination,
	// because some socket was bound to them explicitly (a listener, bind(0),
	// bind-before-connect, and their TIME_WAIT). A lower bound likewise.
	Skipped int
	// SkippedListening is how many of Skipped have a listener.
	SkippedListening int
	// BindUnknown says that the reader can't tell ports that bind() took from those
	// that connect() took (the tables of Windows; a dump of them): then each of Held
	// may be lost to every destination. Skipped is what certainly is.
	BindUnknown bool

	// States counts every TCP socket of the namespace, whatever its port.
	States tcpstate.Counts
	// Destinations is absent where the reader's gate found that no pool of this
	// namespace can be near its end (see Detailed).
	Destinations []Destination
	// Detailed says that Destinations and States were read.
	Detailed bool
	// UDPInUse is the number of ports of UDP's range, not reserved, that a UDP
	// socket is bound to.
	UDPInUse int
	// UDPSockets is the number of bound UDP sockets, whatever their port.
	UDPSockets int

	// ListenPorts are the ports of the range, not reserved, that something listens
	// on, ascending, the first 8 of them; nil where the reader can't tell.
	ListenPorts []uint16
	// Counters is nil where the reader can't see them.
	Counters *Counters
	// SNAT is the pools of source addresses that the namespace translates to, nil
	// where they were not read.
	SNAT []SNATPool
}

// SNATPorts is how many ports connections are translated to, 1024 to 65535, unless
// a rule narrows that (net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple).
const SNATPorts = 1<<16 - 1024

// SNATPool is the ports of a source address that connections are translated to,
// towards one destination.
type SNATPool struct {
	// Destination has the translated address as its Source. Its States are those
	// that connection tracking knows, none for UDP; Reusable is how many of Ports
	// the next connection would take over, because theirs have ended.
	Destination
	Protocol Protocol
	// InUse is how many are taken. Capacity is how many there are, as far as
	// can be told: the rule that translates may leave fewer.
	InUse, Capacity int
}

// RemainingPorts is how many ports another connection can be translated to.
func (p *SNATPool) RemainingPorts() int { return max(0, p.Capacity-p.InUse+int(p.Reusable)) }

// Counters are what the kernel counts in one namespace since that was made. They
// only grow.
type Counters struct {
	// TimeWaitOverflow counts sockets that skipped TIME_WAIT because MaxTimeWait
	// were there (TCPTimeWaitOverflow of /proc/net/netstat).
	TimeWaitOverflow uint64
	// ListenOverflows counts connections that a full accept queue refused.
	ListenOverflows uint64
	// Conntrack is nil where connection tracking is not in use.
	Conntrack *ConntrackCounters
}

// ConntrackCounters are those of /proc/net/stat/nf_conntrack, over all CPUs.
type ConntrackCounters struct{ InsertFailed, Drop, EarlyDrop uint64 }

// OwnerKind says what a network namespace belongs to.
type OwnerKind string

// The kinds of owner, the most telling first.
const (
	OwnerHost      OwnerKind = "Host"      // the node's own network
	OwnerPod       OwnerKind = "Pod"       // a Kubernetes pod
	OwnerContainer OwnerKind = "Container" // a container without a pod
	OwnerProcess   OwnerKind = "Process"   // some other process
	OwnerNone      OwnerKind = "None"      // no process is in it
)

// Owner is who a network namespace belongs to.
type Owner struct {
	Kind OwnerKind
	// PodUID is the pod's UID with dashes; for static pods the 32 hex digits
	// that the kubelet uses.
	PodUID string
	// Namespace and Pod are the pod's name in Kubernetes. Readers leave them
	// empty: the kernel doesn't know them.
	Namespace, Pod string
	// Container is a container ID, full length (64 hex digits).
	Container string
	// Process and PID are the process that the owner was told from. PID is 0
	// where it is not visible in the agent's PID namespace.
	Process string
	PID     int
	// Sandbox names a runtime that keeps the workload's sockets outside the
	// host kernel ("gVisor", "Kata"): what is read here says nothing of it.
	Sandbox string
}

// Exactness says how a reader's figures relate to the truth.
type Exactness string

// The values of Exactness.
const (
	// Exact: the headroom is what connect() and bind() then give.
	Exact Exactness = "Exact"
	// UpperBound: there may be less headroom than reported, never more.
	UpperBound Exactness = "UpperBound"
	// Approximate: a pass could not be finished cleanly; a few sockets may be
	// counted twice or not at all.
	Approximate Exactness = "Approximate"
	// Assumed: the operating system documents it so, and nothing was verified.
	Assumed Exactness = "Assumed"
)

// Reader says which reader spoke and how exact it is.
type Reader struct {
	Name      string
	Exactness Exactness
	Message   string
}

// Unobserved is something that could not be read, and why: never reported as 0.
type Unobserved struct{ Item, Reason string }

// Failure is calls that failed because no port was left.
type Failure struct {
	Inode       uint64
	Source      netip.Addr
	Destination netip.Addr
	Port        uint16
	// Reason is the error's name, or Windows' event's (api/v1alpha1); empty for
	// EADDRNOTAVAIL.
	Reason string
	Count  uint64
	LastAt time.Time
}

// Sample is what one pass of a reader saw.
type Sample struct {
	Taken    time.Time
	Reader   Reader
	Networks []Network
	// Failures is nil where failed connects are not watched (then Unseen says so).
	Failures   []Failure
	Unobserved []Unobserved
	// TCPMemoryLimits are net.ipv4.tcp_mem in pages: below the first TCP is at
	// ease, above the third it gets no more. nil where the reader can't see them.
	TCPMemoryLimits *[3]uint64
	// Windows is what its tables don't tell; nil on Linux.
	Windows *Windows
	// Capabilities are what the reader can and can't do here, where that differs from
	// machine to machine (Windows).
	Capabilities []Capability
	// PoolDetail is a closer look at the tightest pool, nil where none was asked for (see
	// Request) or the reader can't (then Unseen says so).
	PoolDetail *PoolDetail
	// CPUTime is the CPU time that the sample took.
	CPUTime time.Duration
}

// SilentAfter is how long a connection carries no data either way before it is
// Silent.
const SilentAfter = time.Minute

// PoolDetail is what only the sockets of one pool themselves can tell.
type PoolDetail struct {
	// Inode and Cookie are the pool's network. Source, Destination and Port are
	// the zero values for pools that belong to no destination; then the sockets are
	// those of the network whose port connect() skips.
	Inode, Cookie       uint64
	Protocol            Protocol
	Source, Destination netip.Addr
	Port                uint16

	// Holders are the processes that hold most of the pool's sockets, the greatest
	// first, at most 4; Held is how many sockets any process holds. The others,
	// TIME_WAIT and orphans, are the kernel's.
	Holders []Holder
	ProcessSockets    int

	// Established is how many ESTABLISHED sockets were looked at. Silent is those
	// of them that carried no data for SilentAfter or longer, NoKeepAlive those of
	// Silent without SO_KEEPALIVE, Unanswered those (silent or not) whose last data
	// or probe the peer has not acknowledged after a retransmission.
	Established, Silent, NoKeepAlive, Unanswered int
	// LongestSilence is how long the longest silence lasts.
	LongestSilence time.Duration
}

// Describes says whether l is a look at p.
func (l *PoolDetail) Describes(p Pool) bool {
	if l == nil || p.Kind == SNAT || l.Protocol != p.Protocol || l.Inode != p.Network.Inode || l.Cookie != p.Network.Cookie {
		return false
	}
	if p.Destination == nil {
		return !l.Destination.IsValid()
	}
	return l.Source == p.Destination.Source && l.Destination == p.Destination.Address && l.Port == p.Destination.Port
}

// Holder is a process that holds sockets.
type Holder struct {
	Process string // the command's name
	PID     int    // 0 where it is not visible in the agent's PID namespace
	// Container is a container ID, full length, empty where it is in none.
	Container string
	// Sockets is how many of the pool's it holds.
	Sockets int
	// Path is its image's (Windows).
	Path string
	// OpenFiles is all that it has open, on Windows its handles; MaxFiles its
	// RLIMIT_NOFILE (soft), 0 where there is none.
	OpenFiles, MaxFiles int
}

// Request says how deep a sample goes.
type Request struct {
	// DetailPercent leaves out the destinations of namespaces in which fewer than
	// this share of the range is held at all: none of their pools can be fuller.
	// 0 reads every namespace in detail.
	DetailPercent int
	// InspectPercent asks for a closer look at the tightest pool where it is used that
	// much or more. 0 asks for none.
	InspectPercent int
}
