package netns

import (
	"iter"
	"slices"
	"strings"
)

// Lengths of names and IDs. A container may be allowed to create cgroups, so their names
// are untrusted: they are only compared, and only strict hex is extracted from them.
const (
	maxNameLength = 255  // NAME_MAX, include/uapi/linux/limits.h
	maxPathLength = 4096 // PATH_MAX

	idLength   = 64 // a container ID of containerd, CRI-O, Docker, Podman
	uidLength  = 36 // a UUID with dashes
	hashLength = 32 // a static pod's UID, the kubelet's hash of its manifest
)

// Cgroup is the pod and container of a process, according to its cgroups' names.
//
// The outermost pod counts, and in it the outermost container. Deeper cgroups are
// created by the workload, so their names prove nothing. Containers around the pod don't
// count, because kind runs its nodes in containers.
type Cgroup struct {
	// PodUID is a UUID with dashes, or 32 hex digits for a static pod.
	PodUID string
	// Container is the container's ID, 64 hex digits. Shorter IDs are ignored because
	// other names can look like them. For a Kata virtual machine it is the sandbox's ID.
	Container string
	// IsKata is set if the process is a part of Kata Containers outside of the virtual
	// machine (kata-containers, docs/design/host-cgroups.md).
	IsKata bool
}

// ParseCgroupPath parses a path such as "/kubepods/burstable/pod<uid>/<container>",
// absolute or relative to a cgroup namespace ("/../pod<uid>/<container>").
func ParseCgroupPath(path string) Cgroup {
	if len(path) > maxPathLength {
		return Cgroup{}
	}
	return parseCgroup(strings.SplitSeq(strings.TrimSuffix(path, " (deleted)"), "/"))
}

// ParseCgroupNames parses the names of a cgroup and its ancestors, the leaf first, as from
// a walk up the kernel's tree. A walk that ends too early can miss the outermost pod.
func ParseCgroupNames(leafFirst []string) Cgroup {
	return parseCgroup(func(yield func(string) bool) {
		for _, name := range slices.Backward(leafFirst) {
			if !yield(name) {
				return
			}
		}
	})
}

// ParseCgroupFile parses /proc/PID/cgroup, whose lines are "0::<path>" for cgroup v2 and
// "<n>:<controllers>:<path>" for v1. The line with the most details wins, because under
// v1 a process may be in a container for some controllers only.
func ParseCgroupFile(file []byte) Cgroup {
	var best Cgroup
	kata := false
	for line := range strings.SplitSeq(string(file), "\n") {
		_, rest, _ := strings.Cut(line, ":")
		_, path, _ := strings.Cut(rest, ":")
		c := ParseCgroupPath(path)
		kata = kata || c.IsKata
		if c.countDetails() > best.countDetails() {
			best = c
		}
	}
	best.IsKata = kata
	return best
}

// countDetails ranks c by the details that it has: a pod counts more than a container.
func (c Cgroup) countDetails() int {
	n := 0
	if c.PodUID != "" {
		n += 2
	}
	if c.Container != "" {
		n++
	}
	return n
}

func parseCgroup(rootFirst iter.Seq[string]) Cgroup {
	var c Cgroup
	for name := range rootFirst {
		if len(name) > maxNameLength {
			continue
		}
		for _, name := range splitSystemdName(name) {
			if uid := parsePodUID(name); uid != "" && c.PodUID == "" {
				c.PodUID, c.Container = uid, ""
			}
			if c.Container != "" {
				continue
			}
			c.IsKata = c.IsKata || strings.HasPrefix(name, "kata_")
			c.Container = parseContainerID(name)
		}
	}
	return c
}

// splitSystemdName splits "<slice>:<runtime>:<id>". The systemd driver writes this form,
// and a runtime without that driver uses it as a name.
func splitSystemdName(name string) []string {
	parts := strings.Split(name, ":")
	if len(parts) != 3 {
		return []string{name}
	}
	return []string{parts[0], parts[1] + "-" + parts[2]}
}

// parsePodUID returns the UID in "pod<uid>" (driver cgroupfs) or
// "<parents>-pod<uid>.slice" (systemd, with underscores for dashes), or "". The parents
// end in kubepods or kubepods-<QoS class>.
func parsePodUID(name string) string {
	if uid, ok := strings.CutPrefix(name, "pod"); ok {
		return parseUID(uid)
	}
	name, ok := strings.CutSuffix(name, ".slice")
	i := strings.LastIndex(name, "-pod")
	if !ok || i < 0 {
		return ""
	}
	parents := name[:i]
	for _, class := range []string{"-besteffort", "-burstable", "-guaranteed"} {
		parents = strings.TrimSuffix(parents, class)
	}
	if parents != "kubepods" && !strings.HasSuffix(parents, "-kubepods") {
		return ""
	}
	return parseUID(strings.ReplaceAll(name[i+len("-pod"):], "_", "-"))
}

// parseUID returns s if it is a pod's UID, or "".
func parseUID(s string) string {
	switch len(s) {
	case hashLength:
		if isHex(s) {
			return s
		}
	case uidLength:
		if s[8] == '-' && s[13] == '-' && s[18] == '-' && s[23] == '-' &&
			isHex(s[:8]+s[9:13]+s[14:18]+s[19:23]+s[24:]) {
			return s
		}
	}
	return ""
}

// parseContainerID returns the ID in "<id>" or "<runtime>-<id>", with or without
// ".scope", of any runtime, or "". conmon monitors a container from outside of it.
func parseContainerID(name string) string {
	name = strings.TrimSuffix(name, ".scope")
	if len(name) < idLength {
		return ""
	}
	runtime, id := name[:len(name)-idLength], name[len(name)-idLength:]
	isRuntime := runtime == "" || runtime == "kata_" || strings.HasSuffix(runtime, "-")
	if !isRuntime || strings.Contains(runtime, "conmon") || !isHex(id) {
		return ""
	}
	return id
}

func isHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}
