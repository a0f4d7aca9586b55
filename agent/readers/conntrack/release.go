package conntrack

import "fmt"

// supportsEviction reports whether a kernel release (uname -r, for example
// "6.12.41-amd64") reuses the ports of TCP connections that have ended, as Linux 6.5 and
// later do (nf_nat_used_tuple_harder). If a distribution backported that to an older
// kernel, more ports are free than reported.
func supportsEviction(release string) bool {
	var major, minor int
	if _, err := fmt.Sscanf(release, "%d.%d", &major, &minor); err != nil {
		return false
	}
	return major > 6 || major == 6 && minor >= 5
}
