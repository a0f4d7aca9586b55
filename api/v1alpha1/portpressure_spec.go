package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PortPressureSpec contains the settings that the agent of one node should enforce.
//
// +structType=atomic
type PortPressureSpec struct {
	// settings lists the desired values. If absent (nil), no desired settings are
	// known, and the agent keeps the current values. If empty, the agent restores all
	// original values. A JSON null is treated as absent.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=128
	Settings []Setting `json:"settings,omitzero"`
	// thresholds configures the pool usage at which the levels Warning and Critical
	// begin.
	// +optional
	Thresholds Thresholds `json:"thresholds,omitzero"`
}

// Setting is the desired value of one setting on the node.
type Setting struct {
	// id identifies the setting in this object, in status.settings and in the agent's
	// journal. It is stable for the same key, scope and selectors.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	ID string `json:"id"`
	// key is the name of the setting (docs/reference/settings.md), such as
	// "net.ipv4.ip_local_port_range".
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// value is the value to be read back from the operating system, in its notation and
	// unit, such as "16384 65535".
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value"`
	// scope is the network namespace that the setting applies to.
	Scope Scope `json:"scope"`
	// namespaceSelector restricts the scope Pods to pods of matching namespaces. If
	// omitted, all namespaces match.
	// +optional
	NamespaceSelector *metav1.LabelSelector `json:"namespaceSelector,omitempty"`
	// podSelector restricts the scope Pods to matching pods. If omitted, all pods
	// match.
	// +optional
	PodSelector *metav1.LabelSelector `json:"podSelector,omitempty"`
	// mode is Enforce or DryRun. Defaults to Enforce.
	// +optional
	Mode Mode `json:"mode,omitempty"`
	// activation is Always or UnderPressure. Defaults to Always.
	// +optional
	Activation Activation `json:"activation,omitempty"`
	// coolDownSeconds is the time in seconds that the level must be Normal before a
	// setting with the activation UnderPressure is restored.
	// +optional
	// +kubebuilder:validation:Minimum=0
	CoolDownSeconds int32 `json:"coolDownSeconds,omitempty"`
	// from identifies the NodeTuning that requests this setting.
	// +optional
	From SettingSource `json:"from,omitzero"`
}

// SettingSource identifies the NodeTuning that a setting comes from.
type SettingSource struct {
	// name is the name of the NodeTuning.
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// generation is the metadata.generation of the NodeTuning.
	Generation int64 `json:"generation"`
	// priority is the priority of the NodeTuning. If two settings of the scope Pods
	// select the same pod, the value with the higher priority is applied; if different
	// values have equal priority, neither is.
	// +optional
	Priority int32 `json:"priority,omitempty"`
}

// Scope is the network namespace that a setting applies to.
//
// +kubebuilder:validation:Enum=Host;Pods
// +kubebuilder:validation:MaxLength=16
type Scope string

// The values of Scope.
const (
	ScopeHost Scope = "Host" // the host network, which hostNetwork pods share
	ScopePods Scope = "Pods" // the network namespaces of pods
)

// Mode configures whether the agent writes settings.
//
// +kubebuilder:validation:Enum=Enforce;DryRun
// +kubebuilder:validation:MaxLength=16
type Mode string

// The values of Mode.
const (
	ModeEnforce Mode = "Enforce"
	ModeDryRun  Mode = "DryRun" // only report what would be written
)

// Activation configures when the agent enforces a setting.
//
// +kubebuilder:validation:Enum=Always;UnderPressure
// +kubebuilder:validation:MaxLength=16
type Activation string

// The values of Activation.
const (
	ActivationAlways        Activation = "Always"
	ActivationUnderPressure Activation = "UnderPressure" // at the level Warning or higher
)
