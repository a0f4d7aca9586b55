package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"
)

// newProcessReader returns what reads the process's figures: two of them at each scrape,
// from one file. Prometheus's own collector counts file descriptors and network
// bytes as well, which costs more than all the rest here.
func newProcessReader() func() []prometheus.Metric {
	self, err := procfs.Self()
	if err != nil {
		return func() []prometheus.Metric { return nil }
	}
	var start metricList
	if stat, err := self.Stat(); err == nil {
		if at, err := stat.StartTime(); err == nil {
			start.add(processStart.newMetric(at))
		}
	}
	return func() []prometheus.Metric {
		stat, err := self.Stat()
		if err != nil {
			return start
		}
		return append(slices.Clip(start),
			processCPU.newMetric(stat.CPUTime()), processMemory.newMetric(float64(stat.ResidentMemory())))
	}
}
