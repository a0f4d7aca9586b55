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
	// canarySelector selects the canaries by label, among the nodes of nodeSelector. If
	// omitted, nodes with traffic and without recent port pressure are chosen.
	// +optional
	CanarySelector *metav1.LabelSelector `json:"canarySelector,omitempty"`
	// soakSeconds is the time in seconds that the canaries are observed before other
	// nodes are updated, and that all nodes are observed after the last batch. Defaults
	// to 300.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	SoakSeconds *int32 `json:"soakSeconds,omitempty"`
	// batchSoakSeconds is the time in seconds that each batch is observed before the next
	// one starts. If it is 0, nodes are updated as others finish. Defaults to 60.
	// +optional
	// +kubebuilder:validation:Minimum=0
	// +kubebuilder:validation:Maximum=604800
	BatchSoakSeconds *int32 `json:"batchSoakSeconds,omitempty"`
	// maxFailed is the number of nodes, or the percentage of the selected nodes, on which
	// the update may fail before the rollout stops. Failures that heal do not count.
	// Defaults to 1 node or 1%, whichever is more.
	// +optional
	// +kubebuilder:validation:XIntOrString
	// +kubebuilder:validation:MaxLength=16
	// +kubebuilder:validation:XValidation:rule="type(self) == int ? self >= 0 : self.matches('^([0-9]|[1-9][0-9]|100)%$')",message="maxFailed must be a number of nodes of at least 0, or a percentage from 0% to 100%"
	MaxFailed *intstr.IntOrString `json:"maxFailed,omitempty"`
	// topologyKey is a node label, such as topology.kubernetes.io/zone. Nodes with the
	// same value form a domain. Domains are updated one after the other, and a percentage
	// in maxUnavailable refers to the nodes of the domain.
	// +optional
	// +kubebuilder:validation:MaxLength=317
	TopologyKey string `json:"topologyKey,omitempty"`
	// windows restricts the times at which nodes start to be updated. Nodes that are
	// being updated finish, and observing continues, outside of the windows. If omitted,
	// nodes are updated at any time.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=16
	Windows []RolloutWindow `json:"windows,omitempty"`
	// approval is Automatic or Manual. Manual waits, after the canaries have soaked, until
	// a user approves the revision with the annotation portreeve.io/approve. Defaults to
	// Automatic.
	// +optional
	Approval Approval `json:"approval,omitempty"`
	// progressDeadlineSeconds is the time in seconds without progress after which the
	// rollout is reported as stuck, and after which a node that has not reported counts as
	// failed. Defaults to 600.
	// +optional
	// +kubebuilder:validation:Minimum=1
	// +kubebuilder:validation:Maximum=604800
	ProgressDeadlineSeconds *int32 `json:"progressDeadlineSeconds,omitempty"`
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

// RolloutWindow is a recurring period in which nodes may start to be updated.
type RolloutWindow struct {
	// start is a cron expression with five fields (minute, hour, day of month, month, day
	// of week), such as "0 22 * * 1-5", for the times at which the window opens.
	// +kubebuilder:validation:MinLength=9
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[^ =@]+( +[^ =@]+){4}$')",messageExpression="'windows: start \"' + self + '\" is not a cron expression: use five fields such as \"0 22 * * 1-5\", and timeZone for the time zone'"
	Start string `json:"start"`
	// durationSeconds is the time in seconds that the window stays open.
	// +kubebuilder:validation:Minimum=60
	// +kubebuilder:validation:Maximum=604800
	DurationSeconds int32 `json:"durationSeconds"`
	// timeZone is the time zone of start, as named in the IANA database, such as
	// "Europe/Berlin". Defaults to UTC.
	// +optional
	// +kubebuilder:validation:MaxLength=64
	TimeZone string `json:"timeZone,omitempty"`
}

// Approval configures whether a rollout waits for a user after its canaries.
//
// +kubebuilder:validation:Enum=Automatic;Manual
// +kubebuilder:validation:MaxLength=16
type Approval string

