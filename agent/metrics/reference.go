package metrics

// Conditions under which a series is absent.
const (
	alwaysPresent = ""
	notMeasured   = "nothing could be measured"
	notReadable   = "not in use, or could not be read"

	notWindows           = "not Windows"
	notWindowsOrReadable = "not Windows, or could not be read"
	noSample             = "no sample was taken yet"
)

// The labels of a network, and of a pool.
var (
	networkLabels = []string{"namespace", "pod", "network"}
	poolLabels    = append(networkLabels[:3:3], "protocol", "kind", "source", "destination", "port")
)

const listedPools = "the pool is neither the tightest nor listed in the object: the 2 tightest above the warning threshold of each of the 3 tightest networks"

// Measurements.
var (
	nodeUsed = newGauge("portreeve_node_used_ratio",
		"Used share of the ports of the node's tightest pool, 0 to 1; at 1 no port is free.", notMeasured)
	level = newGauge("portreeve_level",
		"Level of the tightest pool: 1 for the current level, 0 for the others.", notMeasured, "level")
	threshold = newGauge("portreeve_threshold_ratio",
		"Used share of a pool from which the level applies, 0 to 1, as in the spec of the PortPressure.", notMeasured, "level")
	poolUsed = newGauge("portreeve_pool_used_ports",
		"Ports of the pool that the next call can't use. It can exceed the capacity by one.", listedPools, poolLabels...)
	poolCapacity = newGauge("portreeve_pool_capacity_ports",
		"Ports of the pool, used or free.", listedPools, poolLabels...)
	poolReusable = newGauge("portreeve_pool_reusable_ports",
		"Sockets in TIME_WAIT that the next connect() would take over; they do not count as used ports.",
		listedPools+"; or the number is not known, as for pools without a destination", poolLabels...)
	networkUsed = newGauge("portreeve_network_used_ratio",
		"Used share of the network's tightest pool, 0 to 1.",
		"below the warning threshold, or not among the 250 tightest", networkLabels...)
	networks = newGauge("portreeve_networks",
		"Networks (network namespaces) that were read.", noSample)
	networkCause = newGauge("portreeve_network_cause_info",
		"Always 1: the cause why the network's tightest pool is above the warning threshold.",
		"below the warning threshold, or not one of the object's 3 tightest networks", append(networkLabels[:3:3], "cause")...)
	causeInfo = newGauge("portreeve_cause_info",
		"Always 1: what limits connections on the node, which is the cause of the tightest pool above the warning threshold, or a bottleneck other than ports.",
		"nothing does", "cause")
	conditionInfo = newGauge("portreeve_condition_info",
		"Always 1: the status and the reason of a condition of the PortPressure.", noSample, "type", "status", "reason")
	exhaustion = newGauge("portreeve_exhaustion_seconds",
		"Time until no port of the tightest pool is free if the trend continues; 0 if none is now.", "no exhaustion is predicted")
	tcpSockets = newGauge("portreeve_tcp_sockets",
		"TCP sockets by state, of all networks that were read in detail.", notMeasured, "state")
	udpUsed = newGauge("portreeve_udp_used_ports",
		"Ephemeral ports in use by UDP sockets, in the network with the smallest share of free ones.", notMeasured)
	udpCapacity = newGauge("portreeve_udp_capacity_ports",
		"Ephemeral ports for UDP in that network, used or free.", notMeasured)
	failedConnects = newCounter("portreeve_failed_connects_total",
		"Calls on the node that failed because no port was free, since the agent started: connect() (EADDRNOTAVAIL), and where the kernel allows to trace them bind() to port 0, listen() and UDP (EADDRINUSE, EAGAIN).",
		"the reader can't observe them")
	networkFailedConnects = newCounter("portreeve_network_failed_connects_total",
		"Failed calls (see portreeve_failed_connects_total) by network. The first 8 networks with failures have their own series as long as they exist; all others are network=\"other\". A network's counter starts at its current value when it appears, so alert on portreeve_failed_connects_total.",
		"no failure in that network yet; all of them if the reader can't observe them", networkLabels...)
	conntrackEntries = newGauge("portreeve_conntrack_entries",
		"Entries of the connection tracking table (nf_conntrack_count).", notReadable)
	conntrackLimit = newGauge("portreeve_conntrack_entries_limit",
		"Maximum number of entries of that table (nf_conntrack_max).", notReadable+"; or there is no limit")
	conntrackInsertFailed = newCounter("portreeve_conntrack_insert_failed_total",
		"Entries that could not be inserted, since boot; increases when SNAT finds no free port.", notReadable)
	conntrackDrop = newCounter("portreeve_conntrack_drop_total",
		"Packets dropped because no entry could be created, since boot.", notReadable)
	conntrackEarlyDrop = newCounter("portreeve_conntrack_early_drop_total",
		"Entries evicted from a full table to make space for others, since boot.", notReadable)
	timeWaitOverflow = newCounter("portreeve_tcp_time_wait_overflow_total",
		"Sockets that skipped TIME_WAIT because net.ipv4.tcp_max_tw_buckets was reached, in the host network, since boot.", notReadable)
	listenOverflows = newCounter("portreeve_tcp_listen_overflows_total",
		"Connections refused by a full accept queue, in the host network, since boot.", notReadable)
	orphans = newGauge("portreeve_tcp_orphans",
		"TCP sockets on the node that no longer belong to a process.", notReadable)
	tcpMemory = newGauge("portreeve_tcp_memory_used_ratio",
		"Share of the limit of net.ipv4.tcp_mem that the node's TCP buffers use.", notReadable)
	restartRequired = newGauge("portreeve_restart_required",
		"Always 1: a setting of a NodeTuning that has been written but takes effect only after a restart of the node.",
		"the setting is in effect, or no NodeTuning has it", "key")
	windowsFailures = newCounter("portreeve_windows_port_events_total",
		"Events in the Windows logs about exhausted ports, since the agent started. One event may stand for many failed calls. The events are named like the reasons in the object's status.failures: TcpPortReusedTooSoon (Tcpip 4227), TcpPortsExhausted (4231), UdpPortsExhausted (4266), WinNatPortsExhausted (WinNAT 1033).",
		notWindows+"; or the System log could not be read", "event")
	windowsBlocks = newGauge("portreeve_windows_free_port_blocks",
		"Blocks of 64 adjacent ports of a dynamic range that are neither excluded nor in use, as HNS reserves them for pods and services.",
		notWindows+"; or the exclusions could not be read", "family", "protocol")
	windowsNonpaged = newGauge("portreeve_windows_nonpaged_pool_bytes",
		"Size of the nonpaged pool, which contains the sockets.", notWindowsOrReadable)
	windowsNonpagedLimit = newGauge("portreeve_windows_nonpaged_pool_limit_bytes",
		"Size of the nonpaged pool above which the machine is impaired: three quarters of its RAM.", notWindowsOrReadable)
	windowsPaged = newGauge("portreeve_windows_paged_pool_bytes",
		"Size of the paged pool.", notWindowsOrReadable)
	windowsCommit = newGauge("portreeve_windows_commit_used_ratio",
		"Committed share of the commit limit, 0 to 1.", notWindowsOrReadable)
	windowsHandles = newGauge("portreeve_windows_handles",
		"Open handles on the machine.", notWindowsOrReadable)
	windowsBoot = newGauge("portreeve_windows_boot_time_seconds",
		"Time when Windows was started, in seconds since 1970.", notWindowsOrReadable)
	windowsUpdate = newGauge("portreeve_windows_update_pending",
		"1 while an update of Windows waits for a restart.", notWindows)
	unobservedItems = newGauge("portreeve_unobserved_items",
		"Items that could not be read: networks of sandboxes, counters, states. The object's status.unobserved lists them with the reasons.", noSample)
)

