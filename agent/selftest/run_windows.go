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

// Options say what may take long, or write.
type Options struct {
	// TimeWait waits for the end of a TIME_WAIT, up to 5 minutes.
	TimeWait bool
	// Write tries a value of the registry, below a key of Portreeve's own.
	Write bool
}

// most is how many connections of each kind are opened, and share the most of the
// range: a node in service must not feel it.
const (
	maxConnections = 250
	rangeShare     = 40 // one part in so many
)

// Run asks all questions. s is a sample of the machine, for its ranges. An answer that
// could not be had is one, too.
func Run(ctx context.Context, s *socket.Sample, o Options) []Check {
	parameters, _ := sysinfo.ReadParameters() // an error is among the capabilities
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
	c := Check{Name: name, State: socket.Verified, Finding: fmt.Sprintf("user %s, elevated: %v", sid, elevated)}
	if err := sysinfo.CheckWriteAccess(); err != nil {
		c.Finding += "; TCP/IP's key can't be written: " + err.Error()
	}
	return c
}

// checkCompartment is the network compartment of this thread: the default one is 1.
func checkCompartment() Check {
	const name = "Compartment"
	get := windows.NewLazySystemDLL("iphlpapi.dll").NewProc("GetCurrentThreadCompartmentId")
	if err := get.Find(); err != nil {
		return newFailedCheck(name, err)
	}
	id, _, _ := get.Call()
	return Check{Name: name, State: socket.Verified, Finding: fmt.Sprintf("%d; whether the tables show others than this one is open", id)}
}

// checkConnections opens connections both ways to two destinations, and looks at their ports and
// at the table.
func checkConnections(s *socket.Sample) []Check {
	const name = "Connections"
	host := s.Host()
	if host == nil || host.Blind() != "" {
		return []Check{{Name: name, State: socket.Unsupported, Finding: "the dynamic range is not known"}}
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

// checkTable looks for open connections in the table.
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
	home := netip.AddrFrom4(loopback)
	there, ours := 0, 0
	for _, c := range open {
		pid, ok := pids[pair{netip.AddrPortFrom(home, c.local), netip.AddrPortFrom(home, c.peer)}]
		if !ok {
			continue
		}
		there++
		if int(pid) == os.Getpid() {
			ours++
		}
	}
	return evaluateTable(len(open), there, ours)
}

// checkBoundSockets takes a port by bind() alone, and the same one for the other version of
// IP.
func checkBoundSockets() []Check {
	const shows, shared = "TablesShowBoundSockets", "FamiliesShareBinds"
	h, port, err := bindLoopback(false, 0)
	if err != nil {
		return []Check{newFailedCheck(shows, err)}
	}
	defer func() { _ = windows.Closesocket(h) }()
	c := Check{Name: shows, State: socket.Unsupported, Finding: "a socket that only bind() was called for is not in the table"}
	rows, err := iphlpapi.ListConnections()
	if err != nil {
		return []Check{newFailedCheck(shows, err)}
	}
	for _, row := range rows {
		if row.Local.Port() == port {
			c.State, c.Finding = socket.Verified, fmt.Sprintf("a socket that only bind() was called for is in the table, in state %d", row.State)
		}
	}
	six := Check{Name: shared, State: socket.Verified, Finding: "a port that IPv4 has bound can't be bound by IPv6"}
	if h6, _, err := bindLoopback(true, port); err == nil {
		six.State, six.Finding = socket.Unsupported, "one port can be bound by IPv4 and by IPv6 at once"
		_ = windows.Closesocket(h6)
	} else {
		six.Finding += ": " + err.Error()
	}
	return []Check{c, six}
}

// checkTimeWait closes a connection and looks for it in TIME_WAIT; where it may, until that
// is over.
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
		return []Check{{Name: shows, State: socket.Unsupported, Finding: "a connection that was closed here did not show up in TIME_WAIT within 10 s"}}
	}
	checks := []Check{{Name: shows, State: socket.Verified, Finding: "a connection that was closed here is in TIME_WAIT"}}
	if !wait {
		return append(checks, Check{Name: length, State: socket.Supposed, Finding: "not measured: takes --time-wait, and minutes"})
	}
	if !pollUntil(ctx, 5*time.Minute, func() bool { return !isInTimeWait(c) }) {
		return append(checks, Check{Name: length, State: socket.Unsupported, Finding: "it was not over within 5 minutes"})
	}
	return append(checks, evaluateTimeWait(time.Since(start).Truncate(pollInterval)-pollInterval, set))
}

// isInTimeWait says whether c is in TIME_WAIT.
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

func pollUntil(ctx context.Context, atMost time.Duration, done func() bool) bool {
	ctx, cancel := context.WithTimeout(ctx, atMost)
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
