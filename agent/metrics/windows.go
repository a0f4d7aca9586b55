package metrics

import (
	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// windows is what only a Windows node has.
func (l *list) windows(s *socket.Sample, w *assess.Windows) {
	if w == nil {
		return
	}
	l.windowsFailures(s.Failures)
	if s.Windows != nil {
		for _, r := range s.Windows.Ranges {
			if r.FreeBlocks != nil {
				l.add(windowsBlocks.metric(float64(*r.FreeBlocks), r.Family.String(), r.Protocol.String()))
			}
		}
	}
	if m := w.Memory; m != nil {
		l.add(
			windowsNonpaged.metric(float64(m.Nonpaged)), windowsNonpagedLimit.metric(float64(m.NonpagedLimit())),
			windowsPaged.metric(float64(m.Paged)), windowsHandles.metric(float64(m.Handles)),
		)
		if m.CommitLimit > 0 {
			l.add(windowsCommit.metric(float64(m.Commit) / float64(m.CommitLimit)))
		}
	}
	if !w.BootedAt.IsZero() {
		l.add(windowsBoot.metric(float64(w.BootedAt.UnixMilli()) / 1000))
	}
	l.add(windowsUpdate.flag(w.UpdatePending))
}

// windowsFailures counts by reason, each from 0 on, so that the first event is a rise.
func (l *list) windowsFailures(failures []socket.Failure) {
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
		l.add(windowsFailures.metric(float64(count[reason]), reason))
	}
}
