// Package ports has the types for a range and a set of TCP or UDP ports.
package ports

import "fmt"

// Range is an inclusive range of ports, as in net.ipv4.ip_local_port_range.
type Range struct{ First, Last uint16 }

// Len is the number of ports in r, 0 when Last is below First.
func (r Range) Len() int {
	if r.Last < r.First {
		return 0
	}
	return int(r.Last) - int(r.First) + 1
}

// Contains says whether port is in r.
func (r Range) Contains(port uint16) bool { return r.First <= port && port <= r.Last }

func (r Range) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }
