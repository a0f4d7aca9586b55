package assess

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// StatusHistory keeps the parts of a machine's status that depend on earlier samples. The
// zero value is the state before the first sample.
type StatusHistory struct {
	level        v1alpha1.Level
	lastPressure *v1alpha1.Pressure
	conditions   []metav1.Condition
	conntrack    conntrackHistory
	leak         leakHistory
	evictions    counterIncrease // entries that connection tracking evicted early
	counters     CounterHistory
	collision    collisionHistory
}

// Level returns the level of the last sample.
func (h *StatusHistory) Level() v1alpha1.Level { return h.level }

// ResumeFrom continues from the status of an earlier agent.
func (h *StatusHistory) ResumeFrom(before *v1alpha1.PortPressureStatus) {
	if len(h.conditions) == 0 {
		h.conditions = append(h.conditions, before.Conditions...)
	}
	if h.leak == (leakHistory{}) {
		h.leak = resumeLeak(before)
	}
	if h.collision == (collisionHistory{}) {
		h.collision = resumeCollision(before)
	}
	switch {
	case before.LastPressure == nil:
	case h.lastPressure == nil:
		h.lastPressure = before.LastPressure.DeepCopy()
	case before.LastPressure.To == nil && h.lastPressure.To == nil: // the same one
		h.lastPressure.From = before.LastPressure.From
		if before.LastPressure.PeakPercent > h.lastPressure.PeakPercent {
			from := h.lastPressure.From
			h.lastPressure = before.LastPressure.DeepCopy()
			h.lastPressure.From = from
		}
	}
}

// Assess returns the complete status of sample, with at most MaxStatusBytes, and sets
// f.Prior. It returns the status also with an error, which means that it can't be encoded.
func (h *StatusHistory) Assess(sample *socket.Sample, f *Facts) (*v1alpha1.PortPressureStatus, error) {
	h.countConntrack(sample, *f)
	f.Prior = h.prior()
	h.counters.Add(sample, f)
	status := BuildStatus(*sample, *f)
	status.ObservedGeneration = f.Generation
	h.leak.suspectCloseWait(formatLeak(newNetworkStates(sample, *f, NameNetworks(sample.Networks))), sample.Taken)
	h.completeStatus(&status)
	if f.IsTuned {
		h.addSettings(&status, f.Settings)
	}
	return &status, TrimToSize(&status)
}

// completeStatus adds to status the parts that depend on earlier samples: the last
// pressure and the conditions.
func (h *StatusHistory) completeStatus(status *v1alpha1.PortPressureStatus) {
	if status.UsedPercent != nil {
		h.level = status.Level
		h.updateLastPressure(status)
	}
	status.LastPressure = h.lastPressure.DeepCopy()
	h.updateConditions(status)
}

// updateLastPressure starts a pressure, updates its peak, or ends it.
func (h *StatusHistory) updateLastPressure(status *v1alpha1.PortPressureStatus) {
	ongoing := h.lastPressure != nil && h.lastPressure.To == nil
	if h.level == v1alpha1.LevelNormal {
		if ongoing {
			h.lastPressure.To = status.ObservedAt
		}
		return
	}
	if !ongoing {
		h.lastPressure = &v1alpha1.Pressure{From: *status.ObservedAt, PeakPercent: -1}
	}
	if *status.UsedPercent > h.lastPressure.PeakPercent {
		h.lastPressure.PeakPercent = *status.UsedPercent
		h.lastPressure.Summary = status.Tightest.Summary
		h.lastPressure.Cause = status.Cause
		h.lastPressure.Holder = status.Tightest.Holder.DeepCopy()
	}
	if h.lastPressure.Level != v1alpha1.LevelCritical {
		h.lastPressure.Level = status.Level
	}
}
