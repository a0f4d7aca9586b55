// Package osdefaults contains the default ephemeral port range of each operating system,
// for use where the machine itself can't be queried. It is pure.
package osdefaults

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/internal/ports"
)

// System describes the ephemeral ports of an operating system.
type System struct {
	Name string
	// Windows is true for Windows and false for Linux.
	Windows bool
	// Range is the default ephemeral range.
	Range ports.Range
	// MaxUserPort is the meaning of the registry value of this name.
	MaxUserPort MaxUserPortMeaning
	// TimeWait is the default length of TIME_WAIT, or 0 if Microsoft's documents disagree.
	TimeWait time.Duration
}

// MaxUserPortMeaning is the meaning of the registry value MaxUserPort.
type MaxUserPortMeaning uint8

// The meanings.
const (
	NoMaxUserPort MaxUserPortMeaning = iota
	LastPort                         // the last port of the range, which starts at 1025
	// PortCount is the number of ports in the range, up to MaxPortCount. Windows 10, Windows
	// Server 2016 and later take a higher value for the last port of a range that starts at 1024.
	PortCount
)

// MaxPortCount is the highest MaxUserPort that is a number of ports.
const MaxPortCount = 16384

// The first ports of Windows' default ranges, before and since Windows Vista and 2008, and of
// the range that MaxUserPort sets since Windows 10 and Server 2016.
const (
	firstPort2000 = 1025
	firstPort2008 = 49152
	firstPort2016 = 1024
)

var (
	range2000 = ports.Range{First: firstPort2000, Last: 5000}
	range2008 = ports.Range{First: firstPort2008, Last: 65535}
)

// The names of the current systems.
const (
	Linux   = "linux"
	Windows = "windows-2008+"
)

// Systems lists the known systems. Sources for the ranges and MaxUserPort: Microsoft
// KB929851, KB951746 and KB196271; for TIME_WAIT: the documents on TcpTimedWaitDelay.
var Systems = []System{
	{Name: Linux, Range: ports.Range{First: 32768, Last: 60999}, TimeWait: time.Minute},
	{Name: "windows-2000", Windows: true, Range: range2000, MaxUserPort: LastPort, TimeWait: 4 * time.Minute},
	{Name: "windows-xp", Windows: true, Range: range2000, MaxUserPort: LastPort, TimeWait: 2 * time.Minute},
	{Name: "windows-2003", Windows: true, Range: range2000, MaxUserPort: LastPort, TimeWait: 2 * time.Minute},
	// 2000 and XP with KB951748 likewise.
	{Name: "windows-2003-kb951746", Windows: true, Range: range2008, MaxUserPort: LastPort, TimeWait: 2 * time.Minute},
	{Name: Windows, Windows: true, Range: range2008, MaxUserPort: PortCount},
}

// FindSystem returns the system with that name. "windows" is short for the constant
// Windows. For an unknown name it returns Linux.
func FindSystem(name string) System {
	if name == "windows" {
		name = Windows
	}
	for _, s := range Systems {
		if s.Name == name {
			return s
		}
	}
	return Systems[0]
}

// FindWindows returns the system with that version of Windows. It assumes that a 2000, XP
// or 2003 does not have KB951746 or KB951748, which the version does not show.
func FindWindows(major, minor uint32) System {
	switch {
	case major >= 6:
		return FindSystem(Windows)
	case major == 5 && minor >= 2:
		return FindSystem("windows-2003")
	case major == 5 && minor == 1:
		return FindSystem("windows-xp")
	}
	return FindSystem("windows-2000")
}

// ComputeRange returns the ephemeral range of s with that value of MaxUserPort, 0 for
// unset. An error names the valid values.
func (s System) ComputeRange(n int) (ports.Range, error) {
	switch {
	case n == 0:
		return s.Range, nil
	case s.MaxUserPort == NoMaxUserPort:
		return ports.Range{}, fmt.Errorf("%d is not supported: %s has no MaxUserPort", n, s.Name)
	case s.MaxUserPort == LastPort && 5000 <= n && n <= 65534:
		return ports.Range{First: firstPort2000, Last: uint16(n)}, nil
	case s.MaxUserPort == LastPort:
		return ports.Range{}, fmt.Errorf("%d is invalid: on %s it is the last port, 5000 to 65534", n, s.Name)
	case 255 <= n && n <= MaxPortCount:
		return ports.Range{First: firstPort2008, Last: uint16(firstPort2008 - 1 + n)}, nil
	case MaxPortCount < n && n <= 65534: // measured: https://github.com/nmap/nmap/pull/3499
		return ports.Range{First: firstPort2016, Last: uint16(n)}, nil
	}
	return ports.Range{}, fmt.Errorf(
		"%d is invalid: on %s it is the number of ports from %d, 255 to %d, or the last port from %d, up to 65534",
		n, s.Name, firstPort2008, MaxPortCount, firstPort2016)
}
