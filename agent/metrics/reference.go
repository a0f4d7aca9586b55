package metrics

// When a series isn't there.
const (
	alwaysPresent      = ""
	notMeasured = "nothing could be measured"
	notReadable     = "not in use, or could not be read"

	notWindows       = "not Windows"
	notWindowsOrReadable = "not Windows, or could not be read"
)

// What names a network, and a pool of one.
var (
	networkLabels = []string{"namespace", "pod", "network"}
	poolLabels    = append(networkLabels[:3:3], "protocol", "kind", "source", "destination", "port")
)

const listedPools = "the pool is neither the tightest nor one of the object's: the 2 worst past the warning line of each of the 3 worst networks"

// What is measured.
var (
	nodeUsed = newGauge("portreeve_node_used_ratio",
		"Share of the ports of the node's tightest pool that are used, 0 to 1: at 1 no port is left.", notMeasured)
	level = newGauge("portreeve_level",
		"How near the tightest pool is to its end: 1 for the level that holds, 0 for the others.", notMeasured, "level")
	threshold = newGauge("portreeve_threshold_ratio",
		"Share of a pool that is used at which the level begins, 0 to 1, as the PortPressure's spec has it.", notMeasured, "level")
	poolUsed = newGauge("portreeve_pool_used_ports",
		"Ports of the pool that the next call can't get. It can pass the capacity by one.", listedPools, poolLabels...)
	poolCapacity = newGauge("portreeve_pool_capacity_ports",
		"Ports that the pool has when nothing uses it.", listedPools, poolLabels...)
	poolReusable = newGauge("portreeve_pool_reusable_ports",
		"Sockets in TIME_WAIT that the next connect() would take over; they are not used ports.",
		listedPools+"; or this can't be told, as for pools without a destination", poolLabels...)
	networkUsed = newGauge("portreeve_network_used_ratio",
		"Share of the network's tightest pool that is used, 0 to 1.",
		"below the warning line, or not among the 250 worst", networkLabels...)
	networks = newGauge("portreeve_networks",
		"Networks (network namespaces) that were read.", "no sample was taken yet")
	networkCause = newGauge("portreeve_network_cause_info",
		"Always 1: why the network's tightest pool is past the line.",
		"below the warning line, or not one of the object's 3 worst networks", append(networkLabels[:3:3], "cause")...)
	exhaustion = newGauge("portreeve_exhaustion_seconds",
		"Time until the tightest pool is used up if it goes on like this; 0 when it is.", "it is not running out")
	tcpSockets = newGauge("portreeve_tcp_sockets",
		"TCP sockets by state, of all networks that were read in detail.", notMeasured, "state")
	udpUsed = newGauge("portreeve_udp_used_ports",
		"Ephemeral ports that UDP sockets are bound to, in the network that has the smallest share of them left.", notMeasured)
	udpCapacity = newGauge("portreeve_udp_capacity_ports",
		"Ephemeral ports that UDP can use in that network.", notMeasured)
	failedConnects = newCounter("portreeve_failed_connects_total",
		"Calls of connect() on the node that failed because no port was left (EADDRNOTAVAIL), since the agent started.",
		"the reader can't watch for them")
	networkFailedConnects = newCounter("portreeve_network_failed_connects_total",
		"The same by network. The first 8 networks with any have series of their own, for as long as they exist; the rest is network=\"other\". A network's count starts at what it has when it appears: alert on portreeve_failed_connects_total.",
		"none has failed yet in that network; all of them where the reader can't watch", networkLabels...)
	conntrackEntries = newGauge("portreeve_conntrack_entries",
		"Entries of the connection tracking table (nf_conntrack_count).", notReadable)
	conntrackLimit = newGauge("portreeve_conntrack_entries_limit",
		"Entries that the table can have (nf_conntrack_max).", notReadable+"; or there is no limit")
	conntrackInsertFailed = newCounter("portreeve_conntrack_insert_failed_total",
		"Entries that could not be inserted, since boot: rises when SNAT finds no port.", notReadable)
	conntrackDrop = newCounter("portreeve_conntrack_drop_total",
		"Packets dropped because their entry could not be made, since boot.", notReadable)
	conntrackEarlyDrop = newCounter("portreeve_conntrack_early_drop_total",
		"Entries dropped to make room for others in a full table, since boot.", notReadable)
	timeWaitOverflow = newCounter("portreeve_tcp_time_wait_overflow_total",
		"Sockets that skipped TIME_WAIT because net.ipv4.tcp_max_tw_buckets were there, in the node's own network since boot.", notReadable)
	listenOverflows = newCounter("portreeve_tcp_listen_overflows_total",
		"Connections that a full accept queue refused, in the node's own network since boot.", notReadable)
	orphans = newGauge("portreeve_tcp_orphans",
		"TCP sockets of the node that no process holds any more.", notReadable)
	tcpMemory = newGauge("portreeve_tcp_memory_used_ratio",
		"Share of the limit of net.ipv4.tcp_mem that the node's TCP buffers use.", notReadable)
	restartRequired = newGauge("portreeve_restart_required",
		"Always 1: a setting that a NodeTuning holds here, written, works after a restart of the node only.",
		"the setting works already, or is none of a NodeTuning's", "key")
	windowsFailures = newCounter("portreeve_windows_port_events_total",
		"Events of Windows' logs that say that ports have run out, since the agent started. Each may stand for many failed calls. Their names are the reasons of the object's status.failures: TcpPortReusedTooSoon (Tcpip 4227), TcpPortsExhausted (4231), UdpPortsExhausted (4266), WinNatPortsExhausted (WinNAT 1033).",
		notWindows+"; or the System log could not be read", "event")
	windowsBlocks = newGauge("portreeve_windows_free_port_blocks",
		"Blocks of 64 adjacent ports of a dynamic range that are neither excluded nor used: what HNS reserves for pods and services.",
		notWindows+"; or the exclusions could not be read", "family", "protocol")
	windowsNonpaged = newGauge("portreeve_windows_nonpaged_pool_bytes",
		"Memory of the nonpaged pool, in which sockets live.", notWindowsOrReadable)
	windowsNonpagedLimit = newGauge("portreeve_windows_nonpaged_pool_limit_bytes",
		"What the nonpaged pool can have before the machine suffers: three quarters of its RAM.", notWindowsOrReadable)
	windowsPaged = newGauge("portreeve_windows_paged_pool_bytes",
		"Memory of the paged pool.", notWindowsOrReadable)
	windowsCommit = newGauge("portreeve_windows_commit_used_ratio",
		"Share of the commit limit that is promised to programs, 0 to 1.", notWindowsOrReadable)
	windowsHandles = newGauge("portreeve_windows_handles",
		"Handles that are open on the machine.", notWindowsOrReadable)
	windowsBoot = newGauge("portreeve_windows_boot_time_seconds",
		"When Windows was started, in seconds since 1970.", notWindowsOrReadable)
	windowsUpdate = newGauge("portreeve_windows_update_pending",
		"1 while Windows itself waits for a restart, for an update.", notWindows)
	unobservedItems = newGauge("portreeve_unobserved_items",
		"Things that could not be read: networks of sandboxes, counters, states. The object's status.unobserved says which, and why.", "no sample was taken yet")
)

