package transition

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Change is one thing to tell.
type Change struct {
	// Reason is one of v1alpha1's Event reasons, Type the Event's.
	Reason, Type string
	// was is the level before, for changes of level.
	was v1alpha1.Level
}

// UsesBudget says whether the change is one of those that take room.
func (c Change) UsesBudget() bool { return c.Reason != v1alpha1.ReasonPortsExhausted }

// isImprovement says whether the change is for the better.
func (c Change) isImprovement() bool {
	return c.Type == corev1.EventTypeNormal || c.was == v1alpha1.LevelCritical
}

// FindChanges returns what to tell of a node of which t was told and whose status is s, and
// what is told then. At most room changes of state are among it, and the last place is
// for what gets worse: a node that flaps has spent its room, and what it is in the end
// is told when there is room again.
func FindChanges(t Notified, s *v1alpha1.PortPressureStatus, room int) ([]Change, Notified) {
	if s.ObservedAt == nil {
		return nil, t // nothing was reported yet
	}
	var changes []Change
	for _, follow := range []func(*Notified, *v1alpha1.PortPressureStatus) Change{detectLevelChange, detectLeak, detectConntrackChange, detectRestartRequired} {
		then := t
		c := follow(&then, s)
		switch {
		case c.Reason == "":
			t = then
		case len(changes) < room-1, len(changes) < room && !c.isImprovement():
			t, changes = then, append(changes, c)
		}
	}
	if c := detectExhaustion(&t, s); c.Reason != "" {
		changes = append(changes, c)
	}
	return changes, t
}

// levelChanges are those that this version knows. Any other is no news, nor is a node that
// could not be measured.
var levelChanges = map[v1alpha1.Level]Change{
	v1alpha1.LevelNormal:   {Reason: v1alpha1.ReasonHeadroomRestored, Type: corev1.EventTypeNormal},
	v1alpha1.LevelWarning:  {Reason: v1alpha1.ReasonHeadroomLow, Type: corev1.EventTypeWarning},
	v1alpha1.LevelCritical: {Reason: v1alpha1.ReasonHeadroomCritical, Type: corev1.EventTypeWarning},
}

func detectLevelChange(t *Notified, s *v1alpha1.PortPressureStatus) Change {
	c, known := levelChanges[s.Level]
	was := t.lastLevel()
	if !known || s.Level == was {
		return Change{}
	}
	t.Level = s.Level
	if s.Level == v1alpha1.LevelNormal {
		t.Level = ""
	}
	c.was = was
	return c
}

// detectLeak tells only of the beginning: a leak ends with the program that has it.
func detectLeak(t *Notified, s *v1alpha1.PortPressureStatus) Change {
	now := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionLeakSuspected)
	if now == nil || now.Status == metav1.ConditionUnknown {
		return Change{}
	}
	was := t.Leak
	t.Leak = now.Status == metav1.ConditionTrue
	if was || !t.Leak {
		return Change{}
	}
	return Change{Reason: v1alpha1.ReasonLeakSuspected, Type: corev1.EventTypeWarning}
}

func detectConntrackChange(t *Notified, s *v1alpha1.PortPressureStatus) Change {
	now := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionConntrackAvailable)
	if now == nil || now.Status == metav1.ConditionUnknown {
		return Change{}
	}
	was := t.Conntrack
	t.Conntrack = now.Status == metav1.ConditionFalse
	switch {
	case t.Conntrack == was:
		return Change{}
	case t.Conntrack:
		return Change{Reason: v1alpha1.ReasonConntrackPressure, Type: corev1.EventTypeWarning}
	}
	return Change{Reason: v1alpha1.ReasonConntrackRestored, Type: corev1.EventTypeNormal}
}

// detectRestartRequired tells only of the beginning: the end is a restart, which the node tells.
func detectRestartRequired(t *Notified, s *v1alpha1.PortPressureStatus) Change {
	was := t.Restart
	t.Restart = meta.IsStatusConditionTrue(s.Conditions, v1alpha1.ConditionRestartRequired)
	if was || !t.Restart {
		return Change{}
	}
	return Change{Reason: v1alpha1.ReasonRestartRequired, Type: corev1.EventTypeNormal}
}

// Failed calls are told again after exhaustedAgain while they go on, and not at all
// when they are older than history by the time they are seen.
const (
	exhaustedAgain = 10 * time.Minute
	maxFailureAge        = time.Hour
)

// detectExhaustion goes by the time of the last failure, not by the counts: those begin anew
// with each agent, and fall when a network is gone. All times are the node's clock's,
// and so one that is wrong does no harm; one that was set back makes t forget.
func detectExhaustion(t *Notified, s *v1alpha1.PortPressureStatus) Change {
	last, told := findLastFailure(s), t.lastExhaustedAt()
	if told.After(s.ObservedAt.Time) {
		told = time.Time{}
	}
	if last.IsZero() || s.ObservedAt.Sub(last) > maxFailureAge || last.Sub(told) < exhaustedAgain {
		return Change{}
	}
	t.ExhaustedAt = &metav1.Time{Time: last}
	return Change{Reason: v1alpha1.ReasonPortsExhausted, Type: corev1.EventTypeWarning}
}

// findLastFailure is zero where no call failed.
func findLastFailure(s *v1alpha1.PortPressureStatus) time.Time {
	if len(s.Failures) == 0 {
		return time.Time{}
	}
	return slices.MaxFunc(s.Failures, func(a, b v1alpha1.Failure) int { return a.LastAt.Compare(b.LastAt.Time) }).LastAt.Time
}
