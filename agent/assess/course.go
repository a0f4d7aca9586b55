package assess

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Course follows a machine from status to status: what a single look can't tell.
// The zero value is the start.
type Course struct {
	level      v1alpha1.Level
	last       *v1alpha1.Pressure
	conditions []metav1.Condition
	conntrack  conntrackCourse
	leak       leakCourse
	evicted    rise // entries that connection tracking threw out early
}

// Resume goes on from what an agent before this one has written.
func (c *Course) Resume(before *v1alpha1.PortPressureStatus) {
	if len(c.conditions) == 0 {
		c.conditions = append(c.conditions, before.Conditions...)
	}
	if c.leak == (leakCourse{}) {
		c.leak = resumeLeak(before)
	}
	switch {
	case before.LastPressure == nil:
	case c.last == nil:
		c.last = before.LastPressure.DeepCopy()
	case before.LastPressure.To == nil && c.last.To == nil: // still the same one
		c.last.From = before.LastPressure.From
		if before.LastPressure.PeakPercent > c.last.PeakPercent {
			from := c.last.From
			c.last = before.LastPressure.DeepCopy()
			c.last.From = from
		}
	}
}

// Follow takes status, what was seen just now, and adds what comes of the way
// there: the last pressure and the conditions. It returns the level, which stays as
// it was where status has none.
func (c *Course) Follow(status *v1alpha1.PortPressureStatus) v1alpha1.Level {
	if status.UsedPercent != nil {
		c.level = status.Level
		c.remember(status)
	}
	status.LastPressure = c.last.DeepCopy()
	c.judge(status)
	return c.level
}

// remember opens, deepens or closes the last pressure.
func (c *Course) remember(status *v1alpha1.PortPressureStatus) {
	open := c.last != nil && c.last.To == nil
	if c.level == v1alpha1.LevelNormal {
		if open {
			c.last.To = status.ObservedAt
		}
		return
	}
	if !open {
		c.last = &v1alpha1.Pressure{From: *status.ObservedAt, PeakPercent: -1}
	}
	if *status.UsedPercent > c.last.PeakPercent {
		c.last.PeakPercent = *status.UsedPercent
		c.last.Summary = status.Tightest.Summary
		c.last.Cause = status.Cause
		c.last.Holder = status.Tightest.Holder.DeepCopy()
	}
	if c.last.Level != v1alpha1.LevelCritical {
		c.last.Level = status.Level
	}
}
