package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeTuning configures network settings of nodes and of pods on them. The controller
// resolves all NodeTunings into the PortPressure of each node and rolls changes out
// gradually. Deleting a NodeTuning, or one of its settings, restores the original
// values at the same pace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=nt
// +kubebuilder:printcolumn:name="MODE",type=string,JSONPath=".spec.mode"
// +kubebuilder:printcolumn:name="MATCHED",description="Nodes that the selector matches",type=integer,JSONPath=".status.counts.matched"
// +kubebuilder:printcolumn:name="UPDATED",description="Matched nodes that the rollout has reached",type=integer,JSONPath=".status.counts.updated"
// +kubebuilder:printcolumn:name="APPLIED",description="Updated nodes on which every setting is applied",type=integer,JSONPath=".status.counts.applied"
// +kubebuilder:printcolumn:name="FAILED",description="Updated nodes on which a setting could not be written",type=integer,JSONPath=".status.counts.failed"
// +kubebuilder:printcolumn:name="PHASE",description="Phase of the rollout",type=string,JSONPath=".status.rollout.phase"
// +kubebuilder:printcolumn:name="READY",description="Whether every matched node has the settings",type=string,JSONPath=".status.conditions[?(@.type=='Ready')].status"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="PRIORITY",type=integer,priority=1,JSONPath=".spec.priority"
// +kubebuilder:printcolumn:name="REFUSED",description="Updated nodes on which a setting was refused",type=integer,priority=1,JSONPath=".status.counts.refused"
// +kubebuilder:printcolumn:name="CONFLICTED",description="Whether another NodeTuning sets different values",type=string,priority=1,JSONPath=".status.conditions[?(@.type=='Conflicted')].status"
// +kubebuilder:printcolumn:name="REASON",description="Why the rollout has stopped",type=string,priority=1,JSONPath=".status.rollout.reason"
type NodeTuning struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is the desired configuration.
	// +optional
	Spec NodeTuningSpec `json:"spec,omitzero"`
	// status reports the progress. It is written by the controller.
	// +optional
	Status NodeTuningStatus `json:"status,omitzero"`
}

// NodeTuningList is a list of NodeTuning.
//
// +kubebuilder:object:root=true
type NodeTuningList struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []NodeTuning `json:"items"`
}
