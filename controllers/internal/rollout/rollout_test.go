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
	return rollout.Node{Name: name, OS: "linux", CanaryCandidate: true, Selected: true, Desired: makeSettings("new"), Observed: true,
		Status: &v1alpha1.PortPressureStatus{UsedPercent: &used, Level: v1alpha1.LevelNormal}}
}

// updatedNode returns a node with the new settings, in the given state.
func updatedNode(name string, state v1alpha1.SettingState) rollout.Node {
	n := outdatedNode(name, 5)
	n.Current = makeSettings("new")
	n.Status.Settings = []v1alpha1.SettingStatus{{ID: "k", Key: "k", State: state, Message: "no such file"}}
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

func withObstacle(n rollout.Node) rollout.Node {
	n.Obstacle = "its agent is silent"
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

func withHold(n rollout.Node) rollout.Node {
	n.Held = true
	return n
}

func inDomain(domain string, n rollout.Node) rollout.Node {
	n.Domain = domain
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

// withProgress sets the status of a rollout of which a batch has been observed for some
// seconds. Its batch started ten minutes before noon.
func withProgress(batch, observed int32, changes ...func(*v1alpha1.RolloutStatus)) tuningOption {
	return func(t *v1alpha1.NodeTuning) {
		t.Status.ObservedGeneration = 2
		t.Status.Rollout = v1alpha1.RolloutStatus{
			Revision: 2, StartedAt: new(at(-60)),
			Batch: v1alpha1.RolloutBatch{Number: batch, StartedAt: new(at(-10)), ExpectedMicros: 700},
			Clock: v1alpha1.RolloutClock{ReadAt: new(at(0)), Observing: true, Conclusive: true, SoakedSeconds: observed, WaitedSeconds: observed},
		}
		for _, change := range changes {
			change(&t.Status.Rollout)
		}
	}
}

func withStop(reason, message string) func(*v1alpha1.RolloutStatus) {
	return func(s *v1alpha1.RolloutStatus) {
		s.Stop = &v1alpha1.RolloutStop{Reason: reason, Message: message, Revision: 2, At: at(-1)}
	}
}

func withRecentStart(s *v1alpha1.RolloutStatus) { s.Batch.StartedAt = new(at(-4)) }

func withCompletion(s *v1alpha1.RolloutStatus) { s.CompletedRevision, s.CompletedAt = 2, new(at(-5)) }

func withRollout(change func(*v1alpha1.Rollout)) tuningOption {
	return func(t *v1alpha1.NodeTuning) { change(&t.Spec.Rollout) }
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
	const applied, failed = v1alpha1.SettingApplied, v1alpha1.SettingFailed
	soaked, rolling := withProgress(1, 300), withProgress(2, 60)
	three := []rollout.Node{outdatedNode("b", 1), outdatedNode("c", 1), outdatedNode("d", 1)}
	after := func(canary rollout.Node) []rollout.Node { return append([]rollout.Node{canary}, three...) }
	tests := map[string]struct {
		tuning *v1alpha1.NodeTuning
		nodes  []rollout.Node
		want   string
	}{
		"the canary is a node with typical usage": {newTuning(), []rollout.Node{outdatedNode("a", 1), outdatedNode("b", 40), outdatedNode("c", 20)}, "Canary +c: updating the canaries first"},
		"a node without traffic is no canary":     {newTuning(), []rollout.Node{outdatedNode("a", 0), outdatedNode("b", 0), outdatedNode("c", 20)}, "Canary +c: updating the canaries first"},
		"a node under pressure is no canary":      {newTuning(), []rollout.Node{outdatedNode("a", 10), withPressure(outdatedNode("b", 15), -9), outdatedNode("c", 20)}, "Canary +c: updating the canaries first"},
		"canarySelector restricts the canaries":   {newTuning(), []rollout.Node{withoutCandidacy(outdatedNode("a", 5)), outdatedNode("b", 0), withoutCandidacy(outdatedNode("c", 6))}, "Canary +b: updating the canaries first"},
		"canarySelector matches no node": {newTuning(), []rollout.Node{withoutCandidacy(outdatedNode("a", 5))},
			"Canary: no linux node that remains to be updated matches rollout.canarySelector: label a node or change the selector"},
		"no other node changes while the canary does":            {newTuning(withMaxUnavailable(3), withProgress(1, 0)), after(withoutObservation(updatedNode("a", applied))), "Canary: in progress: a"},
		"a settled canary soaks":                                 {newTuning(withMaxUnavailable(3), withProgress(1, 240)), after(updatedNode("a", applied)), "Soaking: observing the canaries until 12:01:00 UTC"},
		"after soaking, the others follow within maxUnavailable": {newTuning(withMaxUnavailable(2), soaked), after(updatedNode("a", applied)), "Rolling +b +c: 3 nodes remaining"},
		"a batch is observed before the next one":                {newTuning(withMaxUnavailable(2), withProgress(2, 20)), after(updatedNode("a", applied)), "Rolling: 3 nodes remaining; observing batch 2 until 12:00:40 UTC"},
		"the batch is complete first":                            {newTuning(withMaxUnavailable(2), rolling), after(withoutObservation(updatedNode("a", applied))), "Rolling: in progress: a"},
		"without batchSoakSeconds, changing nodes count toward maxUnavailable": {newTuning(withMaxUnavailable(2), rolling, withRollout(func(r *v1alpha1.Rollout) { r.BatchSoakSeconds = new(int32) })),
			after(withoutObservation(updatedNode("a", applied))), "Rolling +c: 3 nodes remaining"},
		"the cluster's budget limits a batch":          {newTuning(withMaxUnavailable(3), soaked, withName("limited to 1")), after(updatedNode("a", applied)), "Rolling +c: 3 nodes remaining"},
		"the cluster's brake holds it":                 {newTuning(soaked, withName("held by the brake")), after(updatedNode("a", applied)), "Paused: too many nodes lose settings"},
		"after the last batch, all nodes are observed": {newTuning(rolling), []rollout.Node{updatedNode("a", applied), updatedNode("b", applied)}, "Watching: observing all updated nodes until 12:04:00 UTC"},
		"the rollout is complete":                      {newTuning(withProgress(2, 300)), []rollout.Node{updatedNode("a", applied), updatedNode("b", applied)}, "Complete: "},
		"a canary without traffic is inconclusive": {newTuning(withProgress(1, 0, func(s *v1alpha1.RolloutStatus) { s.Clock.WaitedSeconds = 360 })), after(withoutTraffic(updatedNode("a", applied))),
			"Soaking: inconclusive: the canaries saw no traffic; soaking until they do, at most until 12:44:00 UTC"},
		"after ten soaks the rollout continues without traffic": {newTuning(withMaxUnavailable(3), withProgress(1, 0, func(s *v1alpha1.RolloutStatus) { s.Clock.WaitedSeconds = 3000 })), after(withoutTraffic(updatedNode("a", applied))), "Rolling +b +c +d: 3 nodes remaining"},
		"a refused canary is inconclusive": {newTuning(withProgress(1, 0)), after(updatedNode("a", v1alpha1.SettingRefused)),
			"Soaking: inconclusive: the canaries have not applied any setting; soaking until they do, at most until 12:50:00 UTC"},
		"a setting that increases pressure reaches no second node": {newTuning(withMaxUnavailable(9), withProgress(1, 60, withRecentStart)), after(withPressure(updatedNode("a", applied), -2)),
			"Paused: regression: port pressure increased on 1/1 updated nodes (a) vs 0/3 nodes not yet updated; the update is the cause with a probability of 97 %"},
		"one node is not enough to compare with": {newTuning(withMaxUnavailable(9), soaked), []rollout.Node{withPressure(updatedNode("a", applied), -2), outdatedNode("b", 1)}, "Rolling +b: 1 node remaining"},
		"a general peak of traffic is not a regression": {newTuning(withMaxUnavailable(9), soaked), []rollout.Node{withPressure(updatedNode("a", applied), -2), withPressure(outdatedNode("b", 60), -2), withPressure(outdatedNode("c", 60), -2), outdatedNode("d", 1)},
			"Rolling +b +c +d: 3 nodes remaining"},
		"pressure from before the change does not count":      {newTuning(withMaxUnavailable(9), soaked), after(withPressure(updatedNode("a", applied), -19)), "Rolling +b +c +d: 3 nodes remaining"},
		"pressure in the future comes from a wrong clock":     {newTuning(withMaxUnavailable(9), soaked), after(withPressure(updatedNode("a", applied), 60)), "Rolling +b +c +d: 3 nodes remaining"},
		"a canary on which a setting failed is replaced":      {newTuning(withMaxUnavailable(3), withProgress(1, 0)), after(updatedNode("a", failed)), "Canary +c: updating the canaries first"},
		"two failures are more than the default of maxFailed": {newTuning(withProgress(1, 0)), after(updatedNode("a", failed))[:2:2], "Canary +b: updating the canaries first"},
		"failures have some time to heal": {newTuning(withProgress(2, 0)), []rollout.Node{updatedNode("a", failed), updatedNode("b", failed), outdatedNode("c", 1)},
			"Rolling: failures: the update failed on 2 nodes (a, b), more than maxFailed (1); on a, k could not be applied: no such file; waiting whether they heal"},
		"failures that do not heal stop the rollout": {newTuning(withProgress(2, 0, func(s *v1alpha1.RolloutStatus) { s.Clock.FailingSeconds = 30 })), []rollout.Node{updatedNode("a", failed), updatedNode("b", failed), outdatedNode("c", 1)},
			"Paused: failures: the update failed on 2 nodes (a, b), more than maxFailed (1); on a, k could not be applied: no such file"},
		"agents that became silent during the update have failed, too": {newTuning(withProgress(2, 0, func(s *v1alpha1.RolloutStatus) { s.Clock.FailingSeconds = 30 })), []rollout.Node{withSilentAgent(withoutObservation(updatedNode("a", applied))), withSilentAgent(withoutObservation(updatedNode("b", applied))), outdatedNode("c", 1)},
			"Paused: failures: the update failed on 2 nodes (a, b), more than maxFailed (1); on a, its agent has not reported since the update"},
		"settings omitted from the status count as applied":                  {newTuning(withMaxUnavailable(9), soaked), after(withOmittedSettings(updatedNode("a", applied))), "Rolling +b +c +d: 3 nodes remaining"},
		"settings that are not reported do not count as applied":             {newTuning(soaked), after(withoutReports(updatedNode("a", applied))), "Canary: in progress: a"},
		"pressure reported before the node observed the spec does not count": {newTuning(withMaxUnavailable(9), withProgress(2, 60)), after(withoutObservation(withPressure(updatedNode("a", applied), -2))), "Rolling: in progress: a"},
		"a regression persists": {newTuning(withProgress(1, 300, withStop(v1alpha1.ReasonRegressionFound, "regression: x"))), after(updatedNode("a", applied)), "Paused: regression: x"},
		"an edit lifts a stop": {newTuning(withMaxUnavailable(9), withProgress(1, 300, withStop(v1alpha1.ReasonRegressionFound, "regression: x")), withOldRevision), after(updatedNode("a", applied)),
			"Soaking: observing the canaries until 12:05:00 UTC"},
		"onRegression Revert reverts the updated nodes": {newTuning(withRevert, withProgress(1, 60, withRecentStart)), after(withPressure(updatedNode("a", applied), -2)),
			"Reverted -a: regression: port pressure increased on 1/1 updated nodes (a) vs 0/3 nodes not yet updated; the update is the cause with a probability of 97 %"},
		"a reverted rollout stays reverted": {newTuning(withRevert, withProgress(1, 0, withStop(v1alpha1.ReasonRegressionFound, "regression: x"))), three, "Reverted: regression: x"},
		"nodes that are not selected are not compared": {newTuning(withMaxUnavailable(9), withProgress(1, 60, withRecentStart)), append(after(withPressure(updatedNode("a", applied), -2)), withPressure(withoutSelection(updatedNode("e", applied)), -2)),
			"Paused: regression: port pressure increased on 1/1 updated nodes (a) vs 0/3 nodes not yet updated; the update is the cause with a probability of 97 %"},
		"paused by a user": {newTuning(withRollout(func(r *v1alpha1.Rollout) { r.Paused = true })), three, "Paused: spec.rollout.paused is true"},
		"no canaries":      {newTuning(withMaxUnavailable(9), withRollout(func(r *v1alpha1.Rollout) { r.Canaries = new(int32) })), three, "Rolling +b +c +d: 3 nodes remaining"},
		"a node that is no longer selected loses the settings": {newTuning(withProgress(2, 60)), []rollout.Node{updatedNode("a", applied), withoutSelection(updatedNode("b", applied))}, "Rolling +b: 1 node remaining"},
		"a deletion restores nodes within maxUnavailable": {newTuning(withMaxUnavailable(2), withDeletion), []rollout.Node{withoutSelection(updatedNode("a", applied)), withoutSelection(updatedNode("b", applied)), withoutSelection(updatedNode("c", applied))},
			"Releasing +a +c: original settings not yet restored on 3 nodes"},
		"a deletion waits for silent agents": {newTuning(withMaxUnavailable(2), withDeletion), []rollout.Node{withObstacle(withSilentAgent(withoutSelection(updatedNode("a", applied))))},
			"Releasing: original settings not yet restored on 1 node; waiting for a (its agent is silent): to continue without them, annotate the NodeTuning with portreeve.io/confirm-release=2"},
		"a deletion is complete without nodes": {newTuning(withDeletion), nil, "Releasing: original settings not yet restored on 0 nodes, released"},
		"a node with a silent agent is not waited for": {newTuning(withProgress(2, 300)), []rollout.Node{updatedNode("a", applied), withSilentAgent(outdatedNode("b", 1))},
			"Complete: waiting for silent agents on b"},
		"a held node is not waited for": {newTuning(withProgress(2, 300)), []rollout.Node{updatedNode("a", applied), withHold(outdatedNode("b", 1)), withHold(withoutObservation(updatedNode("c", applied)))},
			"Complete: not updated because of the annotation portreeve.io/hold: b"},
		"the rollout waits for restarts":    {newTuning(withProgress(2, 300)), []rollout.Node{updatedNode("a", v1alpha1.SettingRestartRequired), updatedNode("b", applied)}, "AwaitingRestart: restart required on a"},
		"a completed rollout is not judged": {newTuning(withMaxUnavailable(9), withProgress(2, 0, withCompletion)), after(withPressure(updatedNode("a", applied), -2)), "Complete +b +c +d: 3 nodes remaining"},
		"joining nodes are not limited": {newTuning(withMaxUnavailable(1), withProgress(2, 0, withCompletion)), []rollout.Node{updatedNode("a", applied), createdAt(-3, outdatedNode("b", 1)), createdAt(-2, outdatedNode("c", 1)), createdAt(-9, outdatedNode("d", 1)), createdAt(-9, outdatedNode("e", 1))},
			"Complete +b +c +e: 4 nodes remaining"},
		"one domain follows the other": {newTuning(withMaxUnavailable(9), soaked, withRollout(func(r *v1alpha1.Rollout) { r.TopologyKey = "zone" })),
			[]rollout.Node{inDomain("y", updatedNode("a", applied)), inDomain("x", outdatedNode("b", 1)), inDomain("y", outdatedNode("c", 1)), inDomain("y", outdatedNode("d", 1))},
			"Rolling +c +d: 3 nodes remaining"},
		"a window that is not open":        {newTuning(soaked, withWindow("0 22 * * *", "Asia/Tokyo")), after(updatedNode("a", applied)), "AwaitingWindow: 3 nodes remaining; the next window opens at 2026-11-21 13:00 UTC"},
		"a window that is open":            {newTuning(withMaxUnavailable(9), soaked, withWindow("30 12 * * *", "Europe/Berlin")), after(updatedNode("a", applied)), "Rolling +b +c +d: 3 nodes remaining"},
		"a window that never opens":        {newTuning(soaked, withWindow("0 0 30 2 *", "")), after(updatedNode("a", applied)), "AwaitingWindow: 3 nodes remaining; no window of rollout.windows ever opens"},
		"a window in an unknown time zone": {newTuning(soaked, withWindow("0 22 * * *", "Mars/Base")), after(updatedNode("a", applied)), `Paused: rollout.windows[0].timeZone "Mars/Base" is unknown: use a name of the IANA database such as Europe/Berlin`},
		"an invalid cron expression": {newTuning(soaked, withWindow("0 25 * * *", "")), after(updatedNode("a", applied)),
			`Paused: rollout.windows[0].start "0 25 * * *" is not a cron expression (end of range (25) above maximum (23): 25): use five fields such as "0 22 * * 1-5"`},
		"approval is awaited": {newTuning(soaked, withRollout(func(r *v1alpha1.Rollout) { r.Approval = v1alpha1.ApprovalManual })), after(updatedNode("a", applied)),
			"AwaitingApproval: 3 nodes remaining; to approve revision 2, run kubectl portreeve tuning approve t or annotate the NodeTuning with portreeve.io/approve=2"},
		"an approval of another revision does not count": {newTuning(soaked, withAnnotation(v1alpha1.AnnotationApprove, "1"), withRollout(func(r *v1alpha1.Rollout) { r.Approval = v1alpha1.ApprovalManual })), after(updatedNode("a", applied)),
			"AwaitingApproval: 3 nodes remaining; to approve revision 2, run kubectl portreeve tuning approve t or annotate the NodeTuning with portreeve.io/approve=2"},
		"approved": {newTuning(withMaxUnavailable(9), soaked, withAnnotation(v1alpha1.AnnotationApprove, "2"), withRollout(func(r *v1alpha1.Rollout) { r.Approval = v1alpha1.ApprovalManual })), after(updatedNode("a", applied)), "Rolling +b +c +d: 3 nodes remaining"},
		"resumed": {newTuning(withMaxUnavailable(9), withProgress(2, 60, withStop(v1alpha1.ReasonRegressionFound, "regression: x")), withAnnotation(v1alpha1.AnnotationResume, "2")), after(withPressure(updatedNode("a", applied), -2)),
			"Rolling: 3 nodes remaining; observing batch 2 until 12:01:00 UTC"},
		"a status of a version without revisions": {newTuning(func(t *v1alpha1.NodeTuning) {
			t.Status = v1alpha1.NodeTuningStatus{ObservedGeneration: 2, Rollout: v1alpha1.RolloutStatus{Phase: v1alpha1.RolloutComplete}}
		}, withMaxUnavailable(9)), after(withPressure(updatedNode("a", applied), -2)), "Complete +b +c +d: 3 nodes remaining"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			in := rollout.Input{Budget: -1, Tuning: test.tuning, Nodes: test.nodes, Now: noon}
			if test.tuning.Name == "limited to 1" {
				in.Budget = 1
			}
			if test.tuning.Name == "held by the brake" {
				in.Brake = "too many nodes lose settings"
			}
			d := rollout.PlanChanges(in)
			if diff := cmp.Diff(test.want, formatDecision(d)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func withName(name string) tuningOption { return func(t *v1alpha1.NodeTuning) { t.Name = name } }

func withOldRevision(t *v1alpha1.NodeTuning) { t.Status.Rollout.Revision = 1 }

func withAnnotation(name, value string) tuningOption {
	return func(t *v1alpha1.NodeTuning) { t.Annotations = map[string]string{name: value} }
}

func withWindow(start, zone string) tuningOption {
	return withRollout(func(r *v1alpha1.Rollout) {
		r.Windows = []v1alpha1.RolloutWindow{{Start: start, DurationSeconds: 3600, TimeZone: zone}}
	})
}

func withoutCandidacy(n rollout.Node) rollout.Node {
	n.CanaryCandidate = false
	return n
}

func createdAt(minute int, n rollout.Node) rollout.Node {
	n.CreatedAt = at(minute).Time
	return n
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
	if d.Released {
		b.WriteString(", released")
	}
	return b.String()
}

func TestAnInvalidTuningKeepsSettings(t *testing.T) {
	d := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: newTuning(), Nodes: []rollout.Node{withoutSelection(updatedNode("a", v1alpha1.SettingApplied))}, Problem: "a selector can't be read", Now: noon})
	if got := formatDecision(d); got != "Paused: a selector can't be read" {
		t.Error(got)
	}
}

func TestTheStatusShowsTheProgress(t *testing.T) {
	nodes := []rollout.Node{
		updatedNode("a", v1alpha1.SettingApplied), updatedNode("b", v1alpha1.SettingRefused), updatedNode("c", v1alpha1.SettingRestartRequired),
		withoutObservation(updatedNode("d", v1alpha1.SettingPending)), outdatedNode("e", 3),
	}
	conflicts := []v1alpha1.TuningConflict{{Key: "k", With: "other", Nodes: 2}}
	d := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: newTuning(withMaxUnavailable(2), withProgress(2, 60), withRollout(func(r *v1alpha1.Rollout) { r.BatchSoakSeconds = new(int32) })), Nodes: nodes, Conflicts: conflicts, Now: noon})
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
	before := withProgress(2, 60, func(s *v1alpha1.RolloutStatus) { s.Phase, s.Since = v1alpha1.RolloutRolling, &began })
	going := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: newTuning(before), Nodes: []rollout.Node{updatedNode("a", v1alpha1.SettingApplied), outdatedNode("b", 1)}, Now: noon})
	if s := going.Status.Rollout; s.Phase != v1alpha1.RolloutRolling || !s.Since.Equal(&began) {
		t.Errorf("%s since %v", s.Phase, s.Since)
	}
	ended := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: newTuning(before), Nodes: []rollout.Node{updatedNode("a", v1alpha1.SettingApplied)}, Now: noon})
	if s := ended.Status.Rollout; s.Phase != v1alpha1.RolloutWatching || !s.Since.Time.Equal(noon) {
		t.Errorf("%s since %v", s.Phase, s.Since)
	}
}

