package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// NodeTuning asks for settings on nodes, and inside the pods there. The controller
// resolves all of them into each node's PortPressure, in careful rollouts; deleting
// one, or a setting of one, gives the originals back at the same pace.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:scope=Cluster,shortName=nt
// +kubebuilder:printcolumn:name="MODE",type=string,JSONPath=".spec.mode"
// +kubebuilder:printcolumn:name="MATCHED",description="Nodes that the selector selects",type=integer,JSONPath=".status.counts.matched"
// +kubebuilder:printcolumn:name="UPDATED",description="Of these, those that the rollout has reached",type=integer,JSONPath=".status.counts.updated"
// +kubebuilder:printcolumn:name="APPLIED",description="Of these, those where every setting is as wanted",type=integer,JSONPath=".status.counts.applied"
// +kubebuilder:printcolumn:name="FAILED",description="Nodes where one could not be written",type=integer,JSONPath=".status.counts.failed"
// +kubebuilder:printcolumn:name="PHASE",description="Where the rollout stands",type=string,JSONPath=".status.rollout.phase"
// +kubebuilder:printcolumn:name="READY",description="Every matched node holds it",type=string,JSONPath=".status.conditions[?(@.type=='Ready')].status"
// +kubebuilder:printcolumn:name="AGE",type=date,JSONPath=".metadata.creationTimestamp"
// +kubebuilder:printcolumn:name="PRIORITY",type=integer,priority=1,JSONPath=".spec.priority"
// +kubebuilder:printcolumn:name="REFUSED",description="Nodes where one was refused",type=integer,priority=1,JSONPath=".status.counts.refused"
// +kubebuilder:printcolumn:name="CONFLICTED",description="Another NodeTuning wants otherwise",type=string,priority=1,JSONPath=".status.conditions[?(@.type=='Conflicted')].status"
// +kubebuilder:printcolumn:name="REASON",description="Why the rollout stands still",type=string,priority=1,JSONPath=".status.rollout.reason"
type NodeTuning struct {
	metav1.TypeMeta `json:",inline"`
	// +optional
	metav1.ObjectMeta `json:"metadata,omitempty"`

	// spec is what is asked for.
	// +optional
	Spec NodeTuningSpec `json:"spec,omitzero"`
	// status is how far it has come. The controller writes it.
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
