package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// PortPressure is how near one node's ports are to their end, and what its agent
// is asked to hold there. It has the name of its Node and is owned by it.
//
// The controller writes metadata and spec, the node's agent writes status, each
// of them whole.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=pp
// +kubebuilder:printcolumn:name="LEVEL",type=string,JSONPath=".status.level"
// +kubebuilder:printcolumn:name="USED",type=integer,JSONPath=".status.usedPercent",description="Percent of the tightest pool"
// +kubebuilder:printcolumn:name="TIGHTEST",type=string,JSONPath=".status.tightest.summary"
// +kubebuilder:printcolumn:name="CAUSE",type=string,JSONPath=".status.cause"
// +kubebuilder:printcolumn:name="RUNSOUT",type=integer,JSONPath=".status.exhaustionSeconds",description="Seconds until the tightest pool has no port left, if it goes on like this"
// +kubebuilder:printcolumn:name="TUNED",type=string,JSONPath=".status.conditions[?(@.type=='Tuned')].status"
// +kubebuilder:printcolumn:name="AGENT",type=string,JSONPath=".metadata.labels.portreeve\\.io/agent"
// +kubebuilder:printcolumn:name="SEEN",type=date,JSONPath=".status.observedAt"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="OS",type=string,priority=1,JSONPath=".status.platform.os"
// +kubebuilder:printcolumn:name="TIME_WAIT",type=integer,priority=1,JSONPath=".status.states.timeWait"
// +kubebuilder:printcolumn:name="CONNTRACK",type=integer,priority=1,JSONPath=".status.conntrack.usedPercent",description="Percent of nf_conntrack_max"
// +kubebuilder:printcolumn:name="READER",type=string,priority=1,JSONPath=".status.reader.name"
type PortPressure struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what the agent is asked to hold. The controller writes it.
	// +optional
	Spec PortPressureSpec `json:"spec,omitzero"`
	// status is what the agent saw and did. The agent writes it.
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
