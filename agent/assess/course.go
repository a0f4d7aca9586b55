package assess

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// StatusHistory follows a machine from status to status: what a single look can't tell.
// The zero value is the start.
type StatusHistory struct {
	level        socket.Level
	lastPressure *v1alpha1.Pressure
	conditions   []metav1.Condition
	conntrack    conntrackHistory
	leak         leakHistory
	evictions    counterIncrease // entries that connection tracking threw out early
}

// ResumeFrom goes on from what an agent before this one has written.
func (c *StatusHistory) ResumeFrom(before *v1alpha1.PortPressureStatus) {
	if len(c.conditions) == 0 {
		c.conditions = append(c.conditions, before.Conditions...)
	}
	if c.leak == (leakHistory{}) {
		c.leak = resumeLeak(before)
	}
	switch {
	case before.LastPressure == nil:
	case c.lastPressure == nil:
		c.lastPressure = before.LastPressure.DeepCopy()
	case before.LastPressure.To == nil && c.lastPressure.To == nil: // still the same one
		c.lastPressure.From = before.LastPressure.From
		if before.LastPressure.PeakPercent > c.lastPressure.PeakPercent {
			from := c.lastPressure.From
			c.lastPressure = before.LastPressure.DeepCopy()
			c.lastPressure.From = from
		}
	}
}

// completeStatus takes status, what was seen just now, and adds what comes of the way
// there: the level with hysteresis, the last pressure, the conditions. It
// returns the level.
func (c *StatusHistory) completeStatus(status *v1alpha1.PortPressureStatus, t socket.Thresholds) socket.Level {
	if status.UsedPercent != nil {
		c.level = t.OrDefault().Next(c.level, int(*status.UsedPercent))
		status.Level = v1alpha1.Level(c.level.String())
		c.updateLastPressure(status)
	}
	status.LastPressure = c.lastPressure.DeepCopy()
	c.updateConditions(status)
	return c.level
}

// updateLastPressure opens, deepens or closes the last pressure.
func (c *StatusHistory) updateLastPressure(status *v1alpha1.PortPressureStatus) {
	open := c.lastPressure != nil && c.lastPressure.To == nil
	if c.level == socket.Normal {
		if open {
			c.lastPressure.To = status.ObservedAt
		}
		return
	}
	if !open {
		c.lastPressure = &v1alpha1.Pressure{From: *status.ObservedAt, PeakPercent: -1}
	}
	if *status.UsedPercent > c.lastPressure.PeakPercent {
		c.lastPressure.PeakPercent = *status.UsedPercent
		c.lastPressure.Summary = status.Tightest.Summary
		c.lastPressure.Cause = status.Cause
		c.lastPressure.Holder = status.Tightest.Holder.DeepCopy()
	}
	if c.lastPressure.Level != v1alpha1.LevelCritical {
		c.lastPressure.Level = status.Level
	}
}
