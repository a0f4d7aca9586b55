package settings

// The pages of Microsoft that document the settings.
const (
	portExhaustion = "https://learn.microsoft.com/en-us/troubleshoot/windows-client/networking/tcp-ip-port-exhaustion-troubleshooting"
	netTCPSetting  = "https://learn.microsoft.com/en-us/powershell/module/nettcpip/set-nettcpsetting"
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
		Value: Block{MinStart: 1024, MinPorts: 255}, Parts: ipFamilies, Default: "49152 16384",
		Description: "The ports that connect() and bind(0) choose from, for both IPv4 and IPv6.",
		Caution:     "HNS and WinNAT keep the blocks that they have reserved until a restart. The range must not contain NodePorts unless they are excluded. It does not reach containers with a network compartment of their own. A start of 1024 needs allowLowPorts: nodes exist with it, but Microsoft documents 1025 as the lowest.",
		Source:      portExhaustion,
	},
	{
		Key: KeyDynamicPortsUDP, Field: "windows.dynamicPorts.udp", OS: Windows, Namespacing: PerMachine,
		Value: Block{MinStart: 1024, MinPorts: 255}, Parts: ipFamilies, Default: "49152 16384",
		Description: "The same for UDP.",
		Source:      portExhaustion,
	},
	{
		Key: KeyExcludedPorts, Field: "windows.excludedPorts", OS: Windows, Namespacing: PerMachine,
		Value: PortList{}, Parts: exclusionLists, Default: "",
		Description: "Ports that connect() and bind(0) never choose, for TCP and UDP, IPv4 and IPv6, or only for those at the end of an item: 65330/udp, 9000/ipv4, 9000/tcp/ipv6.",
		Caution:     "A port can't be excluded while a program uses it. Administered exclusions, such as these, can still be bound by number; ports that HNS and WinNAT exclude can't (WSAEACCES 10013).",
		Source:      portExhaustion,
	},
	{
		Key: KeyAutoReusePorts, Field: "windows.autoReusePorts", OS: Windows, Namespacing: PerMachine,
		Value: Block{MinStart: 1025, MinPorts: 255}, Default: "", Effect: AfterRestart,
		Description: "The range that connect() without bind(), and sockets with SO_REUSE_UNICASTPORT, choose from instead of the dynamic range. Without it, SO_REUSE_UNICASTPORT has no effect.",
		Caution:     "Only sockets of these two kinds use it, so bind(0) and UDP still need the dynamic range. It must not contain NodePorts unless they are excluded.",
		Source:      netTCPSetting,
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
		Description: "Nodes refuse it. On Windows 2003 and earlier it was the last port of the range; documents for Vista and 2008 call it a number of ports.",
		Caution:     "Windows 10, Server 2016 and later, on which agents run, were measured to interpret it as the last port of a range from 1024 (https://github.com/nmap/nmap/pull/3499): use dynamicPorts instead.",
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
