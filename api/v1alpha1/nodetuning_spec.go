package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeTuningSpec is what a NodeTuning asks for.
type NodeTuningSpec struct {
	// nodeSelector says which nodes, by their labels. Absent means none, {} every
	// node.
	// +optional
	NodeSelector *metav1.LabelSelector `json:"nodeSelector,omitempty"`
	// priority decides where two NodeTunings ask for different values of one key on
	// one node: the higher one wins. Of equal ones nobody does, and both say so.
	// +optional
	// +kubebuilder:validation:Minimum=-1000000
	// +kubebuilder:validation:Maximum=1000000
	Priority int32 `json:"priority,omitempty"`
	// mode Enforce, the default, writes; DryRun only says what would be written, and
	// the headroom that it would give.
	// +optional
	// +kubebuilder:default=Enforce
	Mode Mode `json:"mode,omitempty"`
	// activation Always is the default. UnderPressure holds the settings from the
	// level Warning on, until the level has been Normal for coolDownSeconds.
	// +optional
	Activation Activation `json:"activation,omitempty"`
	// coolDownSeconds belongs to the activation UnderPressure; absent means 600.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=86400
	CoolDownSeconds *int32 `json:"coolDownSeconds,omitempty"`
	// linux are the settings of Linux nodes.
	// +optional
	Linux LinuxSettings `json:"linux,omitzero"`
	// windows are the settings of Windows nodes.
	// +optional
	Windows WindowsSettings `json:"windows,omitzero"`
	// pods are where the per-network settings of linux are held as well: inside the
	// pods that it selects, running ones and new ones. Absent means on the host only.
	// +optional
	Pods *PodScope `json:"pods,omitempty"`
	// thresholds are the percentages at which levels begin on these nodes.
	// +optional
	Thresholds Thresholds `json:"thresholds,omitzero"`
	// rollout says how fast.
	// +optional
	Rollout Rollout `json:"rollout,omitzero"`
}

// PodScope selects pods of the nodes. Absent selectors, and {}, select all.
// hostNetwork pods have no network of their own: theirs is the node's.
type PodScope struct {
	// namespaceSelector is matched against the labels of the pod's Namespace.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// podSelector is matched against the labels of the pod.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
}

// LinuxSettings are settings of Linux (docs/reference/settings.md). What is absent is
// left alone.
type LinuxSettings struct {
	// ephemeralPorts is net.ipv4.ip_local_port_range.
	// +optional
	EphemeralPorts *EphemeralPorts `json:"ephemeralPorts,omitempty"`
	// reservedPorts are ports and ranges ("8080", "30000-32767") that connect() and
	// bind(0) never choose (net.ipv4.ip_local_reserved_ports). They are added to
	// those that stand there. An empty list adds none.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=11
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^(0|[1-9][0-9]{0,4})(-(0|[1-9][0-9]{0,4}))?$') && self.split('-').all(p, int(p) <= 65535) && int(self.split('-')[0]) <= int(self.split('-')[size(self.split('-')) - 1])",messageExpression="'reservedPorts: \"' + self + '\" is no port and no range of ports: write 8080, or 30000-32767 with the lower port first'"
	ReservedPorts []string `json:"reservedPorts,omitzero"`
	// timeWait is what can be done about TIME_WAIT.
	// +optional
	TimeWait LinuxTimeWait `json:"timeWait,omitzero"`
	// finTimeoutSeconds is net.ipv4.tcp_fin_timeout: how long an orphan waits in
	// FIN_WAIT2. It is not the length of TIME_WAIT, which is fixed at 60 s.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=600
	FinTimeoutSeconds *int32 `json:"finTimeoutSeconds,omitempty"`
	// keepAlive is when a silent peer is probed.
	// +optional
	KeepAlive LinuxKeepAlive `json:"keepAlive,omitzero"`
	// synCookies is net.ipv4.tcp_syncookies: 0 never, 1 when the backlog is full, 2
	// always.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=2
	SynCookies *int32 `json:"synCookies,omitempty"`
	// synRetries is net.ipv4.tcp_syn_retries: how often a SYN is sent again.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=127
	SynRetries *int32 `json:"synRetries,omitempty"`
	// backlog is the queues of listeners.
	// +optional
	Backlog LinuxBacklog `json:"backlog,omitzero"`
	// conntrack is the connection tracking table.
	// +optional
	Conntrack LinuxConntrack `json:"conntrack,omitzero"`
	// maxOrphans is net.ipv4.tcp_max_orphans, of the whole machine.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=2147483647
	MaxOrphans *int32 `json:"maxOrphans,omitempty"`
	// sysctls are settings of the catalogue that have no field above, by name, such
	// as net.ipv4.tcp_retries2.
	// +optional
	Sysctls Sysctls `json:"sysctls,omitempty"`
}

