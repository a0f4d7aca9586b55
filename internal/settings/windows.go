package settings

// The pages of Microsoft that document the settings.
const (
	portExhaustion = "https://learn.microsoft.com/en-us/troubleshoot/windows-client/networking/tcp-ip-port-exhaustion-troubleshooting"
	tcpipParams    = "https://learn.microsoft.com/en-us/previous-versions/windows/it-pro/windows-server-2003/cc738265(v=ws.10)"
)

// The parts of netsh's settings.
var (
	ipFamilies     = []string{"IPv4", "IPv6"}
	exclusionLists = []string{"IPv4 TCP", "IPv6 TCP", "IPv4 UDP", "IPv6 UDP"}
)

// windows are the settings of netsh and the registry, in the order of a NodeTuning's fields.
var windows = []Setting{
	{
		Key: KeyDynamicPortsTCP, Field: "windows.dynamicPorts.tcp", OS: Windows, Namespacing: PerMachine,
		Value: Block{MinStart: 1025, MinPorts: 255}, Parts: ipFamilies, Default: "49152 16384",
		Description: "The ports that connect() and bind(0) choose from, for both IPv4 and IPv6.",
		Caution:     "HNS and WinNAT keep the blocks that they have reserved until a restart. The range must not contain NodePorts unless they are excluded.",
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
		Description: "Ports that connect() and bind(0) never choose, for TCP and UDP, IPv4 and IPv6.",
		Caution:     "A port can't be excluded while a program uses it. Ports that HNS and WinNAT exclude can't be bound explicitly (WSAEACCES 10013).",
		Source:      portExhaustion,
	},
	{
		Key: KeyTCPTimedWaitDelay, Field: "windows.timedWaitDelaySeconds", OS: Windows, Namespacing: PerMachine,
		Value: Integer{Min: 30, Max: 300, Unit: "s"}, Effect: AfterRestart,
		Description: "How long a connection stays in TIME_WAIT.",
		Caution:     "According to some notes it also requires StrictTimeWaitSeqCheck. If unset, Windows uses its default, 120 or 240 s according to documentation and measurements.",
		Source:      tcpipParams,
	},
	{
		Key: KeyStrictTimeWaitSeqCheck, Field: "windows.strictTimeWaitSeqCheck", OS: Windows, Namespacing: PerMachine,
		Value: onOff, Effect: AfterRestart,
		Description: "Checks the sequence numbers of segments that arrive in TIME_WAIT. Used together with TcpTimedWaitDelay.",
		Caution:     "Microsoft does not document this use; it is an inference.",
		Source:      tcpipParams,
	},
	{
		Key: KeyMaxUserPort, Field: "windows.maxUserPort", OS: Windows, Namespacing: PerMachine,
		Value: Integer{Min: 255, Max: 65534, Unit: "ports"}, Effect: AfterRestart,
		Description: "The number of ports in the range from 49152 on. On Windows 2003 and earlier, its last port.",
		Caution:     "Agents accept 255 to 16384, as documented for Windows Vista and later. Windows 11 was observed to interpret it differently: use dynamicPorts instead.",
		Source:      tcpipParams,
	},
	{
		Key: KeyKeepAliveTime, Field: "windows.keepAlive.timeMilliseconds", OS: Windows, Namespacing: PerMachine,
		Value: Integer{Min: 1000, Max: 4294967295, Unit: "ms"}, Default: "7200000", Effect: AfterRestart,
		Description: "How long a connection is idle before the peer is probed.",
		Caution:     "Only for sockets with SO_KEEPALIVE.",
		Source:      tcpipParams,
	},
	{
		Key: KeyKeepAliveInterval, Field: "windows.keepAlive.intervalMilliseconds", OS: Windows, Namespacing: PerMachine,
		Value: Integer{Min: 1, Max: 4294967295, Unit: "ms"}, Default: "1000", Effect: AfterRestart,
		Description: "The time between keep-alive probes.",
		Source:      tcpipParams,
	},
	{
		Key: KeyTCPMaxDataRetransmissions, Field: "windows.maxDataRetransmissions", OS: Windows, Namespacing: PerMachine,
		Value: Integer{Min: 0, Max: 255, Unit: "retransmissions"}, Default: "5", Effect: AfterRestart,
		Description: "How often data is retransmitted before the connection is aborted.",
		Source:      tcpipParams,
	},
}
