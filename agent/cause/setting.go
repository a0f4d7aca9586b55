package cause

import (
	"fmt"

	"portreeve.io/portreeve/agent/socket"
)

// Setting is a setting that helps.
type Setting struct {
	// Key and Value are as the operating system spells them.
	Key, Value string
	// Field is the field of a NodeTuning that sets it, empty where none does.
	Field string
	// Ports is how many more ports the pool would have; 0 where that is not what it
	// gives.
	Ports int
	// Note is what to know before it is set.
	Note string
}

func (s *Setting) sentence() string {
	text := s.Key + " = " + s.Value
	if s.Field != "" {
		text += " (NodeTuning " + s.Field + ")"
	}
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
		return e.worthwhile(&Setting{Key: `registry value Tcpip\Parameters\MaxUserPort`, Value: "65534",
			Field: "windows.maxUserPort", Ports: 65534 - 1025 + 1, Note: "it needs a restart"})
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
		return &Setting{Key: "netsh int ipv4 set dynamicport tcp", Value: fmt.Sprintf("start=%d num=%d", first, 65536-first),
			Field: "windows.dynamicPorts.tcp", Ports: ports, Note: note}
	}
	return &Setting{Key: "net.ipv4.ip_local_port_range", Value: fmt.Sprintf("%d 65535", first),
		Field: "linux.ephemeralPorts", Ports: ports, Note: note}
}
