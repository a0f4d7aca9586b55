package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeTuningSpec describes the desired settings and the nodes to apply them to.
type NodeTuningSpec struct {
	// nodeSelector selects nodes by label. If omitted, no nodes match; {} matches all
	// nodes.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
	// priority resolves conflicts. If several NodeTunings set different values for the
	// same key on a node, the highest priority wins. If the priorities are equal, none
	// of the values is applied and both NodeTunings report the conflict. Defaults to 0.
	// +optional
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority int32 `json:"priority,omitempty"`
	// mode is Enforce or DryRun. Enforce writes the settings. DryRun only reports the
	// values that would be written and the headroom they would provide. Defaults to
	// Enforce.
	// +optional
	// +kubebuilder:default=Enforce
	Mode Mode `json:"mode,omitempty"`
	// activation is Always or UnderPressure. UnderPressure applies the settings once
	// the node reaches the level Warning and restores the original values after the
	// level has been Normal for coolDownSeconds. Defaults to Always.
	// +optional
	Activation Activation `json:"activation,omitempty"`
	// coolDownSeconds is the time in seconds that the level must be Normal before
	// settings with the activation UnderPressure are restored. Defaults to 600.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	CoolDownSeconds *int32 `json:"coolDownSeconds,omitempty"`
	// linux contains the settings for Linux nodes.
	// +optional
	Linux LinuxSettings `json:"linux,omitzero"`
	// windows contains the settings for Windows nodes.
	// +optional
	Windows WindowsSettings `json:"windows,omitzero"`
	// pods selects pods in whose network namespaces the per-network settings of linux
	// are also applied, both to running and to new pods. If omitted, settings apply to
	// the host only.
	// +optional
	Pods *PodScope `json:"pods,omitempty"`
	// thresholds configures the pool usage at which the levels Warning and Critical
	// begin on the selected nodes.
	// +optional
	Thresholds Thresholds `json:"thresholds,omitzero"`
	// rollout configures how quickly changes are rolled out.
	// +optional
	Rollout Rollout `json:"rollout,omitzero"`
}

// PodScope selects pods on the selected nodes. A selector that is omitted or {} matches
// everything. hostNetwork pods share the network of the node and are not affected.
type PodScope struct {
	// namespaceSelector selects pods by the labels of their Namespace.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// podSelector selects pods by their labels.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
}

// LinuxSettings contains settings for Linux (docs/reference/settings.md). Settings that
// are omitted are left unchanged.
type LinuxSettings struct {
	// ephemeralPorts configures the ephemeral port range
	// (net.ipv4.ip_local_port_range).
	// +optional
	EphemeralPorts *EphemeralPorts `json:"ephemeralPorts,omitempty"`
	// reservedPorts lists ports and port ranges ("8080", "30000-32767") that connect()
	// and bind(0) never choose (net.ipv4.ip_local_reserved_ports). They are added to
	// the ports that are already reserved on the node. An empty list adds none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=11
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^(0|[1-9][0-9]{0,4})(-(0|[1-9][0-9]{0,4}))?$') && self.split('-').all(p, int(p) <= 65535) && int(self.split('-')[0]) <= int(self.split('-')[size(self.split('-')) - 1])",messageExpression="'reservedPorts: \"' + self + '\" is not a port or port range: use a port such as 8080 or a range such as 30000-32767'"
	ReservedPorts []string `json:"reservedPorts,omitzero"`
	// timeWait configures the handling of TIME_WAIT.
	// +optional
	TimeWait LinuxTimeWait `json:"timeWait,omitzero"`
	// finTimeoutSeconds is the time in seconds that an orphaned connection stays in
	// FIN_WAIT2 (net.ipv4.tcp_fin_timeout). It does not change the length of TIME_WAIT,
	// which is fixed at 60 s.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	FinTimeoutSeconds *int32 `json:"finTimeoutSeconds,omitempty"`
	// keepAlive configures TCP keep-alive probes.
	// +optional
	KeepAlive LinuxKeepAlive `json:"keepAlive,omitzero"`
	// synCookies configures SYN cookies (net.ipv4.tcp_syncookies): 0 disables them, 1
	// sends them when the SYN backlog is full, 2 always sends them.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2
	SynCookies *int32 `json:"synCookies,omitempty"`
	// synRetries is the number of times a SYN is retransmitted
	// (net.ipv4.tcp_syn_retries).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=127
	SynRetries *int32 `json:"synRetries,omitempty"`
	// backlog configures the queues of listening sockets.
	// +optional
	Backlog LinuxBacklog `json:"backlog,omitzero"`
	// conntrack configures the connection tracking table.
	// +optional
	Conntrack LinuxConntrack `json:"conntrack,omitzero"`
	// maxOrphans is the maximum number of orphaned TCP sockets on the machine
	// (net.ipv4.tcp_max_orphans).
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=2147483647
	MaxOrphans *int32 `json:"maxOrphans,omitempty"`
	// sysctls sets supported sysctls that have no field of their own, keyed by name,
	// such as net.ipv4.tcp_retries2.
	// +optional
	Sysctls Sysctls `json:"sysctls,omitempty"`
}

