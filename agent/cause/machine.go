package cause

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/tcpstate"
)

// evaluateConntrackDrops matches if connections remain in SYN_SENT because this machine
// drops their packets, since the connection tracking table has no space for an entry.
func evaluateConntrackDrops(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	d, isFull := evaluateConntrackFull(e, p)
	n := p.countStates(tcpstate.SynSent)
	d.Finding = e.formatShare(n, "are waiting in SYN_SENT. ") + d.Finding
	return d, isFull && e.Machine.Conntrack.RecentDrops > 0 && p.isMajority(n)
}

// evaluateConntrackFull matches if connections fail because no entry can be created, even
// with free ports.
func evaluateConntrackFull(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	c := e.Machine.Conntrack
	if e.System.IsWindows {
		return Diagnosis{}, false
	}
	d := Diagnosis{
		Cause:   v1alpha1.CauseConntrackFull,
		Finding: fmt.Sprintf("The connection tracking table has %d of %d entries in use", c.Used, c.Max),
		Remedy:  "Raise the limit, or shorten the time-outs of the connections that fill the table (linux.conntrack.timeWaitSeconds, establishedSeconds).",
		Setting: e.newSysctl(settings.KeyConntrackMax, fmt.Sprint(2*c.Max), "kube-proxy may set it too (conntrack.maxPerCore)"),
	}
	if c.Max == 0 {
		d.Finding, d.Setting = "The connection tracking table is full", nil
	}
	if c.RecentDrops > 0 {
		d.Finding += fmt.Sprintf(", and %d packets were dropped recently", c.RecentDrops)
	}
	d.Finding += "."
	return d, c.isFull()
}

// evaluateFileDescriptors matches if the process with most of the pool's sockets will run
// out of file descriptors before ports.
func evaluateFileDescriptors(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	d, ok := evaluateHolderFiles(e, p)
	if !ok {
		return Diagnosis{}, false
	}
	h := e.PoolDetail.Holders[0]
	return d, 2*h.Sockets >= e.PoolDetail.ProcessSockets && h.MaxFiles-h.OpenFiles < e.Pool.Headroom() &&
		p.isMajority(p.countStates(tcpstate.Established))
}

// evaluateHolderFiles matches if the process with most of the pool's sockets is close to
// its RLIMIT_NOFILE.
func evaluateHolderFiles(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	if e.System.IsWindows || e.PoolDetail == nil || len(e.PoolDetail.Holders) == 0 {
		return Diagnosis{}, false
	}
	h := e.PoolDetail.Holders[0]
	files := Usage{Used: uint64(max(0, h.OpenFiles)), Max: uint64(max(0, h.MaxFiles))}
	return Diagnosis{
		Cause: v1alpha1.CauseFileDescriptors,
		Finding: fmt.Sprintf("%s has %d of %d files open: file descriptors run out before ports (EMFILE).%s",
			e.formatSubject(), h.OpenFiles, h.MaxFiles, e.formatFreePorts()),
		Remedy: fileLimitRemedy,
	}, files.computePercent() >= nearlyFullPercent
}

// formatFreePorts returns a sentence with the free ports of a pool below the threshold.
func (e *Evidence) formatFreePorts() string {
	if e.AboveThreshold {
		return ""
	}
	return fmt.Sprintf(" Ephemeral ports are not the bottleneck: %d of %d are free.", e.Pool.Headroom(), e.Pool.Capacity)
}

// evaluateNodeFiles matches if the whole node is close to fs.file-max.
func evaluateNodeFiles(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	f := e.Machine.Files
	return Diagnosis{
		Cause:   v1alpha1.CauseFileDescriptors,
		Finding: fmt.Sprintf("The node has %d of %d files open (ENFILE).", f.Used, f.Max),
		Remedy:  "Find the process that has most of them open; the limit is fs.file-max.",
	}, f.computePercent() >= nearlyFullPercent && !e.System.IsWindows
}

// evaluateWindowsMemory matches if the kernel has no memory for more sockets. The error is
// the same as for exhausted ports.
func evaluateWindowsMemory(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	d := Diagnosis{Cause: v1alpha1.CauseSocketMemory}
	m := e.Machine
	if m.Nonpaged.computePercent() >= nearlyFullPercent {
		d.Finding = fmt.Sprintf("The nonpaged pool uses %s, close to its limit of %s: sockets fail with WSAENOBUFS (10055), even with free ports.",
			formatMebibytes(m.Nonpaged.Used), formatMebibytes(m.Nonpaged.Max))
		d.Remedy = "Find the driver whose tag grows (poolmon -p, sorted by bytes) and the process with the most handles; a restart frees the memory until it leaks again."
		return d, true
	}
	d.Finding = fmt.Sprintf("Windows has committed %s of %s of memory: further allocations fail, sockets included (WSAENOBUFS, 10055).",
		formatMebibytes(m.Commit.Used), formatMebibytes(m.Commit.Max))
	d.Remedy = "Find the process whose committed memory grows; set memory limits for containers, or enlarge the page file of the node."
	return d, m.Commit.computePercent() >= nearlyFullPercent
}

