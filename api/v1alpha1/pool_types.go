package v1alpha1

// Pool is a set of ports that is exhausted as a whole: the ports of one network that
// connect() can use for one destination, that bind() to port 0 can assign, or that the
// kernel can use for source address translation (SNAT, masquerade).
type Pool struct {
	// summary is a one-line description, such as "shop/api-7f → 10.0.0.9:5432". Omitted
	// in status.networks.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Summary string `json:"summary,omitempty"`
	// network is the name of the pool's network in status.networks. Omitted inside
	// status.networks, where the pool belongs to the enclosing entry.
	// +optional
	// +kubebuilder:validation:MaxLength=320
	Network string `json:"network,omitempty"`
	// protocol is TCP or UDP.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Protocol Protocol `json:"protocol,omitempty"`
	// family is IPv4 or IPv6. IPv4-mapped IPv6 addresses count as IPv4 because they use
	// its pool. Omitted if the pool serves both.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Family Family `json:"family,omitempty"`
	// kind is the call that takes ports from the pool: Connect, Bind or SNAT.
	// +optional
	// +kubebuilder:validation:MaxLength=16
	Kind PoolKind `json:"kind,omitempty"`
	// source is the local address or, for SNAT, the translated source address. Omitted
	// for pools that all local addresses share.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Source string `json:"source,omitempty"`
	// destination is the address of the peer. Omitted for pools without a destination.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Destination string `json:"destination,omitempty"`
	// port is the port of the destination. Omitted for pools without a destination.
	// +optional
	Port int32 `json:"port,omitempty"`
	// used is the number of ports within capacity that the next call cannot get,
	// because sockets of this pool use them and cannot be reused, or because another
	// socket is bound to them. It can exceed capacity by one.
	Used int32 `json:"used"`
	// capacity is the number of ports in an unused pool: the ephemeral range excluding
	// reserved ports and the port that the kernel's search skips in a range of odd
	// length. For SNAT, 1024-65535 is assumed, because rules that narrow the range
	// cannot be read.
	Capacity int32 `json:"capacity"`
	// usedMax is the upper bound of used if only bounds are known (Windows, whose
	// tables do not show how a port was allocated).
	// +optional
	UsedMax *int32 `json:"usedMax,omitempty"`
	// reusable is the number of sockets in TIME_WAIT that the next call can reuse. They
	// are not included in used. Omitted if unknown.
	// +optional
	Reusable *int32 `json:"reusable,omitempty"`
	// states counts the sockets of the pool by state, including reusable ones; for
	// SNAT, connections by their connection tracking state. Omitted for pools without a
	// destination and for UDP.
	// +optional
	States *States `json:"states,omitempty"`
	// holder identifies the pod or process that uses most of the pool's ports, if
	// known.
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

// PoolKind is the call that takes ports from a pool.
type PoolKind string

// The values of PoolKind.
const (
	PoolConnect PoolKind = "Connect" // connect() without a preceding bind()
	PoolBind    PoolKind = "Bind"    // bind() to port 0
	PoolSNAT    PoolKind = "SNAT"    // source address translation
)

// Holder identifies a pod or process that uses ports.
type Holder struct {
	// namespace is the namespace of the pod.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// pod is the name of the pod.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// container is the name of the container, or its ID if the name is unknown.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Container string `json:"container,omitempty"`
	// process is the command name, at most 15 bytes on Linux (TASK_COMM_LEN,
	// include/linux/sched.h).
	// +optional
	// +kubebuilder:validation:MaxLength=255
	Process string `json:"process,omitempty"`
	// path is the executable of the process (Windows). It is only set in
	// status.tightest.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Path string `json:"path,omitempty"`
	// pid is the process ID in the PID namespace of the agent. Omitted if the process
	// is not visible there.
	// +optional
	PID int64 `json:"pid,omitempty"`
}

// States counts TCP sockets by state (RFC 9293, section 3.3.2). All states are always
// present, including zeros.
type States struct {
	Established int64 `json:"established"`
	SynSent     int64 `json:"synSent"`
	// synRecv includes requests that have no full socket yet (TCP_NEW_SYN_RECV on
	// Linux).
	SynRecv  int64 `json:"synRecv"`
	FinWait1 int64 `json:"finWait1"`
	FinWait2 int64 `json:"finWait2"`
	TimeWait int64 `json:"timeWait"`
	// close counts sockets that have left the other states but still exist (CLOSED).
	Close     int64 `json:"close"`
	CloseWait int64 `json:"closeWait"`
	LastAck   int64 `json:"lastAck"`
	Listen    int64 `json:"listen"`
	Closing   int64 `json:"closing"`
	// bound counts sockets that are bound to a port but neither listening nor connected
	// (TCP_BOUND_INACTIVE, Linux 6.8 and later).
	Bound int64 `json:"bound"`
}