// SysctlValue is an integer in decimal notation.
//
// +kubebuilder:validation:MaxLength=10
type SysctlValue string

// EphemeralPorts is an inclusive range of ports.
//
// +kubebuilder:validation:XValidation:rule="self.first <= self.last",messageExpression="'ephemeralPorts: first %d must not be greater than last %d'.format([self.first, self.last])"
// +kubebuilder:validation:XValidation:rule="self.first > self.last || self.last - self.first >= 999",messageExpression="'ephemeralPorts: %d-%d has only %d ports: at least 1,000 are required'.format([self.first, self.last, self.last - self.first + 1])"
// +kubebuilder:validation:XValidation:rule="self.first >= 16384 || self.first < 1024 || (has(self.allowLowPorts) && self.allowLowPorts)",messageExpression="'ephemeralPorts: first %d is below 16384, where services often listen: use 16384 or higher, or set allowLowPorts: true if no service listens in the range'.format([self.first])"
type EphemeralPorts struct {
	// first is the lowest port. It must be at least 16384, or at least 1024 if
	// allowLowPorts is true.
	// +kubebuilder:validation:XValidation:rule="self >= 1024",messageExpression="'ephemeralPorts: first %d is below 1024, and these ports are privileged: use 16384 or higher'.format([self])"
	First int32 `json:"first"`
	// last is the highest port, at most 65535. Its parity should differ from that of
	// first (one even, one odd).
	// +kubebuilder:validation:Maximum=65535
	Last int32 `json:"last"`
	// allowLowPorts permits first to be below 16384. Defaults to false.
	// +optional
	AllowLowPorts bool `json:"allowLowPorts,omitempty"`
}

// LinuxTimeWait configures the handling of TIME_WAIT, which lasts 60 s on Linux.
type LinuxTimeWait struct {
	// reuse selects the TIME_WAIT sockets whose ports connect() may reuse
	// (net.ipv4.tcp_tw_reuse): none (Off), all (All) or those on loopback (Loopback).
	// +optional
	// +kubebuilder:validation:Enum=Off;All;Loopback
	// +kubebuilder:validation:MaxLength=16
	Reuse string `json:"reuse,omitempty"`
	// reuseDelayMilliseconds is the time in milliseconds that a socket must have been
	// in TIME_WAIT before its port can be reused (net.ipv4.tcp_tw_reuse_delay, Linux
	// 6.14 and later).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60000
	ReuseDelayMilliseconds *int32 `json:"reuseDelayMilliseconds,omitempty"`
	// maxBuckets is the maximum number of sockets in TIME_WAIT
	// (net.ipv4.tcp_max_tw_buckets). Lowering it to free ports ends TIME_WAIT early,
	// which is unsafe.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=2147483647
	MaxBuckets *int32 `json:"maxBuckets,omitempty"`
}

