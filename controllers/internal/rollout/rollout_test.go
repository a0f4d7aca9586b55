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

func wish(value string) []v1alpha1.Setting {
	return []v1alpha1.Setting{{ID: "k", Key: "k", Value: value, Scope: v1alpha1.ScopeHost, From: v1alpha1.SettingSource{Name: "t", Generation: 2}}}
}

// old is a node that has nothing new.
func old(name string, used int32) rollout.Node {
	return rollout.Node{Name: name, Selected: true, Desired: wish("new"), Observed: true,
		Status: &v1alpha1.PortPressureStatus{UsedPercent: &used, Level: v1alpha1.LevelNormal}}
}

// done is a node that settled at a minute before noon, or after.
func done(name string, minute int, state v1alpha1.SettingState) rollout.Node {
	n := old(name, 5)
	n.Current = wish("new")
	n.Status.Settings = []v1alpha1.SettingStatus{{ID: "k", Key: "k", State: state, Message: "no such file", LastTransitionTime: new(at(minute))}}
	return n
}

func pressed(n rollout.Node, minute int) rollout.Node {
	n.Status.LastPressure = &v1alpha1.Pressure{Level: v1alpha1.LevelCritical, From: at(minute)}
	return n
}

func gone(n rollout.Node) rollout.Node {
	n.Selected, n.Desired = false, nil
	return n
}

func silent(n rollout.Node) rollout.Node {
	n.AgentSilent = true
	return n
}

func busy(n rollout.Node) rollout.Node {
	n.Observed = false
	return n
}

func older(n rollout.Node) rollout.Node {
	n.Current[0].From.Generation = 1
	return n
}

func idle(n rollout.Node) rollout.Node {
	n.Status.UsedPercent = new(int32)
	return n
}

type change func(*v1alpha1.NodeTuning)

func most(n int) change {
	return func(t *v1alpha1.NodeTuning) { t.Spec.Rollout.MaxUnavailable = new(intstr.FromInt32(int32(n))) }
}

func revert(t *v1alpha1.NodeTuning) { t.Spec.Rollout.OnRegression = v1alpha1.OnRegressionRevert }
func deleted(t *v1alpha1.NodeTuning) {
	t.DeletionTimestamp = new(at(0))
}
func confirmed(t *v1alpha1.NodeTuning) {
	t.Annotations = map[string]string{rollout.AnnotationConfirm: "2"}
}

func was(phase v1alpha1.RolloutPhase, reason string) change {
	return func(t *v1alpha1.NodeTuning) {
		t.Status = v1alpha1.NodeTuningStatus{ObservedGeneration: 2, Rollout: v1alpha1.RolloutStatus{Phase: phase, Reason: reason}}
	}
}

func tuning(changes ...change) *v1alpha1.NodeTuning {
	t := &v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: "t", Generation: 2}}
	for _, c := range changes {
		c(t)
	}
	return t
}

