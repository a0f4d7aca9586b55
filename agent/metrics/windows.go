package metrics

import (
	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// addWindows adds the metrics of Windows nodes.
func (l *metricList) addWindows(s *socket.Sample, w *assess.Windows) {
	if w == nil {
		return
	}
	l.addWindowsFailures(s.Failures)
	if s.Windows != nil {
		for _, r := range s.Windows.Ranges {
			if r.FreeBlocks != nil {
				l.add(windowsBlocks.newMetric(float64(*r.FreeBlocks), r.Family.String(), r.Protocol.String()))
			}
		}
	}
	if m := w.Memory; m != nil {
		l.add(
			windowsNonpaged.newMetric(float64(m.Nonpaged)), windowsNonpagedLimit.newMetric(float64(m.NonpagedLimit())),
			windowsPaged.newMetric(float64(m.Paged)), windowsHandles.newMetric(float64(m.Handles)),
		)
		if m.CommitLimit > 0 {
			l.add(windowsCommit.newMetric(float64(m.Commit) / float64(m.CommitLimit)))
		}
	}
	if !w.BootedAt.IsZero() {
		l.add(windowsBoot.newMetric(float64(w.BootedAt.UnixMilli()) / 1000))
	}
	l.add(windowsUpdate.newFlag(w.UpdatePending))
}

// addWindowsFailures adds counters by reason, each from 0 on, so that the first event is an
// increase.
func (l *metricList) addWindowsFailures(failures []socket.Failure) {
	if failures == nil {
		return
	}
	count := map[string]uint64{}
	for i := range failures {
		count[failures[i].Reason] += failures[i].Count
	}
	for _, reason := range []string{
		v1alpha1.FailureTCPPortReusedTooSoon, v1alpha1.FailureTCPPortsExhausted,
		v1alpha1.FailureUDPPortsExhausted, v1alpha1.FailureWinNATPortsExhausted,
	} {
		l.add(windowsFailures.newMetric(float64(count[reason]), reason))
	}
}
