package iphlpapi

import (
	"bytes"
	"encoding/json"
	"fmt"

	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/ports"
)

// parseAutoReuse parses the output of autoReuseScript, a template or a list of templates. It
// returns the first range of a template, or nil if there is none.
func parseAutoReuse(text []byte) (*ports.Range, error) {
	text = bytes.TrimSpace(text)
	if len(text) > 0 && text[0] == '{' {
		text = append(append([]byte{'['}, text...), ']')
	}
	var list []struct {
		SettingName                                                  string
		AutoReusePortRangeStartPort, AutoReusePortRangeNumberOfPorts uint32
	}
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, fmt.Errorf("unexpected output of Get-NetTCPSetting: %s", netsh.QuoteOutput(text))
	}
	for _, s := range list {
		first := s.AutoReusePortRangeStartPort
		last := first + s.AutoReusePortRangeNumberOfPorts - 1
		switch {
		case s.AutoReusePortRangeNumberOfPorts == 0:
		case first < 1 || last < first || last > 65535:
			return nil, fmt.Errorf("Get-NetTCPSetting %s: %d ports from %d are not a valid range",
				netsh.QuoteOutput([]byte(s.SettingName)), s.AutoReusePortRangeNumberOfPorts, first)
		default:
			return &ports.Range{First: uint16(first), Last: uint16(last)}, nil
		}
	}
	return nil, nil
}
