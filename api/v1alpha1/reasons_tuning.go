package v1alpha1

// The reasons of Events about a NodeTuning. The controller writes them on the
// NodeTuning, each when it begins, not while it lasts. Those that stop a rollout are
// also the reason of its condition Degraded.
const (
	// ReasonRolloutComplete: every node that it selects has the settings.
	ReasonRolloutComplete = "RolloutComplete"
	// ReasonRolloutPaused: someone has set spec.rollout.paused.
	ReasonRolloutPaused = "RolloutPaused"
	// ReasonRegressionFound: changed nodes fare worse than the others, or could not
	// apply a setting. The rollout stands, or goes back.
	ReasonRegressionFound = "RegressionFound"
	// ReasonReleaseHeld: it would take settings from many nodes at once, and waits
	// for AnnotationConfirmRelease.
	ReasonReleaseHeld = "ReleaseHeld"
	// ReasonTuningUnreadable: the controller can't read it, and holds what stands.
	ReasonTuningUnreadable = "TuningUnreadable"
	// ReasonConflictFound: another NodeTuning wants another value of a key on the
	// same nodes.
	ReasonConflictFound = "ConflictFound"
	// ReasonSettingFailed: a node could not write a setting, or not read it back.
	ReasonSettingFailed = "SettingFailed"
	// ReasonSettingRefused: a node does not allow a setting, or it would break it.
	ReasonSettingRefused = "SettingRefused"
	// ReasonSettingContested: another program on a node keeps changing a setting.
	ReasonSettingContested = "SettingContested"
	// ReasonRestartRequired: a setting works on some nodes after a restart only. It is
	// written on the PortPressure and the Node as well.
	ReasonRestartRequired = "RestartRequired"
	// ReasonReleased: it was deleted, and every node has its originals back.
	ReasonReleased = "Released"
)

// AnnotationRestartRequired is "true" on a Node whose settings wait for a restart, where
// the controller may say so (--annotate-restart); else it is absent.
const AnnotationRestartRequired = "portreeve.io/restart-required"

// AnnotationHold, set to "true" on a node's PortPressure, makes the node's agent keep
// every setting as it is: it neither applies nor restores anything.
const AnnotationHold = "portreeve.io/hold"
