package transition

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/eventlimit"
)

// Change is one change to report in an Event.
type Change struct {
	// Reason is one of v1alpha1's Event reasons, Type the Event's.
	Reason, Type string
	// was is the level before, for changes of level.
	was v1alpha1.Level
}

// UsesBudget reports whether the change counts towards the node's hourly limit.
func (c Change) UsesBudget() bool { return c.Reason != v1alpha1.ReasonPortsExhausted }

// isImprovement reports whether the change is for the better.
func (c Change) isImprovement() bool {
	return c.Type == corev1.EventTypeNormal || c.was == v1alpha1.LevelCritical
}

// FindChanges returns the changes from n to the status s, and what is notified once they
// are reported. At most remaining changes of state are among them, and the last place is
// kept for what gets worse. A change that doesn't fit is found again later, so that the
// final state of a node that flaps is reported once its budget has room.
func FindChanges(n Notified, s *v1alpha1.PortPressureStatus, remaining int) ([]Change, Notified) {
	if s.ObservedAt == nil {
		return nil, n // no status was reported yet
	}
	var changes []Change
	for _, detect := range []func(*Notified, *v1alpha1.PortPressureStatus) Change{detectLevelChange, detectLeak, detectConntrackChange, detectRestartRequired} {
		next := n
		c := detect(&next, s)
		switch {
		case c.Reason == "":
			n = next
		case eventlimit.Allows(remaining-len(changes), c.isImprovement()):
			n, changes = next, append(changes, c)
		}
	}
	if c := detectExhaustion(&n, s); c.Reason != "" {
		changes = append(changes, c)
	}
	return changes, n
}

// levelChanges has the changes to the levels that this version knows. Other levels are not
// reported, nor is a node that could not be measured.
var levelChanges = map[v1alpha1.Level]Change{
	v1alpha1.LevelNormal:   {Reason: v1alpha1.ReasonHeadroomRestored, Type: corev1.EventTypeNormal},
	v1alpha1.LevelWarning:  {Reason: v1alpha1.ReasonHeadroomLow, Type: corev1.EventTypeWarning},
	v1alpha1.LevelCritical: {Reason: v1alpha1.ReasonHeadroomCritical, Type: corev1.EventTypeWarning},
}

func detectLevelChange(n *Notified, s *v1alpha1.PortPressureStatus) Change {
	c, known := levelChanges[s.Level]
	was := n.lastLevel()
	if !known || s.Level == was {
		return Change{}
	}
	n.Level = s.Level
	if s.Level == v1alpha1.LevelNormal {
		n.Level = ""
	}
	c.was = was
	return c
}

// detectLeak detects only the beginning: a leak ends with its program.
func detectLeak(n *Notified, s *v1alpha1.PortPressureStatus) Change {
	now := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionLeakSuspected)
	if now == nil || now.Status == metav1.ConditionUnknown {
		return Change{}
	}
	was := n.Leak
	n.Leak = now.Status == metav1.ConditionTrue
	if was || !n.Leak {
		return Change{}
	}
	return Change{Reason: v1alpha1.ReasonLeakSuspected, Type: corev1.EventTypeWarning}
}

func detectConntrackChange(n *Notified, s *v1alpha1.PortPressureStatus) Change {
	now := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionConntrackAvailable)
	if now == nil || now.Status == metav1.ConditionUnknown {
		return Change{}
	}
	was := n.Conntrack
	n.Conntrack = now.Status == metav1.ConditionFalse
	switch {
	case n.Conntrack == was:
		return Change{}
	case n.Conntrack:
		return Change{Reason: v1alpha1.ReasonConntrackPressure, Type: corev1.EventTypeWarning}
	}
	return Change{Reason: v1alpha1.ReasonConntrackRestored, Type: corev1.EventTypeNormal}
}

// detectRestartRequired detects only the beginning: it ends with a restart, which the node
// itself reports.
func detectRestartRequired(n *Notified, s *v1alpha1.PortPressureStatus) Change {
	was := n.Restart
	n.Restart = meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionRestartRequired)
	if was || !n.Restart {
		return Change{}
	}
	return Change{Reason: v1alpha1.ReasonRestartRequired, Type: corev1.EventTypeNormal}
}

// maxFailureAge is the age above which failed calls are not reported any more.
const maxFailureAge = time.Hour

// detectExhaustion compares the times of failures, not their counts, which restart with
// each agent and drop when a network is removed. All times are by the node's clock, so a
// wrong clock does no harm. If the clock was set back, the last report is ignored.
func detectExhaustion(n *Notified, s *v1alpha1.PortPressureStatus) Change {
	last, reported := findLastFailure(s), n.lastExhaustedAt()
	if reported.After(s.ObservedAt.Time) {
		reported = time.Time{}
	}
	if last.IsZero() || s.ObservedAt.Sub(last) > maxFailureAge || !eventlimit.IsRepeatDue(last, reported) {
		return Change{}
	}
	n.ExhaustedAt = &metav1.Time{Time: last}
	return Change{Reason: v1alpha1.ReasonPortsExhausted, Type: corev1.EventTypeWarning}
}

// findLastFailure returns the time of the last failed call, zero if none failed.
func findLastFailure(s *v1alpha1.PortPressureStatus) time.Time {
	if len(s.Failures) == 0 {
		return time.Time{}
	}
	return slices.MaxFunc(s.Failures, func(a, b v1alpha1.Failure) int { return a.LastAt.Compare(b.LastAt.Time) }).LastAt.Time
}
