package v1alpha1

import "slices"

// Level classifies the usage of a pool.
type Level string

// The values of Level, in ascending order of severity.
const (
	LevelNormal   Level = "Normal"
	LevelWarning  Level = "Warning"
	LevelCritical Level = "Critical"
)

// IsWorseThan reports whether l is a worse level than other. A level that this version
// does not know, such as an empty one, is better than every level that it knows.
func (l Level) IsWorseThan(other Level) bool {
	order := []Level{LevelNormal, LevelWarning, LevelCritical}
	return slices.Index(order, l) > slices.Index(order, other)
}

// Exactness describes the accuracy of a reader.
type Exactness string

// The values of Exactness, most accurate first.
const (
	// ExactnessExact means that the headroom is exactly what connect() and bind() can
	// use.
	ExactnessExact Exactness = "Exact"
	// ExactnessUpperBound means that the actual headroom may be lower than reported,
	// but not higher.
	ExactnessUpperBound Exactness = "UpperBound"
	// ExactnessApproximate means that a pass was not completed cleanly. A few sockets
	// may be counted twice or not at all.
	ExactnessApproximate Exactness = "Approximate"
	// ExactnessAssumed means that the values rely on operating system documentation and
	// were not verified.
	ExactnessAssumed Exactness = "Assumed"
)

// The names of readers.
const (
	ReaderPortwalk = "portwalk" // Linux: BPF programs that walk kernel tables
	ReaderSockdiag = "sockdiag" // Linux: sock_diag(7) dumps
	ReaderIPHlpAPI = "iphlpapi" // Windows: the IP Helper API
)

// CapabilityState describes whether a feature works on a node.
type CapabilityState string

// The values of CapabilityState.
const (
	CapabilityVerified    CapabilityState = "Verified"    // tested on this node and working
	CapabilityAssumed     CapabilityState = "Assumed"     // expected to work, but not tested
	CapabilityUnsupported CapabilityState = "Unsupported" // does not work on this node
)

// CapabilityRegistryWrite is the capability to write the TCP/IP parameters in the
// registry (Windows). It is Assumed until a value has been written and read back.
const CapabilityRegistryWrite = "RegistryWrite"

// SettingState is the state of one setting.
type SettingState string

// The values of SettingState.
const (
	SettingApplied         SettingState = "Applied"         // the desired value was read back
	SettingPending         SettingState = "Pending"         // not written yet
	SettingDryRun          SettingState = "DryRun"          // would be written
	SettingStandby         SettingState = "Standby"         // activation UnderPressure, currently not needed
	SettingRefused         SettingState = "Refused"         // not allowed, or would break the node
	SettingFailed          SettingState = "Failed"          // could not be written or read back
	SettingRestartRequired SettingState = "RestartRequired" // written; takes effect after a restart
	SettingContested       SettingState = "Contested"       // another program keeps overwriting it
	SettingReleased        SettingState = "Released"        // the original value was restored
)

// Reasons of failures. On Windows they correspond to event log entries (IDs 4227, 4231
// and 4266 of Tcpip, 1033 of WinNAT), each of which may represent many failures.
const (
	// FailureAddressNotAvailable means that connect() found no free port (Linux).
	FailureAddressNotAvailable = "EADDRNOTAVAIL"
	// FailureAddressInUse means that bind() to port 0, or listen() without bind(), found no
	// free port (Linux).
	FailureAddressInUse = "EADDRINUSE"
	// FailureUDPAddressInUse means that a UDP socket found no free port (Linux): bind()
	// returns EADDRINUSE, connect() and sendto() EAGAIN.
	FailureUDPAddressInUse = "UdpAddressInUse"
	// FailureTCPPortReusedTooSoon means that connect() chose a port that was recently
	// used for the same peer.
	FailureTCPPortReusedTooSoon = "TcpPortReusedTooSoon"
	// FailureTCPPortsExhausted means that no TCP port was free.
	FailureTCPPortsExhausted = "TcpPortsExhausted"
	// FailureUDPPortsExhausted means that no UDP port was free.
	FailureUDPPortsExhausted = "UdpPortsExhausted"
	// FailureWinNATPortsExhausted means that WinNAT found no port for translation.
	FailureWinNATPortsExhausted = "WinNatPortsExhausted"
)