// SysctlValue is a whole number as text.
//
// +kubebuilder:validation:MaxLength=10
type SysctlValue string

// EphemeralPorts is a range of ports, both ends included.
//
// +kubebuilder:validation:XValidation:rule="self.first <= self.last",messageExpression="'ephemeralPorts: first %d is above last %d: swap them'.format([self.first, self.last])"
// +kubebuilder:validation:XValidation:rule="self.first > self.last || self.last - self.first >= 999",messageExpression="'ephemeralPorts: %d-%d has only %d ports: 1,000 is the least'.format([self.first, self.last, self.last - self.first + 1])"
// +kubebuilder:validation:XValidation:rule="self.first >= 16384 || self.first < 1024 || (has(self.allowLowPorts) && self.allowLowPorts)",messageExpression="'ephemeralPorts: first %d is below 16384, where services listen: start at 16384 or above, or set allowLowPorts: true when you know what listens there'.format([self.first])"
type EphemeralPorts struct {
	// first is 16384 or above, or with allowLowPorts 1024 or above.
	// +kubebuilder:validation:XValidation:rule="self >= 1024",messageExpression="'ephemeralPorts: first %d is below 1024, where ports are privileged: use 16384 or above'.format([self])"
	First int32 `json:"first"`
	// last is 65535 or below, and of another parity than first.
	// +kubebuilder:validation:Maximum=65535
	Last int32 `json:"last"`
	// allowLowPorts lets first be below 16384.
	// +optional
	AllowLowPorts bool `json:"allowLowPorts,omitempty"`
}

// LinuxTimeWait is what can be done about TIME_WAIT, which lasts 60 s on Linux.
type LinuxTimeWait struct {
	// reuse is net.ipv4.tcp_tw_reuse: whose TIME_WAIT connect() may take over.
	// +optional
	// +kubebuilder:validation:Enum=Off;All;Loopback
	// +kubebuilder:validation:MaxLength=16
	Reuse string `json:"reuse,omitempty"`
	// reuseDelayMilliseconds is net.ipv4.tcp_tw_reuse_delay (Linux 6.14 and later).
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=60000
	ReuseDelayMilliseconds *int32 `json:"reuseDelayMilliseconds,omitempty"`
	// maxBuckets is net.ipv4.tcp_max_tw_buckets. Lowering it to get ports back
	// destroys TIME_WAIT early, which is unsafe.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=2147483647
	MaxBuckets *int32 `json:"maxBuckets,omitempty"`
}

// LinuxKeepAlive is when a silent peer is probed, for sockets with SO_KEEPALIVE.
type LinuxKeepAlive struct {
	// timeSeconds is net.ipv4.tcp_keepalive_time.
	// +optional
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=32767
	TimeSeconds *int32 `json:"timeSeconds,omitempty"`
	// intervalSeconds is net.ipv4.tcp_keepalive_intvl.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=32767
	IntervalSeconds *int32 `json:"intervalSeconds,omitempty"`
	// probes is net.ipv4.tcp_keepalive_probes.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=127
	Probes *int32 `json:"probes,omitempty"`
}

// LinuxBacklog is the queues of listeners.
type LinuxBacklog struct {
	// accept is net.core.somaxconn.
	// +optional
	// +kubebuilder:validation:Minimum=128
	// +kubebuilder:validation:Maximum=1048576
	Accept *int32 `json:"accept,omitempty"`
	// syn is net.ipv4.tcp_max_syn_backlog.
	// +optional
	// +kubebuilder:validation:Minimum=128
	// +kubebuilder:validation:Maximum=1048576
	Syn *int32 `json:"syn,omitempty"`
}

