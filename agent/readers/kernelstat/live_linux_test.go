package kernelstat

import "testing"

func TestThisMachinesCountersAreReadable(t *testing.T) {
	c, unobserved := Read("/proc")
	if c.TimeWaitOverflow == nil || c.ListenDrops == nil || c.Orphans == nil || c.TCPMemory == nil || c.MaxFiles == nil {
		t.Errorf("%+v, unobserved %v", c, unobserved)
	}
	// OpenFiles may be 0: it is the sum of per-CPU counters that lag behind.
	if *c.MaxFiles < *c.OpenFiles || *c.MaxFiles == 0 {
		t.Errorf("%d of %d files open", *c.OpenFiles, *c.MaxFiles)
	}
}
