package cause

import (
	"fmt"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/settings"
)

// SuggestedSetting is a setting that helps and that a NodeTuning can set.
type SuggestedSetting struct {
	OS settings.OS
	// Key and Value are as in the catalogue of settings.
	Key, Value string
	// Ports is the number of ports that the pool gains; 0 if the setting does not affect
	// that.
	Ports int
	// Note has a precondition or side effect.
	Note string
}

func (s *SuggestedSetting) formatAdvice() string {
	text := settings.FormatSuggestion(s.OS, s.Key, s.Value)
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

// The keys of Windows settings.
const (
	maxUserPort   = settings.KeyMaxUserPort
	timedWait     = settings.KeyTCPTimedWaitDelay
	keepAliveTime = settings.KeyKeepAliveTime
)

const (
	// safeRangeStart is the first port of a range that overlaps few services' ports,
	// lowestRangeStart that of the widest range.
	safeRangeStart, lowestRangeStart = 16384, 1024
	// nodePorts is the size of Kubernetes' default NodePort range, 30000 to 32767, which a
	// wider range on a node must not use.
	nodePorts = 2768
)

// smallestDefaultRange is the size of the smallest default range of any operating system
// (Windows since Vista, 49152 to 65535). A smaller range was configured.
const smallestDefaultRange = 16384

// suggestWiderRange returns a range that gives the pool more ports, nil if none gives at
// least a tenth more.
func (e *Evidence) suggestWiderRange() *SuggestedSetting {
	if e.System.UsesMaxUserPort {
		return e.requireGain(&SuggestedSetting{
			OS: settings.Windows, Key: maxUserPort, Value: "65534", Ports: 65534 - 1025 + 1, Note: "it requires a restart",
		})
	}
	reserve := "reserve"
	if owner := e.Pool.Network.Owner.Kind; e.System.IsWindows && (owner == socket.OwnerPod || owner == socket.OwnerContainer) {
		return nil // the node's range does not reach a container with a compartment of its own
	}
	if e.System.IsWindows {
		reserve = "exclude"
	}
	note := reserve + " the ports that services listen on"
	ports := 65535 - safeRangeStart + 1
	if kind := e.Pool.Network.Owner.Kind; kind == socket.OwnerHost || kind == socket.OwnerUnknown {
		ports -= nodePorts
		note = reserve + " node ports (30000-32767) and those that services listen on"
	}
	if s := e.requireGain(e.newRangeSetting(safeRangeStart, ports, note)); s != nil {
		return s
	}
	lowNote := "it includes ports below 16384, where many services listen: " + reserve + " their ports first"
	return e.requireGain(e.newRangeSetting(lowestRangeStart, ports+safeRangeStart-lowestRangeStart, lowNote))
}

// requireGain changes s.Ports from the resulting number to the number gained. It returns
// nil if that is less than a tenth of the pool.
func (e *Evidence) requireGain(s *SuggestedSetting) *SuggestedSetting {
	s.Ports -= int(e.Pool.Capacity)
	if s.Ports <= 0 || 10*s.Ports < int(e.Pool.Capacity) {
		return nil
	}
	return s
}

func (e *Evidence) newRangeSetting(first, ports int, note string) *SuggestedSetting {
	if e.System.IsWindows {
		first = max(first, 1025) // the minimum for netsh
		key := settings.KeyDynamicPortsTCP
		if e.Pool.Protocol == socket.UDP {
			key = settings.KeyDynamicPortsUDP
		}
		return &SuggestedSetting{
			OS: settings.Windows, Key: key, Value: fmt.Sprintf("%d %d", first, 65536-first), Ports: ports, Note: note,
		}
	}
	return &SuggestedSetting{
		OS: settings.Linux, Key: settings.KeyLocalPortRange, Value: fmt.Sprintf("%d 65535", first), Ports: ports, Note: note,
	}
}

// newSysctl returns a Linux setting that does not change the number of ports; nil on
// Windows.

func (e *Evidence) newSysctl(key, value, note string) *SuggestedSetting {
	if e.System.IsWindows {
		return nil
	}
	return &SuggestedSetting{OS: settings.Linux, Key: key, Value: value, Note: note}
}
