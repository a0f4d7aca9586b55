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

// Windows is what Windows says of its ports beside its tables of sockets.
type Windows struct {
	// Ranges are the four dynamic port ranges: IPv4's and IPv6's, TCP's and UDP's.
	Ranges []DynamicRange
	// Excluded are the ports that are never chosen by themselves. Those of HNS and
	// WinNAT are among them.
	Excluded []ExcludedPorts
	// AutoReuse is the range that connect() without a bind() draws from instead of
	// TCP's dynamic range; nil where there is none, or where it can't be told (then
	// Unseen says so).
	AutoReuse *ports.Range
	// Statistics are TCP's counters of IPv4 and IPv6, as far as they could be read.
	Statistics []TCPStatistics
}

// RangeSource says where a dynamic port range was read.
type RangeSource string

// The sources of ranges, the best first.
const (
	RangeNetsh    RangeSource = "netsh"
	RangeRegistry RangeSource = "registry"   // MaxUserPort, as documents of this version have it
	RangeDefault  RangeSource = "OS default" // nothing could be read
)

// DynamicRange is the ports that Windows chooses from, for one protocol.
type DynamicRange struct {
	Family   Family
	Protocol Protocol
	Range    ports.Range
	Source   RangeSource
	// Excluded is how many of its ports are excluded. FreeBlocks is how many blocks of
	// 64 adjacent ports are free, as HNS needs them. Both are nil where the exclusions
	// could not be read.
	Excluded, FreeBlocks *int
}

// ExcludedPorts is ports that are excluded from a dynamic range.
type ExcludedPorts struct {
	Family   Family
	Protocol Protocol
	Range    ports.Range
	// Administered ones were added to stay; the others are reservations of running
	// programs.
	Administered bool
}

// TCPStatistics are counters since the start of the machine (MIB_TCPSTATS2). They say
// that something failed, never why.
type TCPStatistics struct {
	Family Family
	// ActiveOpens and PassiveOpens are connections that were opened from here and from
	// elsewhere; AttemptFails those that came to nothing, for whatever reason.
	ActiveOpens, PassiveOpens, AttemptFails, EstabResets uint64
	// CurrEstab is how many are open.
	CurrEstab uint64
}

// BlockPorts is how many adjacent ports HNS reserves at a time.
const BlockPorts = 64

// FreeBlocks is how many blocks of BlockPorts adjacent ports of r aren't taken. Blocks
// may begin anywhere.
func FreeBlocks(r ports.Range, taken *ports.Set) int {
	blocks, run := 0, 0
	for port := int(r.First); port <= int(r.Last); port++ {
		if run++; taken.Contains(uint16(port)) {
			run = 0
		}
		if run == BlockPorts {
			blocks, run = blocks+1, 0
		}
	}
	return blocks
}

// CapabilityState says whether something works here.
type CapabilityState string

// The values of CapabilityState.
const (
	Verified    CapabilityState = "Verified"    // tried here, and it works
	Supposed    CapabilityState = "Assumed"     // should work; not tried
	Unsupported CapabilityState = "Unsupported" // does not work here
)

// Capability is something that a reader can or can't do on this machine, and why not.
type Capability struct {
	Name    string
	State   CapabilityState
	Message string
}
