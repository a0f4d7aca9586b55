package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
)

// Rollout says how a change spreads over the nodes: canaries first, which soak, then
// the others in batches.
type Rollout struct {
	// maxUnavailable is how many nodes may be in change at the same time, a number
	// or a percentage of the matched ones, rounded up; absent means 10 %.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 1 : self.matches('^([1-9][0-9]?|100)%$')",message="maxUnavailable must be a number of nodes from 1 on, or a percentage from 1% to 100%"
	MaxUnavailable *intstr.IntOrString `json:"maxUnavailable,omitempty"`
	// canaries is how many nodes go first; absent means 1, 0 none.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=1000
	Canaries *int32 `json:"canaries,omitempty"`
	// soakSeconds is how long the canaries are watched before the others; absent
	// means 300.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	SoakSeconds *int32 `json:"soakSeconds,omitempty"`
	// onRegression says what follows when changed nodes fare worse than the others:
	// Pause, the default, or Revert the changed ones.
	// +optional
	OnRegression OnRegression `json:"onRegression,omitempty"`
	// paused stops the rollout where it is.
	// +optional
	Paused bool `json:"paused,omitempty"`
}

// OnRegression says what follows when changed nodes fare worse.
//
// +kubebuilder:validation:Enum=Pause;Revert
// +kubebuilder:validation:MaxLength=16
type OnRegression string

// The values of OnRegression.
const (
	OnRegressionPause  OnRegression = "Pause"
	OnRegressionRevert OnRegression = "Revert"
)

// NodeTuningStatus is how far a NodeTuning has come.
type NodeTuningStatus struct {
	// observedGeneration is the metadata.generation that all of this speaks of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// counts are numbers of nodes.
	// +optional
	Counts TuningCounts `json:"counts,omitzero"`
	// failing are nodes where a setting is not as wanted, by name; 10 at most.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Failing []TuningFailure `json:"failing,omitempty"`
	// conflicts are keys that another NodeTuning wants otherwise on the same nodes.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Conflicts []TuningConflict `json:"conflicts,omitempty"`
	// rollout is where the rollout stands.
	// +optional
	Rollout RolloutStatus `json:"rollout,omitzero"`
	// +optional
	// +listType=map
	// +listMapKey=type
	// +kubebuilder:validation:MaxItems=16
	Conditions []metav1.Condition `json:"conditions,omitempty"`
}

// TuningCounts counts nodes.
type TuningCounts struct {
	// matched is the nodes that the selector selects.
	Matched int32 `json:"matched"`
	// updated is those that the rollout has reached.
	Updated int32 `json:"updated"`
	// applied is those of updated where every setting reads back as wanted, or
	// stands by.
	Applied int32 `json:"applied"`
	// refused, failed, contested, restartRequired and dryRun are those of updated with
	// at least one setting in that state.
	Refused         int32 `json:"refused"`
	Failed          int32 `json:"failed"`
	Contested       int32 `json:"contested"`
	RestartRequired int32 `json:"restartRequired"`
	DryRun          int32 `json:"dryRun"`
}

// TuningFailure is a node where a setting is not as wanted.
type TuningFailure struct {
	// node is its name.
	// +kubebuilder:validation:MaxLength=253
	Node string `json:"node"`
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// state is not Applied, Standby or DryRun.
	// +kubebuilder:validation:MaxLength=32
	State SettingState `json:"state"`
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}

// TuningConflict is a key that another NodeTuning wants otherwise.
type TuningConflict struct {
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// with is the other NodeTuning.
	// +kubebuilder:validation:MaxLength=253
	With string `json:"with"`
	// winner is the one whose value is held: one of the two, or absent where their
	// priorities are equal and nobody's is.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Winner string `json:"winner,omitempty"`
	// nodes is how many nodes both select.
	Nodes int32 `json:"nodes"`
}

// RolloutStatus is where a rollout stands.
type RolloutStatus struct {
	// phase is how far it has come.
	// +optional
	// +kubebuilder:validation:MaxLength=32
	Phase RolloutPhase `json:"phase,omitempty"`
	// canaries are the nodes that go first, by name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	Canaries []string `json:"canaries,omitempty"`
	// updated is how many of the matched nodes have this generation.
	Updated int32 `json:"updated"`
	// reason says why it stands still or goes back.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Reason string `json:"reason,omitempty"`
	// since is when the phase began.
	// +optional
	Since *metav1.Time `json:"since,omitempty"`
}

// RolloutPhase is where a rollout stands.
type RolloutPhase string

// The values of RolloutPhase.
const (
	RolloutCanary          RolloutPhase = "Canary"          // the canaries change
	RolloutSoaking         RolloutPhase = "Soaking"         // changed nodes are watched
	RolloutRolling         RolloutPhase = "Rolling"         // the others change, in batches
	RolloutComplete        RolloutPhase = "Complete"        // every matched node has it
	RolloutPaused          RolloutPhase = "Paused"          // by someone, or by a regression
	RolloutReverted        RolloutPhase = "Reverted"        // after a regression
	RolloutAwaitingRestart RolloutPhase = "AwaitingRestart" // applied; works after nodes restart
	RolloutReleasing       RolloutPhase = "Releasing"       // deleted: originals are given back
)

// The conditions of a NodeTuning.
const (
	ConditionReady       = "Ready"       // every matched node holds it
	ConditionProgressing = "Progressing" // the rollout goes on
	ConditionDegraded    = "Degraded"    // refused, failed or contested somewhere, or a regression
	ConditionConflicted  = "Conflicted"  // another NodeTuning wants otherwise
)

// FinalizerRelease keeps a deleted NodeTuning until its nodes have their originals
// back.
const FinalizerRelease = "portreeve.io/release"

// AnnotationConfirmRelease on a NodeTuning, with its metadata.generation as the value,
// lets go what is held for safety: a plan that takes settings from many nodes at once,
// and the give-back of nodes whose agents are silent.
const AnnotationConfirmRelease = "portreeve.io/confirm-release"

// AnnotationRelease on a PortPressure has its node give every original back, at once,
// whatever NodeTunings ask for, and keeps it so.
const AnnotationRelease = "portreeve.io/release"

// The values of the annotation portreeve.io/release, by which a node gives every
// original back at once, whatever NodeTunings ask for.
const (
	ReleaseRequested = "true"    // and uninstalling waits for its answer
	ReleaseAbandoned = "abandon" // and uninstalling goes without it
)
