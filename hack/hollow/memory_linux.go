package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"
)

// readMemory returns VmRSS and VmHWM of a process, in bytes.
func readMemory(pid int) (resident, peak int64, err error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(text)) {
		_, _ = fmt.Sscanf(line, "VmRSS: %d kB", &resident)
		_, _ = fmt.Sscanf(line, "VmHWM: %d kB", &peak)
	}
	if resident == 0 || peak == 0 {
		return 0, 0, fmt.Errorf("/proc/%d/status has no VmRSS and VmHWM", pid)
	}
	return resident << 10, peak << 10, nil
}

// awaitStableMemory waits until the resident memory has changed by at most 1 MiB for a
// minute, and returns it. stable is false if it did not within limit.
func awaitStableMemory(ctx context.Context, pid int, limit time.Duration) (resident int64, stable bool, err error) {
	const same, every = time.Minute, 2 * time.Second
	since, at := time.Now(), int64(0)
	for until := time.Now().Add(limit); time.Now().Before(until); {
		if resident, _, err = readMemory(pid); err != nil {
			return 0, false, err
		}
		if diff := resident - at; diff > 1<<20 || -diff > 1<<20 {
			since, at = time.Now(), resident
		}
		if time.Since(since) >= same {
			return resident, true, nil
		}
		if err := sleepContext(ctx, every); err != nil {
			return 0, false, err
		}
	}
	return resident, false, nil
}