// TestDecide compares the decision in one line.
func TestDecide(t *testing.T) {
	const applied = v1alpha1.SettingApplied
	tests := map[string]struct {
		tuning *v1alpha1.NodeTuning
		nodes  []rollout.Node
		want   string
	}{
		"The canary is the one that uses most ports": {tuning(), []rollout.Node{old("a", 1), old("b", 40), old("c", 2)}, "Canary +b: canaries first"},
		"While the canary changes nobody else does": {tuning(most(3)), []rollout.Node{busy(done("a", -1, applied)), old("b", 1), old("c", 1)},
			"Canary: in change: a"},
		"A canary that settled is watched": {tuning(most(3)), []rollout.Node{done("a", -4, applied), old("b", 1), old("c", 1)},
			"Soaking: the canaries are watched until 12:01:00 UTC, again at 12:01"},
		"After that the others, at the pace": {tuning(most(2)), []rollout.Node{done("a", -6, applied), old("b", 1), old("c", 1), old("d", 1)},
			"Rolling +b +c: 3 nodes to go"},
		"Nodes in change count": {tuning(most(2)), []rollout.Node{done("a", -6, applied), busy(done("b", -1, applied)), old("c", 1), old("d", 1)},
			"Rolling +c: 2 nodes to go"},
		"The pace is used up": {tuning(most(1)), []rollout.Node{done("a", -6, applied), busy(done("b", -1, applied)), old("c", 1)},
			"Rolling: in change: b"},
		"Everybody has it": {tuning(), []rollout.Node{done("a", -6, applied), done("b", -1, applied)}, "Complete: "},
		"A canary without traffic says nothing": {tuning(), []rollout.Node{idle(done("a", -6, applied)), old("b", 1)},
			"Soaking: inconclusive: the canaries saw no traffic; they are watched until they do, at most until 12:44:00 UTC, again at 12:44"},
		"In the end it goes on without": {tuning(), []rollout.Node{idle(done("a", -51, applied)), old("b", 1)}, "Rolling +b: 1 node to go"},
		"A narrowed range that makes the pool worse reaches no second node": {tuning(most(9)), []rollout.Node{pressed(done("a", -4, applied), -2), old("b", 1), old("c", 1)},
			"Paused: regression: ports got short on 1 of 1 changed nodes (a), on 0 of 2 others in the same time"},
		"A peak of traffic is nobody's fault": {tuning(most(9)), []rollout.Node{pressed(done("a", -6, applied), -2), pressed(old("b", 60), -2), pressed(old("c", 60), -2), old("d", 1)},
			"Rolling +b +c +d: 3 nodes to go"},
		"What was so before the change does not count": {tuning(), []rollout.Node{pressed(done("a", -6, applied), -9), old("b", 1)}, "Rolling +b: 1 node to go"},
		"A setting that could not be applied stops it": {tuning(), []rollout.Node{done("a", -6, v1alpha1.SettingFailed), old("b", 1)},
			"Paused: regression: k could not be applied on a: no such file"},
		"Those that the status has no room for are applied": {tuning(), []rollout.Node{leftOut(done("a", -6, applied)), old("b", 1)}, "Rolling +b: 1 node to go"},
		"They are watched, too":                             {tuning(), []rollout.Node{leftOut(done("a", -4, applied)), old("b", 1)}, "Soaking: the canaries are watched until 12:01:00 UTC, again at 12:01"},
		"Those that it does not speak of are not":           {tuning(), []rollout.Node{silentOf(done("a", -6, applied)), old("b", 1)}, "Canary: in change: a"},
		"One that was refused does not":                     {tuning(), []rollout.Node{done("a", -6, v1alpha1.SettingRefused), old("b", 1)}, "Rolling +b: 1 node to go"},
		"What a node says that has not answered yet is of before": {tuning(most(2)), []rollout.Node{done("a", -6, applied), busy(pressed(done("b", -60, applied), -30)), old("c", 1), old("d", 1)},
			"Rolling +c: 2 nodes to go"},
		"And so is what it could not apply": {tuning(most(2)), []rollout.Node{done("a", -6, applied), busy(done("b", -60, v1alpha1.SettingFailed)), old("c", 1), old("d", 1)},
			"Rolling +c: 2 nodes to go"},
		"A regression is remembered": {tuning(was(v1alpha1.RolloutPaused, "regression: ports got short")), []rollout.Node{done("a", -6, applied), old("b", 1)},
			"Paused: regression: ports got short"},
		"A pause that has ended is not": {tuning(was(v1alpha1.RolloutPaused, "spec.rollout.paused is true")), []rollout.Node{done("a", -6, applied), old("b", 1)},
			"Rolling +b: 1 node to go"},
		"On request a regression is taken back": {tuning(revert), []rollout.Node{pressed(done("a", -4, applied), -2), old("b", 1)},
			"Reverted -a: regression: ports got short on 1 of 1 changed nodes (a), on 0 of 1 others in the same time"},
		"And stays so": {tuning(revert, was(v1alpha1.RolloutReverted, "regression: x")), []rollout.Node{old("a", 1), old("b", 1)}, "Reverted: regression: x"},
		"Another generation that asks for the same changes nothing": {tuning(), []rollout.Node{older(done("a", -6, applied)), old("b", 1)}, "Rolling +b: 1 node to go"},
		"Who is not selected proves nothing": {tuning(most(9)), []rollout.Node{pressed(done("a", -4, applied), -2), pressed(gone(done("b", -6, applied)), -2), old("c", 1)},
			"Paused: regression: ports got short on 1 of 1 changed nodes (a), on 0 of 1 others in the same time"},
		"Paused by someone": {tuning(func(t *v1alpha1.NodeTuning) { t.Spec.Rollout.Paused = true }), []rollout.Node{old("a", 1)},
			"Paused: spec.rollout.paused is true"},
		"No canaries wished for": {tuning(most(9), func(t *v1alpha1.NodeTuning) { t.Spec.Rollout.Canaries = new(int32) }), []rollout.Node{old("a", 1), old("b", 1)},
			"Rolling +a +b: 2 nodes to go"},
		"A node that is no longer selected gives back": {tuning(), []rollout.Node{done("a", -6, applied), gone(done("b", -6, applied))},
			"Rolling +b: 1 node to go"},
		"More than a fifth of the cluster is braked": {tuning(most(9)), []rollout.Node{gone(done("a", -6, applied)), gone(done("b", -6, applied)), gone(done("c", -6, applied))},
			"Paused: this would take settings from 3 nodes of 10 at once, more than 20 %: if that is meant, annotate the NodeTuning with portreeve.io/confirm-release=2"},
		"Until someone confirms it": {tuning(most(9), confirmed), []rollout.Node{gone(done("a", -6, applied)), gone(done("b", -6, applied)), gone(done("c", -6, applied))},
			"Rolling +a +b +c: 3 nodes to go"},
		"A deleted one gives back at its pace": {tuning(most(2), deleted), []rollout.Node{gone(done("a", -6, applied)), gone(done("b", -6, applied)), gone(done("c", -6, applied))},
			"Releasing +a +b: 3 nodes to be given back"},
		"And waits for silent agents, by name": {tuning(most(2), deleted), []rollout.Node{silent(gone(done("a", -6, applied)))},
			"Releasing: 1 node to be given back; waiting for the silent agents of a: to go without them, annotate the NodeTuning with portreeve.io/confirm-release=2"},
		"Nothing of it is left": {tuning(deleted), nil, "Releasing: 0 nodes to be given back, released"},
		"A silent agent gets nothing new": {tuning(), []rollout.Node{done("a", -6, applied), silent(old("b", 1))},
			"Rolling: waiting for the silent agents of b"},
		"One that fell silent in mid-change is in change": {tuning(most(1)), []rollout.Node{done("a", -6, applied), silent(busy(done("b", -1, v1alpha1.SettingPending))), old("c", 1)},
			"Rolling: in change: b"},
		"Restarts are waited for": {tuning(), []rollout.Node{done("a", -6, v1alpha1.SettingRestartRequired), done("b", -6, applied)}, "AwaitingRestart: to be restarted: a"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			d := rollout.PlanChanges(rollout.Input{Tuning: test.tuning, Nodes: test.nodes, ClusterNodes: 10, Now: noon})
			if diff := cmp.Diff(test.want, line(d)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func line(d rollout.Decision) string {
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

func TestAProblemHoldsWhatStands(t *testing.T) {
	d := rollout.PlanChanges(rollout.Input{Tuning: tuning(), Nodes: []rollout.Node{gone(done("a", -6, v1alpha1.SettingApplied))}, ClusterNodes: 100, Problem: "a selector can't be read", Now: noon})
	if got := line(d); got != "Paused: a selector can't be read" {
		t.Error(got)
	}
}

func TestTheStatusSaysHowFarItIs(t *testing.T) {
	nodes := []rollout.Node{
		done("a", -60, v1alpha1.SettingApplied), done("b", -60, v1alpha1.SettingRefused), done("c", -60, v1alpha1.SettingRestartRequired),
		busy(done("d", -1, v1alpha1.SettingPending)), old("e", 3),
	}
	conflicts := []v1alpha1.TuningConflict{{Key: "k", With: "other", Nodes: 2}}
	d := rollout.PlanChanges(rollout.Input{Tuning: tuning(most(2)), Nodes: nodes, ClusterNodes: 10, Conflicts: conflicts, Now: noon})
	want := v1alpha1.TuningCounts{Matched: 5, Updated: 4, Applied: 1, Refused: 1, RestartRequired: 1}
	if diff := cmp.Diff(want, d.Status.Counts); diff != "" {
		t.Error(diff)
	}
	failing := []v1alpha1.TuningFailure{{Node: "b", Key: "k", State: v1alpha1.SettingRefused, Message: "no such file"}}
	if diff := cmp.Diff(failing, d.Status.Failing); diff != "" {
		t.Error(diff)
	}
	for kind, status := range map[string]string{
		"Ready": "False 4 of 5 nodes have it, 1 as wanted", "Progressing": "True 1 node to go",
		"Degraded":   "True 1 node with settings that are not as wanted: see status.failing",
		"Conflicted": "True k on 2 nodes: NodeTuning other wants another value with the same priority, so neither is held: give one a higher priority",
	} {
		c := meta.FindStatusCondition(d.Status.Conditions, kind)
		if got := fmt.Sprint(c.Status, " ", c.Message); got != status {
			t.Errorf("%s: %s, want %s", kind, got, status)
		}
	}
}

func TestAPhaseIsAsOldAsItIs(t *testing.T) {
	began := at(-30)
	before := func(t *v1alpha1.NodeTuning) {
		t.Status.Rollout = v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutRolling, Since: &began}
	}
	going := rollout.PlanChanges(rollout.Input{Tuning: tuning(before), Nodes: []rollout.Node{done("a", -6, v1alpha1.SettingApplied), old("b", 1)}, Now: noon})
	if s := going.Status.Rollout; s.Phase != v1alpha1.RolloutRolling || !s.Since.Equal(&began) {
		t.Errorf("%s since %v", s.Phase, s.Since)
	}
	ended := rollout.PlanChanges(rollout.Input{Tuning: tuning(before), Nodes: []rollout.Node{done("a", -6, v1alpha1.SettingApplied)}, Now: noon})
	if s := ended.Status.Rollout; s.Phase != v1alpha1.RolloutComplete || !s.Since.Time.Equal(noon) {
		t.Errorf("%s since %v", s.Phase, s.Since)
	}
}

func silentOf(n rollout.Node) rollout.Node {
	n.Status.Settings = nil
	return n
}

func leftOut(n rollout.Node) rollout.Node {
	n.Status.OmittedSettings = &v1alpha1.OmittedSettings{Count: 1, LastTransitionTime: n.Status.Settings[0].LastTransitionTime}
	return silentOf(n)
}
