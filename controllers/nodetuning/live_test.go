package nodetuning_test

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

func patchOf(path string, value any) map[string]any {
	return map[string]any{"spec": map[string]any{path: value}}
}

func TestATuningIsAppliedEditedAndDeleted(t *testing.T) {
	b := newTestCluster(t, "a1", "a2", "a3")
	b.setLabels("a3", map[string]any{"pool": "another"})
	b.startController()
	tuning := b.makeTuning("walk", 20)
	tuning.Spec.Thresholds.WarningPercent = 40
	b.createObject(tuning)
	b.waitForSettings("[fin_timeout=20 of walk]", "a1", "a2")
	b.waitForPhase("walk", v1alpha1.RolloutComplete, "")
	b.waitForEvent("walk", v1alpha1.ReasonRolloutComplete)
	got := b.getTuning("walk").Status.Counts
	if want := (v1alpha1.TuningCounts{Matched: 2, Updated: 2, Applied: 2}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if p := b.getPortPressure("a1"); p.Spec.Thresholds != (v1alpha1.Thresholds{WarningPercent: 40, CriticalPercent: 85}) {
		t.Errorf("thresholds %+v", p.Spec.Thresholds)
	}
	b.waitForSettings("absent", "a3")

	b.setLabels("a3", map[string]any{"pool": b.Name()})
	b.waitForSettings("[fin_timeout=20 of walk]", "a3")

	b.patchObject(tuning, patchOf("linux", map[string]any{"finTimeoutSeconds": 30, "keepAlive": map[string]any{"timeSeconds": 600}}))
	b.waitForSettings("[fin_timeout=30 of walk, keepalive_time=600 of walk]", "a1", "a2", "a3")
	b.waitForPhase("walk", v1alpha1.RolloutComplete, "")

	versions := func() (list []string) {
		for _, n := range []string{"a1", "a2", "a3"} {
			list = append(list, b.getPortPressure(n).ResourceVersion)
		}
		return append(list, b.getTuning("walk").ResourceVersion)
	}
	before := versions()
	b.stopController() // the next controller has nothing to do
	b.startController()
	mark := b.makeTuning("mark", 1)
	mark.Spec.NodeSelector = nil
	b.createObject(mark)
	b.waitForPhase("mark", v1alpha1.RolloutComplete, "")
	if after := versions(); !slices.Equal(before, after) {
		t.Errorf("written again: %v became %v", before, after)
	}

	b.must(b.env.Client.Delete(t.Context(), tuning))
	b.waitForDeletion("walk")
	b.waitForSettings("[]", "a1", "a2", "a3")
	b.waitForEvent("walk", v1alpha1.ReasonReleased)
	if p := b.getPortPressure("a1"); p.Spec.Thresholds != thresholds {
		t.Errorf("thresholds %+v", p.Spec.Thresholds)
	}
}

func TestACanaryThatFailsStopsTheRest(t *testing.T) {
	b := newTestCluster(t, "b1", "b2", "b3")
	for _, n := range []string{"b1", "b2", "b3"} {
		b.agents[n].setResult(v1alpha1.SettingFailed, "permission denied")
	}
	b.startController()
	tuning := b.makeTuning("fails", 20)
	tuning.Spec.Rollout.Canaries, tuning.Spec.Rollout.MaxFailed = new(int32(1)), new(intstr.FromInt32(0))
	b.createObject(tuning)
	b.waitForPhase("fails", v1alpha1.RolloutPaused, finTimeout+" could not be applied: permission denied")
	b.waitForEvent("fails", v1alpha1.ReasonTooManyFailed)
	b.waitForEvent("fails", v1alpha1.ReasonSettingFailed)
	canary := b.getTuning("fails").Status.Rollout.Canaries[0]
	others := slices.DeleteFunc([]string{"b1", "b2", "b3"}, func(n string) bool { return n == canary })
	b.waitForSettings("[fin_timeout=20 of fails]", canary)
	b.waitForSettings("absent", others...)

	b.patchObject(tuning, patchOf("rollout", map[string]any{"onRegression": "Revert"}))
	b.waitForPhase("fails", v1alpha1.RolloutReverted, "failures: ")
	b.waitForSettings("[]", canary)
	b.waitForSettings("absent", others...)
	b.stopController()
	b.startController()
	b.patchObject(tuning, map[string]any{"metadata": map[string]any{"labels": map[string]any{"touched": "yes"}}})
	b.waitForPhase("fails", v1alpha1.RolloutReverted, "failures: ")
	b.waitForSettings("[]", canary)

	for _, n := range []string{"b1", "b2", "b3"} {
		b.agents[n].setResult(v1alpha1.SettingApplied, "")
	}
	b.patchObject(tuning, patchOf("linux", map[string]any{"finTimeoutSeconds": 30}))
	b.waitForSettings("[fin_timeout=30 of fails]", "b1", "b2", "b3")
	b.waitForPhase("fails", v1alpha1.RolloutComplete, "")
}

func TestTheBrakeWaitsForConfirmation(t *testing.T) {
	nodes := []string{"c1", "c2", "c3", "c4", "c5"}
	b := newTestCluster(t, nodes...)
	b.startController()
	tuning := b.makeTuning("brake", 20)
	b.createObject(tuning)
	b.waitForSettings("[fin_timeout=20 of brake]", nodes...)
	b.waitForPhase("brake", v1alpha1.RolloutComplete, "")

	b.setLabels("c5", map[string]any{"pool": "another"}) // one node of five is below the brake's limit
	b.waitForSettings("[]", "c5")
	b.waitForPhase("brake", v1alpha1.RolloutComplete, "")
	b.patchObject(tuning, patchOf("nodeSelector", map[string]any{"matchLabels": map[string]any{"pool": "typo"}}))
	b.waitForPhase("brake", v1alpha1.RolloutPaused, "would remove settings from 4 of 5 nodes")
	b.waitForEvent("brake", v1alpha1.ReasonReleaseHeld)
	b.waitForSettings("[fin_timeout=20 of brake]", nodes[:4]...)

	generation := strconv.FormatInt(b.getTuning("brake").Generation, 10)
	b.patchObject(tuning, map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationConfirmRelease: generation}}})
	b.waitForSettings("[]", nodes...)
	b.waitForPhase("brake", v1alpha1.RolloutComplete, "")
}

