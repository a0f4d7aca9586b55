package settings

// The keys of the catalogue for Linux: names of sysctls.
const (
	KeyLocalPortRange       = "net.ipv4.ip_local_port_range"
	KeyLocalReservedPorts   = "net.ipv4.ip_local_reserved_ports"
	KeyTCPTWReuse           = "net.ipv4.tcp_tw_reuse"
	KeyTCPTWReuseDelay      = "net.ipv4.tcp_tw_reuse_delay"
	KeyTCPMaxTWBuckets      = "net.ipv4.tcp_max_tw_buckets"
	KeyTCPFinTimeout        = "net.ipv4.tcp_fin_timeout"
	KeyTCPKeepaliveTime     = "net.ipv4.tcp_keepalive_time"
	KeyTCPKeepaliveIntvl    = "net.ipv4.tcp_keepalive_intvl"
	KeyTCPKeepaliveProbes   = "net.ipv4.tcp_keepalive_probes"
	KeyTCPSyncookies        = "net.ipv4.tcp_syncookies"
	KeyTCPSynRetries        = "net.ipv4.tcp_syn_retries"
	KeySomaxconn            = "net.core.somaxconn"
	KeyTCPMaxSynBacklog     = "net.ipv4.tcp_max_syn_backlog"
	KeyConntrackMax         = "net.netfilter.nf_conntrack_max"
	KeyConntrackTimeWait    = "net.netfilter.nf_conntrack_tcp_timeout_time_wait"
	KeyConntrackCloseWait   = "net.netfilter.nf_conntrack_tcp_timeout_close_wait"
	KeyConntrackEstablished = "net.netfilter.nf_conntrack_tcp_timeout_established"
	KeyTCPMaxOrphans        = "net.ipv4.tcp_max_orphans"
	KeyAutobindReuse        = "net.ipv4.ip_autobind_reuse"
	KeyTCPTimestamps        = "net.ipv4.tcp_timestamps"
	KeyTCPSynackRetries     = "net.ipv4.tcp_synack_retries"
	KeyTCPSynLinearTimeouts = "net.ipv4.tcp_syn_linear_timeouts"
	KeyTCPRetries2          = "net.ipv4.tcp_retries2"
	KeyTCPOrphanRetries     = "net.ipv4.tcp_orphan_retries"
	KeyTCPAbortOnOverflow   = "net.ipv4.tcp_abort_on_overflow"
	KeyTCPRFC1337           = "net.ipv4.tcp_rfc1337"
	KeyConntrackFinWait     = "net.netfilter.nf_conntrack_tcp_timeout_fin_wait"
	KeyConntrackSynSent     = "net.netfilter.nf_conntrack_tcp_timeout_syn_sent"
	KeyConntrackUDP         = "net.netfilter.nf_conntrack_udp_timeout"
	KeyConntrackUDPStream   = "net.netfilter.nf_conntrack_udp_timeout_stream"
	KeyConntrackBuckets     = "net.netfilter.nf_conntrack_buckets"
	KeyNeighThresh1         = "net.ipv4.neigh.default.gc_thresh1"
	KeyNeighThresh2         = "net.ipv4.neigh.default.gc_thresh2"
	KeyNeighThresh3         = "net.ipv4.neigh.default.gc_thresh3"
	KeyNeigh6Thresh1        = "net.ipv6.neigh.default.gc_thresh1"
	KeyNeigh6Thresh2        = "net.ipv6.neigh.default.gc_thresh2"
	KeyNeigh6Thresh3        = "net.ipv6.neigh.default.gc_thresh3"
)

// KeyUnprivilegedPortStart is the first port that any process may bind (Linux). It is not
// in the catalogue: it is only read, because the kernel refuses a range that begins below it.
const KeyUnprivilegedPortStart = "net.ipv4.ip_unprivileged_port_start"

// TcpipParameters is the registry key of TCP/IP's parameters, below HKLM. The keys of
// its values begin with it.
const TcpipParameters = `SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\`

// The keys of the catalogue for Windows: contexts of netsh, a property of TCP's templates
// (Set-NetTCPSetting), and values of the registry.
const (
	KeyDynamicPortsTCP           = "dynamicport tcp"
	KeyDynamicPortsUDP           = "dynamicport udp"
	KeyExcludedPorts             = "excludedportrange"
	KeyAutoReusePorts            = "AutoReusePortRange"
	KeyTCPTimedWaitDelay         = TcpipParameters + "TcpTimedWaitDelay"
	KeyStrictTimeWaitSeqCheck    = TcpipParameters + "StrictTimeWaitSeqCheck"
	KeyMaxUserPort               = TcpipParameters + "MaxUserPort"
	KeyKeepAliveTime             = TcpipParameters + "KeepAliveTime"
	KeyKeepAliveInterval         = TcpipParameters + "KeepAliveInterval"
	KeyTCPMaxDataRetransmissions = TcpipParameters + "TcpMaxDataRetransmissions"
)