// LinuxKeepAlive configures keep-alive probes of sockets with SO_KEEPALIVE.
type LinuxKeepAlive struct {
	// timeSeconds is the idle time in seconds before the first probe
	// (net.ipv4.tcp_keepalive_time).
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=32767
	TimeSeconds *int32 `json:"timeSeconds,omitempty"`
	// intervalSeconds is the time in seconds between probes
	// (net.ipv4.tcp_keepalive_intvl).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32767
	IntervalSeconds *int32 `json:"intervalSeconds,omitempty"`
	// probes is the number of unanswered probes after which the connection is closed
	// (net.ipv4.tcp_keepalive_probes).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=127
	Probes *int32 `json:"probes,omitempty"`
}

// LinuxBacklog configures the queues of listening sockets.
type LinuxBacklog struct {
	// accept is the maximum length of an accept queue (net.core.somaxconn).
	// +optional
	// +kubebuilder:validation:Minimum=128
	// +kubebuilder:validation:Maximum=1048576
	Accept *int32 `json:"accept,omitempty"`
	// syn is the maximum length of a SYN queue (net.ipv4.tcp_max_syn_backlog).
	// +optional
	// +kubebuilder:validation:Minimum=128
	// +kubebuilder:validation:Maximum=1048576
	Syn *int32 `json:"syn,omitempty"`
}

// LinuxConntrack configures the connection tracking table.
type LinuxConntrack struct {
	// max is the maximum number of entries in the host network
	// (net.netfilter.nf_conntrack_max).
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=2147483647
	Max *int32 `json:"max,omitempty"`
	// timeWaitSeconds is the time in seconds after the last packet until an entry in
	// TIME_WAIT expires (net.netfilter.nf_conntrack_tcp_timeout_time_wait).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	TimeWaitSeconds *int32 `json:"timeWaitSeconds,omitempty"`
	// closeWaitSeconds is the time in seconds after the last packet until an entry in
	// CLOSE_WAIT expires (net.netfilter.nf_conntrack_tcp_timeout_close_wait).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	CloseWaitSeconds *int32 `json:"closeWaitSeconds,omitempty"`
	// establishedSeconds is the time in seconds after the last packet until an
	// established entry expires (net.netfilter.nf_conntrack_tcp_timeout_established).
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2147483
	EstablishedSeconds *int32 `json:"establishedSeconds,omitempty"`
}

// WindowsSettings contains settings for Windows (docs/reference/settings.md). Settings
// that are omitted are left unchanged.
type WindowsSettings struct {
	// dynamicPorts configures the dynamic port ranges, from which connect() and bind(0)
	// choose.
	// +optional
	DynamicPorts WindowsDynamicPorts `json:"dynamicPorts,omitzero"`
	// excludedPorts lists ports and port ranges ("30000-32767") that are never chosen. An
	// item applies to TCP and UDP, IPv4 and IPv6, unless it ends in a protocol, an address
	// family or both ("65330/udp", "5000-5100/ipv4", "9000/tcp/ipv6").
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=20
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^(0|[1-9][0-9]{0,4})(-(0|[1-9][0-9]{0,4}))?(/(tcp|udp))?(/(ipv4|ipv6))?$') && self.split('/')[0].split('-').all(p, int(p) <= 65535) && int(self.split('/')[0].split('-')[0]) <= int(self.split('/')[0].split('-')[size(self.split('/')[0].split('-')) - 1])",messageExpression="'excludedPorts: \"' + self + '\" is not a port or port range: use a port such as 8080 or a range such as 30000-32767, optionally followed by /tcp or /udp and by /ipv4 or /ipv6'"
	ExcludedPorts []string `json:"excludedPorts,omitzero"`
	// timedWaitDelaySeconds is the length of TIME_WAIT in seconds (TcpTimedWaitDelay).
	// It takes effect after a restart.
	// +optional
	// +kubebuilder:validation:Minimum=30
	// +kubebuilder:validation:Maximum=300
	TimedWaitDelaySeconds *int32 `json:"timedWaitDelaySeconds,omitempty"`
	// strictTimeWaitSeqCheck is the registry value StrictTimeWaitSeqCheck, which some
	// documents recommend together with TcpTimedWaitDelay.
	// +optional
	StrictTimeWaitSeqCheck *bool `json:"strictTimeWaitSeqCheck,omitempty"`
	// autoReusePorts configures the auto-reuse range (Set-NetTCPSetting). connect()
	// without bind(), and sockets with SO_REUSE_UNICASTPORT, then choose from this range
	// instead of the dynamic range, and share its ports between destinations. It takes
	// effect after a restart.
	// +optional
	AutoReusePorts *AutoReusePorts `json:"autoReusePorts,omitempty"`
	// maxUserPort is the registry value MaxUserPort. Nodes refuse it: Windows 10, Server
	// 2016 and later were measured to interpret it as the last port of a range from
	// 1024. Use dynamicPorts instead.
	// +optional
	// +kubebuilder:validation:Minimum=255
	// +kubebuilder:validation:Maximum=65534
	MaxUserPort *int32 `json:"maxUserPort,omitempty"`
	// keepAlive configures TCP keep-alive probes.
	// +optional
	KeepAlive WindowsKeepAlive `json:"keepAlive,omitzero"`
	// maxDataRetransmissions is the number of times a data segment is retransmitted
	// (TcpMaxDataRetransmissions).
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=255
	MaxDataRetransmissions *int32 `json:"maxDataRetransmissions,omitempty"`
}

