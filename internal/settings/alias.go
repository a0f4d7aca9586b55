package settings

import "strings"

// obsoletePrefix began the names of connection tracking in Linux 2.4 and 2.6.
const obsoletePrefix = "net.ipv4.netfilter.ip_conntrack_"

// ResolveAlias returns the present name of a sysctl. isObsolete reports whether no
// supported kernel has the name in key, so that a file with it has no effect on them.
func ResolveAlias(key string) (name string, isObsolete bool) {
	rest, isOld := strings.CutPrefix(key, obsoletePrefix)
	switch {
	case key == "net.nf_conntrack_max":
		return KeyConntrackMax, false
	case key == "net.ipv4.ip_conntrack_max":
		return KeyConntrackMax, true
	case isOld:
		return "net.netfilter.nf_conntrack_" + rest, true
	}
	return key, false
}