// LinuxConntrack is the connection tracking table.
type LinuxConntrack struct {
	// max is net.netfilter.nf_conntrack_max, of the node's own network.
	// +optional
	// +kubebuilder:validation:Minimum=1024
	// +kubebuilder:validation:Maximum=2147483647
	Max *int32 `json:"max,omitempty"`
	// timeWaitSeconds is net.netfilter.nf_conntrack_tcp_timeout_time_wait: how long an
	// entry in that state outlives its last packet.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	TimeWaitSeconds *int32 `json:"timeWaitSeconds,omitempty"`
	// closeWaitSeconds is net.netfilter.nf_conntrack_tcp_timeout_close_wait.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=86400
	CloseWaitSeconds *int32 `json:"closeWaitSeconds,omitempty"`
	// establishedSeconds is net.netfilter.nf_conntrack_tcp_timeout_established.
	// +optional
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=2147483
	EstablishedSeconds *int32 `json:"establishedSeconds,omitempty"`
}

// WindowsSettings are settings of Windows (docs/reference/settings.md). What is absent
// is left alone.
type WindowsSettings struct {
	// dynamicPorts are the ports that connect() and bind(0) choose from.
	// +optional
	DynamicPorts WindowsDynamicPorts `json:"dynamicPorts,omitzero"`
	// excludedPorts are ports and ranges ("30000-32767") that are never chosen.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=11
	// +kubebuilder:validation:items:XValidation:rule="self.matches('^(0|[1-9][0-9]{0,4})(-(0|[1-9][0-9]{0,4}))?$') && self.split('-').all(p, int(p) <= 65535) && int(self.split('-')[0]) <= int(self.split('-')[size(self.split('-')) - 1])",messageExpression="'excludedPorts: \"' + self + '\" is no port and no range of ports: write 8080, or 30000-32767 with the lower port first'"
	ExcludedPorts []string `json:"excludedPorts,omitzero"`
	// timedWaitDelaySeconds is TcpTimedWaitDelay: the length of TIME_WAIT. Works
	// after a restart.
	// +optional
	// +kubebuilder:validation:Minimum=30
	// +kubebuilder:validation:Maximum=300
	TimedWaitDelaySeconds *int32 `json:"timedWaitDelaySeconds,omitempty"`
	// strictTimeWaitSeqCheck is StrictTimeWaitSeqCheck, which some notes ask for
	// beside TcpTimedWaitDelay.
	// +optional
	StrictTimeWaitSeqCheck *bool `json:"strictTimeWaitSeqCheck,omitempty"`
	// maxUserPort is MaxUserPort: legacy, use dynamicPorts. Nodes take 255 to 16384, as
	// Windows since Vista does; more is for what Windows 2003 made of it.
	// +optional
	// +kubebuilder:validation:Minimum=255
	// +kubebuilder:validation:Maximum=65534
	MaxUserPort *int32 `json:"maxUserPort,omitempty"`
	// keepAlive is when a silent peer is probed.
	// +optional
	KeepAlive WindowsKeepAlive `json:"keepAlive,omitzero"`
	// maxDataRetransmissions is TcpMaxDataRetransmissions.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=255
	MaxDataRetransmissions *int32 `json:"maxDataRetransmissions,omitempty"`
}

// WindowsDynamicPorts are the dynamic port ranges, of IPv4 and IPv6 alike.
type WindowsDynamicPorts struct {
	// tcp is "dynamicport tcp" of netsh.
	// +optional
	TCP *PortBlock `json:"tcp,omitempty"`
	// udp is "dynamicport udp" of netsh.
	// +optional
	UDP *PortBlock `json:"udp,omitempty"`
}

// PortBlock is a block of ports.
//
// +kubebuilder:validation:XValidation:rule="self.start + self.count <= 65536",messageExpression="'dynamicPorts: %d ports from %d end at %d, past 65535: lower start or count'.format([self.count, self.start, self.start + self.count - 1])"
type PortBlock struct {
	// start is the first port.
	// +kubebuilder:validation:Minimum=1025
	// +kubebuilder:validation:Maximum=65535
	Start int32 `json:"start"`
	// count is how many ports.
	// +kubebuilder:validation:Minimum=255
	// +kubebuilder:validation:Maximum=64511
	Count int32 `json:"count"`
}

// WindowsKeepAlive is when a silent peer is probed, for sockets with SO_KEEPALIVE.
type WindowsKeepAlive struct {
	// timeMilliseconds is KeepAliveTime.
	// +optional
	// +kubebuilder:validation:Minimum=1000
	// +kubebuilder:validation:Maximum=4294967295
	TimeMilliseconds *int64 `json:"timeMilliseconds,omitempty"`
	// intervalMilliseconds is KeepAliveInterval.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=4294967295
	IntervalMilliseconds *int64 `json:"intervalMilliseconds,omitempty"`
}