// WindowsDynamicPorts configures the dynamic port ranges. They apply to both IPv4 and
// IPv6.
type WindowsDynamicPorts struct {
	// tcp is the range for TCP ("dynamicport tcp" in netsh).
	// +optional
	TCP *PortBlock `json:"tcp,omitempty"`
	// udp is the range for UDP ("dynamicport udp" in netsh).
	// +optional
	UDP *PortBlock `json:"udp,omitempty"`
}

// PortBlock is a block of consecutive ports.
//
// +kubebuilder:validation:XValidation:rule="self.start + self.count <= 65536",messageExpression="'dynamicPorts: %d ports from %d end at %d, which is above 65535: decrease start or count'.format([self.count, self.start, self.start + self.count - 1])"
// +kubebuilder:validation:XValidation:rule="self.start > 1024 || (has(self.allowLowPorts) && self.allowLowPorts)",messageExpression="'dynamicPorts: start %d is below 1025, the lowest that Microsoft documents: use 1025 or higher, or set allowLowPorts: true'.format([self.start])"
type PortBlock struct {
	// start is the first port, at least 1025, or 1024 if allowLowPorts is true.
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=65535
	Start int32 `json:"start"`
	// count is the number of ports.
	// +kubebuilder:validation:Minimum=255
	// +kubebuilder:validation:Maximum=64512
	Count int32 `json:"count"`
	// allowLowPorts permits start to be 1024, which nodes exist with, but which
	// Microsoft does not document. Defaults to false.
	// +optional
	AllowLowPorts bool `json:"allowLowPorts,omitempty"`
}

// AutoReusePorts is a block of consecutive ports.
//
// +kubebuilder:validation:XValidation:rule="self.start + self.count <= 65536",messageExpression="'autoReusePorts: %d ports from %d end at %d, which is above 65535: decrease start or count'.format([self.count, self.start, self.start + self.count - 1])"
type AutoReusePorts struct {
	// start is the first port (AutoReusePortRangeStartPort).
	// +kubebuilder:validation:Minimum=1025
	// +kubebuilder:validation:Maximum=65535
	Start int32 `json:"start"`
	// count is the number of ports (AutoReusePortRangeNumberOfPorts).
	// +kubebuilder:validation:Minimum=255
	// +kubebuilder:validation:Maximum=64511
	Count int32 `json:"count"`
}

// WindowsKeepAlive configures keep-alive probes of sockets with SO_KEEPALIVE.
type WindowsKeepAlive struct {
	// timeMilliseconds is the idle time in milliseconds before the first probe
	// (KeepAliveTime).
	// +optional
	// +kubebuilder:validation:Minimum=1000
	// +kubebuilder:validation:Maximum=4294967295
	TimeMilliseconds *int64 `json:"timeMilliseconds,omitempty"`
	// intervalMilliseconds is the time in milliseconds between probes
	// (KeepAliveInterval).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	IntervalMilliseconds *int64 `json:"intervalMilliseconds,omitempty"`
}
