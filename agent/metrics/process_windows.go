package metrics

import (
	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/agent/windows/sysinfo"
)

// process returns what reads the process's figures at each scrape.
func process() func() []prometheus.Metric {
	return func() []prometheus.Metric {
		u, err := sysinfo.ReadUsage()
		if err != nil {
			return nil
		}
		return list{
			processStart.metric(float64(u.Started.UnixMilli()) / 1000),
			processCPU.metric(u.CPU.Seconds()), processMemory.metric(float64(u.WorkingSet)),
		}
	}
}
