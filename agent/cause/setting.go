package cause

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/settings"
)

// Setting is a setting that helps, one that a NodeTuning can hold.
type Setting struct {
	OS settings.OS
	// Key and Value are as the catalogue of settings spells them.
	Key, Value string
	// Ports is how many more ports the pool would have; 0 where that is not what it
	// gives.
	Ports int
	// Note is what to know before it is set.
	Note string
}

// Field is the field of a NodeTuning, "linux.sysctls" for those without their own.
func (s *Setting) Field() string {
	if t, _ := settings.Lookup(s.OS, s.Key); t.Field != "" {
		return t.Field
	}
	return "linux.sysctls"
}

func (s *Setting) sentence() string {
	name := s.Key[strings.LastIndexByte(s.Key, '\\')+1:] // of a path in the registry
	text := fmt.Sprintf("%s = %s (NodeTuning %s)", name, s.Value, s.Field())
	if s.Ports > 0 {
		text += fmt.Sprintf(" gives %d more ports", s.Ports)
	} else {
		text += " helps"
	}
	if s.Note != "" {
		text += "; " + s.Note
	}
	return text + "."
}

const (
	// safeFirst is where ranges can begin without meeting many services' ports,
	// lowFirst where they can begin at all.
	safeFirst, lowFirst = 16384, 1024
	// nodePorts is the size of Kubernetes' default range of node ports, 30000 to
	// 32767, which a wider range on a node must leave alone.
	nodePorts = 2768
)

// smallest is the smallest range that any operating system has by default
// (Windows since Vista, 49152 to 65535): what is below it was made so.
const smallest = 16384

// wider is the range that would give the pool more ports, nil where none gives a
// tenth more.
func (e *Evidence) wider() *Setting {
	if e.System.MaxUserPort {
		return e.worthwhile(&Setting{settings.Windows, settings.KeyMaxUserPort, "65534", 65534 - 1025 + 1, "it needs a restart"})
	}
	note := "reserve the ports that services listen on"
	ports := 65535 - safeFirst + 1
	if e.Pool.Network.Owner.Kind == socket.OwnerHost {
		ports -= nodePorts
		note = "reserve node ports (30000-32767) and those that services listen on"
	}
	if s := e.worthwhile(e.rangeFrom(safeFirst, ports, note)); s != nil {
		return s
	}
	low := "it reaches below 16384, where many services listen: reserve their ports first"
	return e.worthwhile(e.rangeFrom(lowFirst, ports+safeFirst-lowFirst, low))
}

// worthwhile turns the ports that s would give into those that it would add.
func (e *Evidence) worthwhile(s *Setting) *Setting {
	s.Ports -= int(e.Pool.Capacity)
	if s.Ports <= 0 || 10*s.Ports < int(e.Pool.Capacity) {
		return nil
	}
	return s
}

func (e *Evidence) rangeFrom(first, ports int, note string) *Setting {
	if e.System.Windows {
		first = max(first, 1025) // netsh takes no less
		return &Setting{settings.Windows, settings.KeyDynamicPortsTCP, fmt.Sprintf("%d %d", first, 65536-first), ports, note}
	}
	return &Setting{settings.Linux, settings.KeyLocalPortRange, fmt.Sprintf("%d 65535", first), ports, note}
}

// sysctl is a setting of Linux that gives no ports by itself; nil on Windows.
func (e *Evidence) sysctl(key, value, note string) *Setting {
	if e.System.Windows {
		return nil
	}
	return &Setting{OS: settings.Linux, Key: key, Value: value, Note: note}
}