func TestConflictingTunings(t *testing.T) {
	b := newTestCluster(t, "d1", "d2", "d3")
	b.startController()
	low, high := b.makeTuning("low", 20), b.makeTuning("high", 30)
	low.Spec.Linux.KeepAlive.TimeSeconds = new(int32(600))
	b.createObject(low)
	b.waitForSettings("[fin_timeout=20 of low, keepalive_time=600 of low]", "d1", "d2", "d3")
	b.waitForPhase("low", v1alpha1.RolloutComplete, "")

	b.createObject(high) // with the same priority, neither is enforced, which the brake prevents
	b.waitForPhase("low", v1alpha1.RolloutPaused, "would remove settings from 3 of ")
	b.waitForEvent("high", v1alpha1.ReasonConflictFound)
	b.waitForEvent("low", v1alpha1.ReasonConflictFound)

	const both = "[fin_timeout=30 of high, keepalive_time=600 of low]"
	b.patchObject(high, map[string]any{"spec": map[string]any{"priority": 5, "rollout": map[string]any{"paused": true}}})
	b.waitForPhase("high", v1alpha1.RolloutPaused, "paused")
	b.waitForPhase("low", v1alpha1.RolloutComplete, "")
	b.waitForSettings("[fin_timeout=20 of low, keepalive_time=600 of low]", "d1", "d2", "d3") // until the other one is rolled out

	b.patchObject(high, patchOf("rollout", map[string]any{"paused": false}))
	b.waitForSettings(both, "d1", "d2", "d3")
	b.waitForPhase("high", v1alpha1.RolloutComplete, "")
	b.waitForPhase("low", v1alpha1.RolloutComplete, "")
	for _, received := range b.agents["d1"].listReceived() {
		if received == keepAlive+"=600" {
			t.Errorf("the original value returned between the two values: %q", b.agents["d1"].listReceived())
		}
	}

	b.must(b.env.Client.Delete(t.Context(), high))
	b.waitForDeletion("high")
	b.waitForSettings("[fin_timeout=20 of low, keepalive_time=600 of low]", "d1", "d2", "d3")
}

