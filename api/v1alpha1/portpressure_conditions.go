package v1alpha1

// The conditions of a PortPressure.
const (
	// ConditionPortsAvailable is True below the critical line, False from it on,
	// and Unknown where nothing could be measured.
	ConditionPortsAvailable = "PortsAvailable"
	// ConditionTuned is True when every setting is where the spec wants it.
	ConditionTuned = "Tuned"
	// ConditionRestartRequired is True when a setting waits for a restart.
	ConditionRestartRequired = "RestartRequired"
)

// The reasons of ConditionPortsAvailable are the levels, and ReasonNotMeasured.
const (
	ReasonNormal      = string(LevelNormal)
	ReasonWarning     = string(LevelWarning)
	ReasonCritical    = string(LevelCritical)
	ReasonNotMeasured = "NotMeasured"
)

// The reasons of ConditionTuned are the state of the setting that is furthest
// from where it should be (SettingState), and these.
const (
	// ReasonHolding: the spec has no settings, so what is held is held on.
	ReasonHolding = "Holding"
	// ReasonNothingWanted: the spec has an empty list, and everything was given
	// back.
	ReasonNothingWanted = "NothingWanted"
)

// The reasons of ConditionRestartRequired.
const (
	ReasonSettingsWait = "SettingsWait" // True: status.settings says which
	ReasonNoneWaits    = "NoneWaits"    // False
)
