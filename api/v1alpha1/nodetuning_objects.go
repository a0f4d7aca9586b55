package v1alpha1

// PaceConfigMap is the ConfigMap in Portreeve's namespace that limits the pace of all
// NodeTunings together. Its keys are maxUnavailable, paused and pauseWhenNodesNotReady.
const PaceConfigMap = "portreeve-pace"

// AnnotationReleased on a PortPressure records, as a JSON object by NodeTuning, when the
// node last lost settings of it. The controller writes it with the spec, counts recent
// losses, and waits until the agent has restored the original values.
const AnnotationReleased = "portreeve.io/released"

// Labels of the ControllerRevisions that keep the specs of NodeTunings, in Portreeve's
// namespace. Their revision is the metadata.generation of the spec. The name is omitted
// if it is too long for a label.
const (
	LabelTuning    = "portreeve.io/nodetuning"
	LabelTuningUID = "portreeve.io/nodetuning-uid"
)

// ReasonTooManySettings is a reason of the condition Degraded: on some nodes, the settings
// of the NodeTuning would exceed MaxSettings together with those of others.
const ReasonTooManySettings = "TooManySettings"

// MaxSettings is the number of settings that the spec of a PortPressure can contain.
const MaxSettings = 128