func formatMebibytes(n uint64) string { return fmt.Sprintf("%d MiB", n>>20) }

// evaluateSocketMemory matches if TCP is close to its limit of memory, or of sockets that
// belong to no process.
func evaluateSocketMemory(e *Evidence, p portBreakdown) (Diagnosis, bool) {
	if e.System.IsWindows {
		return evaluateWindowsMemory(e, p)
	}
	d := Diagnosis{Cause: v1alpha1.CauseSocketMemory}
	m := e.Machine
	if m.TCPMemory*100 >= nearlyFullPercent {
		d.Finding = fmt.Sprintf("TCP uses %.0f %% of its memory limit.", m.TCPMemory*100)
		d.Remedy = "Find connections with full buffers (ss -tm): peers or programs that do not read. The limit is net.ipv4.tcp_mem, which the kernel derives from the node's memory."
		return d, true
	}
	d.Finding = fmt.Sprintf("%d of at most %d TCP sockets have no process: the kernel resets further ones.", m.Orphans.Used, m.Orphans.Max)
	d.Remedy = "Find peers that do not finish closing (FIN_WAIT1, FIN_WAIT2, LAST_ACK)."
	d.Setting = e.newSysctl(settings.KeyTCPMaxOrphans, fmt.Sprint(2*m.Orphans.Max), "each takes up to 64 kB that cannot be swapped")
	return d, m.Orphans.computePercent() >= nearlyFullPercent
}

// explainHealthyPool returns the diagnosis if every pool has free ports and nothing that was
// read is near its limit, with the usage of the other resources, so that they need not be
// checked again.
func explainHealthyPool(e *Evidence, _ portBreakdown) (Diagnosis, bool) {
	target := ""
	if e.Pool.Destination != nil {
		target = " (to " + e.formatPeer() + ")"
	}
	d := Diagnosis{
		Cause: v1alpha1.CausePoolNotTight,
		Finding: fmt.Sprintf("Every pool has free ports, %d of %d in the fullest%s.",
			e.Pool.Headroom(), e.Pool.Capacity, target),
		Remedy: "If connections fail, check what this report does not see: " + strings.Join(e.listUnread(), ", ") + ".",
	}
	if usage := e.Machine.selectResources(e.System).formatUsage(); usage != "" {
		d.Finding += " " + usage
	}
	if count := countSYNSentDestinations(e.Pool.Network); count >= scanDestinations {
		d.Finding += fmt.Sprintf(" %d destinations do not answer (SYN_SENT), which may be a network scan.", count)
	}
	d.Finding += e.explainAddress()
	return d, true
}

// listUnread returns the possible bottlenecks that the evidence does not cover.
func (e *Evidence) listUnread() []string {
	unread := []string{"the peer and its accept queue", "firewalls, DNS and SNAT gateways on the path"}
	if e.System.IsWindows {
		return unread
	}
	if e.FileUsage == nil {
		unread = append(unread, "limits of open files")
	}
	if i := slices.IndexFunc(e.Networks, func(n NetworkState) bool { return n.Evidence.AcceptQueues == nil }); i >= 0 || len(e.Networks) == 0 {
		unread = append(unread, "accept queues here")
	}
	return unread
}

// selectResources returns m without the resources that only another operating system has.
func (m Machine) selectResources(s System) Machine {
	if s.IsWindows {
		return Machine{Nonpaged: m.Nonpaged, Commit: m.Commit}
	}
	m.Nonpaged, m.Commit = Usage{}, Usage{}
	return m
}

// formatUsage returns a sentence with the known usages, empty if there are none.
func (m Machine) formatUsage() string {
	var usages []string
	for _, u := range []struct {
		name string
		Usage
	}{{"connection tracking", m.Conntrack.Usage}, {"open files", m.Files}, {"orphaned sockets", m.Orphans},
		{"nonpaged pool", m.Nonpaged}, {"committed memory", m.Commit}} {
		if u.Max > 0 {
			usages = append(usages, fmt.Sprintf("%s %d %%", u.name, u.computePercent()))
		}
	}
	if m.TCPMemory > 0 {
		usages = append(usages, fmt.Sprintf("TCP memory %.0f %%", m.TCPMemory*100))
	}
	if len(usages) == 0 {
		return ""
	}
	return "In use on the node: " + strings.Join(usages, ", ") + "."
}
