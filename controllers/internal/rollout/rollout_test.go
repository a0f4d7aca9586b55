package rollout_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/rollout"
)

var noon = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)

func at(minutes int) metav1.Time {
	return metav1.Time{Time: noon.Add(time.Duration(minutes) * time.Minute)}
}

func makeSettings(value string) []v1alpha1.Setting {
	return []v1alpha1.Setting{{ID: "k", Key: "k", Value: value, Scope: v1alpha1.ScopeHost, From: v1alpha1.SettingSource{Name: "t", Generation: 2}}}
}

// outdatedNode returns a node without the new settings.
func outdatedNode(name string, used int32) rollout.Node {
	return rollout.Node{Name: name, Selected: true, Desired: makeSettings("new"), Observed: true,
		Status: &v1alpha1.PortPressureStatus{UsedPercent: &used, Level: v1alpha1.LevelNormal}}
}

// updatedNode returns a node that settled some minutes after noon, or before if negative.
func updatedNode(name string, minute int, state v1alpha1.SettingState) rollout.Node {
	n := outdatedNode(name, 5)
	n.Current = makeSettings("new")
	n.Status.Settings = []v1alpha1.SettingStatus{{ID: "k", Key: "k", State: state, Message: "no such file", LastTransitionTime: new(at(minute))}}
	return n
}

func withPressure(n rollout.Node, minute int) rollout.Node {
	n.Status.LastPressure = &v1alpha1.Pressure{Level: v1alpha1.LevelCritical, From: at(minute)}
	return n
}

func withoutSelection(n rollout.Node) rollout.Node {
	n.Selected, n.Desired = false, nil
	return n
}

func withSilentAgent(n rollout.Node) rollout.Node {
	n.AgentSilent = true
	return n
}

func withoutObservation(n rollout.Node) rollout.Node {
	n.Observed = false
	return n
}

func withOldGeneration(n rollout.Node) rollout.Node {
	n.Current[0].From.Generation = 1
	return n
}

func withoutTraffic(n rollout.Node) rollout.Node {
	n.Status.UsedPercent = new(int32)
	return n
}

type tuningOption func(*v1alpha1.NodeTuning)

func withMaxUnavailable(n int) tuningOption {
	return func(t *v1alpha1.NodeTuning) { t.Spec.Rollout.MaxUnavailable = new(intstr.FromInt32(int32(n))) }
}

func withRevert(t *v1alpha1.NodeTuning) { t.Spec.Rollout.OnRegression = v1alpha1.OnRegressionRevert }
func withDeletion(t *v1alpha1.NodeTuning) {
	t.DeletionTimestamp = new(at(0))
}
func withConfirmation(t *v1alpha1.NodeTuning) {
	t.Annotations = map[string]string{v1alpha1.AnnotationConfirmRelease: "2"}
}

func withPhase(phase v1alpha1.RolloutPhase, reason string) tuningOption {
	return func(t *v1alpha1.NodeTuning) {
		t.Status = v1alpha1.NodeTuningStatus{ObservedGeneration: 2, Rollout: v1alpha1.RolloutStatus{Phase: phase, Reason: reason}}
	}
}

func newTuning(changes ...tuningOption) *v1alpha1.NodeTuning {
	t := &v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: "t", Generation: 2}}
	for _, c := range changes {
		c(t)
	}
	return t
}

