// Package socket is the domain model of the agent: the result of reading the kernel's socket
// tables (Sample), and the ports that programs can still use (Pool). It is pure: it uses no
// operating system, no Kubernetes client and no clock.
package socket

import (
	"net/netip"
	"time"

	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Reuse is net.ipv4.tcp_tw_reuse. It selects the TIME_WAIT sockets that connect() may take
// over.
type Reuse uint8

// The values of net.ipv4.tcp_tw_reuse.
const (
	ReuseOff      Reuse = 0
	ReuseAll      Reuse = 1
	ReuseLoopback Reuse = 2
)

// Settings are the settings of a namespace that determine the number of ports.
type Settings struct {
	// Range is net.ipv4.ip_local_port_range; on Windows, TCP's dynamic port range.
	Range ports.Range
	// Reserved is the number of ports inside Range that are in
	// net.ipv4.ip_local_reserved_ports, or on Windows excluded. connect() and bind(0) never
	// choose them.
	Reserved int
	// UDP is the range of UDP, nil where it has no range of its own (Linux).
	UDP *UDPSettings
	// TriesEveryPort reports whether connect() and bind(0) try every port of the range
	// (Windows), and not those of one parity after those of the other.
	TriesEveryPort bool
	// Reuse is net.ipv4.tcp_tw_reuse.
	Reuse Reuse
	// ReuseDelay is the minimum age of a TIME_WAIT socket that is reused
	// (net.ipv4.tcp_tw_reuse_delay, 1 s before Linux 6.14).
	ReuseDelay time.Duration
	// Timestamps reports whether net.ipv4.tcp_timestamps is not 0.
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

// Destination has the sockets of one namespace with the same source address, destination
// address and destination port, whose local port is in the range, is not reserved, and is not
// a port that connect() skips. Their local ports are distinct, so sockets are ports.
// IPv4-mapped IPv6 addresses are unmapped: the kernel uses one pool for both.
type Destination struct {
	Source, Address netip.Addr
	Port            uint16
	// States counts the sockets by state; Listen and Bound are always 0 here.
	States tcpstate.Counts
	// Reusable is the number of sockets in States[TimeWait] that connect() to this
	// destination would take over now.
	Reusable uint32
	// ReusableIfAll is Reusable as it would be with ReuseAll. It is counted if half of
	// the range's ports are in use, and may be as low as Reusable otherwise, since no
	// pool is near exhaustion then.
	ReusableIfAll uint32
}

// Network is one network namespace.
type Network struct {
	// Inode is the number in "net:[4026531840]", as in /proc/PID/ns/net.
	Inode uint64
	// Cookie distinguishes namespaces that had the same Inode one after another
	// (SO_NETNS_COOKIE); 0 if the reader does not know it.
	Cookie   uint64
	Owner    Owner
	Settings Settings
	// Family is the IP version of these ports if each version has a range of its own
	// (Windows, if they differ); AnyFamily elsewhere.
	Family Family

	// InUse is the number of ports of the range, without reserved ones, to which a TCP
	// socket is bound, by connect() or by bind(). For a reader that can't read the bind
	// hash it is a lower bound.
	InUse int
	// Skipped is the number of InUse ports that connect() skips for every destination,
	// because a socket was bound to them explicitly (a listener, bind(0),
	// bind-before-connect, and their TIME_WAIT). It is a lower bound as well.
	Skipped int
	// SkippedListening is the number of Skipped ports that have a listener.
	SkippedListening int
	// BindUnknown reports that the reader can't distinguish ports taken by bind() from
	// those taken by connect() (the tables of Windows, or a dump of them). Any of InUse
	// may then be unavailable for every destination; Skipped are those that certainly
	// are.
	BindUnknown bool

	// States counts all TCP sockets of the namespace, whatever their port.
	States tcpstate.Counts
	// Destinations is absent if the reader found that no pool of this namespace can be near
	// exhaustion (see Detailed).
	Destinations []Destination
	// Detailed reports whether Destinations and States were read.
	Detailed bool
	// DetailAge is the age of Destinations and States if they are from an earlier sample,
	// because no pool can be near exhaustion; 0 if they were read with this one.
	DetailAge time.Duration
	// Uncounted is the maximum number of sockets that the count of a destination lacks, or
	// that a destination not in Destinations has; 0 if all are counted. A network with very
	// many destinations is counted in this way.
	Uncounted int
	// UDPInUse is the number of ports of UDP's range, without reserved ones, to which a
	// UDP socket is bound.
	UDPInUse int
	// UDPSockets is the number of bound UDP sockets, whatever their port.
	UDPSockets int

	// ListenPorts are the first 8 listening ports of the range, without reserved ones, in
	// ascending order; nil if not known.
	ListenPorts []uint16
	// Counters is nil if the reader can't read them.
	Counters *Counters
	// SNAT are the pools of source addresses to which the namespace translates, nil if
	// they were not read.
	SNAT []SNATPool
	// Evidence has the limits of its connections other than ports, as far as they were read.
	Evidence Evidence
}

// SNATPorts is the number of ports to which connections are translated, 1024 to 65535, unless
// a rule narrows that (net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple).
const SNATPorts = 1<<16 - 1024

// SNATPool has the ports of a source address to which connections to one destination are
// translated.
type SNATPool struct {
	// Destination has the translated address as its Source. Its States are those of
	// connection tracking, none for UDP; Reusable is the number of InUse ports of
	// closed connections that the next connection would take over.
	Destination
	Protocol Protocol
	// InUse is the number of ports in use. Capacity is the total number, as far as known: the
	// rule that translates may allow fewer.
	InUse, Capacity int
}

// RemainingPorts returns the number of ports to which another connection can be translated.
func (p *SNATPool) RemainingPorts() int { return max(0, p.Capacity-p.InUse+int(p.Reusable)) }

// Counters are the kernel's counters of one namespace since its creation. They only increase.
type Counters struct {
	// TimeWaitOverflow counts sockets that skipped TIME_WAIT because MaxTimeWait was reached
	// (TCPTimeWaitOverflow of /proc/net/netstat).
	TimeWaitOverflow uint64
	// ListenOverflows counts connections that a full accept queue refused.
	ListenOverflows uint64
	// Conntrack is nil where connection tracking is not in use.
	Conntrack *ConntrackCounters
}

// ConntrackCounters are the sums of /proc/net/stat/nf_conntrack over all CPUs.
type ConntrackCounters struct{ InsertFailed, Drop, EarlyDrop uint64 }

// OwnerKind is the kind of owner of a network namespace.
type OwnerKind string

// The kinds of owner, the most specific first.
const (
	OwnerHost      OwnerKind = "Host"      // the host network
	OwnerPod       OwnerKind = "Pod"       // a Kubernetes pod
	OwnerContainer OwnerKind = "Container" // a container without a pod
	OwnerProcess   OwnerKind = "Process"   // some other process
	OwnerNone      OwnerKind = "None"      // no process is in it
	OwnerUnknown   OwnerKind = "Unknown"   // the reader cannot know (a dump)
)

// Owner is the workload to which a network namespace belongs.
type Owner struct {
	Kind OwnerKind
	// PodUID is the pod's UID with dashes; for static pods the kubelet's 32 hex digits.
	PodUID string
	// Namespace and Pod are the pod's name in Kubernetes. Readers leave them
	// empty: the kernel doesn't know them.
	Namespace, Pod string
	// Container is a container ID, full length (64 hex digits).
	Container string
	// Process and PID are the process from which the owner was derived. PID is 0 if it is not
	// visible in the agent's PID namespace.
	Process string
	PID     int
	// Sandbox is a runtime that keeps the workload's sockets outside the host kernel
	// ("gVisor", "Kata"), where they can't be measured.
	Sandbox string
}

// Exactness is the relation of a reader's values to the truth.
type Exactness string

// The values of Exactness.
const (
	// Exact means that the headroom is the number of ports that connect() and bind() return.
	Exact Exactness = "Exact"
	// UpperBound means that there may be less headroom than reported, never more.
	UpperBound Exactness = "UpperBound"
	// Approximate means that a pass was not consistent; a few sockets may be counted twice or
	// not at all.
	Approximate Exactness = "Approximate"
	// Assumed means that the values follow the documentation of the operating system and were
	// not verified.
	Assumed Exactness = "Assumed"
)

// Reader describes the reader of a sample and its exactness.
type Reader struct {
	Name      string
	Exactness Exactness
	Message   string
	// Fallback reports that a better reader was configured and could not be opened.
	Fallback bool
}

// Unobserved is an item that could not be read, and the reason. It is never reported as 0.
type Unobserved struct{ Item, Reason string }

// Failure counts calls that failed because no port was free.
type Failure struct {
	// Inode and Cookie identify the network, which may be gone. Inode is 0 for calls of
	// networks that are not known.
	Inode, Cookie uint64
	// Source, Destination and Port are the zero values for calls without a destination, and
	// for those of several destinations that are not counted separately.
	Source      netip.Addr
	Destination netip.Addr
	Port        uint16
	// Reason is the name of the error or of the Windows event (api/v1alpha1); empty for
	// EADDRNOTAVAIL.
	Reason string
	// Count never decreases while the Failure is in each sample. It begins again from 0
	// after the reader omitted the Failure because it was old.
	Count  uint64
	LastAt time.Time
}

// Table is a table of limited size that a reader uses.
type Table struct {
	Name           string
	Used, Capacity int
	// Lost is the number of items that this sample could not add.
	Lost uint64
}

// Sample is the result of one pass of a reader.
type Sample struct {
	Taken    time.Time
	Reader   Reader
	Networks []Network
	// Failures is nil if failed connects are not observed (they are then in Unobserved).
	Failures   []Failure
	Unobserved []Unobserved
	// Tables are nil for a reader without tables of limited size.
	Tables []Table
	// TCPMemoryLimits are net.ipv4.tcp_mem in pages: below the first there is no memory
	// pressure, above the third TCP gets no more. nil if the reader can't read them.
	TCPMemoryLimits *[3]uint64
	// Windows is nil on Linux.
	Windows *Windows
	// Capabilities are those of the reader that differ between machines (Windows).
	Capabilities []Capability
	// PoolDetail has details of the tightest pool, nil if they were not requested (see
	// Request) or can't be read (they are then in Unobserved).
	PoolDetail *PoolDetail
	// FileUsage are the processes near their limit of open files, the nearest first, at most
	// MaxEvidence; nil if they were not read.
	FileUsage []FileUsage
	// CPUTime is the CPU time that the sample took.
	CPUTime time.Duration
}

// SilentAfter is the time without data in either direction after which a connection is
// Silent.
const SilentAfter = time.Minute

// PoolDetail has details of one pool that are read from each of its sockets.
type PoolDetail struct {
	// Inode and Cookie identify the pool's network. Source, Destination and Port are
	// the zero values for pools that belong to no destination; the sockets are then
	// those of the network whose port connect() skips.
	Inode, Cookie       uint64
	Protocol            Protocol
	Source, Destination netip.Addr
	Port                uint16

	// Holders are the processes with most of the pool's sockets, sorted, at most 4.
	// ProcessSockets is the number of sockets that belong to a process. The others,
	// TIME_WAIT and orphans, belong to the kernel.
	Holders        []Holder
	ProcessSockets int

	// Established is the number of ESTABLISHED sockets that were inspected. Silent are
	// those that carried no data for SilentAfter or longer, NoKeepAlive those of Silent
	// without SO_KEEPALIVE, Unanswered those (silent or not) whose last data or probe
	// the peer has not acknowledged after a retransmission.
	Established, Silent, NoKeepAlive, Unanswered int
	// LongestSilence is the duration of the longest silence.
	LongestSilence time.Duration
}

// Describes reports whether d has the details of p.
func (d *PoolDetail) Describes(p Pool) bool {
	if d == nil || p.Kind == SNAT || d.Protocol != p.Protocol || d.Inode != p.Network.Inode || d.Cookie != p.Network.Cookie {
		return false
	}
	if p.Destination == nil {
		return !d.Destination.IsValid()
	}
	return d.Source == p.Destination.Source && d.Destination == p.Destination.Address && d.Port == p.Destination.Port
}

// Holder is a process that owns sockets.
type Holder struct {
	Process string // the command's name
	PID     int    // 0 where it is not visible in the agent's PID namespace
	// Container is a container ID, full length, empty if it is in none.
	Container string
	// Sockets is the number of the pool's sockets that it owns.
	Sockets int
	// Path is the path of its image (Windows).
	Path string
	// OpenFiles is the number of its open files, on Windows of its handles; MaxFiles is its
	// RLIMIT_NOFILE (soft), 0 if there is none.
	OpenFiles, MaxFiles int
}

// Request configures the detail of a sample.
type Request struct {
	// DetailPercent omits the destinations of namespaces that use less than this share of the
	// range, since none of their pools can be fuller. 0 reads every namespace in detail.
	DetailPercent int
	// MaxDetailAge is the age from which the omitted details are read, too; 0 means never.
	// Until then, the reader returns those of an earlier sample (Network.DetailAge). sockdiag,
	// which walks all sockets of the machine again for each namespace, never reads them.
	MaxDetailAge time.Duration
	// InspectPercent requests details of the tightest pool if at least this share of it
	// is used. 0 requests none.
	InspectPercent int
}
