package settings

import "strings"

// legacyValues are values of TCP/IP's key that old advice names, and why to leave them.
var legacyValues = []struct{ name, why string }{
	{"MaxFreeTcbs", "it sized a table that Windows now sizes by itself"},
	{"MaxHashTableSize", "Windows has ignored it since Server 2003"},
	{"NumTcbTablePartitions", "Windows has ignored it since Server 2003"},
	{"SynAttackProtect", "removed in Server 2008"},
	{"TcpNumConnections", "documented for Windows XP only"},
	{"TcpWindowSize", "Windows has ignored it since Vista and Server 2008, which tune the window by themselves"},
}

// ExplainLegacy says why a value of TCP/IP's key, by its name, has no effect any more; empty
// where it is no such value.
func ExplainLegacy(name string) string {
	for _, l := range legacyValues {
		if strings.EqualFold(l.name, name) {
			return l.why
		}
	}
	return ""
}

// ListTcpipNames are the names of the values of TCP/IP's key that are known here: those
// of the catalogue, then the legacy ones.
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
