package selftest

import (
	"context"
	"fmt"
	"net/netip"
	"os"
	"time"

	"golang.org/x/sys/windows"

	"portreeve.io/portreeve/agent/readers/iphlpapi"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/sysinfo"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Options enables checks that take long or write.
type Options struct {
	// TimeWait enables waiting for the end of a TIME_WAIT, up to 5 minutes.
	TimeWait bool
	// Write enables writing a registry value below a key of Portreeve's own.
	Write bool
}

// Limits of the connections of each kind, so that a node in service is not disturbed.
const (
	maxConnections = 250
	rangeShare     = 40 // at most one 40th of the range
)

// Run runs all checks. s is a sample of the machine, of which it uses the ranges. A check
// that fails is a result, too.
func Run(ctx context.Context, s *socket.Sample, o Options) []Check {
	parameters, _ := sysinfo.ReadParameters() // the capabilities contain the error
	checks := []Check{checkPrivileges(), checkCompartment()}
	checks = append(checks, checkConnections(s)...)
	checks = append(checks, checkBoundSockets()...)
	checks = append(checks, compareFamilies(listRanges(s)), evaluateMaxUserPort(parameters.MaxUserPort, listRanges(s)))
	checks = append(checks, checkTimeWait(ctx, o.TimeWait, parameters.TimedWaitDelay)...)
	if o.Write {
		checks = append(checks, checkRegistryWrite())
	}
	return checks
}

func listRanges(s *socket.Sample) []socket.DynamicRange {
	if s.Windows == nil {
		return nil
	}
	return s.Windows.Ranges
}

func checkPrivileges() Check {
	const name = "Privileges"
	sid, elevated, err := sysinfo.ReadPrivileges()
	if err != nil {
		return newFailedCheck(name, err)
	}
	c := Check{Name: name, State: socket.CapabilityVerified, Finding: fmt.Sprintf("user %s, elevated: %v", sid, elevated)}
	if err := sysinfo.CheckWriteAccess(); err != nil {
		c.Finding += "; TCP/IP's registry key can't be written: " + err.Error()
	}
	return c
}

// checkCompartment returns the network compartment of this thread. The default one is 1.
func checkCompartment() Check {
	const name = "Compartment"
	get := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetCurrentThreadCompartmentId")
	if err := get.Find(); err != nil {
		return newFailedCheck(name, err)
	}
	id, _, _ := get.Call()
	return Check{Name: name, State: socket.CapabilityVerified,
		Finding: fmt.Sprintf("%d; it is unknown whether the tables contain sockets of other compartments", id)}
}

// checkConnections opens connections to two destinations, with and without bind(), and
// checks their ports and the table.
func checkConnections(s *socket.Sample) []Check {
	const name = "Connections"
	host := s.HostNetwork()
	if host == nil || host.UnobservedReason() != "" {
		return []Check{{Name: name, State: socket.CapabilityUnsupported, Finding: "the dynamic range is unknown"}}
	}
	r := host.Settings.Range
	var a, b *loopbackServer
	var err error
	if a, err = startServer(); err != nil {
		return []Check{newFailedCheck(name, err)}
	}
	defer a.close()
	if b, err = startServer(); err != nil {
		return []Check{newFailedCheck(name, err)}
	}
	defer b.close()
	var open []clientSocket
	defer func() {
		for _, c := range open {
			c.reset()
		}
	}()
	var d connectionPorts
	count := min(maxConnections, r.Len()/rangeShare)
	for _, kind := range []struct {
		ports *[]uint16
		to    uint16
		bound bool
	}{{&d.plainA, a.port, false}, {&d.boundA, a.port, true}, {&d.plainB, b.port, false}, {&d.boundB, b.port, true}} {
		for range count {
			c, err := dialLoopback(kind.to, kind.bound)
			if err != nil {
				return []Check{newFailedCheck(name, fmt.Errorf("connection %d: %w", len(open)+1, err))}
			}
			open = append(open, c)
			*kind.ports = append(*kind.ports, c.local)
		}
	}
	var reuse *ports.Range
	if s.Windows != nil {
		reuse = s.Windows.AutoReuse
	}
	return append(append(d.evaluatePortSharing(r.Len()), d.evaluateRange(r, reuse)), checkTable(open)...)
}

// checkTable checks whether open connections are in the table.
func checkTable(open []clientSocket) []Check {
	rows, err := iphlpapi.ListConnections()
	if err != nil {
		return []Check{newFailedCheck("TablesShowConnections", err)}
	}
	type pair struct{ local, remote netip.AddrPort }
	pids := map[pair]uint32{}
	for _, row := range rows {
		if row.State == tcpstate.Established {
			pids[pair{row.Local, row.Remote}] = row.PID
		}
	}
	local := netip.AddrFrom4(loopback)
	found, withPID := 0, 0
	for _, c := range open {
		pid, ok := pids[pair{netip.AddrPortFrom(local, c.local), netip.AddrPortFrom(local, c.peer)}]
		if !ok {
			continue
		}
		found++
		if int(pid) == os.Getpid() {
			withPID++
		}
	}
	return evaluateTable(len(open), found, withPID)
}

// checkBoundSockets binds a port without connect(), and then the same port for IPv6.
func checkBoundSockets() []Check {
	const shows, shared = "TablesShowBoundSockets", "FamiliesShareBinds"
	h, port, err := bindLoopback(false, 0)
	if err != nil {
		return []Check{newFailedCheck(shows, err)}
	}
	defer func() { _ = windows.Closesocket(h) }()
	c := Check{Name: shows, State: socket.CapabilityUnsupported, Finding: "a socket after bind() without connect() is not in the table"}
	rows, err := iphlpapi.ListConnections()
	if err != nil {
		return []Check{newFailedCheck(shows, err)}
	}
	for _, row := range rows {
		if row.Local.Port() == port {
			c.State = socket.CapabilityVerified
			c.Finding = fmt.Sprintf("a socket after bind() without connect() is in the table, in state %d", row.State)
		}
	}
	six := Check{Name: shared, State: socket.CapabilityVerified, Finding: "a port bound by IPv4 can't be bound by IPv6"}
	if h6, _, err := bindLoopback(true, port); err == nil {
		six.State, six.Finding = socket.CapabilityUnsupported, "a port can be bound by IPv4 and IPv6 at the same time"
		_ = windows.Closesocket(h6)
	} else {
		six.Finding += ": " + err.Error()
	}
	return []Check{c, six}
}

// checkTimeWait closes a connection and checks that it is in TIME_WAIT. If wait is true, it
// measures how long.
func checkTimeWait(ctx context.Context, wait bool, set *uint32) []Check {
	const shows, length = "TablesShowTimeWait", "TimeWaitLength"
	p, err := startServer()
	if err != nil {
		return []Check{newFailedCheck(shows, err)}
	}
	defer p.close()
	c, err := dialLoopback(p.port, false)
	if err != nil {
		return []Check{newFailedCheck(shows, err)}
	}
	c.close()
	start := time.Now()
	if !pollUntil(ctx, 10*time.Second, func() bool { return isInTimeWait(c) }) {
		return []Check{{Name: shows, State: socket.CapabilityUnsupported,
			Finding: "a closed connection did not appear in TIME_WAIT within 10 s"}}
	}
	checks := []Check{{Name: shows, State: socket.CapabilityVerified, Finding: "a closed connection is in TIME_WAIT"}}
	if !wait {
		return append(checks, Check{Name: length, State: socket.CapabilityAssumed,
			Finding: "not measured; use --time-wait, which takes minutes"})
	}
	if !pollUntil(ctx, 5*time.Minute, func() bool { return !isInTimeWait(c) }) {
		return append(checks, Check{Name: length, State: socket.CapabilityUnsupported, Finding: "it did not end within 5 minutes"})
	}
	return append(checks, evaluateTimeWait(time.Since(start).Truncate(pollInterval)-pollInterval, set))
}

// isInTimeWait reports whether c is in TIME_WAIT.
func isInTimeWait(c clientSocket) bool {
	rows, err := iphlpapi.ListConnections()
	if err != nil {
		return false
	}
	for _, row := range rows {
		if row.State == tcpstate.TimeWait && row.Local.Port() == c.local && row.Remote.Port() == c.peer {
			return true
		}
	}
	return false
}

func pollUntil(ctx context.Context, timeout time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	for !done() {
		select {
		case <-ctx.Done():
			return false
		case <-time.After(pollInterval):
		}
	}
	return true
}