// TestPlanChanges compares decisions, formatted as one line.
func TestPlanChanges(t *testing.T) {
	const applied = v1alpha1.SettingApplied
	tests := map[string]struct {
		tuning *v1alpha1.NodeTuning
		nodes  []rollout.Node
		want   string
	}{
		"the node with the highest usage is the canary": {newTuning(), []rollout.Node{outdatedNode("a", 1), outdatedNode("b", 40), outdatedNode("c", 2)}, "Canary +b: updating the canaries first"},
		"no other node changes while the canary does": {newTuning(withMaxUnavailable(3)), []rollout.Node{withoutObservation(updatedNode("a", -1, applied)), outdatedNode("b", 1), outdatedNode("c", 1)},
			"Canary: in progress: a"},
		"a settled canary soaks": {newTuning(withMaxUnavailable(3)), []rollout.Node{updatedNode("a", -4, applied), outdatedNode("b", 1), outdatedNode("c", 1)},
			"Soaking: observing the canaries until 12:01:00 UTC, again at 12:01"},
		"after soaking, the others follow within maxUnavailable": {newTuning(withMaxUnavailable(2)), []rollout.Node{updatedNode("a", -6, applied), outdatedNode("b", 1), outdatedNode("c", 1), outdatedNode("d", 1)},
			"Rolling +b +c: 3 nodes remaining"},
		"changing nodes count toward maxUnavailable": {newTuning(withMaxUnavailable(2)), []rollout.Node{updatedNode("a", -6, applied), withoutObservation(updatedNode("b", -1, applied)), outdatedNode("c", 1), outdatedNode("d", 1)},
			"Rolling +c: 2 nodes remaining"},
		"maxUnavailable is used up": {newTuning(withMaxUnavailable(1)), []rollout.Node{updatedNode("a", -6, applied), withoutObservation(updatedNode("b", -1, applied)), outdatedNode("c", 1)},
			"Rolling: in progress: b"},
		"all nodes are updated": {newTuning(), []rollout.Node{updatedNode("a", -6, applied), updatedNode("b", -1, applied)}, "Complete: "},
		"a canary without traffic is inconclusive": {newTuning(), []rollout.Node{withoutTraffic(updatedNode("a", -6, applied)), outdatedNode("b", 1)},
			"Soaking: inconclusive: the canaries saw no traffic; soaking until they do, at most until 12:44:00 UTC, again at 12:44"},
		"after ten soaks the rollout continues without traffic": {newTuning(), []rollout.Node{withoutTraffic(updatedNode("a", -51, applied)), outdatedNode("b", 1)}, "Rolling +b: 1 node remaining"},
		"a setting that increases pressure reaches no second node": {newTuning(withMaxUnavailable(9)), []rollout.Node{withPressure(updatedNode("a", -4, applied), -2), outdatedNode("b", 1), outdatedNode("c", 1)},
			"Paused: regression: port pressure increased on 1/1 updated nodes (a) vs 0/2 nodes not yet updated"},
		"a general peak of traffic is not a regression": {newTuning(withMaxUnavailable(9)), []rollout.Node{withPressure(updatedNode("a", -6, applied), -2), withPressure(outdatedNode("b", 60), -2), withPressure(outdatedNode("c", 60), -2), outdatedNode("d", 1)},
			"Rolling +b +c +d: 3 nodes remaining"},
		"pressure from before the change does not count": {newTuning(), []rollout.Node{withPressure(updatedNode("a", -6, applied), -9), outdatedNode("b", 1)}, "Rolling +b: 1 node remaining"},
		"a setting that failed stops the rollout": {newTuning(), []rollout.Node{updatedNode("a", -6, v1alpha1.SettingFailed), outdatedNode("b", 1)},
			"Paused: regression: k could not be applied on a: no such file"},
		"settings omitted from the status count as applied":      {newTuning(), []rollout.Node{withOmittedSettings(updatedNode("a", -6, applied)), outdatedNode("b", 1)}, "Rolling +b: 1 node remaining"},
		"nodes with omitted settings soak, too":                  {newTuning(), []rollout.Node{withOmittedSettings(updatedNode("a", -4, applied)), outdatedNode("b", 1)}, "Soaking: observing the canaries until 12:01:00 UTC, again at 12:01"},
		"settings that are not reported do not count as applied": {newTuning(), []rollout.Node{withoutReports(updatedNode("a", -6, applied)), outdatedNode("b", 1)}, "Canary: in progress: a"},
		"a refused setting does not stop the rollout":            {newTuning(), []rollout.Node{updatedNode("a", -6, v1alpha1.SettingRefused), outdatedNode("b", 1)}, "Rolling +b: 1 node remaining"},
		"pressure reported before the node observed the spec does not count": {newTuning(withMaxUnavailable(2)), []rollout.Node{updatedNode("a", -6, applied), withoutObservation(withPressure(updatedNode("b", -60, applied), -30)), outdatedNode("c", 1), outdatedNode("d", 1)},
			"Rolling +c: 2 nodes remaining"},
		"failures reported before the node observed the spec do not count": {newTuning(withMaxUnavailable(2)), []rollout.Node{updatedNode("a", -6, applied), withoutObservation(updatedNode("b", -60, v1alpha1.SettingFailed)), outdatedNode("c", 1), outdatedNode("d", 1)},
			"Rolling +c: 2 nodes remaining"},
		"a regression persists": {newTuning(withPhase(v1alpha1.RolloutPaused, "regression: port pressure increased")), []rollout.Node{updatedNode("a", -6, applied), outdatedNode("b", 1)},
			"Paused: regression: port pressure increased"},
		"a pause by a user ends with paused: false": {newTuning(withPhase(v1alpha1.RolloutPaused, "spec.rollout.paused is true")), []rollout.Node{updatedNode("a", -6, applied), outdatedNode("b", 1)},
			"Rolling +b: 1 node remaining"},
		"onRegression Revert reverts the updated nodes": {newTuning(withRevert), []rollout.Node{withPressure(updatedNode("a", -4, applied), -2), outdatedNode("b", 1)},
			"Reverted -a: regression: port pressure increased on 1/1 updated nodes (a) vs 0/1 nodes not yet updated"},
		"a reverted rollout stays reverted":                       {newTuning(withRevert, withPhase(v1alpha1.RolloutReverted, "regression: x")), []rollout.Node{outdatedNode("a", 1), outdatedNode("b", 1)}, "Reverted: regression: x"},
		"a new generation with the same settings changes nothing": {newTuning(), []rollout.Node{withOldGeneration(updatedNode("a", -6, applied)), outdatedNode("b", 1)}, "Rolling +b: 1 node remaining"},
		"nodes that are not selected are not compared": {newTuning(withMaxUnavailable(9)), []rollout.Node{withPressure(updatedNode("a", -4, applied), -2), withPressure(withoutSelection(updatedNode("b", -6, applied)), -2), outdatedNode("c", 1)},
			"Paused: regression: port pressure increased on 1/1 updated nodes (a) vs 0/1 nodes not yet updated"},
		"paused by a user": {newTuning(func(t *v1alpha1.NodeTuning) { t.Spec.Rollout.Paused = true }), []rollout.Node{outdatedNode("a", 1)},
			"Paused: spec.rollout.paused is true"},
		"no canaries": {newTuning(withMaxUnavailable(9), func(t *v1alpha1.NodeTuning) { t.Spec.Rollout.Canaries = new(int32) }), []rollout.Node{outdatedNode("a", 1), outdatedNode("b", 1)},
			"Rolling +a +b: 2 nodes remaining"},
		"a node that is no longer selected loses the settings": {newTuning(), []rollout.Node{updatedNode("a", -6, applied), withoutSelection(updatedNode("b", -6, applied))},
			"Rolling +b: 1 node remaining"},
		"the brake stops a removal from more than a fifth of the cluster": {newTuning(withMaxUnavailable(9)), []rollout.Node{withoutSelection(updatedNode("a", -6, applied)), withoutSelection(updatedNode("b", -6, applied)), withoutSelection(updatedNode("c", -6, applied))},
			"Paused: this would remove settings from 3 of 10 nodes at once, more than 20 %: to confirm, annotate the NodeTuning with portreeve.io/confirm-release=2"},
		"a confirmation releases the brake": {newTuning(withMaxUnavailable(9), withConfirmation), []rollout.Node{withoutSelection(updatedNode("a", -6, applied)), withoutSelection(updatedNode("b", -6, applied)), withoutSelection(updatedNode("c", -6, applied))},
			"Rolling +a +b +c: 3 nodes remaining"},
		"a deletion restores nodes within maxUnavailable": {newTuning(withMaxUnavailable(2), withDeletion), []rollout.Node{withoutSelection(updatedNode("a", -6, applied)), withoutSelection(updatedNode("b", -6, applied)), withoutSelection(updatedNode("c", -6, applied))},
			"Releasing +a +b: original settings not yet restored on 3 nodes"},
		"a deletion waits for silent agents": {newTuning(withMaxUnavailable(2), withDeletion), []rollout.Node{withSilentAgent(withoutSelection(updatedNode("a", -6, applied)))},
			"Releasing: original settings not yet restored on 1 node; waiting for silent agents on a: to continue without them, annotate the NodeTuning with portreeve.io/confirm-release=2"},
		"a deletion is complete without nodes": {newTuning(withDeletion), nil, "Releasing: original settings not yet restored on 0 nodes, released"},
		"a node with a silent agent is not updated": {newTuning(), []rollout.Node{updatedNode("a", -6, applied), withSilentAgent(outdatedNode("b", 1))},
			"Rolling: waiting for silent agents on b"},
		"an agent that became silent during a change counts as changing": {newTuning(withMaxUnavailable(1)), []rollout.Node{updatedNode("a", -6, applied), withSilentAgent(withoutObservation(updatedNode("b", -1, v1alpha1.SettingPending))), outdatedNode("c", 1)},
			"Rolling: in progress: b"},
		"the rollout waits for restarts": {newTuning(), []rollout.Node{updatedNode("a", -6, v1alpha1.SettingRestartRequired), updatedNode("b", -6, applied)}, "AwaitingRestart: restart required on a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: test.tuning, Nodes: test.nodes, ClusterNodes: 10, Now: noon})
			if diff := cmp.Diff(test.want, formatDecision(d)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func formatDecision(d rollout.Decision) string {
	var b strings.Builder
	b.WriteString(string(d.Status.Rollout.Phase))
	for _, n := range d.Update {
		b.WriteString(" +" + n)
	}
	for _, n := range d.Revert {
		b.WriteString(" -" + n)
	}
	b.WriteString(": " + d.Status.Rollout.Reason)
	if !d.ReevaluateAt.IsZero() {
		b.WriteString(", again at " + d.ReevaluateAt.Format("15:04"))
	}
	if d.Released {
		b.WriteString(", released")
	}
	return b.String()
}

func TestAnInvalidTuningKeepsSettings(t *testing.T) {
	d := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: newTuning(), Nodes: []rollout.Node{withoutSelection(updatedNode("a", -6, v1alpha1.SettingApplied))}, ClusterNodes: 100, Problem: "a selector can't be read", Now: noon})
	if got := formatDecision(d); got != "Paused: a selector can't be read" {
		t.Error(got)
	}
}

func TestTheStatusShowsTheProgress(t *testing.T) {
	nodes := []rollout.Node{
		updatedNode("a", -60, v1alpha1.SettingApplied), updatedNode("b", -60, v1alpha1.SettingRefused), updatedNode("c", -60, v1alpha1.SettingRestartRequired),
		withoutObservation(updatedNode("d", -1, v1alpha1.SettingPending)), outdatedNode("e", 3),
	}
	conflicts := []v1alpha1.TuningConflict{{Key: "k", With: "other", Nodes: 2}}
	d := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: newTuning(withMaxUnavailable(2)), Nodes: nodes, ClusterNodes: 10, Conflicts: conflicts, Now: noon})
	want := v1alpha1.TuningCounts{Matched: 5, Updated: 4, Applied: 1, Refused: 1, RestartRequired: 1}
	if diff := cmp.Diff(want, d.Status.Counts); diff != "" {
		t.Error(diff)
	}
	failing := []v1alpha1.TuningFailure{{Node: "b", Key: "k", State: v1alpha1.SettingRefused, Message: "no such file"}}
	if diff := cmp.Diff(failing, d.Status.Failing); diff != "" {
		t.Error(diff)
	}
	for kind, status := range map[string]string{
		"Ready": "False 4 of 5 nodes updated, all settings applied on 1", "Progressing": "True 1 node remaining",
		"Degraded":   "True settings not applied as desired on 1 node: see status.failing",
		"Conflicted": "True k on 2 nodes: NodeTuning other sets a different value with the same priority, so neither is enforced: give one a higher priority",
	} {
		c := meta.FindStatusCondition(d.Status.Conditions, kind)
		if got := fmt.Sprint(c.Status, " ", c.Message); got != status {
			t.Errorf("%s: %s, want %s", kind, got, status)
		}
	}
}