// Metrics about the agent.
var (
	lastSample = newGauge("portreeve_agent_last_sample_timestamp_seconds",
		"Time of the last successful sample, in seconds since 1970. If a sample fails, the values remain unchanged.", noSample)
	sampleCPU = newCounter("portreeve_agent_sample_cpu_seconds_total",
		"CPU time used by samples.", alwaysPresent)
	sampleDuration = newFamily("summary", "portreeve_agent_sample_duration_seconds",
		"Wall-clock time used by samples; the count is the number of samples.", alwaysPresent)
	tickSeconds = newGauge("portreeve_agent_tick_seconds",
		"Time between the last sample and the next.", noSample)
	tickStretched = newGauge("portreeve_agent_tick_stretched",
		"1 if the CPU budget makes the tick longer than configured; at a tick of 60 s, the maximum, samples may use more than the budget.", noSample)
	tableUsed = newGauge("portreeve_agent_table_used_ratio",
		"Used share of a table of limited size that the reader uses, 0 to 1: networks, destinations (grows up to the memory budget), bound_ports, processes (cgroups), failed_calls (destinations).",
		"the table is less than half full", "table")
	tableLost = newGauge("portreeve_agent_table_lost_items",
		"Items that the last sample could not add to that table because it was full, or the network's share of it: networks, sockets, ports, processes, calls. They are missing from the figures or, for destinations, make them bounds.",
		"everything had room", "table")
	statusWrites = newCounter("portreeve_agent_status_writes_total",
		"Attempts to write the PortPressure's status, by result: ok, not_found, forbidden, throttled, error.", alwaysPresent, "result")
	readerInfo = newGauge("portreeve_agent_reader_info",
		"Always 1: the reader of the last sample, the exactness of its values, and true as fallback if a better reader could not be opened.",
		noSample, "reader", "exactness", "fallback")
	buildInfo = newGauge("portreeve_agent_build_info",
		"Always 1: the version of the agent, and of Go.", alwaysPresent, "version", "goversion")

	processCPU = newCounter("process_cpu_seconds_total",
		"CPU time of the agent's process, including samples.", processNotReadable)
	processMemory = newGauge("process_resident_memory_bytes",
		"Resident memory of the agent's process (on Windows its working set), without its BPF maps.", processNotReadable)
	processStart = newGauge("process_start_time_seconds",
		"Time when the agent's process started, in seconds since 1970.", processNotReadable)
)

const processNotReadable = "could not be read: from /proc/self/stat, on Windows by GetProcessTimes and GetProcessMemoryInfo"
