package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/agent/windows/sysinfo"
)

// newProcessReader returns a function that reads the process's metrics at each scrape.
func newProcessReader() func() []prometheus.Metric {
	return func() []prometheus.Metric {
		u, err := sysinfo.ReadUsage()
		if err != nil {
			return nil
		}
		return metricList{
			processStart.newMetric(float64(u.Started.UnixMilli()) / 1000),
			processCPU.newMetric(u.CPU.Seconds()), processMemory.newMetric(float64(u.WorkingSet)),
		}
	}
}
