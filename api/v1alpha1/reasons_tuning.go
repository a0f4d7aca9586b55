package v1alpha1

// Reasons of Events about a NodeTuning. The controller writes each on the NodeTuning
// once, when the state begins. Those that stop a rollout are also reasons of its
// condition Degraded.
const (
	// ReasonRolloutComplete means that all selected nodes have been updated.
	ReasonRolloutComplete = "RolloutComplete"
	// ReasonRolloutPaused means that spec.rollout.paused is set.
	ReasonRolloutPaused = "RolloutPaused"
	// ReasonRegressionFound means that port pressure rose more on updated nodes than on
	// nodes that have not been updated. The rollout pauses or is reverted.
	ReasonRegressionFound = "RegressionFound"
	// ReasonTooManyFailed means that the update failed on more than rollout.maxFailed
	// nodes. The rollout pauses or is reverted.
	ReasonTooManyFailed = "TooManyFailed"
	// ReasonRolloutResumed means that a user has resumed a stopped rollout.
	ReasonRolloutResumed = "RolloutResumed"
	// ReasonRolloutApproved means that a user has approved a revision.
	ReasonRolloutApproved = "RolloutApproved"
	// ReasonReleaseHeld means that a change that would remove settings from many nodes
	// at once is blocked until it is confirmed with AnnotationConfirmRelease.
	ReasonReleaseHeld = "ReleaseHeld"
	// ReasonTuningUnreadable means that the controller cannot read the NodeTuning and
	// keeps the current settings.
	ReasonTuningUnreadable = "TuningUnreadable"
	// ReasonConflictFound means that another NodeTuning sets a different value for a
	// key on the same nodes.
	ReasonConflictFound = "ConflictFound"
	// ReasonSettingFailed means that a setting could not be written or read back on a
	// node.
	ReasonSettingFailed = "SettingFailed"
	// ReasonSettingRefused means that a setting is not allowed on a node or would break
	// it.
	ReasonSettingRefused = "SettingRefused"
	// ReasonSettingContested means that another program on a node keeps overwriting a
	// setting.
	ReasonSettingContested = "SettingContested"
	// ReasonRestartRequired means that a setting takes effect on some nodes only after
	// a restart. It is also written on the PortPressure and the Node.
	ReasonRestartRequired = "RestartRequired"
	// ReasonReleased means that the NodeTuning was deleted and the original values are
	// restored on every node.
	ReasonReleased = "Released"
)

// AnnotationRestartRequired is "true" on a Node with settings that take effect only
// after a restart, if the controller may set it (--annotate-restart). Otherwise it is
// absent.
const AnnotationRestartRequired = "portreeve.io/restart-required"

// AnnotationHold on a node's PortPressure, with the value "true", makes the node's agent
// keep every setting as it is: it neither applies nor restores anything. It belongs to the
// Node's UID: the controller removes it when the Node has been replaced by another of the
// same name.
const AnnotationHold = "portreeve.io/hold"
