package wine

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// residentMemory is the resident memory of a process, in bytes.
type residentMemory struct {
	own, stacks, libraries int
	threads                int
}

// readResidentMemory adds up /proc/PID/smaps (proc_pid_smaps(5)). A mapping that contains a
// thread's stack pointer is a stack, and a mapping of a file below /usr is a library.
func readResidentMemory(pid int) (r residentMemory, err error) {
	pointers, err := readStackPointers(pid)
	if err != nil {
		return r, err
	}
	r.threads = len(pointers)
	file, err := os.Open(fmt.Sprintf("/proc/%d/smaps", pid))
	if err != nil {
		return r, err
	}
	defer file.Close()
	var part *int
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		switch {
		case !strings.HasSuffix(fields[0], ":"):
			part = r.classifyMapping(fields, pointers)
		case fields[0] == "Rss:":
			kib, err := strconv.Atoi(fields[1])
			if err != nil {
				return r, err
			}
			*part += kib << 10
		}
	}
	return r, lines.Err()
}

// classifyMapping returns the counter of a mapping, given the fields of its first line.
func (r *residentMemory) classifyMapping(fields []string, pointers []uint64) *int {
	var first, end uint64
	_, _ = fmt.Sscanf(fields[0], "%x-%x", &first, &end) // the format of the kernel
	for _, p := range pointers {
		if first <= p && p < end {
			return &r.stacks
		}
	}
	if len(fields) > 5 && strings.HasPrefix(fields[5], "/usr/") {
		return &r.libraries
	}
	return &r.own
}

// readStackPointers returns the stack pointers of the threads (proc_pid_syscall(5)), except
// of threads that are running.
func readStackPointers(pid int) (list []uint64, err error) {
	paths, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/syscall", pid))
	if err != nil {
		return nil, err
	}
	for _, path := range paths {
		text, _ := os.ReadFile(path) // it may have ended
		fields := strings.Fields(string(text))
		if len(fields) < 3 {
			continue
		}
		p, err := strconv.ParseUint(fields[len(fields)-2], 0, 64)
		if err != nil {
			return nil, fmt.Errorf("%s: %q: %w", path, text, err)
		}
		list = append(list, p)
	}
	return list, nil
}
