package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PortPressureSpec is what the agent of one node is asked to hold.
//
// +structType=atomic
type PortPressureSpec struct {
	// settings are the values to hold. Absent (nil) means unknown: the agent holds
	// what it holds. An empty list means release: the agent gives every original
	// back. A JSON null reads as absent.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Settings []Setting `json:"settings,omitzero"`
	// thresholds are the percentages at which levels begin.
	// +optional
	Thresholds Thresholds `json:"thresholds,omitzero"`
}

// Setting is one value to hold on the node.
type Setting struct {
	// id names the setting in this object, in status.settings and in the agent's
	// journal, and stays the same for the same key, scope and selectors.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ID string `json:"id"`
	// key is the setting's name in the catalogue (package tunable), such as
	// "net.ipv4.ip_local_port_range".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// value is what the operating system is to read back, in its own spelling and
	// unit, such as "16384 65535".
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value"`
	// scope says whose setting it is.
	Scope Scope `json:"scope"`
	// namespaceSelector narrows the scope Pods to pods of these namespaces. Absent
	// means every namespace.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// podSelector narrows the scope Pods to these pods. Absent means every pod.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
	// mode is Enforce unless said otherwise.
	// +optional
	Mode Mode `json:"mode,omitempty"`
	// activation is Always unless said otherwise.
	// +optional
	Activation Activation `json:"activation,omitempty"`
	// coolDownSeconds is how long, in seconds, the level must have been Normal
	// before a setting with the activation UnderPressure is given back.
	// +optional
	// +kubebuilder:validation:Minimum=0
	CoolDownSeconds int32 `json:"coolDownSeconds,omitempty"`
	// from is the NodeTuning that asks for this setting.
	// +optional
	From SettingSource `json:"from,omitzero"`
}

// SettingSource is the NodeTuning that a setting comes from.
type SettingSource struct {
	// name is the NodeTuning's name.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// generation is the NodeTuning's metadata.generation.
	Generation int64 `json:"generation"`
	// priority is the NodeTuning's. It decides inside a pod that two settings of the
	// scope Pods select: the higher one is held, of equal ones with different values
	// neither.
	// +optional
	Priority int32 `json:"priority,omitempty"`
}

// Scope says whose network namespace a setting belongs to.
//
// +kubebuilder:validation:Enum=Host;Pods
// +kubebuilder:validation:MaxLength=16
type Scope string

// The values of Scope.
const (
	ScopeHost Scope = "Host" // the node's own network, which hostNetwork pods share
	ScopePods Scope = "Pods" // the network namespaces of pods
)

// Mode says whether the agent writes.
//
// +kubebuilder:validation:Enum=Enforce;DryRun
// +kubebuilder:validation:MaxLength=16
type Mode string

// The values of Mode.
const (
	ModeEnforce Mode = "Enforce"
	ModeDryRun  Mode = "DryRun" // only say what would be written
)

// Activation says when the agent holds a setting.
//
// +kubebuilder:validation:Enum=Always;UnderPressure
// +kubebuilder:validation:MaxLength=16
type Activation string

// The values of Activation.
const (
	ActivationAlways        Activation = "Always"
	ActivationUnderPressure Activation = "UnderPressure" // from the level Warning on
)
