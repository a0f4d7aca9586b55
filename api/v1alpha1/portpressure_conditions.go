package v1alpha1

// The conditions of a PortPressure.
const (
	// ConditionPortsAvailable is True below the critical line, False from it on,
	// and Unknown where nothing could be measured.
	ConditionPortsAvailable = "PortsAvailable"
	// ConditionConntrackAvailable is True while the connection tracking table has
	// room and every entry finds its place, and Unknown where it can't be read.
	ConditionConntrackAvailable = "ConntrackAvailable"
	// ConditionLeakSuspected is True while sockets that a program should have
	// closed hold most of a pool past the line.
	ConditionLeakSuspected = "LeakSuspected"
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

// The reasons of ConditionConntrackAvailable, beside ReasonNotMeasured.
const (
	ReasonConntrackAvailable    = "Available"       // True
	ReasonConntrackNearlyFull   = "TableNearlyFull" // False: entries are near the limit
	ReasonConntrackInsertFailed = "InsertFailed"    // False: entries found no place lately
)

// ReasonNoLeak is the reason of ConditionLeakSuspected where it is False; where it is
// True, that is the cause.
const ReasonNoLeak = "NoLeak"

// The reasons of ConditionTuned are the state of the setting that is furthest
// from where it should be (SettingState), and these.
const (
	// ReasonHolding: the spec has no settings, so what is held is held on.
	ReasonHolding = "Holding"
	// ReasonNoSettings: the spec has an empty list, and everything was given
	// back.
	ReasonNoSettings = "NoSettings"
)

// The reasons of ConditionRestartRequired.
const (
	ReasonRestartPending   = "RestartPending"   // True: status.settings says which
	ReasonNoRestartPending = "NoRestartPending" // False
)