// A recreated object has no list of settings: the agent keeps its settings, and no
// NodeTuning may release those of another.
func TestARecreatedObjectRestoresNothing(t *testing.T) {
	b := newTestCluster(t, "e1", "e2", "e3")
	b.startController()
	one, two := b.makeTuning("one", 20), b.makeTuning("two", 0)
	two.Spec.Linux = v1alpha1.LinuxSettings{KeepAlive: v1alpha1.LinuxKeepAlive{TimeSeconds: new(int32(600))}}
	b.createObject(one)
	b.createObject(two)
	const all = "[fin_timeout=20 of one, keepalive_time=600 of two]"
	b.waitForSettings(all, "e1", "e2", "e3")
	b.waitForPhase("one", v1alpha1.RolloutComplete, "")
	b.waitForPhase("two", v1alpha1.RolloutComplete, "")

	b.patchObject(one, patchOf("rollout", map[string]any{"paused": true}))
	b.waitForPhase("one", v1alpha1.RolloutPaused, "")
	before := len(b.agents["e1"].listReceived())
	b.recreatePortPressure("e1")
	b.waitForSettings(all, "e1")

	b.stopController() // and while no controller runs
	b.must(b.env.Client.Delete(t.Context(), one))
	b.recreatePortPressure("e1")
	b.agents["e3"].enforceExtra(v1alpha1.Setting{ID: "stray", Key: "stray", Value: "1"})
	b.recreatePortPressure("e3")
	b.startController()
	b.waitForDeletion("one")
	b.waitForSettings("[keepalive_time=600 of two]", "e1", "e2", "e3")
	for _, given := range b.agents["e1"].listReceived()[before:] {
		if !strings.Contains(given, keepAlive+"=600") {
			t.Errorf("the agent received %q, without the setting of the other NodeTuning", given)
		}
	}

	b.must(b.env.Client.Delete(t.Context(), two))
	b.waitForDeletion("two")
	b.agents["e2"].enforceExtra(v1alpha1.Setting{ID: "stray", Key: "stray", Value: "1"})
	b.recreatePortPressure("e2")
	b.waitForReconcile()
	b.waitForSettings("absent", "e2")
}

// Settings stay if the finalizer of their NodeTuning was removed before they were restored.
func TestARemovedFinalizerRestoresNothing(t *testing.T) {
	b := newTestCluster(t, "g1", "g2")
	b.startController()
	b.createObject(b.makeTuning("torn", 20))
	b.waitForSettings("[fin_timeout=20 of torn]", "g1", "g2")
	b.waitForPhase("torn", v1alpha1.RolloutComplete, "")
	b.stopController()
	b.patchObject(b.getTuning("torn"), map[string]any{"metadata": map[string]any{"finalizers": nil}})
	b.must(b.env.Client.Delete(t.Context(), b.getTuning("torn")))
	b.waitForDeletion("torn")
	b.startController()
	b.waitForReconcile()
	b.waitForSettings("[fin_timeout=20 of torn]", "g1", "g2")

	heir := b.makeTuning("heir", 30) // takes over the setting
	b.createObject(heir)
	b.waitForSettings("[fin_timeout=30 of heir]", "g1", "g2")
	b.must(b.env.Client.Delete(t.Context(), heir))
	b.waitForDeletion("heir")
	b.waitForSettings("[]", "g1", "g2")
}

