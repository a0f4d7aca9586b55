package assess

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Course follows a machine from status to status: what a single look can't tell.
// The zero value is the start.
type Course struct {
	level      socket.Level
	last       *v1alpha1.Pressure
	conditions []metav1.Condition
}

// Resume goes on from what an agent before this one has written.
func (c *Course) Resume(before *v1alpha1.PortPressureStatus) {
	if len(c.conditions) == 0 {
		c.conditions = append(c.conditions, before.Conditions...)
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
// there: the level with hysteresis, the last pressure, the conditions. It
// returns the level.
func (c *Course) Follow(status *v1alpha1.PortPressureStatus, t socket.Thresholds) socket.Level {
	if status.UsedPercent != nil {
		c.level = orDefault(t).Next(c.level, int(*status.UsedPercent))
		status.Level = v1alpha1.Level(c.level.String())
		c.remember(status)
	}
	status.LastPressure = c.last.DeepCopy()
	meta.SetStatusCondition(&c.conditions, portsAvailable(status))
	status.Conditions = append([]metav1.Condition(nil), c.conditions...)
	return c.level
}

// remember opens, deepens or closes the last pressure.
func (c *Course) remember(status *v1alpha1.PortPressureStatus) {
	open := c.last != nil && c.last.To == nil
	if c.level == socket.Normal {
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

func portsAvailable(status *v1alpha1.PortPressureStatus) metav1.Condition {
	c := metav1.Condition{
		Type:               v1alpha1.ConditionPortsAvailable,
		Status:             metav1.ConditionTrue,
		Reason:             string(status.Level),
		ObservedGeneration: status.ObservedGeneration,
		LastTransitionTime: *status.ObservedAt,
	}
	switch status.Level {
	case "":
		c.Status, c.Reason, c.Message = metav1.ConditionUnknown, v1alpha1.ReasonNotMeasured, "no network could be measured"
		return c
	case v1alpha1.LevelCritical:
		c.Status = metav1.ConditionFalse
	}
	p := status.Tightest
	c.Message = clip(fmt.Sprintf("%d of %d ports are used: %s", p.Used, p.Capacity, p.Summary), 1024)
	return c
}
