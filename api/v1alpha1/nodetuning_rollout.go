package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Rollout configures how a change is rolled out: first to canaries, which soak, then in
// batches to the other nodes.
type Rollout struct {
	// maxUnavailable is the number of nodes that may be updated at the same time, or a
	// percentage of the selected nodes, rounded up. Defaults to 10%.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]?|100)%$')",message="maxUnavailable must be a number of nodes of at least 1, or a percentage from 1% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// canaries is the number of nodes that are updated first. 0 disables canaries.
	// Defaults to 1.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Canaries *int32 `json:"canaries,omitempty"`
	// soakSeconds is the time in seconds that the canaries are observed before other
	// nodes are updated. Defaults to 300.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	SoakSeconds *int32 `json:"soakSeconds,omitempty"`
	// onRegression is the action taken if port pressure rises more on updated nodes
	// than on nodes that have not been updated: Pause stops the rollout, Revert also
	// restores the updated nodes. Defaults to Pause.
	// +optional
	OnRegression OnRegression `json:"onRegression,omitempty"`
	// paused stops the rollout at its current state. Defaults to false.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// OnRegression is the action taken after a regression.
//
// +kubebuilder:validation:Enum=Pause;Revert
// +kubebuilder:validation:MaxLength=16
type OnRegression string

// The values of OnRegression.
const (
	OnRegressionPause  OnRegression = "Pause"
	OnRegressionRevert OnRegression = "Revert"
)

// NodeTuningStatus reports the progress of a NodeTuning.
type NodeTuningStatus struct {
	// observedGeneration is the metadata.generation that this status refers to.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// counts contains numbers of nodes by state.
	// +optional
	Counts TuningCounts `json:"counts,omitzero"`
	// failing lists at most 10 nodes on which a setting does not have its desired
	// value.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Failing []TuningFailure `json:"failing,omitempty"`
	// conflicts lists keys for which another NodeTuning selects the same nodes with a
	// different value.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Conflicts []TuningConflict `json:"conflicts,omitempty"`
	// rollout reports the progress of the rollout.
	// +optional
	Rollout RolloutStatus `json:"rollout,omitzero"`
	// conditions contains Ready, Progressing, Degraded and Conflicted.
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TuningCounts contains numbers of nodes.
type TuningCounts struct {
	// matched is the number of nodes that the selector matches.
	Matched int32 `json:"matched"`
	// updated is the number of nodes that the rollout has reached.
	Updated int32 `json:"updated"`
	// applied is the number of updated nodes on which every setting is applied or on
	// standby.
	Applied int32 `json:"applied"`
	// refused is the number of updated nodes with a refused setting.
	Refused int32 `json:"refused"`
	// failed is the number of updated nodes with a failed setting.
	Failed int32 `json:"failed"`
	// contested is the number of updated nodes with a contested setting.
	Contested int32 `json:"contested"`
	// restartRequired is the number of updated nodes with a setting that requires a
	// restart.
	RestartRequired int32 `json:"restartRequired"`
	// dryRun is the number of updated nodes with a setting in dry run.
	DryRun int32 `json:"dryRun"`
}

// TuningFailure is a node on which a setting does not have its desired value.
type TuningFailure struct {
	// node is the name of the node.
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`
	// key is the name of the setting.
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// state is never Applied, Standby or DryRun.
	// +kubebuilder:validation:MaxLength=32
	State SettingState `json:"state"`
	// message explains the state.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// TuningConflict is a key for which another NodeTuning has a different value.
type TuningConflict struct {
	// key is the name of the setting.
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// with is the name of the other NodeTuning.
	// +kubebuilder:validation:MaxLength=253
	With string `json:"with"`
	// winner is the NodeTuning whose value is applied. Omitted if the priorities are
	// equal, in which case neither value is applied.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Winner string `json:"winner,omitempty"`
	// nodes is the number of nodes that both select.
	Nodes int32 `json:"nodes"`
}

// RolloutStatus reports the progress of a rollout.
type RolloutStatus struct {
	// phase is the current phase.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Phase RolloutPhase `json:"phase,omitempty"`
	// canaries lists the nodes that are updated first.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	Canaries []string `json:"canaries,omitempty"`
	// updated is the number of matched nodes that have been updated to this generation.
	Updated int32 `json:"updated"`
	// reason explains why the rollout has stopped or is reverted.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
	// since is the time at which the phase began.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// RolloutPhase is a phase of a rollout.
type RolloutPhase string

// The values of RolloutPhase.
const (
	RolloutCanary          RolloutPhase = "Canary"          // the canaries are being updated
	RolloutSoaking         RolloutPhase = "Soaking"         // updated nodes are being observed
	RolloutRolling         RolloutPhase = "Rolling"         // the other nodes are being updated in batches
	RolloutComplete        RolloutPhase = "Complete"        // every matched node has been updated
	RolloutPaused          RolloutPhase = "Paused"          // paused on purpose or by a regression
	RolloutReverted        RolloutPhase = "Reverted"        // reverted after a regression
	RolloutAwaitingRestart RolloutPhase = "AwaitingRestart" // applied; takes effect after nodes restart
	RolloutReleasing       RolloutPhase = "Releasing"       // deleted; original values are being restored
)

// Condition types of a NodeTuning.
const (
	ConditionReady       = "Ready"       // every matched node has the settings
	ConditionProgressing = "Progressing" // the rollout is in progress
	ConditionDegraded    = "Degraded"    // a setting is refused, failed or contested, or a regression was found
	ConditionConflicted  = "Conflicted"  // another NodeTuning sets a different value
)

// Reasons of a NodeTuning's conditions, in addition to the phases of its rollout and to the
// reasons of Events that stop a rollout. Conflicted is True with ReasonConflictFound.
const (
	ReasonNoConflict      = "NoConflict"      // Conflicted is False
	ReasonFullyApplied    = "FullyApplied"    // Degraded is False
	ReasonNotFullyApplied = "NotFullyApplied" // Degraded is True: a setting is not applied on some nodes
)

// FinalizerRelease keeps a deleted NodeTuning until the original values are restored on
// its nodes.
const FinalizerRelease = "portreeve.io/release"

// AnnotationConfirmRelease on a NodeTuning, with its metadata.generation as the value,
// confirms changes that are blocked for safety: removing settings from many nodes at
// once, and restoring nodes whose agents are silent.
const AnnotationConfirmRelease = "portreeve.io/confirm-release"

// AnnotationRelease on a PortPressure makes the agent of its node restore all original
// values immediately, regardless of NodeTunings, until the annotation is removed. It belongs
// to the Node's UID, as AnnotationHold does.
const AnnotationRelease = "portreeve.io/release"

// Values of the annotation portreeve.io/release, which makes a node restore all
// original values immediately, regardless of NodeTunings.
const (
	ReleaseRequested = "true"    // uninstalling waits for the node
	ReleaseAbandoned = "abandon" // uninstalling does not wait for the node
)
