package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PortPressureStatus is what the agent saw and did on one node.
//
// +structType=atomic
type PortPressureStatus struct {
	// observedGeneration is the metadata.generation that settings and conditions
	// speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// observedAt is when the figures were read.
	// +optional
	ObservedAt *metav1.Time `json:"observedAt,omitempty"`
	// agentVersion is the version of the agent that wrote this.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	AgentVersion string `json:"agentVersion,omitempty"`
	// +optional
	Platform Platform `json:"platform,omitzero"`
	// +optional
	Reader Reader `json:"reader,omitzero"`
	// capabilities are what the agent can and cannot do on this node.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Capabilities []Capability `json:"capabilities,omitempty"`

	// level is how near the tightest pool is to its end. Absent where nothing
	// could be measured.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Level Level `json:"level,omitempty"`
	// usedPercent is how much of the tightest pool is used, 0 to 100, rounded
	// down: 100 means that no port is left.
	// +optional
	UsedPercent *int32 `json:"usedPercent,omitempty"`
	// cause is why the tightest pool is past the line. Absent at level Normal.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Cause Cause `json:"cause,omitempty"`
	// advice is what to do about the cause, in a sentence or two.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Advice string `json:"advice,omitempty"`
	// exhaustionSeconds is how many seconds the tightest pool lasts if it goes on
	// like this, 0 when no port is left. Absent unless it is running out within half
	// an hour.
	// +optional
	ExhaustionSeconds *int64 `json:"exhaustionSeconds,omitempty"`
	// tightest is the pool that is nearest to its end.
	// +optional
	Tightest *Pool `json:"tightest,omitempty"`
	// states are the node's TCP sockets, those of every network together.
	// +optional
	States *States `json:"states,omitempty"`
	// udp is the ephemeral UDP ports of the network that has the smallest share of
	// them left.
	// +optional
	UDP *UDP `json:"udp,omitempty"`
	// networks are the networks that are past the line, the worst first. The agent
	// sends three at most, each with its two worst pools; its report and metrics
	// have the rest.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Networks []Network `json:"networks,omitempty"`
	// networkCount is how many networks were read.
	// +optional
	NetworkCount *int32 `json:"networkCount,omitempty"`
	// unobserved lists what could not be read, and why.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Unobserved []Unobserved `json:"unobserved,omitempty"`
	// conntrack is the node's connection tracking table (Linux). Absent where it
	// is not in use or could not be read.
	// +optional
	Conntrack *Conntrack `json:"conntrack,omitempty"`
	// windows is what is known of a Windows node beside its ports. Absent on Linux.
	// +optional
	Windows *Windows `json:"windows,omitempty"`
	// failures are calls that failed because no port was left, the most frequent
	// first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Failures []Failure `json:"failures,omitempty"`
	// lastPressure is the last time that the level was not Normal.
	// +optional
	LastPressure *Pressure `json:"lastPressure,omitempty"`

	// settings are the settings of the spec, and those still held that it no
	// longer has.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Settings []SettingStatus `json:"settings,omitempty"`
	// omittedSettings is the settings that the list has no room for. Each is Applied.
	// +optional
	OmittedSettings *OmittedSettings `json:"omittedSettings,omitempty"`
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// Platform is what the agent runs on.
type Platform struct {
	// os is "linux" or "windows".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	OS string `json:"os,omitempty"`
	// architecture is Go's name of it (GOARCH), such as "amd64".
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Architecture string `json:"architecture,omitempty"`
	// kernel is Linux's release as uname(2) says it, such as "6.12.117".
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Kernel string `json:"kernel,omitempty"`
	// build is Windows' version and build, such as "10.0.20348.2340".
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Build string `json:"build,omitempty"`
}

// Reader is who read the sockets.
type Reader struct {
	// name is portwalk, sockdiag or iphlpapi; dump where analyze read a file.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Name string `json:"name,omitempty"`
	// exactness is how the figures relate to the truth.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Exactness Exactness `json:"exactness,omitempty"`
	// message says why the reading is not exact, or why this reader was chosen.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// Capability is something that the agent can or cannot do on this node.
type Capability struct {
	// +kubebuilder:validation:MaxLength=64
	Name string `json:"name"`
	// +kubebuilder:validation:MaxLength=32
	State CapabilityState `json:"state"`
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Message string `json:"message,omitempty"`
}

// UDP is the ephemeral UDP ports of one network. UDP has no destinations: a port
// is taken or free.
type UDP struct {
	// used is how many ports of capacity a UDP socket is bound to.
	Used int32 `json:"used"`
	// capacity is the ephemeral range without reserved ports.
	Capacity int32 `json:"capacity"`
}

// Network is a network that has ports of its own: a Linux network namespace, or
// a compartment or node on Windows.
type Network struct {
	// network is its name for people, such as "Host" or "shop/api-7f".
	// +kubebuilder:validation:MaxLength=320
	Network string `json:"network"`
	// namespace, pod and uid are the Kubernetes pod's that it belongs to.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Namespace string `json:"namespace,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Pod string `json:"pod,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=128
	UID string `json:"uid,omitempty"`
	// range is the ephemeral range (net.ipv4.ip_local_port_range, dynamicport).
	Range PortRange `json:"range"`
	// reservedPorts is how many ports of range are never chosen
	// (net.ipv4.ip_local_reserved_ports, excludedportrange).
	ReservedPorts int32 `json:"reservedPorts"`
	// sockets is the network's TCP sockets.
	Sockets int64 `json:"sockets"`
	// usedPercent is how much of its tightest pool is used.
	UsedPercent int32 `json:"usedPercent"`
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Cause Cause `json:"cause,omitempty"`
	// pools are its pools past the line, the tightest first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	Pools []Pool `json:"pools,omitempty"`
}

// PortRange is a range of ports, both ends included.
type PortRange struct {
	First int32 `json:"first"`
	Last  int32 `json:"last"`
}

// Unobserved is something that could not be read. It is never reported as 0.
type Unobserved struct {
	// +kubebuilder:validation:MaxLength=128
	Item string `json:"item"`
	// +kubebuilder:validation:MaxLength=512
	Reason string `json:"reason"`
}

// Conntrack is Linux's connection tracking table.
type Conntrack struct {
	// entries is net.netfilter.nf_conntrack_count.
	Entries int64 `json:"entries"`
	// max is net.netfilter.nf_conntrack_max.
	Max int64 `json:"max"`
	// usedPercent is entries of max, 0 to 100.
	UsedPercent int32 `json:"usedPercent"`
	// insertFailed, drop and earlyDrop count since boot, over all CPUs
	// (/proc/net/stat/nf_conntrack). insertFailed rises when SNAT finds no port.
	// Absent where they could not be read.
	// +optional
	InsertFailed *int64 `json:"insertFailed,omitempty"`
	// +optional
	Drop *int64 `json:"drop,omitempty"`
	// +optional
	EarlyDrop *int64 `json:"earlyDrop,omitempty"`
}

// Failure is calls from one network that failed because no port was left.
type Failure struct {
	// network is its name as in status.networks.
	// +kubebuilder:validation:MaxLength=320
	Network string `json:"network"`
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Destination string `json:"destination,omitempty"`
	// +optional
	Port int32 `json:"port,omitempty"`
	// reason is the error's name, EADDRNOTAVAIL on Linux; on Windows, what its event
	// log tells, such as TcpPortsExhausted.
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// count is since the agent started to watch.
	Count int64 `json:"count"`
	// lastAt is when it happened last.
	LastAt metav1.Time `json:"lastAt"`
}

// Pressure is a time during which the level was not Normal.
type Pressure struct {
	// level is the worst that was reached.
	// +kubebuilder:validation:MaxLength=32
	Level Level `json:"level"`
	// peakPercent is the highest usedPercent.
	PeakPercent int32 `json:"peakPercent"`
	// summary, cause and holder are the tightest pool's at the peak.
	// +optional
	// +kubebuilder:validation:MaxLength=512
	Summary string `json:"summary,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=64
	Cause Cause `json:"cause,omitempty"`
	// +optional
	Holder *Holder     `json:"holder,omitempty"`
	From   metav1.Time `json:"from"`
	// to is absent while it lasts.
	// +optional
	To *metav1.Time `json:"to,omitempty"`
}

// OmittedSettings is settings that are Applied, and not in the list.
type OmittedSettings struct {
	Count int32 `json:"count"`
	// lastTransitionTime is when the last of them became Applied.
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
}

// SettingStatus is how far one setting has come.
type SettingStatus struct {
	// id is the setting's id in the spec.
	// +kubebuilder:validation:MaxLength=253
	ID string `json:"id"`
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// +kubebuilder:validation:MaxLength=16
	// +optional
	Scope string `json:"scope,omitempty"`
	// desired is the value that the spec asks for, current the value that was read back
	// last, and original the value before the first write; each is absent when unset.
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Desired *string `json:"desired,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Current *string `json:"current,omitempty"`
	// +optional
	// +kubebuilder:validation:MaxLength=4096
	Original *string `json:"original,omitempty"`
	// +kubebuilder:validation:MaxLength=32
	State SettingState `json:"state"`
	// message says why, wherever state alone does not.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
	// lastTransitionTime is when state changed last.
	// +optional
	LastTransitionTime *metav1.Time `json:"lastTransitionTime,omitempty"`
	// podsApplied and podsRefused count the pods of the scope Pods in which the value
	// is held and those that it was refused for.
	// +optional
	PodsApplied *int32 `json:"podsApplied,omitempty"`
	// +optional
	PodsRefused *int32 `json:"podsRefused,omitempty"`
}
