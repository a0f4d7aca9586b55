package settings

// The kernel's files that settings are from.
const (
	ipSysctl     = "Documentation/networking/ip-sysctl.rst"
	conntrackDoc = "Documentation/networking/nf_conntrack-sysctl.rst"
)

// onOff is a switch.
var onOff = Choice{{"0", "off"}, {"1", "on"}}

// linux is the sysctls, in the order of a NodeTuning's fields. The ranges are
// narrower than the kernel's, which takes a keep-alive after -1 seconds.
var linux = []Setting{
	{
		Key: KeyLocalPortRange, Field: "linux.ephemeralPorts", OS: Linux, Namespacing: PerNetns,
		Value: Span{MinFirst: 1024, MinPorts: 1000}, Default: "32768 60999",
		Description: "The ports that connect() and bind(0) choose from: capacity of every pool, and by 60 s of TIME_WAIT of how many connections a second last.",
		Caution:     "Never cures a leak. A wider range can take ports that services listen on: Portreeve reserves those it knows. Both ends of the same parity cost a port and a kernel warning.",
		Source:      ipSysctl,
	},
	{
		Key: KeyLocalReservedPorts, Field: "linux.reservedPorts", OS: Linux, Namespacing: PerNetns,
		Value: PortList{}, Default: "",
		Description: "Ports of the range that are never chosen by themselves: for services that start late, NodePorts, debuggers.",
		Caution:     "Does not keep a program from binding them by name. Each one in the range is one less for every pool.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPTWReuse, Field: "linux.timeWait.reuse", OS: Linux, Namespacing: PerNetns,
		Value: Choice{{"0", "Off"}, {"1", "All"}, {"2", "Loopback"}}, Default: "2",
		Description: "Lets connect() take over a TIME_WAIT of the same pool once it is older than the delay: the rate that a pool sustains grows some sixty-fold.",
		Caution:     "Works where the peer uses TCP timestamps, for connect() only: not for ports taken by bind(0), not for CLOSE_WAIT or FIN_WAIT2.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPTWReuseDelay, Field: "linux.timeWait.reuseDelayMilliseconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{1, 60000, "ms"}, Default: "1000", Since: "6.14",
		Description: "How old a TIME_WAIT must be before tcp_tw_reuse takes it over.",
		Caution:     "Below 1000 the peer's timestamp clock may not have moved on: connects then fail now and then.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPMaxTWBuckets, Field: "linux.timeWait.maxBuckets", OS: Linux, Namespacing: PerNetns,
		Value:       Integer{1024, 2147483647, "sockets"},
		Description: "How many sockets may be in TIME_WAIT. Past it they skip the state, and TCPTimeWaitOverflow counts.",
		Caution:     "Lowering it to get ports back ends connections before late segments have died: data of one connection can end up in the next.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPFinTimeout, Field: "linux.finTimeoutSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{1, 600, "s"}, Default: "60",
		Description: "How long a connection that its program has closed waits in FIN_WAIT2 for the peer's FIN.",
		Caution:     "Not the length of TIME_WAIT, which is 60 s and fixed, whatever old advice says.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPKeepaliveTime, Field: "linux.keepAlive.timeSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{10, 32767, "s"}, Default: "7200",
		Description: "How long a connection is silent before the kernel probes whether the peer is still there.",
		Caution:     "Only for sockets with SO_KEEPALIVE that don't set their own; Go, for one, does.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPKeepaliveIntvl, Field: "linux.keepAlive.intervalSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{1, 32767, "s"}, Default: "75",
		Description: "The time between keep-alive probes.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPKeepaliveProbes, Field: "linux.keepAlive.probes", OS: Linux, Namespacing: PerNetns,
		Value: Integer{1, 127, "probes"}, Default: "9",
		Description: "How many probes stay without an answer before the connection is given up.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPSyncookies, Field: "linux.synCookies", OS: Linux, Namespacing: PerNetns,
		Value: Choice{{"0", "never"}, {"1", "when the SYN backlog is full"}, {"2", "always, for tests"}}, Default: "1",
		Description: "Answers SYNs without remembering them when the backlog is full.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPSynRetries, Field: "linux.synRetries", OS: Linux, Namespacing: PerNetns,
		Value: Integer{1, 127, "SYNs"}, Default: "6",
		Description: "How often a SYN is sent again: how long a connect() to a silent peer holds its port, about 127 s at 6.",
		Caution:     "Below 3 a lossy network makes connects fail that would have worked.",
		Source:      ipSysctl,
	},
	{
		Key: KeySomaxconn, Field: "linux.backlog.accept", OS: Linux, Namespacing: PerNetns,
		Value: Integer{128, 1048576, "connections"}, Default: "4096", Effect: AfterListen,
		Description: "The most that listen() can ask for as its accept queue.",
		Caution:     "Has nothing to do with ephemeral ports: it is the other side's.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPMaxSynBacklog, Field: "linux.backlog.syn", OS: Linux, Namespacing: PerNetns,
		Value: Integer{128, 1048576, "connections"}, Effect: AfterListen,
		Description: "How many connections of a listener may be in SYN_RECV where SYN cookies are off.",
		Source:      ipSysctl,
	},
	{
		Key: KeyConntrackMax, Field: "linux.conntrack.max", OS: Linux, Namespacing: HostNetnsOnly,
		Value:       Integer{1024, 2147483647, "entries"},
		Description: "How many connections can be tracked; at the limit packets of new ones are dropped.",
		Caution:     "kube-proxy sets it too (conntrack.maxPerCore): change that, or set it to 0 there, else the key is contested. About 320 bytes of kernel memory each.",
		Source:      conntrackDoc,
	},
	{
		Key: KeyConntrackTimeWait, Field: "linux.conntrack.timeWaitSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{1, 86400, "s"}, Default: "120",
		Description: "How long the table remembers a connection that has ended.",
		Source:      conntrackDoc,
	},
	{
		Key: KeyConntrackCloseWait, Field: "linux.conntrack.closeWaitSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{1, 86400, "s"}, Default: "60",
		Description: "How long the table remembers a connection of which one side has closed.",
		Caution:     "kube-proxy sets it too, to 3600, for the node's own network.",
		Source:      conntrackDoc,
	},
	{
		Key: KeyConntrackEstablished, Field: "linux.conntrack.establishedSeconds", OS: Linux, Namespacing: PerNetns,
		Value: Integer{60, 2147483, "s"}, Default: "432000",
		Description: "How long the table remembers a connection that is silent.",
		Caution:     "Shorter than the keep-alive time, idle connections are cut off. kube-proxy sets it too, to 86400.",
		Source:      conntrackDoc,
	},
	{
		Key: KeyTCPMaxOrphans, Field: "linux.maxOrphans", OS: Linux, Namespacing: PerMachine,
		Value:       Integer{1024, 2147483647, "sockets"},
		Description: "How many sockets that no program holds any more the machine keeps; those past it are reset.",
		Caution:     "Each can take up to 64 kB of memory that can't be swapped.",
		Source:      ipSysctl,
	},

	// Those that only linux.sysctls names.
	{
		Key: KeyAutobindReuse, OS: Linux, Namespacing: PerNetns, Value: onOff, Default: "0",
		Description: "Lets bind(0) with SO_REUSEADDR share ports once all are taken.",
		Caution:     "connect() then fails with EADDRNOTAVAIL where two of them go to the same destination.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPTimestamps, OS: Linux, Namespacing: PerNetns,
		Value: Choice{{"0", "off"}, {"1", "with a random offset for each connection"}, {"2", "without offsets"}}, Default: "1",
		Description: "TCP timestamps, without which tcp_tw_reuse does nothing.",
		Source:      ipSysctl,
	},
	{
		Key: KeyTCPSynackRetries, OS: Linux, Namespacing: PerNetns, Value: Integer{0, 255, "SYN-ACKs"}, Default: "5",
		Description: "How often a SYN-ACK is sent again: how long a connection can be in SYN_RECV.", Source: ipSysctl,
	},
	{
		Key: KeyTCPSynLinearTimeouts, OS: Linux, Namespacing: PerNetns, Value: Integer{0, 127, "SYNs"}, Default: "4", Since: "6.5",
		Description: "How many SYNs are sent a second apart before the waits grow.", Source: ipSysctl,
	},
	{
		Key: KeyTCPRetries2, OS: Linux, Namespacing: PerNetns, Value: Integer{3, 255, "retries"}, Default: "15",
		Description: "How often data is sent again to a peer that does not acknowledge it, 15 being some 15 minutes.",
		Caution:     "Below 8 connections break in short outages (RFC 1122 asks for 100 s).", Source: ipSysctl,
	},
	{
		Key: KeyTCPOrphanRetries, OS: Linux, Namespacing: PerNetns, Value: Integer{0, 255, "retries"}, Default: "0",
		Description: "The same for sockets that their program has closed; 0 means 8.", Source: ipSysctl,
	},
	{
		Key: KeyTCPAbortOnOverflow, OS: Linux, Namespacing: PerNetns, Value: onOff, Default: "0",
		Description: "Resets connections that a full accept queue can't take, so that clients learn of it at once.",
		Caution:     "Clients that would have got through with the next SYN fail instead.", Source: ipSysctl,
	},
	{
		Key: KeyTCPRFC1337, OS: Linux, Namespacing: PerNetns, Value: onOff, Default: "0",
		Description: "Keeps a TIME_WAIT when a RST comes for it (RFC 1337).",
		Caution:     "TIME_WAIT then lasts longer, not shorter.", Source: ipSysctl,
	},
	{
		Key: KeyConntrackFinWait, OS: Linux, Namespacing: PerNetns, Value: Integer{1, 86400, "s"}, Default: "120",
		Description: "How long the table remembers a connection that one side is closing.", Source: conntrackDoc,
	},
	{
		Key: KeyConntrackSynSent, OS: Linux, Namespacing: PerNetns, Value: Integer{1, 86400, "s"}, Default: "120",
		Description: "How long the table remembers a SYN without an answer.", Source: conntrackDoc,
	},
	{
		Key: KeyConntrackUDP, OS: Linux, Namespacing: PerNetns, Value: Integer{1, 86400, "s"}, Default: "30",
		Description: "How long the table remembers UDP that went one way, such as DNS without an answer.", Source: conntrackDoc,
	},
	{
		Key: KeyConntrackUDPStream, OS: Linux, Namespacing: PerNetns, Value: Integer{1, 86400, "s"}, Default: "120",
		Description: "How long the table remembers UDP that went both ways.", Source: conntrackDoc,
	},
}