// The values of Approval.
const (
	ApprovalAutomatic Approval = "Automatic"
	ApprovalManual    Approval = "Manual"
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
	// previews lists, in mode DryRun, keys that another NodeTuning enforces on the same
	// nodes, and what enforcing this NodeTuning would change about them. Other keys are
	// previewed in the status of each PortPressure.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Previews []TuningPreview `json:"previews,omitempty"`
	// rollout reports the progress of the rollout.
	// +optional
	Rollout RolloutStatus `json:"rollout,omitzero"`
	// conditions contains Ready, Reconciling, Stalled, Progressing, Degraded and
	// Conflicted.
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
	// revision is the metadata.generation that the rollout updates nodes to.
	// +optional
	Revision int64 `json:"revision,omitempty"`
	// completedRevision is the last revision whose rollout completed.
	// +optional
	CompletedRevision int64 `json:"completedRevision,omitempty"`
	// startedAt is the time at which the first node was updated to the revision.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// lastProgressAt is the time at which an updated node last reported its settings.
	// +optional
	LastProgressAt *metav1.Time `json:"lastProgressAt,omitempty"`
	// completedAt is the time at which the rollout of completedRevision completed.
	// +optional
	CompletedAt *metav1.Time `json:"completedAt,omitempty"`
	// batch is the batch that is being updated or observed.
	// +optional
	Batch RolloutBatch `json:"batch,omitzero"`
	// clock contains the time that the rollout has spent waiting.
	// +optional
	Clock RolloutClock `json:"clock,omitzero"`
	// overdue lists updated nodes that have not reported for progressDeadlineSeconds. They
	// count as failed, and the rollout no longer waits for them.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	Overdue []string `json:"overdue,omitempty"`
	// toleratedFailures is the number of failed nodes when the rollout was last resumed.
	// They do not count towards maxFailed.
	// +optional
	ToleratedFailures int32 `json:"toleratedFailures,omitempty"`
	// stop explains why the rollout of a revision has stopped. Omitted if it has not.
	// +optional
	Stop *RolloutStop `json:"stop,omitempty"`
	// resumed is the last request to resume a stopped rollout.
	// +optional
	Resumed *RolloutRequest `json:"resumed,omitempty"`
	// approved is the last approval of a revision.
	// +optional
	Approved *RolloutRequest `json:"approved,omitempty"`
	// regressions is the number of rollouts of this NodeTuning that a regression stopped.
	// +optional
	Regressions int32 `json:"regressions,omitempty"`
	// brakeHolds is the number of times that the brake stopped a removal of settings.
	// +optional
	BrakeHolds int32 `json:"brakeHolds,omitempty"`
}

// RolloutBatch is a group of nodes that are updated and observed together.
type RolloutBatch struct {
	// number counts the batches of a rollout. The canaries are number 1.
	Number int32 `json:"number"`
	// startedAt is the time at which the first of its nodes was updated. Port pressure is
	// compared from then on.
	// +optional
	StartedAt *metav1.Time `json:"startedAt,omitempty"`
	// settledNodes is the number of updated nodes that have reported their settings.
	// +optional
	SettledNodes int32 `json:"settledNodes,omitempty"`
	// expectedMicros is the number of updated nodes, in millionths, on which port pressure
	// is expected to increase by chance within a minute, without the restless nodes. It is
	// estimated from the time of the last increase on each node before its update.
	// +optional
	ExpectedMicros int64 `json:"expectedMicros,omitempty"`
	// restlessNodes is the number of updated nodes on which port pressure had increased
	// shortly before their update.
	// +optional
	RestlessNodes int32 `json:"restlessNodes,omitempty"`
	// restlessMicros is the same as expectedMicros for the restless nodes.
	// +optional
	RestlessMicros int64 `json:"restlessMicros,omitempty"`
}

