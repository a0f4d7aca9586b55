package kernelstat

import (
	"time"

	"golang.org/x/sys/unix"
)

// ReadThreadCPUTime returns the CPU time of the calling thread, or 0 if unknown.
func ReadThreadCPUTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
