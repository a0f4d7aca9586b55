package dump

import (
	"fmt"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/socket"
)

// System is an operating system as far as its ephemeral ports go.
type System struct {
	Name string
	// Windows says which family it is; the other is Linux.
	Windows bool
	// Range is the ephemeral range when nothing was set.
	Range socket.Range
	// MaxUserPort is what the registry value of this name means.
	MaxUserPort MaxUserPort
	// TimeWait is how long TIME_WAIT lasts when nothing was set; 0 where the
	// documents don't agree.
	TimeWait time.Duration
}

// MaxUserPort is the meaning of the registry value MaxUserPort.
type MaxUserPort uint8

// The meanings.
const (
	NoMaxUserPort MaxUserPort = iota
	LastPort                  // the last port of the range, which starts at 1025
	PortCount                 // how many ports the range has
)

// Where Windows' ranges begin.
const (
	oldFirst = 1025
	newFirst = 49152
)

var (
	oldRange = socket.Range{First: oldFirst, Last: 5000}
	newRange = socket.Range{First: newFirst, Last: 65535}
)

// The systems that a dump is taken for when it isn't said.
const (
	Linux   = "linux"
	Windows = "windows-2008+"
)

// Systems are those that are known. The ranges and MaxUserPort: Microsoft KB929851,
// KB951746, KB196271; the lengths of TIME_WAIT: the documents of TcpTimedWaitDelay.
var Systems = []System{
	{Linux, false, socket.Range{First: 32768, Last: 60999}, NoMaxUserPort, time.Minute},
	{"windows-2000", true, oldRange, LastPort, 4 * time.Minute},
	{"windows-xp", true, oldRange, LastPort, 2 * time.Minute},
	{"windows-2003", true, oldRange, LastPort, 2 * time.Minute},
	{"windows-2003-kb951746", true, newRange, LastPort, 2 * time.Minute}, // 2000 and XP likewise, with KB951748
	{Windows, true, newRange, PortCount, 0},
}

// SystemNames are what Options.System takes; "windows" is Windows, the constant.
func SystemNames() []string {
	var names []string
	for _, s := range Systems {
		names = append(names, s.Name)
	}
	return append(names, "windows")
}

// systemOf finds a system; Linux stands in for a name that is none.
func systemOf(name string) System {
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

// rangeOf is the ephemeral range of s whose MaxUserPort is n, 0 for unset.
func (s System) rangeOf(n int) (socket.Range, error) {
	switch {
	case n == 0:
		return s.Range, nil
	case s.MaxUserPort == NoMaxUserPort:
		return socket.Range{}, fmt.Errorf("--max-user-port %d: %s has no such value: use --range", n, s.Name)
	case s.MaxUserPort == LastPort && 5000 <= n && n <= 65534:
		return socket.Range{First: oldFirst, Last: uint16(n)}, nil
	case s.MaxUserPort == LastPort:
		return socket.Range{}, fmt.Errorf("--max-user-port %d: on %s it is the last port, 5000 to 65534", n, s.Name)
	case 255 <= n && n <= 16384:
		return socket.Range{First: newFirst, Last: uint16(newFirst - 1 + n)}, nil
	}
	return socket.Range{}, fmt.Errorf("--max-user-port %d: on %s it is a number of ports from %d on, 255 to 16384; use --range for what netsh set", n, s.Name, newFirst)
}

// Options are what a dump doesn't say.
type Options struct {
	// System is one of SystemNames; empty means to guess by the format.
	System string
	// MaxUserPort is the registry value of this name, 0 for unset.
	MaxUserPort int
	// Range is the ephemeral range; the zero value means that of System.
	Range socket.Range
	// Taken is when the dump was made.
	Taken time.Time
}

// settle decides on the system and the range of a dump in format f.
func (o Options) settle(f Format) (System, socket.Range, error) {
	name := o.System
	if name == "" {
		if name = Linux; f.windows() {
			name = Windows
		}
	}
	s := systemOf(name)
	if o.Range != (socket.Range{}) {
		return s, o.Range, nil
	}
	r, err := s.rangeOf(o.MaxUserPort)
	return s, r, err
}

// Check says what is wrong with o; what depends on a guess shows in Read.
func (o Options) Check() error {
	if o.System == "" {
		return nil
	}
	_, _, err := o.settle("")
	return err
}

// ParseRange reads FIRST-LAST.
func ParseRange(text string) (socket.Range, error) {
	var r socket.Range
	first, last, ok := strings.Cut(text, "-")
	a, okA := number([]byte(first))
	b, okB := number([]byte(last))
	if !ok || !okA || !okB || a < 1 || a > b || b > 65535 {
		return r, fmt.Errorf("%q is no range of ports such as 32768-60999", text)
	}
	return socket.Range{First: uint16(a), Last: uint16(b)}, nil
}
