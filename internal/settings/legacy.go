package settings

import "strings"

// legacyValues are registry values of TCP/IP that old advice recommends, and why they have
// no effect.
var legacyValues = []struct{ name, reason string }{
	{"MaxFreeTcbs", "it sized a table that Windows now sizes by itself"},
	{"MaxHashTableSize", "Windows has ignored it since Server 2003"},
	{"NumTcbTablePartitions", "Windows has ignored it since Server 2003"},
	{"ReservedPorts", "it kept ports out of the range up to Server 2003; use windows.excludedPorts"},
	{"SynAttackProtect", "removed in Server 2008"},
	{"TcpNumConnections", "documented for Windows XP only"},
	{"TcpWindowSize", "Windows has ignored it since Vista and Server 2008, which tune the window by themselves"},
}

// ExplainLegacy returns why the registry value of TCP/IP with that name has no effect any
// longer, or "" if it is not a known one.
func ExplainLegacy(name string) string {
	for _, l := range legacyValues {
		if strings.EqualFold(l.name, name) {
			return l.reason
		}
	}
	return ""
}

// ListTcpipNames returns the names of the known registry values of TCP/IP: those of the
// catalogue, then the legacy ones.
func ListTcpipNames() (names []string) {
	for _, s := range windows {
		if name, ok := strings.CutPrefix(s.Key, TcpipParameters); ok {
			names = append(names, name)
		}
	}
	for _, l := range legacyValues {
		names = append(names, l.name)
	}
	return names
}
