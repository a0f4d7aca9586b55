package v1alpha1

// Condition types of a PortPressure.
const (
	// ConditionPortsAvailable is True below the critical threshold, False at or above
	// it, and Unknown if nothing could be measured.
	ConditionPortsAvailable = "PortsAvailable"
	// ConditionConntrackAvailable is True while the connection tracking table accepts
	// new entries, False if it is nearly full or rejects entries, and Unknown if it
	// cannot be read.
	ConditionConntrackAvailable = "ConntrackAvailable"
	// ConditionLeakSuspected is True while sockets that a program should have closed
	// use most of a pool above the warning threshold, or are in CLOSE_WAIT in large
	// numbers, whichever pool they use.
	ConditionLeakSuspected = "LeakSuspected"
	// ConditionPortRangeCollision is True while the ephemeral range of a network covers
	// ports that others own and that are not reserved: NodePorts, ports of listeners, or
	// ports of well-known services.
	ConditionPortRangeCollision = "PortRangeCollision"
	// ConditionTuned is True if every setting has its desired value.
	ConditionTuned = "Tuned"
	// ConditionRestartRequired is True if a setting takes effect only after a restart.
	ConditionRestartRequired = "RestartRequired"
	// ConditionSettingsOrphaned is True while values that Portreeve has written are in
	// effect although the spec does not request them. Otherwise it is absent.
	ConditionSettingsOrphaned = "SettingsOrphaned"
)

// Reasons of ConditionPortsAvailable: the levels and ReasonNotMeasured.
const (
	ReasonNormal      = string(LevelNormal)
	ReasonWarning     = string(LevelWarning)
	ReasonCritical    = string(LevelCritical)
	ReasonNotMeasured = "NotMeasured"
)

// Reasons of ConditionConntrackAvailable, in addition to ReasonNotMeasured.
const (
	ReasonConntrackAvailable    = "Available"       // True
	ReasonConntrackNearlyFull   = "TableNearlyFull" // False: the number of entries is near the limit
	ReasonConntrackInsertFailed = "InsertFailed"    // False: new entries were rejected recently
)

// Reasons of ConditionPortRangeCollision, in addition to ReasonNotMeasured.
const (
	ReasonRangeCoversPorts = "RangeCoversPorts" // True
	ReasonNoCollision      = "NoCollision"      // False
)

// ReasonNoLeak is the reason of ConditionLeakSuspected if it is False. If it is True,
// the reason is the cause.
const ReasonNoLeak = "NoLeak"

// Reasons of ConditionTuned. The others are the worst state of any setting
// (SettingState).
const (
	// ReasonHolding means that the spec has no settings yet, so the agent keeps the
	// current values.
	ReasonHolding = "Holding"
	// ReasonNoSettings means that the spec has an empty list of settings, and all
	// original values have been restored.
	ReasonNoSettings = "NoSettings"
)

// ReasonNotRequested is the reason of ConditionSettingsOrphaned. Its message lists the
// settings, and status.settings the reason for each.
const ReasonNotRequested = "NotRequested"

// Reasons of ConditionRestartRequired.
const (
	ReasonRestartPending   = "RestartPending"   // True: status.settings lists the settings
	ReasonNoRestartPending = "NoRestartPending" // False
)
