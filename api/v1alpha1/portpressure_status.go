package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PortPressureStatus reports the port usage of one node and the state of its settings.
//
// +structType=atomic
type PortPressureStatus struct {
	// observedGeneration is the metadata.generation that settings and conditions refer
	// to.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// observedAt is the time at which the values were read.
	// +optional
	ObservedAt *metav1.Time `json:"observedAt,omitempty"`
	// agentVersion is the version of the agent that wrote this status.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	AgentVersion string `json:"agentVersion,omitempty"`
	// platform describes the operating system of the node.
	// +optional
	Platform Platform `json:"platform,omitzero"`
	// reader describes how the sockets were read.
	// +optional
	Reader Reader `json:"reader,omitzero"`
	// capabilities lists features and whether they work on this node.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Capabilities []Capability `json:"capabilities,omitempty"`

	// level is Normal, Warning or Critical, determined by the tightest pool. Omitted if
	// nothing could be measured.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Level Level `json:"level,omitempty"`
	// usedPercent is the usage of the tightest pool in percent, 0 to 100, rounded down.
	// 100 means that no port is free.
	// +optional
	UsedPercent *int32 `json:"usedPercent,omitempty"`
	// cause explains why the tightest pool is above the warning threshold, or at the
	// level Normal what limits connections other than ports. Omitted if nothing does.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Cause Cause `json:"cause,omitempty"`
	// advice recommends how to fix the cause, in one or two sentences.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Advice string `json:"advice,omitempty"`
	// exhaustionSeconds is the predicted time in seconds until the tightest pool is
	// exhausted at the current rate, or 0 if no port is free. Omitted unless it is at
	// most 30 minutes.
	// +optional
	ExhaustionSeconds *int64 `json:"exhaustionSeconds,omitempty"`
	// tightest is the pool with the highest usage.
	// +optional
	Tightest *Pool `json:"tightest,omitempty"`
	// states counts the TCP sockets of all networks on the node by state.
	// +optional
	States *States `json:"states,omitempty"`
	// udp is the usage of ephemeral UDP ports in the network with the smallest share of
	// free ports.
	// +optional
	UDP *UDP `json:"udp,omitempty"`
	// networks lists networks above the warning threshold, worst first. The agent
	// writes at most three, each with its two worst pools; its report and metrics
	// contain the others.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Networks []Network `json:"networks,omitempty"`
	// networkCount is the number of networks that were read.
	// +optional
	NetworkCount *int32 `json:"networkCount,omitempty"`
	// unobserved lists items that could not be read, and the reasons.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Unobserved []Unobserved `json:"unobserved,omitempty"`
	// conntrack describes the connection tracking table of the node (Linux). Omitted if
	// the table is not in use or could not be read.
	// +optional
	Conntrack *Conntrack `json:"conntrack,omitempty"`
	// windows describes a Windows node beyond its ports. Omitted on Linux.
	// +optional
	Windows *Windows `json:"windows,omitempty"`
	// failures counts calls that failed because no port was free, most frequent first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Failures []Failure `json:"failures,omitempty"`
	// lastPressure describes the most recent period in which the level was not Normal.
	// +optional
	LastPressure *Pressure `json:"lastPressure,omitempty"`

	// settings reports the state of each setting in the spec, and of settings that were
	// removed from it but are not restored yet.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Settings []SettingStatus `json:"settings,omitempty"`
	// omittedSettings counts settings that do not fit into the list. Each of them is
	// Applied.
	// +optional
	OmittedSettings *OmittedSettings `json:"omittedSettings,omitempty"`
	// conditions contains PortsAvailable, ConntrackAvailable, LeakSuspected, Tuned and
	// RestartRequired, PortRangeCollision once a collision was found, and
	// SettingsOrphaned while it is True.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Platform describes the operating system of the node.
type Platform struct {
	// os is "linux" or "windows".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	OS string `json:"os,omitempty"`
	// architecture is the CPU architecture as named by Go (GOARCH), such as "amd64".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Architecture string `json:"architecture,omitempty"`
	// kernel is the Linux release reported by uname(2), such as "6.12.117".
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Kernel string `json:"kernel,omitempty"`
	// bootID identifies the boot of a Linux node (/proc/sys/kernel/random/boot_id): a
	// restart resets all sysctls.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	BootID string `json:"bootID,omitempty"`
	// build is the Windows version and build number, such as "10.0.20348.2340".
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Build string `json:"build,omitempty"`
}

// Reader describes how the sockets were read.
type Reader struct {
	// name is portwalk, sockdiag or iphlpapi, or dump if analyze read a file.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name,omitempty"`
	// exactness describes the accuracy of the values.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Exactness Exactness `json:"exactness,omitempty"`
	// message explains why the values are not exact or why this reader was chosen.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// Capability is a feature that may or may not work on this node.
type Capability struct {
	// name identifies the feature.
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`
	// state is Verified, Assumed or Unsupported.
	// +kubebuilder:validation:MaxLength=32
	State CapabilityState `json:"state"`
	// message explains the state.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// UDP is the usage of ephemeral UDP ports in one network. A UDP port is used or free,
// regardless of destinations.
type UDP struct {
	// used is the number of ports within capacity to which a UDP socket is bound.
	Used int32 `json:"used"`
	// capacity is the number of ports in the ephemeral range, excluding reserved ports.
	Capacity int32 `json:"capacity"`
}

// Network is a network with its own ports: a network namespace on Linux, a compartment
// or the node on Windows.
type Network struct {
	// network is a human-readable name, such as "Host" or "shop/api-7f".
	// +kubebuilder:validation:MaxLength=320
	Network string `json:"network"`
	// namespace is the namespace of the pod that the network belongs to.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// pod is the name of the pod that the network belongs to.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// uid is the UID of the pod that the network belongs to.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	UID string `json:"uid,omitempty"`
	// range is the ephemeral port range (net.ipv4.ip_local_port_range, dynamicport).
	Range PortRange `json:"range"`
	// reservedPorts is the number of ports in range that are never chosen
	// (net.ipv4.ip_local_reserved_ports, excludedportrange).
	ReservedPorts int32 `json:"reservedPorts"`
	// sockets is the number of TCP sockets in the network.
	Sockets int64 `json:"sockets"`
	// usedPercent is the usage of its tightest pool in percent.
	UsedPercent int32 `json:"usedPercent"`
	// cause explains why its tightest pool is above the warning threshold.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Cause Cause `json:"cause,omitempty"`
	// pools lists its pools above the warning threshold, tightest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Pools []Pool `json:"pools,omitempty"`
}

// PortRange is an inclusive range of ports.
type PortRange struct {
	// first is the lowest port.
	First int32 `json:"first"`
	// last is the highest port.
	Last int32 `json:"last"`
}

// Unobserved is an item that could not be read. It is never reported as 0.
type Unobserved struct {
	// item describes what could not be read.
	// +kubebuilder:validation:MaxLength=128
	Item string `json:"item"`
	// reason explains why.
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason"`
}

// Conntrack describes the connection tracking table of Linux.
type Conntrack struct {
	// entries is the number of entries (net.netfilter.nf_conntrack_count).
	Entries int64 `json:"entries"`
	// max is the maximum number of entries (net.netfilter.nf_conntrack_max).
	Max int64 `json:"max"`
	// usedPercent is entries as a percentage of max, 0 to 100.
	UsedPercent int32 `json:"usedPercent"`
	// insertFailed counts entries that could not be inserted since boot, on all CPUs
	// (/proc/net/stat/nf_conntrack). It increases when SNAT finds no port. Omitted if
	// it could not be read.
	// +optional
	InsertFailed *int64 `json:"insertFailed,omitempty"`
	// drop counts packets dropped since boot because their connection could not be
	// tracked. Omitted if it could not be read.
	// +optional
	Drop *int64 `json:"drop,omitempty"`
	// earlyDrop counts entries evicted from a full table since boot. Omitted if it
	// could not be read.
	// +optional
	EarlyDrop *int64 `json:"earlyDrop,omitempty"`
}

// Failure counts calls from one network that failed because no port was free.
type Failure struct {
	// network is the name of the network in status.networks.
	// +kubebuilder:validation:MaxLength=320
	Network string `json:"network"`
	// destination is the address of the peer. It is absent for calls without one, and for
	// those of many destinations together.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Destination string `json:"destination,omitempty"`
	// port is the port of the destination.
	// +optional
	Port int32 `json:"port,omitempty"`
	// reason is the name of the error on Linux (EADDRNOTAVAIL for connect(), EADDRINUSE
	// for bind(), UdpAddressInUse), or of the event log entry, such as TcpPortsExhausted,
	// on Windows.
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// count is the number of failures since the agent started, or since they began again
	// after an hour without any.
	Count int64 `json:"count"`
	// lastAt is the time of the most recent failure.
	LastAt metav1.Time `json:"lastAt"`
}

// Pressure is a period in which the level was not Normal.
type Pressure struct {
	// level is the highest level that was reached.
	// +kubebuilder:validation:MaxLength=32
	Level Level `json:"level"`
	// peakPercent is the highest usedPercent.
	PeakPercent int32 `json:"peakPercent"`
	// summary describes the tightest pool at the peak.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Summary string `json:"summary,omitempty"`
	// cause is the cause at the peak.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Cause Cause `json:"cause,omitempty"`
	// holder identifies the pod or process that used most ports at the peak.
	// +optional
	Holder *Holder `json:"holder,omitempty"`
	// from is the start of the period.
	From metav1.Time `json:"from"`
	// to is the end of the period. Omitted while it lasts.
	// +optional
	To *metav1.Time `json:"to,omitempty"`
}

// OmittedSettings counts Applied settings that are not in the list.
type OmittedSettings struct {
	// count is the number of settings.
	Count int32 `json:"count"`
	// lastTransitionTime is the time at which the last of them became Applied.
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
}

// SettingStatus reports the state of one setting.
type SettingStatus struct {
	// id is the id of the setting in the spec.
	// +kubebuilder:validation:MaxLength=253
	ID string `json:"id"`
	// key is the name of the setting.
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// scope is Host or Pods.
	// +kubebuilder:validation:MaxLength=16
	// +optional
	Scope string `json:"scope,omitempty"`
	// desired is the value requested by the spec. Omitted if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Desired *string `json:"desired,omitempty"`
	// current is the value that was last read back. Omitted if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Current *string `json:"current,omitempty"`
	// original is the value before the first write. Omitted if unset.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Original *string `json:"original,omitempty"`
	// state is the state of the setting.
	// +kubebuilder:validation:MaxLength=32
	State SettingState `json:"state"`
	// message explains the state if it is not self-explanatory.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// orphaned is true if a value that Portreeve has written is in effect, although the
	// spec does not request it: it could not be restored, changes are stopped, the spec
	// has no list of settings, or the agent changes no settings.
	// +optional
	Orphaned bool `json:"orphaned,omitempty"`
	// lastTransitionTime is the time at which state or desired last changed.
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
	// podsApplied is the number of pods in which the value is applied (scope Pods).
	// +optional
	PodsApplied *int32 `json:"podsApplied,omitempty"`
	// podsRefused is the number of pods in which the value is refused (scope Pods).
	// +optional
	PodsRefused *int32 `json:"podsRefused,omitempty"`
}
