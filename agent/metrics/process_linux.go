package metrics

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/procfs"
)

// newProcessReader returns a function that reads the process's CPU time and memory at each
// scrape, from one file. Prometheus's own collector also counts file descriptors and network
// bytes, which costs more than all other metrics here.
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
