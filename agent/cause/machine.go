package cause

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// conntrackDrops: connections wait in SYN_SENT because their packets are dropped
// here: the connection tracking table has no place for them.
func conntrackDrops(e *Evidence, p parts) (Verdict, bool) {
	v, full := conntrackFull(e, p)
	n := p.in(tcpstate.SynSent)
	v.Finding = e.holds(n, "wait in SYN_SENT. ") + v.Finding
	return v, full && e.Machine.Conntrack.Refused > 0 && p.most(n)
}

// conntrackFull: connections fail for want of an entry, whatever the ports.
func conntrackFull(e *Evidence, _ parts) (Verdict, bool) {
	c := e.Machine.Conntrack
	v := Verdict{
		Cause:   v1alpha1.CauseConntrackFull,
		Finding: fmt.Sprintf("The connection tracking table has %d entries of %d", c.Used, c.Max),
		Remedy:  "Raise the limit, or shorten the time-outs of what fills it (linux.conntrack.timeWaitSeconds, establishedSeconds).",
		Setting: e.sysctl(settings.KeyConntrackMax, fmt.Sprint(2*c.Max), "kube-proxy may set it too (conntrack.maxPerCore)"),
	}
	if c.Max == 0 {
		v.Finding, v.Setting = "The connection tracking table is full", nil
	}
	if c.Refused > 0 {
		v.Finding += fmt.Sprintf(" and refused %d lately", c.Refused)
	}
	v.Finding += "."
	return v, c.full()
}

// fileDescriptors: the one that holds most of the pool will run out of descriptors
// before ports.
func fileDescriptors(e *Evidence, p parts) (Verdict, bool) {
	v, ok := holderFiles(e, p)
	if !ok {
		return Verdict{}, false
	}
	h := e.Look.Holders[0]
	return v, 2*h.Sockets >= e.Look.Held && h.MaxFiles-h.OpenFiles < e.Pool.Headroom() && p.most(p.in(tcpstate.Established))
}

// holderFiles: the pool's greatest holder is near its RLIMIT_NOFILE.
func holderFiles(e *Evidence, _ parts) (Verdict, bool) {
	if e.Look == nil || len(e.Look.Holders) == 0 {
		return Verdict{}, false
	}
	h := e.Look.Holders[0]
	files := Gauge{Used: uint64(max(0, h.OpenFiles)), Max: uint64(max(0, h.MaxFiles))}
	return Verdict{
		Cause:   v1alpha1.CauseFileDescriptors,
		Finding: fmt.Sprintf("%s has %d of %d files open: descriptors run out before ports (EMFILE).", e.subject(), h.OpenFiles, h.MaxFiles),
		Remedy:  "Look for descriptors that it does not close; else raise its limit (ulimit -n, LimitNOFILE= of the unit or of the container runtime).",
	}, files.percent() >= tight
}

// nodeFiles: the whole node is near fs.file-max.
func nodeFiles(e *Evidence, _ parts) (Verdict, bool) {
	f := e.Machine.Files
	return Verdict{
		Cause:   v1alpha1.CauseFileDescriptors,
		Finding: fmt.Sprintf("The node has %d of %d files open (ENFILE).", f.Used, f.Max),
		Remedy:  "Look for the process that opens most of them; fs.file-max is the limit.",
	}, f.percent() >= tight
}

// windowsMemory: the kernel has no memory left for sockets; the error is the one of
// ports that have run out.
func windowsMemory(e *Evidence, _ parts) (Verdict, bool) {
	v := Verdict{Cause: v1alpha1.CauseSocketMemory}
	m := e.Machine
	if m.Nonpaged.percent() >= tight {
		v.Finding = fmt.Sprintf("The nonpaged pool has %s, near the %s that it may have: sockets fail with WSAENOBUFS (10055), whatever ports are left.", mebibytes(m.Nonpaged.Used), mebibytes(m.Nonpaged.Max))
		v.Remedy = "Look for the driver whose tag grows (poolmon -p, sorted by bytes) and for the process with most handles; a restart gives the memory back, until it leaks again."
		return v, true
	}
	v.Finding = fmt.Sprintf("Windows has promised %s of %s of memory: nobody gets more, sockets neither (WSAENOBUFS, 10055).", mebibytes(m.Commit.Used), mebibytes(m.Commit.Max))
	v.Remedy = "Look for the process whose committed memory grows; give containers memory limits, or the node a larger page file."
	return v, m.Commit.percent() >= tight
}

func mebibytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }

// socketMemory: TCP may have no more memory, or no more sockets without a process.
func socketMemory(e *Evidence, p parts) (Verdict, bool) {
	if e.System.Windows {
		return windowsMemory(e, p)
	}
	v := Verdict{Cause: v1alpha1.CauseSocketMemory}
	m := e.Machine
	if m.TCPMemory*100 >= tight {
		v.Finding = fmt.Sprintf("TCP has %.0f %% of the memory that it may have.", m.TCPMemory*100)
		v.Remedy = "Look for connections with full buffers (ss -tm): peers or programs that do not read. net.ipv4.tcp_mem is the limit, which the kernel sizes by the node's memory."
		return v, true
	}
	v.Finding = fmt.Sprintf("%d of %d sockets that no process holds are there: the kernel resets what comes on top.", m.Orphans.Used, m.Orphans.Max)
	v.Remedy = "Look for peers that do not finish closing (FIN_WAIT1, FIN_WAIT2, LAST_ACK)."
	v.Setting = e.sysctl(settings.KeyTCPMaxOrphans, fmt.Sprint(2*m.Orphans.Max), "each takes up to 64 kB that cannot be swapped")
	return v, m.Orphans.percent() >= tight
}

// poolNotTight: ports are not what is missing. It says what was seen of the rest,
// so that nobody looks there twice.
func poolNotTight(e *Evidence, _ parts) (Verdict, bool) {
	v := Verdict{
		Cause:   v1alpha1.CausePoolNotTight,
		Finding: fmt.Sprintf("Ports are not it: %d of %d are left%s in the tightest pool.", e.Pool.Headroom(), e.Pool.Capacity, e.to()),
		Remedy:  "Check the peer (is it up, is its accept queue full), firewalls, DNS, the program's own limit of open files, and SNAT gateways on the way.",
	}
	if seen := e.Machine.spell(); seen != "" {
		v.Finding += " " + seen
	}
	if many := synSentDestinations(e.Pool.Network); many >= manyDestinations {
		v.Finding += fmt.Sprintf(" %d destinations do not answer (SYN_SENT): something may be scanning.", many)
	}
	if ports := listenPorts(e.Pool.Network); ports != "" {
		v.Remedy += " A service that gets EADDRINUSE may find its port taken by a connection: reserve those in the range" + ports + "."
	}
	return v, true
}

// spell is what is known and has room.
func (m Machine) spell() string {
	var seen []string
	for _, g := range []struct {
		name string
		Gauge
	}{{"connection tracking", m.Conntrack.Gauge}, {"open files", m.Files}, {"orphaned sockets", m.Orphans},
		{"nonpaged pool", m.Nonpaged}, {"committed memory", m.Commit}} {
		if g.Max > 0 {
			seen = append(seen, fmt.Sprintf("%s %d %%", g.name, g.percent()))
		}
	}
	if m.TCPMemory > 0 {
		seen = append(seen, fmt.Sprintf("TCP memory %.0f %%", m.TCPMemory*100))
	}
	if len(seen) == 0 {
		return ""
	}
	return "Used on the node: " + strings.Join(seen, ", ") + "."
}