func TestSinceIsTheStartOfThePhase(t *testing.T) {
	began := at(-30)
	before := func(t *v1alpha1.NodeTuning) {
		t.Status.Rollout = v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutRolling, Since: &began}
	}
	going := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: newTuning(before), Nodes: []rollout.Node{updatedNode("a", -6, v1alpha1.SettingApplied), outdatedNode("b", 1)}, Now: noon})
	if s := going.Status.Rollout; s.Phase != v1alpha1.RolloutRolling || !s.Since.Equal(&began) {
		t.Errorf("%s since %v", s.Phase, s.Since)
	}
	ended := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: newTuning(before), Nodes: []rollout.Node{updatedNode("a", -6, v1alpha1.SettingApplied)}, Now: noon})
	if s := ended.Status.Rollout; s.Phase != v1alpha1.RolloutComplete || !s.Since.Time.Equal(noon) {
		t.Errorf("%s since %v", s.Phase, s.Since)
	}
}

func withoutReports(n rollout.Node) rollout.Node {
	n.Status.Settings = nil
	return n
}

func withOmittedSettings(n rollout.Node) rollout.Node {
	n.Status.OmittedSettings = &v1alpha1.OmittedSettings{Count: 1, LastTransitionTime: n.Status.Settings[0].LastTransitionTime}
	return withoutReports(n)
}
