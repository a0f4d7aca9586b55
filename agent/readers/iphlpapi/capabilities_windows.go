package iphlpapi

import (
	"context"
	"errors"
	"path/filepath"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
)

// autoReuseScript prints the auto-reuse ranges of TCP's templates, which netsh does not
// show.
const autoReuseScript = "Get-NetTCPSetting | " +
	"Select-Object SettingName,AutoReusePortRangeStartPort,AutoReusePortRangeNumberOfPorts | " +
	"ConvertTo-Json -Compress"

// readAutoReuse runs PowerShell. Because that takes a second, it is called only once.
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
		return autoReuseRange{err: errors.New("PowerShell printed nothing")}
	}
	a.ports, a.err = parseAutoReuse(text)
	return a
}

// readAllStatistics adds the TCP statistics of both families to w.
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

// checkBoundTable checks for the table of ports that remain bound after TIME_WAIT. It is not
// read, because its layout is not documented.
func checkBoundTable() socket.Capability {
	c := socket.Capability{Name: "BoundTable", State: socket.CapabilityUnsupported}
	if err := boundTCPTable.Find(); err != nil {
		c.Message = err.Error()
		return c
	}
	c.Message = boundTCPTable.Name + " exists, but is not read because its layout is not documented"
	return c
}