// A pass in which nothing but the time has changed writes the status only when a tick has passed.
func TestTheClockIsWrittenAtEachTick(t *testing.T) {
	tuning := newTuning(withProgress(1, 30))
	nodes := []rollout.Node{updatedNode("a", v1alpha1.SettingApplied), outdatedNode("b", 1), outdatedNode("c", 1)}
	plan := func(seconds int) v1alpha1.NodeTuningStatus {
		d := rollout.PlanChanges(rollout.Input{Budget: -1, Tuning: tuning, Nodes: nodes, Now: noon.Add(time.Duration(seconds) * time.Second)})
		if wake := d.ReevaluateAt.Sub(noon); wake != time.Duration(seconds+15)*time.Second {
			t.Errorf("%d: planned again after %v", seconds, wake)
		}
		return d.Status
	}
	tuning.Status = plan(0)
	for seconds, want := range map[int]int32{1: 30, 14: 30, 15: 45, 60: 90, 61: 45, 86400: 45} { // longer than 4 ticks counts as one
		if got := plan(seconds).Rollout.Clock.SoakedSeconds; got != want {
			t.Errorf("after %d s: %d s, want %d", seconds, got, want)
		}
	}
	if got := plan(-86400).Rollout.Clock; got.SoakedSeconds != 30 || !got.ReadAt.Time.Equal(noon.Add(-24*time.Hour)) {
		t.Errorf("after the clock was set back: %+v", got)
	}
}

func withoutReports(n rollout.Node) rollout.Node {
	n.Status.Settings = nil
	return n
}

func withOmittedSettings(n rollout.Node) rollout.Node {
	n.Status.OmittedSettings = &v1alpha1.OmittedSettings{Count: 1, LastTransitionTime: new(at(0))}
	return withoutReports(n)
}
