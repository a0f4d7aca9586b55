package netns

import (
	"cmp"
	"slices"
	"strings"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/text"
)

// ProcessInfo is a process in a network namespace. It is a thread group's leader, and never
// a kernel thread.
type ProcessInfo struct {
	// PID is 0 if it is not visible in the agent's PID namespace.
	PID int
	// StartTime is on any clock that is the same for all processes of a call.
	StartTime uint64
	// Comm is the kernel's short name, at most 15 bytes, chosen by the process.
	Comm   string
	Cgroup Cgroup
}

// Sandboxes that ResolveOwner detects. The workload's sockets are in the sandbox's own
// kernel, except for gVisor with --network=host, which looks the same.
const (
	SandboxGVisor = "gVisor"
	SandboxKata   = "Kata"
)

// ResolveOwner returns the owner of a network namespace in which the processes ps, in any
// order, run. isHost means that it is the machine's own namespace.
//
//   - The machine's own namespace is OwnerHost, even with hostNetwork pods in it.
//   - A pod has precedence over a container, and a container over other processes,
//     because CNI plugins, shims and shells may run in a pod's namespace.
//   - Of several pods the one whose pause container is here has precedence, otherwise
//     the one that started first. The others are guests (a proxy or a debugger that
//     called setns).
//
// Container is set only if all of the pod's processes in ps except pause agree on it. A
// caller that omitted processes from ps should clear it. Process is the first of them.
// Without processes the result is OwnerNone.
func ResolveOwner(ps []ProcessInfo, isHost bool) socket.Owner {
	if isHost {
		return socket.Owner{Kind: socket.OwnerHost}
	}
	if len(ps) == 0 {
		return socket.Owner{Kind: socket.OwnerNone}
	}
	first := slices.MinFunc(ps, compareEvidence)
	kind, mine := socket.OwnerProcess, func(p ProcessInfo) bool { return p.Cgroup == first.Cgroup }
	switch {
	case first.Cgroup.PodUID != "":
		kind, mine = socket.OwnerPod, func(p ProcessInfo) bool { return p.Cgroup.PodUID == first.Cgroup.PodUID }
	case first.Cgroup.Container != "":
		kind = socket.OwnerContainer
	}
	own := selectProcesses(ps, mine)
	o := socket.Owner{Kind: kind, PodUID: first.Cgroup.PodUID}
	if kind != socket.OwnerProcess {
		o.Sandbox = detectSandbox(own)
	}
	if kind == socket.OwnerPod {
		own = selectProcesses(own, func(p ProcessInfo) bool { return !isPause(p) })
	}
	if len(own) > 0 {
		first = slices.MinFunc(own, compareEvidence)
	}
	o.Container = findOnlyContainer(own)
	o.Process, o.PID = formatProcessName(first.Comm), first.PID
	return o
}

// compareEvidence orders processes by the strength of their evidence, then by age.
func compareEvidence(a, b ProcessInfo) int {
	return cmp.Or(
		cmp.Compare(rankEvidence(a), rankEvidence(b)),
		cmp.Compare(a.StartTime, b.StartTime),
		cmp.Compare(a.PID, b.PID),
	)
}

// rankEvidence returns the strength of p's evidence for the owner; lower is stronger.
func rankEvidence(p ProcessInfo) int {
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

func isPause(p ProcessInfo) bool { return p.Comm == "pause" }

func selectProcesses(ps []ProcessInfo, keep func(ProcessInfo) bool) []ProcessInfo {
	return slices.DeleteFunc(slices.Clone(ps), func(p ProcessInfo) bool { return !keep(p) })
}

// findOnlyContainer returns the container of ps, or "" unless there is exactly one. A Kata
// sandbox's ID is not a container of its pod.
func findOnlyContainer(ps []ProcessInfo) string {
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

// detectSandbox returns the sandbox of a pod or container according to its processes on
// the host, or "". Process names count only if all agree, because any re-executed program
// is called "exe", and KubeVirt runs QEMU beside ordinary processes.
func detectSandbox(ps []ProcessInfo) string {
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

// isVMMonitor reports whether comm, which the kernel truncates to 15 bytes, is a virtual
// machine monitor of Kata.
func isVMMonitor(comm string) bool {
	switch comm {
	case "qemu-kvm", "cloud-hyperviso", "firecracker", "dragonball", "stratovirt":
		return true
	}
	return strings.HasPrefix(comm, "qemu-system-")
}

// maxProcessNameBytes is the maximum length of Owner.Process.
const maxProcessNameBytes = 64

// formatProcessName returns a name that a process chose itself in a form that is safe to
// show.
func formatProcessName(name string) string {
	return text.TruncateBytes(text.MakePrintable(name, '?'), maxProcessNameBytes)
}
