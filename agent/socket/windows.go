package socket

import "portreeve.io/portreeve/internal/ports"

// Family is a version of IP.
type Family uint8

// The families.
const (
	AnyFamily Family = iota
	IPv4
	IPv6
)

func (f Family) String() string { return [...]string{"", "IPv4", "IPv6"}[min(f, IPv6)] }

// Windows has the port configuration and statistics of Windows, apart from its socket tables.
type Windows struct {
	// Ranges are the four dynamic port ranges: IPv4's and IPv6's, TCP's and UDP's.
	Ranges []DynamicRange
	// Excluded are the ports that are never chosen automatically, including those of HNS and
	// WinNAT.
	Excluded []ExcludedPorts
	// AutoReuse is the range that connect() without a bind() uses instead of TCP's dynamic range;
	// nil if there is none, or if it is not known (it is then in Unobserved).
	AutoReuse *ports.Range
	// Statistics are TCP's counters of IPv4 and IPv6, those that could be read.
	Statistics []TCPStatistics
}

// RangeSource is the source of a dynamic port range.
type RangeSource string

// The sources of ranges, the best first.
const (
	RangeNetsh    RangeSource = "netsh"
	RangeRegistry RangeSource = "registry"   // MaxUserPort, as documented for this version
	RangeDefault  RangeSource = "OS default" // nothing could be read
)

// DynamicRange is a range from which Windows chooses ports, for one protocol.
type DynamicRange struct {
	Family   Family
	Protocol Protocol
	Range    ports.Range
	Source   RangeSource
	// Excluded is the number of its ports that are excluded. FreeBlocks is the number of free
	// blocks of 64 adjacent ports, as HNS needs them. Both are nil if the exclusions could not
	// be read.
	Excluded, FreeBlocks *int
}

// ExcludedPorts is a range of ports that are excluded from a dynamic range.
type ExcludedPorts struct {
	Family   Family
	Protocol Protocol
	Range    ports.Range
	// Administered exclusions are persistent; the others are reservations of running programs.
	Administered bool
}

// TCPStatistics are counters since the machine started (MIB_TCPSTATS2). They count failures
// without their reasons.
type TCPStatistics struct {
	Family Family
	// ActiveOpens and PassiveOpens count outbound and inbound connections; AttemptFails counts
	// those that failed, for any reason.
	ActiveOpens, PassiveOpens, AttemptFails, EstabResets uint64
	// CurrEstab is the number of open connections.
	CurrEstab uint64
}

// HNSBlockSize is the number of adjacent ports that HNS reserves at a time.
const HNSBlockSize = 64

// CountFreeBlocks returns the number of blocks of HNSBlockSize adjacent ports of r that are
// not taken. Blocks may begin anywhere.
func CountFreeBlocks(r ports.Range, taken *ports.Set) int {
	blocks, run := 0, 0
	for port := int(r.First); port <= int(r.Last); port++ {
		if run++; taken.Contains(uint16(port)) {
			run = 0
		}
		if run == HNSBlockSize {
			blocks, run = blocks+1, 0
		}
	}
	return blocks
}

// CapabilityState is the state of a capability on this machine.
type CapabilityState string

// The values of CapabilityState.
const (
	CapabilityVerified    CapabilityState = "Verified"    // tried here, and it works
	CapabilityAssumed     CapabilityState = "Assumed"     // should work; not tried
	CapabilityUnsupported CapabilityState = "Unsupported" // does not work here
)

// Capability is a feature of a reader that may be missing on a machine, and the reason.
type Capability struct {
	Name    string
	State   CapabilityState
	Message string
}
