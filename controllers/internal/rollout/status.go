package rollout

import (
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// maxFailing and maxCanaries are how many a status lists.
const (
	maxFailing  = 10
	maxCanaries = 10
)

// status is the NodeTuning's after v was decided.
func (c *course) status(v *verdict) v1alpha1.NodeTuningStatus {
	s := *c.Tuning.Status.DeepCopy()
	s.ObservedGeneration = c.Tuning.Generation
	s.Counts, s.Failing = c.counts()
	s.Conflicts = c.Conflicts
	was := s.Rollout
	s.Rollout = v1alpha1.RolloutStatus{Phase: v.phase, Reason: v.reason, Since: was.Since, Updated: int32(len(c.changed))}
	if was.Phase != v.phase || was.Since == nil {
		s.Rollout.Since = &metav1.Time{Time: c.Now.Truncate(1e9)}
	}
	if c.early() {
		for _, n := range c.changed[:min(maxCanaries, len(c.changed))] {
			s.Rollout.Canaries = append(s.Rollout.Canaries, n.Name)
		}
	}
	for _, condition := range c.conditions(v, &s) {
		condition.ObservedGeneration = c.Tuning.Generation
		condition.LastTransitionTime = metav1.Time{Time: c.Now.Truncate(1e9)}
		meta.SetStatusCondition(&s.Conditions, condition)
	}
	return s
}

func (c *course) counts() (n v1alpha1.TuningCounts, failing []v1alpha1.TuningFailure) {
	for _, node := range c.nodes {
		if node.Selected {
			n.Matched++
		}
		if !node.changed() {
			continue
		}
		n.Updated++
		if node.settled && len(node.bad) == 0 && !node.restart && !node.dry {
			n.Applied++
		}
		n.DryRun += one(node.dry)
		n.RestartRequired += one(node.restart)
		n.Failed += one(node.failed)
		n.Contested += one(node.contested)
		n.Refused += one(node.refused)
		for _, s := range node.bad {
			if len(failing) < maxFailing {
				failing = append(failing, v1alpha1.TuningFailure{Node: node.Name, Key: s.Key, State: s.State, Message: s.Message})
			}
		}
	}
	return n, failing
}

// bad is how many changed nodes have a setting that is not as wanted.
func (c *course) bad() (n int32) {
	for _, node := range c.changed {
		n += one(len(node.bad) > 0)
	}
	return n
}

func one(yes bool) int32 {
	if yes {
		return 1
	}
	return 0
}

// The reasons of a NodeTuning's conditions beside the phases.
const (
	reasonConflict   = "KeysContradict"
	reasonNoConflict = "NoConflict"
	reasonAsWanted   = "AsWanted"
	reasonNotAll     = "NotEverywhere"
)

func (c *course) conditions(v *verdict, s *v1alpha1.NodeTuningStatus) []metav1.Condition {
	n := s.Counts
	bad := c.bad()
	ready := v.phase == v1alpha1.RolloutComplete && bad == 0
	moving := v.phase == v1alpha1.RolloutCanary || v.phase == v1alpha1.RolloutSoaking || v.phase == v1alpha1.RolloutRolling || v.phase == v1alpha1.RolloutReleasing
	stopped := v.phase == v1alpha1.RolloutReverted || v.phase == v1alpha1.RolloutPaused && !c.Tuning.Spec.Rollout.Paused
	degraded := condition(v1alpha1.ConditionDegraded, bad > 0 || stopped, reasonNotAll, reasonAsWanted, v.reason)
	if bad > 0 && !stopped {
		degraded.Message = fmt.Sprintf("%s with settings that are not as wanted: see status.failing", nodes(int(bad)))
	}
	if v.stop != "" {
		degraded.Reason = v.stop
	}
	return []metav1.Condition{
		condition(v1alpha1.ConditionReady, ready, string(v.phase), string(v.phase),
			fmt.Sprintf("%d of %d nodes have it, %d as wanted", n.Updated, n.Matched, n.Applied)),
		condition(v1alpha1.ConditionProgressing, moving, string(v.phase), string(v.phase), v.reason),
		degraded,
		condition(v1alpha1.ConditionConflicted, len(s.Conflicts) > 0, reasonConflict, reasonNoConflict, told(s.Conflicts)),
	}
}

func condition(kind string, yes bool, reason, otherwise, message string) metav1.Condition {
	if yes {
		return metav1.Condition{Type: kind, Status: metav1.ConditionTrue, Reason: reason, Message: message}
	}
	return metav1.Condition{Type: kind, Status: metav1.ConditionFalse, Reason: otherwise, Message: message}
}

// told is the first conflict in words.
func told(list []v1alpha1.TuningConflict) string {
	if len(list) == 0 {
		return ""
	}
	k := list[0]
	text := fmt.Sprintf("%s on %s: NodeTuning %s wants another value", k.Key, nodes(int(k.Nodes)), k.With)
	switch k.Winner {
	case "":
		text += " with the same priority, so neither is held: give one a higher priority"
	case k.With:
		text += " and has the higher priority"
	default:
		text += " and has the lower priority"
	}
	if more := len(list) - 1; more > 0 {
		text += fmt.Sprintf("; %d more", more)
	}
	return text
}
