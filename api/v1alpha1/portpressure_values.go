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
	// ExactnessExact: the headroom is what connect() and bind() then give.
	ExactnessExact Exactness = "Exact"
	// ExactnessUpperBound: there may be less headroom than reported, never more.
	ExactnessUpperBound Exactness = "UpperBound"
	// ExactnessApproximate: a pass could not be finished cleanly; a few sockets may be
	// counted twice or not at all.
	ExactnessApproximate Exactness = "Approximate"
	// ExactnessAssumed: the operating system documents it so, and nothing was verified.
	ExactnessAssumed Exactness = "Assumed"
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

// CapabilityRegistryWrite is writing to TCP/IP's key (Windows): Assumed until a setting
// of it was written and read back.
const CapabilityRegistryWrite = "RegistryWrite"

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

// The reasons of failures. Those of Windows stand for events of its logs, of which each
// may stand for many failures: IDs 4227, 4231 and 4266 of Tcpip, and 1033 of WinNAT.
const (
	// FailureAddressNotAvailable: connect() found no port (Linux).
	FailureAddressNotAvailable = "EADDRNOTAVAIL"
	// FailureTCPPortReusedTooSoon: the port that connect() got was used to the same
	// peer a moment ago.
	FailureTCPPortReusedTooSoon = "TcpPortReusedTooSoon"
	// FailureTCPPortsExhausted: no port was left for TCP.
	FailureTCPPortsExhausted = "TcpPortsExhausted"
	// FailureUDPPortsExhausted: no port was left for UDP.
	FailureUDPPortsExhausted = "UdpPortsExhausted"
	// FailureWinNATPortsExhausted: WinNAT found no port to translate to.
	FailureWinNATPortsExhausted = "WinNatPortsExhausted"
)

// Cause is why a pool is past the line.
type Cause string

// The values of Cause.
const (
	// CauseTimeWaitChurn: connections are opened faster than TIME_WAIT drains.
	CauseTimeWaitChurn Cause = "TimeWaitChurn"
	// CauseReusePossible: TIME_WAIT fills the pool, and tcp_tw_reuse would free
	// most of it now.
	CauseReusePossible Cause = "ReusePossible"
	// CauseCloseWaitLeak: the peer closed and the program does not.
	CauseCloseWaitLeak Cause = "CloseWaitLeak"
	// CauseEstablishedPool: open connections themselves fill the pool.
	CauseEstablishedPool Cause = "EstablishedPool"
	// CauseIdleConnections: open connections fill the pool, and most are silent.
	CauseIdleConnections Cause = "IdleConnections"
	// CauseHalfOpen: the peers of open connections are gone, and nothing finds out.
	CauseHalfOpen Cause = "HalfOpen"
	// CauseFewSources: a range that is wide already is full towards one
	// destination, from one source address.
	CauseFewSources Cause = "FewSources"
	// CauseSynSentStall: the peer does not answer, or, when the destinations are
	// many, something scans.
	CauseSynSentStall Cause = "SynSentStall"
	// CauseFinWaitOrphans: the program closed and the peer does not.
	CauseFinWaitOrphans Cause = "FinWaitOrphans"
	// CauseBoundPorts: programs bind() before they connect(), which takes a port
	// from every destination.
	CauseBoundPorts Cause = "BoundPorts"
	// CauseListenerInRange: services listen on ports inside the ephemeral range.
	CauseListenerInRange Cause = "ListenerInRange"
	// CauseNarrowRange: the ephemeral range itself is small.
	CauseNarrowRange Cause = "NarrowRange"
	// CauseConntrackFull: the connection tracking table is full, not the ports.
	CauseConntrackFull Cause = "ConntrackFull"
	// CauseSnatPool: the ports of a translated source address (masquerade) run out,
	// not those of the range.
	CauseSnatPool Cause = "SnatPool"
	// CauseFileDescriptors: a process is near RLIMIT_NOFILE, or the node near
	// fs.file-max.
	CauseFileDescriptors Cause = "FileDescriptors"
	// CauseSocketMemory: the memory or the number of orphans that TCP may have is
	// nearly used up; on Windows, the nonpaged pool.
	CauseSocketMemory Cause = "SocketMemory"
	// CausePoolNotTight: ports are not what is missing.
	CausePoolNotTight Cause = "PoolNotTight"
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
