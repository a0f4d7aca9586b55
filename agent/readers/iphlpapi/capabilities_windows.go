package iphlpapi

import (
	"context"
	"errors"
	"path/filepath"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
)

// autoReuseScript prints the auto-reuse ranges of TCP's templates. netsh has no word for
// them.
const autoReuseScript = "Get-NetTCPSetting | Select-Object SettingName,AutoReusePortRangeStartPort,AutoReusePortRangeNumberOfPorts | ConvertTo-Json -Compress"

// readAutoReuse asks PowerShell, which takes a second: once is enough.
func readAutoReuse(ctx context.Context) (a autoReuse) {
	folder, err := windows.GetSystemDirectory()
	if err != nil {
		return autoReuse{err: err}
	}
	run := netsh.Program(filepath.Join(folder, `WindowsPowerShell\v1.0\powershell.exe`))
	text, err := run(ctx, "-NoProfile", "-NonInteractive", "-Command", autoReuseScript)
	switch {
	case err != nil:
		return autoReuse{err: err}
	case len(text) == 0:
		return autoReuse{err: errors.New("PowerShell said nothing")}
	}
	a.ports, a.err = parseAutoReuse(text)
	return a
}

// readAllStatistics adds them to w.
func readAllStatistics(w *socket.Windows) socket.Capability {
	c := socket.Capability{Name: "TcpStatistics", State: socket.CapabilityVerified}
	for _, f := range families {
		s, from, err := readStatistics(f.family)
		if err != nil {
			c.State, c.Message = socket.CapabilityUnsupported, from+": "+err.Error()
			return c
		}
		c.Message = from
		w.Statistics = append(w.Statistics, s)
	}
	return c
}

// boundTable is the table of ports that are bound past TIME_WAIT. Nobody documents its
// layout, so it is not read.
func boundTable() socket.Capability {
	c := socket.Capability{Name: "BoundTable", State: socket.CapabilityUnsupported}
	if err := boundTCPTable.Find(); err != nil {
		c.Message = err.Error()
		return c
	}
	c.Message = boundTCPTable.Name + " is there; its layout is not documented, so it is not read"
	return c
}