// RolloutClock contains times that the controller has measured. They add up short
// intervals, so that a clock that is set or a leader with a different clock shortens no
// wait.
type RolloutClock struct {
	// readAt is the time at which the clock was last read.
	// +optional
	ReadAt *metav1.Time `json:"readAt,omitempty"`
	// observing reports whether the batch had settled when the clock was read. Only time
	// between two readings for which that holds is added.
	// +optional
	Observing bool `json:"observing,omitempty"`
	// conclusive reports whether, when the clock was read, the batch showed what its
	// settings do.
	// +optional
	Conclusive bool `json:"conclusive,omitempty"`
	// soakedSeconds is the time in seconds that the batch has been observed with its
	// settings in effect and, for canaries, with traffic.
	// +optional
	SoakedSeconds int32 `json:"soakedSeconds,omitempty"`
	// waitedSeconds is the time in seconds since the batch has settled.
	// +optional
	WaitedSeconds int32 `json:"waitedSeconds,omitempty"`
	// updatingSeconds is the time in seconds that the batch has been updated without
	// settling.
	// +optional
	UpdatingSeconds int32 `json:"updatingSeconds,omitempty"`
	// changingHash identifies the nodes that were being updated when the clock was last
	// read. Omitted if there were none.
	// +optional
	ChangingHash int64 `json:"changingHash,omitempty"`
	// stalledSeconds is the time in seconds since a node last settled, excluding the time
	// in which the rollout waits on purpose.
	// +optional
	StalledSeconds int32 `json:"stalledSeconds,omitempty"`
	// failingSeconds is the time in seconds that more than maxFailed nodes have failed.
	// +optional
	FailingSeconds int32 `json:"failingSeconds,omitempty"`
}

// RolloutStop is a stop that lasts until a user edits the NodeTuning or resumes the
// revision.
type RolloutStop struct {
	// reason is the reason of the condition Degraded.
	// +kubebuilder:validation:MaxLength=64
	Reason string `json:"reason"`
	// message explains the reason.
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message"`
	// revision is the revision whose rollout stopped.
	Revision int64 `json:"revision"`
	// at is the time of the stop.
	At metav1.Time `json:"at"`
}

// RolloutRequest is a request of a user for one revision, made with annotations.
type RolloutRequest struct {
	// revision is the revision that the request is for.
	Revision int64 `json:"revision"`
	// by identifies the user and the request, as given in the annotation.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	By string `json:"by,omitempty"`
	// at is the time at which the controller accepted the request.
	At metav1.Time `json:"at"`
}

// RolloutPhase is a phase of a rollout.
type RolloutPhase string

// The values of RolloutPhase.
const (
	RolloutCanary           RolloutPhase = "Canary"           // the canaries are being updated
	RolloutSoaking          RolloutPhase = "Soaking"          // updated nodes are being observed
	RolloutRolling          RolloutPhase = "Rolling"          // the other nodes are being updated in batches
	RolloutComplete         RolloutPhase = "Complete"         // every matched node has been updated
	RolloutWatching         RolloutPhase = "Watching"         // every node is updated; all are being observed
	RolloutAwaitingApproval RolloutPhase = "AwaitingApproval" // the canaries have soaked; a user must approve
	RolloutAwaitingWindow   RolloutPhase = "AwaitingWindow"   // no window of rollout.windows is open
	RolloutPaused           RolloutPhase = "Paused"           // paused on purpose or by a regression
	RolloutReverted         RolloutPhase = "Reverted"         // reverted after a regression
	RolloutAwaitingRestart  RolloutPhase = "AwaitingRestart"  // applied; takes effect after nodes restart
	RolloutReleasing        RolloutPhase = "Releasing"        // deleted; original values are being restored
)

// Condition types of a NodeTuning.
const (
	ConditionReady       = "Ready"       // every matched node whose agent reports has the settings
	ConditionReconciling = "Reconciling" // kstatus: the rollout is in progress
	ConditionStalled     = "Stalled"     // kstatus: the rollout does not continue by itself
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
	ReasonNoNodesMatch    = "NoNodesMatch"    // Ready is False: the selector matches no node
	ReasonNotStalled      = "NotStalled"      // Stalled is False

	// ReasonProgressDeadlineExceeded means that Progressing is False and Stalled True:
	// the rollout made no progress for rollout.progressDeadlineSeconds.
	ReasonProgressDeadlineExceeded = "ProgressDeadlineExceeded"
)

// These annotations on a NodeTuning are requests for one revision. The value of the
// first is metadata.generation; the other one identifies the user and the request, and
// must differ between two requests for the same revision.
const (
	AnnotationResume     = "portreeve.io/resume" // continue a stopped rollout
	AnnotationResumedBy  = "portreeve.io/resumed-by"
	AnnotationApprove    = "portreeve.io/approve" // continue after the canaries (rollout.approval Manual)
	AnnotationApprovedBy = "portreeve.io/approved-by"
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
