package v1alpha1

// Level is how near a pool is to its end.
type Level string

// The values of Level, the best first.
const (
	LevelNormal   Level = "Normal"
	LevelWarning  Level = "Warning"
	LevelCritical Level = "Critical"
)

// Exactness says how a reader's figures relate to the truth.
type Exactness string

// The values of Exactness, the best first.
const (
	// Exact: the headroom is what connect() and bind() then give.
	Exact Exactness = "Exact"
	// UpperBound: there may be less headroom than reported, never more.
	UpperBound Exactness = "UpperBound"
	// Approximate: a pass could not be finished cleanly; a few sockets may be
	// counted twice or not at all.
	Approximate Exactness = "Approximate"
	// Assumed: the operating system documents it so, and nothing was verified.
	Assumed Exactness = "Assumed"
)

// The readers by name.
const (
	ReaderPortwalk = "portwalk" // Linux: BPF walks of the kernel's own tables
	ReaderSockdiag = "sockdiag" // Linux: sock_diag(7) dumps
	ReaderIPHlpAPI = "iphlpapi" // Windows: the IP Helper API
)

// CapabilityState says whether something works on a node.
type CapabilityState string

// The values of CapabilityState.
const (
	CapabilityVerified    CapabilityState = "Verified"    // tried here, and it works
	CapabilityAssumed     CapabilityState = "Assumed"     // should work; not tried
	CapabilityUnsupported CapabilityState = "Unsupported" // does not work here
)

// SettingState is how far one setting has come.
type SettingState string

// The values of SettingState.
const (
	SettingApplied         SettingState = "Applied"         // read back as wanted
	SettingPending         SettingState = "Pending"         // not written yet
	SettingDryRun          SettingState = "DryRun"          // would be written
	SettingStandby         SettingState = "Standby"         // UnderPressure, and not needed now
	SettingRefused         SettingState = "Refused"         // not allowed, or would break the node
	SettingFailed          SettingState = "Failed"          // could not be written or read back
	SettingRestartRequired SettingState = "RestartRequired" // written; works after a restart
	SettingContested       SettingState = "Contested"       // another program keeps changing it
	SettingReleased        SettingState = "Released"        // the original was given back
)

// Cause is why a pool is past the line.
type Cause string

// The values of Cause.
const (
	// CauseTimeWaitChurn: connections are opened faster than TIME_WAIT drains.
	CauseTimeWaitChurn Cause = "TimeWaitChurn"
	// CauseCloseWaitLeak: the peer closed and the program does not.
	CauseCloseWaitLeak Cause = "CloseWaitLeak"
	// CauseEstablishedPool: open connections themselves fill the pool.
	CauseEstablishedPool Cause = "EstablishedPool"
	// CauseSynSentStall: the peer does not answer, or, when the destinations are
	// many, something scans.
	CauseSynSentStall Cause = "SynSentStall"
	// CauseFinWaitOrphans: the program closed and the peer does not.
	CauseFinWaitOrphans Cause = "FinWaitOrphans"
	// CauseBoundPorts: programs bind() before they connect(), which takes a port
	// from every destination.
	CauseBoundPorts Cause = "BoundPorts"
	// CauseNarrowRange: the ephemeral range itself is small.
	CauseNarrowRange Cause = "NarrowRange"
	// CauseConntrackFull: the connection tracking table is full, not the ports.
	CauseConntrackFull Cause = "ConntrackFull"
	// CauseUnknown: none of the others fits.
	CauseUnknown Cause = "Unknown"
)

// LabelAgent is set by the controller on the PortPressure of a node: to
// AgentSilent where its agent is not ready, to AgentNone where it has no agent;
// absent otherwise.
const (
	LabelAgent  = "portreeve.io/agent"
	AgentSilent = "silent"
)