func TestADeletedTuningWaitsForSilentAgentsUntilConfirmed(t *testing.T) {
	b := newTestCluster(t, "h1", "h2")
	b.startController()
	tuning := b.makeTuning("wait", 20)
	b.createObject(tuning)
	b.waitForSettings("[fin_timeout=20 of wait]", "h1", "h2")
	b.waitForPhase("wait", v1alpha1.RolloutComplete, "")
	b.must(b.owner.Patch(t.Context(), b.getPortPressure("h1"), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"portreeve.io/agent":"silent"}}}`))))
	b.agents["h1"].stop()
	b.waitForReconcile()
	b.must(b.env.Client.Delete(t.Context(), tuning))
	b.waitForPhase("wait", v1alpha1.RolloutReleasing, "waiting for h1 (its agent is silent): to continue without them, annotate the NodeTuning with portreeve.io/confirm-release=2")
	b.waitForSettings("[]", "h2")
	b.waitForSettings("[fin_timeout=20 of wait]", "h1")
	b.patchObject(tuning, map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationConfirmRelease: "2"}}})
	b.waitForDeletion("wait")
	b.waitForSettings("[]", "h1") // for when the agent is back
}

// Released nodes are restored immediately, without the rollout's limits. A deleted
// NodeTuning waits until they are.
func TestReleasedNodesAreRestoredImmediatelyAndGetNothing(t *testing.T) {
	nodes := []string{"i1", "i2", "i3"}
	b := newTestCluster(t, nodes...)
	b.startController()
	tuning := b.makeTuning("pace", 20)
	b.createObject(tuning)
	b.waitForSettings("[fin_timeout=20 of pace]", nodes...)
	b.waitForPhase("pace", v1alpha1.RolloutComplete, "")
	b.patchObject(tuning, patchOf("rollout", map[string]any{"paused": true, "maxUnavailable": 1}))
	b.waitForPhase("pace", v1alpha1.RolloutPaused, "")

	b.agents["i1"].stop() // and so does not report that
	release := func(value any) {
		for _, n := range nodes {
			b.patchObject(b.getPortPressure(n), map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationRelease: value}}})
		}
	}
	release(v1alpha1.ReleaseRequested)
	b.waitForSettings("[]", nodes...)
	b.must(b.env.Client.Delete(t.Context(), tuning))
	b.waitForPhase("pace", v1alpha1.RolloutReleasing, "original settings not yet restored on 1 node")
	b.agents["i1"].start()
	b.waitForDeletion("pace")

	next := b.makeTuning("next", 30)
	b.createObject(next)
	b.waitForPhase("next", v1alpha1.RolloutComplete, "")
	b.waitForSettings("[]", nodes...)
	release(nil)
	b.waitForSettings("[fin_timeout=30 of next]", nodes...)
}

func TestARestartAtAnyMomentChangesNothing(t *testing.T) {
	var nodes []string
	for i := range 12 {
		nodes = append(nodes, fmt.Sprintf("f%02d", i))
	}
	b := newTestCluster(t, nodes...)
	tuning := b.makeTuning("restart", 20)
	tuning.Spec.Rollout.Canaries, tuning.Spec.Rollout.SoakSeconds = new(int32(1)), new(int32(2))
	tuning.Spec.Rollout.MaxUnavailable = new(intstr.FromInt32(2))
	for _, a := range b.agents {
		a.delay = 50 * time.Millisecond
	}
	stopRecording := b.recordHistory()
	b.createObject(tuning)
	restarts := b.restartUntil(func() bool { return b.getTuning("restart").Status.Rollout.Phase == v1alpha1.RolloutComplete })
	b.waitForSettings("[fin_timeout=20 of restart]", nodes...)
	history := stopRecording()
	for _, h := range history {
		if len(h.moving) > 2 {
			t.Errorf("changing at the same time: %v", h.moving)
		}
		if h.tuned > 1 && h.at.Sub(history.first()) < time.Second { // times in a status have a resolution of a second
			t.Errorf("%d nodes are updated after %v, before the canary has soaked", h.tuned, h.at.Sub(history.first()))
		}
	}
	b.must(b.env.Client.Delete(t.Context(), tuning))
	restarts += b.restartUntil(func() bool { return b.getTuning("restart") == nil })
	b.waitForSettings("[]", nodes...)
	t.Logf("%d restarts, %d changes", restarts, len(history))
}
