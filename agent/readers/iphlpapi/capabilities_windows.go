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
func readAutoReuse(ctx context.Context) (a autoReuseRange) {
	folder, err := windows.GetSystemDirectory()
	if err != nil {
		return autoReuseRange{err: err}
	}
	run := netsh.NewRunner(filepath.Join(folder, `WindowsPowerShell\v1.0\powershell.exe`))
	text, err := run(ctx, "-NoProfile", "-NonInteractive", "-Command", autoReuseScript)
	switch {
	case err != nil:
		return autoReuseRange{err: err}
	case len(text) == 0:
		return autoReuseRange{err: errors.New("PowerShell said nothing")}
	}
	a.ports, a.err = parseAutoReuse(text)
	return a
}

// readAllStatistics adds them to w.
func readAllStatistics(w *socket.Windows) socket.Capability {
	c := socket.Capability{Name: "TcpStatistics", State: socket.Verified}
	for _, f := range families {
		s, from, err := readStatistics(f.family)
		if err != nil {
			c.State, c.Message = socket.Unsupported, from+": "+err.Error()
			return c
		}
		c.Message = from
		w.Statistics = append(w.Statistics, s)
	}
	return c
}

// checkBoundTable is the table of ports that are bound past TIME_WAIT. Nobody documents its
// layout, so it is not read.
func checkBoundTable() socket.Capability {
	c := socket.Capability{Name: "BoundTable", State: socket.Unsupported}
	if err := boundTCPTable.Find(); err != nil {
		c.Message = err.Error()
		return c
	}
	c.Message = boundTCPTable.Name + " is there; its layout is not documented, so it is not read"
	return c
}
