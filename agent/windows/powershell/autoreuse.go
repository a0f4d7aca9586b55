package powershell

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/ports"
)

// Client runs commands of PowerShell. Run gets the arguments of powershell.exe.
type Client struct{ Run netsh.Runner }

// autoReuseScript prints the auto-reuse ranges of TCP's templates, which netsh does not
// show.
const autoReuseScript = "Get-NetTCPSetting | " +
	"Select-Object SettingName,AutoReusePortRangeStartPort,AutoReusePortRangeNumberOfPorts | " +
	"ConvertTo-Json -Compress"

// autoReuseTemplate is the template whose range is set, as in Microsoft's examples
// (https://github.com/dotnet/runtime/pull/54903). The range is one of the machine.
const autoReuseTemplate = "InternetCustom"

// runScript runs a script and returns its output.
func (c Client) runScript(ctx context.Context, script string) ([]byte, error) {
	return c.Run(ctx, "-NoProfile", "-NonInteractive", "-Command", script)
}

// ShowAutoReusePorts returns the range from which connect() without bind() chooses, or nil
// if none is configured.
func (c Client) ShowAutoReusePorts(ctx context.Context) (*ports.Range, error) {
	text, err := c.runScript(ctx, autoReuseScript)
	switch {
	case err != nil:
		return nil, fmt.Errorf("Get-NetTCPSetting: %w", err)
	case len(text) == 0:
		return nil, errors.New("Get-NetTCPSetting: PowerShell printed nothing")
	}
	return parseAutoReuse(text)
}

// SetAutoReusePorts sets the range, or removes it if r is nil. It takes effect after a
// restart.
func (c Client) SetAutoReusePorts(ctx context.Context, r *ports.Range) error {
	first, count := 0, 0
	if r != nil {
		first, count = int(r.First), r.Len()
	}
	_, err := c.runScript(ctx, fmt.Sprintf("$ErrorActionPreference = 'Stop'; "+
		"Set-NetTCPSetting -SettingName %s -AutoReusePortRangeStartPort %d -AutoReusePortRangeNumberOfPorts %d", autoReuseTemplate, first, count))
	if err != nil {
		return fmt.Errorf("Set-NetTCPSetting: %w", err)
	}
	return nil
}

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
