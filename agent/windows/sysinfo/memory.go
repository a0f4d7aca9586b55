package sysinfo

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// ErrMalformed marks data that Windows does not return.
var ErrMalformed = errors.New("malformed")

// Memory is the use of the machine's memory, in bytes. Windows does not report a limit of
// the nonpaged pool. It is bounded by Physical, and the system is in trouble long before
// ("Memory Limits for Windows and Windows Server Releases").
type Memory struct {
	// Commit is memory committed to programs and the kernel. At CommitLimit, further
	// allocations fail.
	Commit, CommitLimit uint64
	// Physical is the machine's RAM. Available is the part that is free or can be freed
	// at once.
	Physical, Available uint64
	// Paged and Nonpaged are the kernel's pools. Sockets are in the nonpaged pool.
	Paged, Nonpaged uint64
	// Handles, Processes and Threads are counts for the whole machine.
	Handles, Processes, Threads uint32
}

// memorySize is the size of PERFORMANCE_INFORMATION on 64-bit Windows (psapi.h): a DWORD
// and padding, ten SIZE_Ts, three DWORDs and padding.
const memorySize = 104

// ParseMemory parses a PERFORMANCE_INFORMATION, which GetPerformanceInfo fills in.
func ParseMemory(b []byte) (Memory, error) {
	if len(b) != memorySize {
		return Memory{}, fmt.Errorf("PERFORMANCE_INFORMATION has %d bytes, want %d: %w", len(b), memorySize, ErrMalformed)
	}
	size := func(i int) uint64 { return binary.LittleEndian.Uint64(b[8+8*i:]) }
	page := size(9)
	if page == 0 || page > 1<<21 { // page sizes are 4 kB to 2 MB
		return Memory{}, fmt.Errorf("pages of %d bytes: %w", page, ErrMalformed)
	}
	m := Memory{
		Handles:   binary.LittleEndian.Uint32(b[88:]),
		Processes: binary.LittleEndian.Uint32(b[92:]),
		Threads:   binary.LittleEndian.Uint32(b[96:]),
	}
	for i, field := range map[int]*uint64{
		0: &m.Commit, 1: &m.CommitLimit, 3: &m.Physical, 4: &m.Available, 7: &m.Paged, 8: &m.Nonpaged,
	} {
		if size(i) > 1<<42 { // in pages: more than the bytes that any machine can address
			return Memory{}, fmt.Errorf("%d pages of memory: %w", size(i), ErrMalformed)
		}
		*field = size(i) * page
	}
	return m, nil
}

// countersSize is the size of PROCESS_MEMORY_COUNTERS on 64-bit Windows (psapi.h): two
// DWORDs and eight SIZE_Ts.
const countersSize = 72

// ParseWorkingSet returns the working set, in bytes, in a PROCESS_MEMORY_COUNTERS, which
// GetProcessMemoryInfo fills in.
func ParseWorkingSet(b []byte) (uint64, error) {
	if len(b) != countersSize {
		return 0, fmt.Errorf("PROCESS_MEMORY_COUNTERS has %d bytes, want %d: %w", len(b), countersSize, ErrMalformed)
	}
	return binary.LittleEndian.Uint64(b[16:]), nil
}
