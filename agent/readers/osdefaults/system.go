// Package ephemeral knows the ports that connect() and bind(0) choose from, by operating
// system, where the machine itself can't be asked. It is pure.
package osdefaults

import (
	"fmt"
	"time"

	"portreeve.io/portreeve/internal/ports"
)

// System is an operating system as far as its ephemeral ports go.
type System struct {
	Name string
	// Windows says which family it is; the other is Linux.
	Windows bool
	// Range is the ephemeral range when nothing was set.
	Range ports.Range
	// MaxUserPort is what the registry value of this name means.
	MaxUserPort MaxUserPortMeaning
	// TimeWait is how long TIME_WAIT lasts when nothing was set; 0 where the
	// documents don't agree.
	TimeWait time.Duration
}

// MaxUserPortMeaning is the meaning of the registry value MaxUserPort.
type MaxUserPortMeaning uint8

// The meanings.
const (
	NoMaxUserPort MaxUserPortMeaning = iota
	LastPort                         // the last port of the range, which starts at 1025
	PortCount                        // how many ports the range has
)

// Where Windows' ranges begin.
const (
	firstPort2000 = 1025
	firstPort2008 = 49152
)

var (
	range2000 = ports.Range{First: firstPort2000, Last: 5000}
	range2008 = ports.Range{First: firstPort2008, Last: 65535}
)

// The systems of today.
const (
	Linux   = "linux"
	Windows = "windows-2008+"
)

// Systems are those that are known. The ranges and MaxUserPort: Microsoft KB929851,
// KB951746, KB196271; the lengths of TIME_WAIT: the documents of TcpTimedWaitDelay.
var Systems = []System{
	{Linux, false, ports.Range{First: 32768, Last: 60999}, NoMaxUserPort, time.Minute},
	{"windows-2000", true, range2000, LastPort, 4 * time.Minute},
	{"windows-xp", true, range2000, LastPort, 2 * time.Minute},
	{"windows-2003", true, range2000, LastPort, 2 * time.Minute},
	{"windows-2003-kb951746", true, range2008, LastPort, 2 * time.Minute}, // 2000 and XP likewise, with KB951748
	{Windows, true, range2008, PortCount, 0},
}

// FindSystem finds a system; "windows" is Windows, the constant, and Linux stands in for a
// name that is none.
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

// FindWindows is the system with that version of Windows. Whether a 2000, XP or 2003 has
// KB951746 or KB951748 can't be told by it: it is taken not to.
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

// ComputeRange is the ephemeral range of s whose MaxUserPort is n, 0 for unset. An error
// says which values there are.
func (s System) ComputeRange(n int) (ports.Range, error) {
	switch {
	case n == 0:
		return s.Range, nil
	case s.MaxUserPort == NoMaxUserPort:
		return ports.Range{}, fmt.Errorf("%d: %s has no such value", n, s.Name)
	case s.MaxUserPort == LastPort && 5000 <= n && n <= 65534:
		return ports.Range{First: firstPort2000, Last: uint16(n)}, nil
	case s.MaxUserPort == LastPort:
		return ports.Range{}, fmt.Errorf("%d: on %s it is the last port, 5000 to 65534", n, s.Name)
	case 255 <= n && n <= 16384:
		return ports.Range{First: firstPort2008, Last: uint16(firstPort2008 - 1 + n)}, nil
	}
	return ports.Range{}, fmt.Errorf("%d: on %s it is a number of ports from %d on, 255 to 16384", n, s.Name, firstPort2008)
}
