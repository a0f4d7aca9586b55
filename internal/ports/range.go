// Package ports has the types for a range and a set of TCP or UDP ports.
package ports

import (
	"fmt"
	"strconv"
	"strings"

	"portreeve.io/portreeve/internal/text"
)

// Range is an inclusive range of ports, as in net.ipv4.ip_local_port_range.
type Range struct{ First, Last uint16 }

// Len returns the number of ports in r, 0 if Last is below First.
func (r Range) Len() int {
	if r.Last < r.First {
		return 0
	}
	return int(r.Last) - int(r.First) + 1
}

// Contains reports whether port is in r.
func (r Range) Contains(port uint16) bool { return r.First <= port && port <= r.Last }

// String returns "FIRST-LAST".
func (r Range) String() string { return fmt.Sprintf("%d-%d", r.First, r.Last) }

// ParsePort parses a decimal port without a leading 0, which the kernel would read as
// octal.
func ParsePort(s string) (uint16, error) {
	n, err := strconv.ParseUint(s, 10, 16)
	if err != nil || len(s) > 1 && s[0] == '0' {
		return 0, fmt.Errorf("%s is not a port", text.Truncate(s, maxShown))
	}
	return uint16(n), nil
}

// ParseRange parses "FIRST-LAST" or a single port.
func ParseRange(s string) (r Range, err error) {
	first, last, isRange := strings.Cut(s, "-")
	if r.First, err = ParsePort(first); err != nil {
		return Range{}, err
	}
	if !isRange {
		return Range{r.First, r.First}, nil
	}
	if r.Last, err = ParsePort(last); err != nil {
		return Range{}, err
	}
	if r.First > r.Last {
		return Range{}, fmt.Errorf("%s is upside down", text.Truncate(s, maxShown))
	}
	return r, nil
}

// maxShown is the number of characters of malformed text that an error quotes.
const maxShown = 80
