package v1alpha1

// TuningPreview describes what enforcing a NodeTuning in mode DryRun would change about a
// setting that another NodeTuning enforces.
type TuningPreview struct {
	// key is the name of the setting.
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key"`
	// value is the value that this NodeTuning sets.
	// +kubebuilder:validation:MaxLength=4096
	Value string `json:"value"`
	// current is the value that enforcedBy sets.
	// +kubebuilder:validation:MaxLength=4096
	Current string `json:"current"`
	// enforcedBy is the NodeTuning whose value is enforced now.
	// +kubebuilder:validation:MaxLength=253
	EnforcedBy string `json:"enforcedBy"`
	// effect is what enforcing this NodeTuning would do: Changed (its value would replace
	// the current one), Unchanged (the values are equal), Overridden (the other NodeTuning
	// has the higher priority) or Conflicting (the priorities are equal, so that neither
	// value would be applied).
	// +kubebuilder:validation:MaxLength=32
	Effect string `json:"effect"`
	// nodes is the number of nodes that both select.
	Nodes int32 `json:"nodes"`
}

// The values of TuningPreview.Effect.
const (
	PreviewChanged     = "Changed"
	PreviewUnchanged   = "Unchanged"
	PreviewOverridden  = "Overridden"
	PreviewConflicting = "Conflicting"
)
