package v1alpha1

// Pool is a supply of ports that runs out as one: the ports of one network that
// connect() can still use towards one destination, that bind() to port 0 can give,
// or that the kernel can translate source addresses to (SNAT, masquerade).
type Pool struct {
	// summary is the pool in one line for people, such as
	// "shop/api-7f → 10.0.0.9:5432". The pools of status.networks leave it out.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Summary string `json:"summary,omitempty"`
	// network is the pool's network by its name in status.networks. Inside
	// status.networks it is absent: the pool belongs to the entry that it is in.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	Network string `json:"network,omitempty"`
	// protocol is TCP or UDP.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Protocol Protocol `json:"protocol,omitempty"`
	// family is IPv4 or IPv6; IPv4-mapped IPv6 addresses are IPv4, whose pool they
	// draw from. Absent where the pool serves both.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Family Family `json:"family,omitempty"`
	// kind says which call takes ports from the pool.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Kind PoolKind `json:"kind,omitempty"`
	// source is the local address, absent for pools that any address draws from; for
	// SNAT, the one that is translated to.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Source string `json:"source,omitempty"`
	// destination is the peer's address, absent for pools without a destination.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Destination string `json:"destination,omitempty"`
	// port is the destination's port, absent with it.
	// +optional
	Port int32 `json:"port,omitempty"`
	// used is how many ports of capacity the next call cannot get: held by sockets
	// of this pool that cannot be reused, or skipped because something is bound to
	// them. It can pass capacity by one.
	Used int32 `json:"used"`
	// capacity is how many ports the pool has when nothing uses it: the ephemeral
	// range without reserved ports, and without the one that the search misses in
	// a range of odd length. For SNAT it is assumed to be 1024-65535: rules that
	// narrow it can't be seen.
	Capacity int32 `json:"capacity"`
	// usedMax is the most that used can be, where it is only known to lie between
	// the two (Windows, whose tables don't say how a port was taken).
	// +optional
	UsedMax *int32 `json:"usedMax,omitempty"`
	// reusable is how many sockets in TIME_WAIT the next call would take over;
	// they are not in used. Absent where this cannot be told.
	// +optional
	Reusable *int32 `json:"reusable,omitempty"`
	// states are the sockets of the pool by state, reusable ones included; for SNAT,
	// the connections by the state that connection tracking knows. Absent for pools
	// without a destination, and for UDP.
	// +optional
	States *States `json:"states,omitempty"`
	// holder is who holds most of the pool's ports, as far as can be seen.
	// +optional
	Holder *Holder `json:"holder,omitempty"`
}

// Protocol is the transport protocol of a pool.
type Protocol string

// The values of Protocol.
const (
	ProtocolTCP Protocol = "TCP"
	ProtocolUDP Protocol = "UDP"
)

// Family is the address family of a pool.
type Family string

// The values of Family.
const (
	FamilyIPv4 Family = "IPv4"
	FamilyIPv6 Family = "IPv6"
)

// PoolKind says which call takes ports from a pool.
type PoolKind string

// The values of PoolKind.
const (
	PoolConnect PoolKind = "Connect" // connect() without a bind() before it
	PoolBind    PoolKind = "Bind"    // bind() to port 0
	PoolSNAT    PoolKind = "SNAT"    // none: connections are translated to them
)

// Holder is who holds ports.
type Holder struct {
	// namespace and pod name a Kubernetes pod.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// container is the container's name, or its ID where the name is not known.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Container string `json:"container,omitempty"`
	// process is the command's name, at most 15 bytes on Linux
	// (TASK_COMM_LEN, include/linux/sched.h).
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Process string `json:"process,omitempty"`
	// path is the process's image (Windows), in status.tightest only.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Path string `json:"path,omitempty"`
	// pid is the process in the agent's PID namespace, absent where it has none.
	// +optional
	PID int64 `json:"pid,omitempty"`
}

// States counts TCP sockets by state (RFC 9293, section 3.3.2). Every state is
// always there, zero included.
type States struct {
	Established int64 `json:"established"`
	SynSent     int64 `json:"synSent"`
	// synRecv includes requests that have no full socket yet (Linux's
	// TCP_NEW_SYN_RECV).
	SynRecv  int64 `json:"synRecv"`
	FinWait1 int64 `json:"finWait1"`
	FinWait2 int64 `json:"finWait2"`
	TimeWait int64 `json:"timeWait"`
	// close is sockets that left the other states and are not gone yet (CLOSED).
	Close     int64 `json:"close"`
	CloseWait int64 `json:"closeWait"`
	LastAck   int64 `json:"lastAck"`
	Listen    int64 `json:"listen"`
	Closing   int64 `json:"closing"`
	// bound is sockets that hold a port by bind() and neither listen nor are
	// connected (TCP_BOUND_INACTIVE, Linux 6.8 and later).
	Bound int64 `json:"bound"`
}