// How the agent fares.
var (
	lastSample = newGauge("portreeve_agent_last_sample_timestamp_seconds",
		"When the figures were read, in seconds since 1970. Figures stay as they are when a sample fails.", "no sample was taken yet")
	sampleCPU = newCounter("portreeve_agent_sample_cpu_seconds_total",
		"CPU time that samples took.", alwaysPresent)
	sampleDuration = newFamily("summary", "portreeve_agent_sample_duration_seconds",
		"Time that samples took by the clock; the count is the samples taken.", alwaysPresent)
	tickSeconds = newGauge("portreeve_agent_tick_seconds",
		"Time from the last sample to the next.", "no sample was taken yet")
	tickStretched = newGauge("portreeve_agent_tick_stretched",
		"1 when the CPU budget makes the tick longer than was asked for.", "no sample was taken yet")
	statusWrites = newCounter("portreeve_agent_status_writes_total",
		"Attempts to write the PortPressure's status: ok, not_found, forbidden, throttled, error.", alwaysPresent, "result")
	readerInfo = newGauge("portreeve_agent_reader_info",
		"Always 1: which reader read the sockets last, and how its figures relate to the truth.", "no sample was taken yet", "reader", "exactness")
	buildInfo = newGauge("portreeve_agent_build_info",
		"Always 1: the agent's version, and Go's.", alwaysPresent, "version", "goversion")

	processCPU = newCounter("process_cpu_seconds_total",
		"CPU time of the agent's process, samples included.", processNotReadable)
	processMemory = newGauge("process_resident_memory_bytes",
		"Resident memory of the agent's process (on Windows its working set), without its BPF maps.", processNotReadable)
	processStart = newGauge("process_start_time_seconds",
		"When the agent's process started, in seconds since 1970.", processNotReadable)
)

const processNotReadable = "could not be read: from /proc/self/stat, on Windows by GetProcessTimes and GetProcessMemoryInfo"
