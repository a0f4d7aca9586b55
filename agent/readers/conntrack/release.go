package conntrack

import "fmt"

// supportsEviction says whether a kernel of that release (uname -r, "6.12.41-amd64") takes
// over the ports of TCP connections that have ended: from 6.5 on
// (nf_nat_used_tuple_harder). Where a distribution has brought that to an older
// kernel, more ports are left than shown.
func supportsEviction(release string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 5
}
