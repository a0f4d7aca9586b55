package settings

// Where settings of Windows are from.
const (
	portExhaustion = "https://learn.microsoft.com/en-us/troubleshoot/windows-client/networking/tcp-ip-port-exhaustion-troubleshooting"
	tcpipParams    = "https://learn.microsoft.com/en-us/previous-versions/windows/it-pro/windows-server-2003/cc738265(v=ws.10)"
)

// What netsh has one of each.
var (
	ipFamilies     = []string{"IPv4", "IPv6"}
	exclusionLists = []string{"IPv4 TCP", "IPv6 TCP", "IPv4 UDP", "IPv6 UDP"}
)

// windows is what netsh and the registry hold, in the order of a NodeTuning's fields.
var windows = []Setting{
	{
		Key: KeyDynamicPortsTCP, Field: "windows.dynamicPorts.tcp", OS: Windows, Namespacing: PerMachine,
		Value: Block{MinStart: 1025, MinPorts: 255}, Parts: ipFamilies, Default: "49152 16384",
		Description: "The ports that connect() and bind(0) choose from, of IPv4 and IPv6 alike.",
		Caution:     "Blocks that HNS and WinNAT hold already stay until a restart. NodePorts must not lie inside unless they are excluded.",
		Source:      portExhaustion,
	},
	{
		Key: KeyDynamicPortsUDP, Field: "windows.dynamicPorts.udp", OS: Windows, Namespacing: PerMachine,
		Value: Block{MinStart: 1025, MinPorts: 255}, Parts: ipFamilies, Default: "49152 16384",
		Description: "The same for UDP.",
		Source:      portExhaustion,
	},
	{
		Key: KeyExcludedPorts, Field: "windows.excludedPorts", OS: Windows, Namespacing: PerMachine,
		Value: PortList{}, Parts: exclusionLists, Default: "",
		Description: "Ports that are never chosen by themselves, of TCP and UDP, IPv4 and IPv6.",
		Caution:     "Not while a program has one of them. Those that HNS and WinNAT exclude can't be bound by name (WSAEACCES 10013).",
		Source:      portExhaustion,
	},
	{
		Key: KeyTCPTimedWaitDelay, Field: "windows.timedWaitDelaySeconds", OS: Windows, Namespacing: PerMachine,
		Value: Integer{30, 300, "s"}, Effect: AfterRestart,
		Description: "How long a connection stays in TIME_WAIT.",
		Caution:     "Some notes say that it also needs StrictTimeWaitSeqCheck. Unset, Windows has a default of its own, which documents and measurements put at 120 or 240 s.",
		Source:      tcpipParams,
	},
	{
		Key: KeyStrictTimeWaitSeqCheck, Field: "windows.strictTimeWaitSeqCheck", OS: Windows, Namespacing: PerMachine,
		Value: onOff, Effect: AfterRestart,
		Description: "Checks sequence numbers of what comes for a TIME_WAIT; a companion of TcpTimedWaitDelay.",
		Caution:     "Not documented by Microsoft for this: an inference.",
		Source:      tcpipParams,
	},
	{
		Key: KeyMaxUserPort, Field: "windows.maxUserPort", OS: Windows, Namespacing: PerMachine,
		Value: Integer{255, 65534, "ports"}, Effect: AfterRestart,
		Description: "How many ports from 49152 on the range has; on Windows 2003 and before its last port.",
		Caution:     "Agents take 255 to 16384, as Windows since Vista does by its documents, and Windows 11 was seen to make something else of it: use dynamicPorts.",
		Source:      tcpipParams,
	},
	{
		Key: KeyKeepAliveTime, Field: "windows.keepAlive.timeMilliseconds", OS: Windows, Namespacing: PerMachine,
		Value: Integer{1000, 4294967295, "ms"}, Default: "7200000", Effect: AfterRestart,
		Description: "How long a connection is silent before the peer is probed.",
		Caution:     "Only for sockets with SO_KEEPALIVE.",
		Source:      tcpipParams,
	},
	{
		Key: KeyKeepAliveInterval, Field: "windows.keepAlive.intervalMilliseconds", OS: Windows, Namespacing: PerMachine,
		Value: Integer{1, 4294967295, "ms"}, Default: "1000", Effect: AfterRestart,
		Description: "The time between keep-alive probes.",
		Source:      tcpipParams,
	},
	{
		Key: KeyTCPMaxDataRetransmissions, Field: "windows.maxDataRetransmissions", OS: Windows, Namespacing: PerMachine,
		Value: Integer{0, 255, "retransmissions"}, Default: "5", Effect: AfterRestart,
		Description: "How often data is sent again before the connection is given up.",
		Source:      tcpipParams,
	},
}
