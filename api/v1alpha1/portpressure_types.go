package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PortPressure reports ephemeral-port usage on one node and carries the settings its
// agent should enforce. It has the name of its Node, which owns it.
//
// The controller writes metadata and spec, and the node's agent writes status.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=pp
// +kubebuilder:printcolumn:name="LEVEL",type=string,JSONPath=".status.level"
// +kubebuilder:printcolumn:name="USED",type=integer,JSONPath=".status.usedPercent",description="Usage of the tightest pool in percent"
// +kubebuilder:printcolumn:name="TIGHTEST",type=string,JSONPath=".status.tightest.summary"
// +kubebuilder:printcolumn:name="CAUSE",type=string,JSONPath=".status.cause"
// +kubebuilder:printcolumn:name="RUNSOUT",type=integer,JSONPath=".status.exhaustionSeconds",description="Predicted seconds until the tightest pool is exhausted"
// +kubebuilder:printcolumn:name="TUNED",type=string,JSONPath=".status.conditions[?(@.type=='Tuned')].status"
// +kubebuilder:printcolumn:name="AGENT",type=string,JSONPath=".metadata.labels.portreeve\\.io/agent"
// +kubebuilder:printcolumn:name="SEEN",type=date,JSONPath=".status.observedAt"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="OS",type=string,priority=1,JSONPath=".status.platform.os"
// +kubebuilder:printcolumn:name="TIME_WAIT",type=integer,priority=1,JSONPath=".status.states.timeWait"
// +kubebuilder:printcolumn:name="CONNTRACK",type=integer,priority=1,JSONPath=".status.conntrack.usedPercent",description="Usage of nf_conntrack_max in percent"
// +kubebuilder:printcolumn:name="READER",type=string,priority=1,JSONPath=".status.reader.name"
type PortPressure struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec contains the settings that the agent should enforce. It is written by the
	// controller.
	// +optional
	Spec PortPressureSpec `json:"spec,omitzero"`
	// status reports port usage and the state of settings. It is written by the agent.
	// +optional
	Status PortPressureStatus `json:"status,omitzero"`
}

// PortPressureList is a list of PortPressure.
//
// +kubebuilder:object:root=true
type PortPressureList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []PortPressure `json:"items"`
}
