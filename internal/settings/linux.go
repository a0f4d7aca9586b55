package settings

// The kernel files that document the settings.
const (
	ipSysctl     = "Documentation/networking/ip-sysctl.rst"
	conntrackDoc = "Documentation/networking/nf_conntrack-sysctl.rst"
)

// onOff are the values of a switch.
var onOff = Choice{{"0", "off"}, {"1", "on"}}

// linux are the sysctls, in the order of a NodeTuning's fields. Their ranges are narrower
// than the kernel's, which accepts a keep-alive time of -1 seconds.
var linux = []Setting{
	{
		Key: KeyLocalPortRange, Field: "linux.ephemeralPorts", OS: Linux, Namespacing: PerNetns,
		Value: Span{MinFirst: 1024, MinPorts: 1000}, Default: "32768 60999",
		Description: "The ports that connect() and bind(0) choose from. It limits the capacity of every pool and, because TIME_WAIT lasts 60 s, the sustained rate of connections.",
		Caution:     "Does not fix a leak. A wider range can include ports that services listen on; Portreeve reserves those it knows. If both ends have the same parity, one port is lost and the kernel logs a warning.",
		Source:      ipSysctl,
	},
	{
		Key: KeyLocalReservedPorts, Field: "linux.reservedPorts", OS: Linux, Namespacing: PerNetns,
		Value: PortList{}, Default: "",
		Description: "Ports of the range that connect() and bind(0) never choose, for services that start late, NodePorts and debuggers.",
		Caution:     "Programs can still bind these ports explicitly. Each one in the range reduces the capacity of every pool by one.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPTWReuse, Field: "linux.timeWait.reuse", OS: Linux, Namespacing: PerNetns,
		Value: Choice{{"0", "Off"}, {"1", "All"}, {"2", "Loopback"}}, Default: "2",
		Description: "Lets connect() reuse a port in TIME_WAIT in the same pool after a delay, which raises the sustained rate of connections about sixty-fold.",
		Caution:     "Requires TCP timestamps on both sides, and works for connect() only: not for ports taken by bind(0), nor for CLOSE_WAIT or FIN_WAIT2.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPTWReuseDelay, Field: "linux.timeWait.reuseDelayMilliseconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 1, Max: 60000, Unit: "ms"}, Default: "1000", Since: "6.14",
		Description: "The age from which tcp_tw_reuse may reuse a port in TIME_WAIT.",
		Caution:     "Below 1000 the peer's timestamp clock may not have advanced, and connections then fail occasionally.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPMaxTWBuckets, Field: "linux.timeWait.maxBuckets", OS: Linux, Namespacing: PerNetns,
		Value:       Integer{Min: 1024, Max: 2147483647, Unit: "sockets"},
		Description: "The maximum number of sockets in TIME_WAIT. Above it, sockets skip the state, and TCPTimeWaitOverflow counts them.",
		Caution:     "Lowering it to free ports ends TIME_WAIT before late segments have expired: data of one connection can end up in the next.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPFinTimeout, Field: "linux.finTimeoutSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 1, Max: 600, Unit: "s"}, Default: "60",
		Description: "How long a connection that its program has closed waits in FIN_WAIT2 for the peer's FIN.",
		Caution:     "Not the duration of TIME_WAIT, which is always 60 s, contrary to old advice.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPKeepaliveTime, Field: "linux.keepAlive.timeSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 10, Max: 32767, Unit: "s"}, Default: "7200",
		Description: "How long a connection is idle before the kernel starts to probe the peer.",
		Caution:     "Only for sockets with SO_KEEPALIVE that don't set their own time, as Go programs do.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPKeepaliveIntvl, Field: "linux.keepAlive.intervalSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 1, Max: 32767, Unit: "s"}, Default: "75",
		Description: "The time between keep-alive probes.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPKeepaliveProbes, Field: "linux.keepAlive.probes", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 1, Max: 127, Unit: "probes"}, Default: "9",
		Description: "The number of unanswered probes after which the connection is aborted.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPSyncookies, Field: "linux.synCookies", OS: Linux, Namespacing: PerNetns,
		Value: Choice{{"0", "never"}, {"1", "when the SYN backlog is full"}, {"2", "always, for tests"}}, Default: "1",
		Description: "Answers SYNs without keeping state when the SYN backlog is full.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPSynRetries, Field: "linux.synRetries", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 1, Max: 127, Unit: "SYNs"}, Default: "6",
		Description: "How often a SYN is retransmitted, which determines how long a connect() to an unresponsive peer occupies its port: about 127 s at 6.",
		Caution:     "Below 3, connections fail on lossy networks that would otherwise succeed.",
		Source:      ipSysctl,
	},
	{
		Key: KeySomaxconn, Field: "linux.backlog.accept", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 128, Max: 1048576, Unit: "connections"}, Default: "4096", Effect: AfterListen,
		Description: "The maximum length of an accept queue that listen() can request.",
		Caution:     "Not related to ephemeral ports: it concerns the accepting side.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPMaxSynBacklog, Field: "linux.backlog.syn", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 128, Max: 1048576, Unit: "connections"}, Effect: AfterListen,
		Description: "The maximum number of connections of a listener in SYN_RECV if SYN cookies are off.",
		Source:      ipSysctl,
	},
	{
		Key: KeyConntrackMax, Field: "linux.conntrack.max", OS: Linux, Namespacing: HostNetnsOnly,
		Value:       Integer{Min: 1024, Max: 2147483647, Unit: "entries"},
		Description: "The maximum number of tracked connections. At the limit, packets of new connections are dropped.",
		Caution:     "kube-proxy sets it too (conntrack.maxPerCore): change it there, or set that to 0, or the key will be contested. Each entry takes about 320 bytes of kernel memory.",
		Source:      conntrackDoc,
	},
	{
		Key: KeyConntrackTimeWait, Field: "linux.conntrack.timeWaitSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 1, Max: 86400, Unit: "s"}, Default: "120",
		Description: "How long the table keeps the entry of a closed connection.",
		Source:      conntrackDoc,
	},
	{
		Key: KeyConntrackCloseWait, Field: "linux.conntrack.closeWaitSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 1, Max: 86400, Unit: "s"}, Default: "60",
		Description: "How long the table keeps the entry of a connection that one side has closed.",
		Caution:     "kube-proxy sets it too, to 3600, in the node's own network namespace.",
		Source:      conntrackDoc,
	},
	{
		Key: KeyConntrackEstablished, Field: "linux.conntrack.establishedSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{Min: 60, Max: 2147483, Unit: "s"}, Default: "432000",
		Description: "How long the table keeps the entry of an idle connection.",
		Caution:     "If it is shorter than the keep-alive time, idle connections are interrupted. kube-proxy sets it too, to 86400.",
		Source:      conntrackDoc,
	},
	{
		Key: KeyTCPMaxOrphans, Field: "linux.maxOrphans", OS: Linux, Namespacing: PerMachine,
		Value:       Integer{Min: 1024, Max: 2147483647, Unit: "sockets"},
		Description: "The maximum number of sockets on the machine that no program has open any longer. Sockets above it are reset.",
		Caution:     "Each can take up to 64 kB of memory that can't be swapped.",
		Source:      ipSysctl,
	},

	// Those without a field, which only linux.sysctls can set.
	{
		Key: KeyAutobindReuse, OS: Linux, Namespacing: PerNetns, Value: onOff, Default: "0",
		Description: "Lets bind(0) with SO_REUSEADDR share ports once all are in use.",
		Caution:     "connect() fails with EADDRNOTAVAIL if two sockets that share a port have the same destination.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPTimestamps, OS: Linux, Namespacing: PerNetns,
		Value: Choice{{"0", "off"}, {"1", "with a random offset for each connection"}, {"2", "without offsets"}}, Default: "1",
		Description: "Enables TCP timestamps, without which tcp_tw_reuse has no effect.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPSynackRetries, OS: Linux, Namespacing: PerNetns, Value: Integer{Min: 0, Max: 255, Unit: "SYN-ACKs"}, Default: "5",
		Description: "How often a SYN-ACK is retransmitted, which limits the time in SYN_RECV.", Source: ipSysctl,
	},
	{
		Key: KeyTCPSynLinearTimeouts, OS: Linux, Namespacing: PerNetns, Value: Integer{Min: 0, Max: 127, Unit: "SYNs"}, Default: "4", Since: "6.5",
		Description: "The number of SYNs that are sent one second apart before the interval grows.", Source: ipSysctl,
	},
	{
		Key: KeyTCPRetries2, OS: Linux, Namespacing: PerNetns, Value: Integer{Min: 3, Max: 255, Unit: "retries"}, Default: "15",
		Description: "How often unacknowledged data is retransmitted before the connection is aborted: about 15 minutes at 15.",
		Caution:     "Below 8, connections break in short outages (RFC 1122 requires 100 s).", Source: ipSysctl,
	},
	{
		Key: KeyTCPOrphanRetries, OS: Linux, Namespacing: PerNetns, Value: Integer{Min: 0, Max: 255, Unit: "retries"}, Default: "0",
		Description: "The same for sockets that their program has closed. 0 means 8.", Source: ipSysctl,
	},
	{
		Key: KeyTCPAbortOnOverflow, OS: Linux, Namespacing: PerNetns, Value: onOff, Default: "0",
		Description: "Resets connections that don't fit into a full accept queue, so that clients fail immediately.",
		Caution:     "Clients that would have succeeded with the next SYN fail instead.", Source: ipSysctl,
	},
	{
		Key: KeyTCPRFC1337, OS: Linux, Namespacing: PerNetns, Value: onOff, Default: "0",
		Description: "Keeps sockets in TIME_WAIT when a RST arrives for them (RFC 1337).",
		Caution:     "TIME_WAIT then lasts longer, not shorter.", Source: ipSysctl,
	},
	{
		Key: KeyConntrackFinWait, OS: Linux, Namespacing: PerNetns, Value: Integer{Min: 1, Max: 86400, Unit: "s"}, Default: "120",
		Description: "How long the table keeps the entry of a connection that one side is closing.", Source: conntrackDoc,
	},
	{
		Key: KeyConntrackSynSent, OS: Linux, Namespacing: PerNetns, Value: Integer{Min: 1, Max: 86400, Unit: "s"}, Default: "120",
		Description: "How long the table keeps the entry of an unanswered SYN.", Source: conntrackDoc,
	},
	{
		Key: KeyConntrackUDP, OS: Linux, Namespacing: PerNetns, Value: Integer{Min: 1, Max: 86400, Unit: "s"}, Default: "30",
		Description: "How long the table keeps the entry of UDP traffic in one direction, such as unanswered DNS queries.", Source: conntrackDoc,
	},
	{
		Key: KeyConntrackUDPStream, OS: Linux, Namespacing: PerNetns, Value: Integer{Min: 1, Max: 86400, Unit: "s"}, Default: "120",
		Description: "How long the table keeps the entry of UDP traffic in both directions.", Source: conntrackDoc,
	},
	{
		Key: KeyConntrackBuckets, OS: Linux, Namespacing: HostNetnsOnly,
		Value:       Integer{Min: 8192, Max: 16777216, Multiple: 8192, Unit: "buckets"},
		Description: "The size of the hash table of tracked connections. A quarter of nf_conntrack_max to all of it keeps lookups short.",
		Caution:     "Does not limit the entries: nf_conntrack_max does. The kernel rounds to whole pages, so only multiples of 8192, which fill pages of up to 64 KiB, read back as written. Each bucket takes 8 bytes.",
		Source:      conntrackDoc,
	},
	{
		Key: KeyNeighThresh1, OS: Linux, Namespacing: HostNetnsOnly, Value: Integer{Min: 0, Max: 16777216, Unit: "entries"}, Default: "128",
		Description: "The number of IPv4 neighbours up to which none is removed as unused.",
		Caution:     "Must not exceed gc_thresh2. One table serves all networks of the machine.", Source: ipSysctl,
	},
	{
		Key: KeyNeighThresh2, OS: Linux, Namespacing: HostNetnsOnly, Value: Integer{Min: 512, Max: 16777216, Unit: "entries"}, Default: "512",
		Description: "The number of IPv4 neighbours above which entries older than 5 s are removed.",
		Caution:     "Must not exceed gc_thresh3. One table serves all networks of the machine.", Source: ipSysctl,
	},
	{
		Key: KeyNeighThresh3, OS: Linux, Namespacing: HostNetnsOnly, Value: Integer{Min: 1024, Max: 16777216, Unit: "entries"}, Default: "1024",
		Description: "The maximum number of IPv4 neighbours. Above it, connects to further neighbours fail with ENOBUFS, and the kernel logs \"neighbour table overflow\".",
		Caution:     "Raise gc_thresh1 and gc_thresh2 with it. One table serves all networks of the machine.", Source: ipSysctl,
	},
	{
		Key: KeyNeigh6Thresh1, OS: Linux, Namespacing: HostNetnsOnly, Value: Integer{Min: 0, Max: 16777216, Unit: "entries"}, Default: "128",
		Description: "The same as for IPv4, for IPv6.", Source: ipSysctl,
	},
	{
		Key: KeyNeigh6Thresh2, OS: Linux, Namespacing: HostNetnsOnly, Value: Integer{Min: 512, Max: 16777216, Unit: "entries"}, Default: "512",
		Description: "The same as for IPv4, for IPv6.", Source: ipSysctl,
	},
	{
		Key: KeyNeigh6Thresh3, OS: Linux, Namespacing: HostNetnsOnly, Value: Integer{Min: 1024, Max: 16777216, Unit: "entries"}, Default: "1024",
		Description: "The same as for IPv4, for IPv6.", Source: ipSysctl,
	},
}
