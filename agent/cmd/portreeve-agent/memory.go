package main

import (
	"math"
	"runtime/debug"

	"portreeve.io/portreeve/agent/readers/kernelstat"
)

// memoryBudget divides the memory limit of the agent's cgroup. Zero values mean no limit.
type memoryBudget struct {
	// goBytes is the limit of the memory that Go's runtime manages. The rest is for the
	// BPF maps, the kernel's buffers and the program's pages.
	goBytes int64
	// destinations is the maximum number of destinations of a sample. Each takes about
	// 170 bytes in a BPF map and up to 600 in the program.
	destinations int
}

// planMemory returns the budget for a limit in bytes, 0 for none.
func planMemory(limit uint64) memoryBudget {
	if limit == 0 || limit > math.MaxInt64/2 {
		return memoryBudget{}
	}
	const goShare, bytesPerDestination = 60, 2 << 10 // percent; a third of the limit is for destinations
	const fewest, most = 4 << 10, 256 << 10
	return memoryBudget{
		goBytes:      int64(limit / 100 * goShare),
		destinations: int(min(max(limit/bytesPerDestination, fewest), most)),
	}
}

// limitMemory makes Go collect garbage more often before the cgroup's limit is reached, unless
// the environment variable GOMEMLIMIT sets another limit.
func limitMemory() {
	if b := planMemory(kernelstat.ReadMemoryLimit("/")); b.goBytes > 0 && debug.SetMemoryLimit(-1) == math.MaxInt64 {
		debug.SetMemoryLimit(b.goBytes)
	}
}