// Cause explains why a pool is above the warning threshold.
type Cause string

// The values of Cause.
const (
	// CauseTimeWaitChurn means that connections are opened faster than TIME_WAIT
	// expires.
	CauseTimeWaitChurn Cause = "TimeWaitChurn"
	// CauseReusePossible means that TIME_WAIT fills the pool, and tcp_tw_reuse would
	// free most of it immediately.
	CauseReusePossible Cause = "ReusePossible"
	// CauseCloseWaitLeak means that peers have closed connections, but the program has
	// not.
	CauseCloseWaitLeak Cause = "CloseWaitLeak"
	// CauseEstablishedPool means that open connections fill the pool.
	CauseEstablishedPool Cause = "EstablishedPool"
	// CauseIdleConnections means that open connections fill the pool, and most of them
	// are idle.
	CauseIdleConnections Cause = "IdleConnections"
	// CauseHalfOpen means that the peers of open connections are gone, which the local
	// side has not detected.
	CauseHalfOpen Cause = "HalfOpen"
	// CauseFewSources means that a wide range is exhausted for one destination from a
	// single source address.
	CauseFewSources Cause = "FewSources"
	// CauseSynSentStall means that the peer does not respond or, with many
	// destinations, that a program scans.
	CauseSynSentStall Cause = "SynSentStall"
	// CauseFinWaitOrphans means that the program has closed connections, but the peers
	// have not.
	CauseFinWaitOrphans Cause = "FinWaitOrphans"
	// CauseBoundPorts means that programs call bind() before connect(), which uses a
	// port for all destinations.
	CauseBoundPorts Cause = "BoundPorts"
	// CauseListenerInRange means that services listen on ports in the ephemeral range.
	CauseListenerInRange Cause = "ListenerInRange"
	// CauseNarrowRange means that the ephemeral range is small.
	CauseNarrowRange Cause = "NarrowRange"
	// CauseConntrackFull means that the connection tracking table is full, while ports
	// are free.
	CauseConntrackFull Cause = "ConntrackFull"
	// CauseSnatPool means that the ports of a translated source address (masquerade)
	// are nearly exhausted, not those of the ephemeral range.
	CauseSnatPool Cause = "SnatPool"
	// CauseFileDescriptors means that a process is near RLIMIT_NOFILE, or the node near
	// fs.file-max.
	CauseFileDescriptors Cause = "FileDescriptors"
	// CauseSocketMemory means that TCP memory or the number of orphans is near its
	// limit; on Windows, that the nonpaged pool is.
	CauseSocketMemory Cause = "SocketMemory"
	// CauseAcceptQueueFull means that a program does not accept its connections fast
	// enough, so that further ones are refused or time out.
	CauseAcceptQueueFull Cause = "AcceptQueueFull"
	// CauseTimeWaitLimit means that TIME_WAIT has reached tcp_max_tw_buckets.
	CauseTimeWaitLimit Cause = "TimeWaitLimit"
	// CauseNeighbourTableFull means that the neighbour table (ARP, NDP) is near its limit.
	CauseNeighbourTableFull Cause = "NeighbourTableFull"
	// CausePrivilegedPorts means that the privileged source ports, which NFS and rsh use,
	// are nearly used up.
	CausePrivilegedPorts Cause = "PrivilegedPorts"
	// CauseAddressNotAvailable means that calls fail with EADDRNOTAVAIL although ports
	// are free, so that the address is the reason.
	CauseAddressNotAvailable Cause = "AddressNotAvailable"
	// CausePortRangeCollision means that the ephemeral range covers ports that others
	// own, so that a connection can take the port of a service.
	CausePortRangeCollision Cause = "PortRangeCollision"
	// CausePoolNotTight means that ports are not the bottleneck.
	CausePoolNotTight Cause = "PoolNotTight"
	// CauseUnknown means that no other cause applies.
	CauseUnknown Cause = "Unknown"
)

// LabelAgent is set by the controller on the PortPressure of a node: AgentSilent if its
// agent is not ready or does not report, AgentNone if the node has no agent. Otherwise
// it is absent.
const (
	LabelAgent  = "portreeve.io/agent"
	AgentSilent = "silent"
)
