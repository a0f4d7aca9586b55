package netns

import (
	"cmp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"portreeve.io/portreeve/agent/socket"
)

// Process is a process found in a network namespace: a thread group's leader,
// never a kernel thread.
type Process struct {
	// PID is 0 where it is not visible in the agent's PID namespace.
	PID int
	// StartTime is on any clock that all processes of a call share.
	StartTime uint64
	// Comm is the kernel's short name, at most 15 bytes, chosen by the process.
	Comm   string
	Cgroup Cgroup
}

// The sandboxes that Owner tells. Their workload's sockets are in a kernel of
// its own; gVisor with --network=host is the exception, and looks the same.
const (
	SandboxGVisor = "gVisor"
	SandboxKata   = "Kata"
)

// ResolveOwner decides whom the network namespace belongs to in which ps were found,
// in any order; host says that it is the machine's own.
//
//   - The machine's own namespace is Host, whatever pods with hostNetwork run in it.
//   - A pod goes before a container, and that before any other process: CNI
//     plugins, shims and people's shells come and go in a pod's namespace.
//   - Of several pods the one whose pause container is here, else the one that
//     started first: the others are guests (a proxy or a debugger that called
//     setns).
//
// Container is told only when all of the pod's processes here, pause left out,
// agree on it; a caller that left processes out of ps should clear it. Process
// is the first of them. No processes give OwnerNone.
func ResolveOwner(ps []Process, host bool) socket.Owner {
	if host {
		return socket.Owner{Kind: socket.OwnerHost}
	}
	if len(ps) == 0 {
		return socket.Owner{Kind: socket.OwnerNone}
	}
	first := slices.MinFunc(ps, compareEvidence)
	kind, mine := socket.OwnerProcess, func(p Process) bool { return p.Cgroup == first.Cgroup }
	switch {
	case first.Cgroup.PodUID != "":
		kind, mine = socket.OwnerPod, func(p Process) bool { return p.Cgroup.PodUID == first.Cgroup.PodUID }
	case first.Cgroup.Container != "":
		kind = socket.OwnerContainer
	}
	own := selectProcesses(ps, mine)
	o := socket.Owner{Kind: kind, PodUID: first.Cgroup.PodUID}
	if kind != socket.OwnerProcess {
		o.Sandbox = detectSandbox(own)
	}
	if kind == socket.OwnerPod {
		own = selectProcesses(own, func(p Process) bool { return !isPause(p) })
	}
	if len(own) > 0 {
		first = slices.MinFunc(own, compareEvidence)
	}
	o.Container = findOnlyContainer(own)
	o.Process, o.PID = formatProcessName(first.Comm), first.PID
	return o
}

// compareEvidence orders by the weight of the evidence, then by age.
func compareEvidence(a, b Process) int {
	return cmp.Or(
		cmp.Compare(rankEvidence(a), rankEvidence(b)),
		cmp.Compare(a.StartTime, b.StartTime),
		cmp.Compare(a.PID, b.PID),
	)
}

func rankEvidence(p Process) int {
	switch {
	case p.Cgroup.PodUID != "" && isPause(p):
		return 0
	case p.Cgroup.PodUID != "":
		return 1
	case p.Cgroup.Container != "":
		return 2
	}
	return 3
}

func isPause(p Process) bool { return p.Comm == "pause" }

func selectProcesses(ps []Process, keep func(Process) bool) []Process {
	return slices.DeleteFunc(slices.Clone(ps), func(p Process) bool { return !keep(p) })
}

// findOnlyContainer is the only container that ps name, if there is only one. A Kata
// sandbox's ID is not a container of its pod.
func findOnlyContainer(ps []Process) string {
	id := ""
	for _, p := range ps {
		c := p.Cgroup
		if c.Container == "" || c.Container == id || c.IsKata && c.PodUID != "" {
			continue
		}
		if id != "" {
			return ""
		}
		id = c.Container
	}
	return id
}

// detectSandbox tells a sandboxed pod or container by its processes on the host.
// Names alone count only when all agree: a re-executed program is called "exe"
// too, and KubeVirt runs QEMU beside ordinary processes.
func detectSandbox(ps []Process) string {
	vm, gvisor, kata := false, true, true
	for _, p := range ps {
		if p.Cgroup.IsKata {
			return SandboxKata
		}
		isVM := isVMMonitor(p.Comm)
		vm = vm || isVM
		kata = kata && (isVM || p.Comm == "virtiofsd" || strings.HasPrefix(p.Comm, "containerd-shim"))
		// runsc re-executes itself through /proc/self/exe (gvisor issue 12113).
		gvisor = gvisor && (p.Comm == "exe" || p.Comm == "runsc" || strings.HasPrefix(p.Comm, "runsc-"))
	}
	switch {
	case gvisor:
		return SandboxGVisor
	case kata && vm:
		return SandboxKata
	}
	return ""
}

// isVMMonitor knows the virtual machine monitors of Kata by their comm, which the
// kernel cuts to 15 bytes.
func isVMMonitor(comm string) bool {
	switch comm {
	case "qemu-kvm", "cloud-hyperviso", "firecracker", "dragonball", "stratovirt":
		return true
	}
	return strings.HasPrefix(comm, "qemu-system-")
}

// maxProcessNameBytes bounds Owner.Process in bytes.
const maxProcessNameBytes = 64

// formatProcessName makes a process's own choice of name safe to show: what does not
// print (control characters, escapes, bidirectional marks) becomes "?".
func formatProcessName(name string) string {
	var b strings.Builder
	for _, r := range name {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			r = '?'
		}
		if b.Len()+utf8.RuneLen(r) > maxProcessNameBytes {
			break
		}
		b.WriteRune(r)
	}
	return b.String()
}
