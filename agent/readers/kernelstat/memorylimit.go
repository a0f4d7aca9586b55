package kernelstat

import (
	"math"
	"os"
	"path"
	"path/filepath"
	"strconv"
	"strings"
)

// ReadMemoryLimit returns the smallest memory limit, in bytes, of the process's cgroup and of
// those around it that are visible, 0 if there is none. root is "/", except in tests.
func ReadMemoryLimit(root string) uint64 {
	file, err := os.ReadFile(filepath.Join(root, "proc/self/cgroup"))
	if err != nil {
		return 0
	}
	limit := uint64(math.MaxUint64)
	for _, group := range findMemoryCgroups(string(file)) {
		// A container sees its own cgroup as the mount's root, whatever path the file names.
		for folder := path.Join("/", group.path); ; folder = path.Dir(folder) {
			b, _ := os.ReadFile(filepath.Join(root, group.mount, folder, group.file)) // absent above the container's
			if n, ok := parseMemoryLimit(string(b)); ok {
				limit = min(limit, n)
			}
			if folder == "/" {
				break
			}
		}
	}
	if limit == math.MaxUint64 {
		return 0
	}
	return limit
}

// memoryCgroup is a cgroup that can limit memory: file in path below mount.
type memoryCgroup struct{ mount, path, file string }

// findMemoryCgroups parses /proc/PID/cgroup.
func findMemoryCgroups(file string) (groups []memoryCgroup) {
	for line := range strings.Lines(file) {
		id, rest, _ := strings.Cut(strings.TrimSpace(line), ":")
		controllers, path, ok := strings.Cut(rest, ":")
		switch {
		case !ok:
		case id == "0" && controllers == "":
			groups = append(groups, memoryCgroup{"sys/fs/cgroup", path, "memory.max"})
		case strings.Contains(","+controllers+",", ",memory,"):
			groups = append(groups, memoryCgroup{"sys/fs/cgroup/memory", path, "memory.limit_in_bytes"})
		}
	}
	return groups
}

// parseMemoryLimit returns a limit in bytes; false for none, which is "max" or, in version 1,
// a number above any machine's memory.
func parseMemoryLimit(text string) (uint64, bool) {
	const none = 1 << 60
	n, err := strconv.ParseUint(strings.TrimSpace(text), 10, 64)
	return n, err == nil && n < none
}
