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

func TestATuningReachesItsNodesIsEditedAndGivenBack(t *testing.T) {
	b := newBench(t, "a1", "a2", "a3")
	b.label("a3", map[string]any{"pool": "another"})
	b.begin()
	tuning := b.tuning("walk", 20)
	tuning.Spec.Thresholds.WarningPercent = 40
	b.create(tuning)
	b.have("[fin_timeout=20 of walk]", "a1", "a2")
	b.phase("walk", v1alpha1.RolloutComplete, "")
	b.event("walk", v1alpha1.ReasonRolloutComplete)
	got := b.get("walk").Status.Counts
	if want := (v1alpha1.TuningCounts{Matched: 2, Updated: 2, Applied: 2}); got != want {
		t.Errorf("counts %+v, want %+v", got, want)
	}
	if p := b.pressure("a1"); p.Spec.Thresholds != (v1alpha1.Thresholds{WarningPercent: 40, CriticalPercent: 85}) {
		t.Errorf("thresholds %+v", p.Spec.Thresholds)
	}
	b.have("hold", "a3")

	b.label("a3", map[string]any{"pool": b.Name()})
	b.have("[fin_timeout=20 of walk]", "a3")

	b.patch(tuning, patchOf("linux", map[string]any{"finTimeoutSeconds": 30, "keepAlive": map[string]any{"timeSeconds": 600}}))
	b.have("[fin_timeout=30 of walk, keepalive_time=600 of walk]", "a1", "a2", "a3")
	b.phase("walk", v1alpha1.RolloutComplete, "")

	versions := func() (list []string) {
		for _, n := range []string{"a1", "a2", "a3"} {
			list = append(list, b.pressure(n).ResourceVersion)
		}
		return append(list, b.get("walk").ResourceVersion)
	}
	before := versions()
	b.stop() // a successor finds everything done
	b.begin()
	mark := b.tuning("mark", 1)
	mark.Spec.NodeSelector = nil
	b.create(mark)
	b.phase("mark", v1alpha1.RolloutComplete, "")
	if after := versions(); !slices.Equal(before, after) {
		t.Errorf("written again: %v became %v", before, after)
	}

	b.must(b.env.Client.Delete(t.Context(), tuning))
	b.gone("walk")
	b.have("[]", "a1", "a2", "a3")
	b.event("walk", v1alpha1.ReasonReleased)
	if p := b.pressure("a1"); p.Spec.Thresholds != thresholds {
		t.Errorf("thresholds %+v", p.Spec.Thresholds)
	}
}

func TestACanaryThatFailsStopsTheRest(t *testing.T) {
	b := newBench(t, "b1", "b2", "b3")
	for _, n := range []string{"b1", "b2", "b3"} {
		b.agents[n].will(v1alpha1.SettingFailed, "permission denied")
	}
	b.begin()
	tuning := b.tuning("fails", 20)
	tuning.Spec.Rollout.Canaries = new(int32(1))
	b.create(tuning)
	b.phase("fails", v1alpha1.RolloutPaused, "regression: "+finTimeout+" could not be applied on b1: permission denied")
	b.event("fails", v1alpha1.ReasonRegressionFound)
	b.event("fails", v1alpha1.ReasonSettingFailed)
	b.have("[fin_timeout=20 of fails]", "b1")
	b.have("hold", "b2", "b3")

	b.patch(tuning, patchOf("rollout", map[string]any{"onRegression": "Revert"}))
	b.phase("fails", v1alpha1.RolloutReverted, "regression")
	b.have("[]", "b1")
	b.have("hold", "b2", "b3")
	b.stop()
	b.begin()
	b.patch(tuning, map[string]any{"metadata": map[string]any{"labels": map[string]any{"touched": "yes"}}})
	b.phase("fails", v1alpha1.RolloutReverted, "regression")
	b.have("[]", "b1")

	for _, n := range []string{"b1", "b2", "b3"} {
		b.agents[n].will(v1alpha1.SettingApplied, "")
	}
	b.patch(tuning, patchOf("linux", map[string]any{"finTimeoutSeconds": 30}))
	b.have("[fin_timeout=30 of fails]", "b1", "b2", "b3")
	b.phase("fails", v1alpha1.RolloutComplete, "")
}

func TestTheBrakeWaitsForAConfirmation(t *testing.T) {
	nodes := []string{"c1", "c2", "c3", "c4", "c5"}
	b := newBench(t, nodes...)
	b.begin()
	tuning := b.tuning("brake", 20)
	b.create(tuning)
	b.have("[fin_timeout=20 of brake]", nodes...)
	b.phase("brake", v1alpha1.RolloutComplete, "")

	b.label("c5", map[string]any{"pool": "another"}) // one node of five is no accident
	b.have("[]", "c5")
	b.phase("brake", v1alpha1.RolloutComplete, "")
	b.patch(tuning, patchOf("nodeSelector", map[string]any{"matchLabels": map[string]any{"pool": "typo"}}))
	b.phase("brake", v1alpha1.RolloutPaused, "would take settings from 4 nodes of 5")
	b.event("brake", v1alpha1.ReasonReleaseHeld)
	b.have("[fin_timeout=20 of brake]", nodes[:4]...)

	generation := strconv.FormatInt(b.get("brake").Generation, 10)
	b.patch(tuning, map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationConfirmRelease: generation}}})
	b.have("[]", nodes...)
	b.phase("brake", v1alpha1.RolloutComplete, "")
}

func TestTwoThatContradictEachOther(t *testing.T) {
	b := newBench(t, "d1", "d2", "d3")
	b.begin()
	low, high := b.tuning("low", 20), b.tuning("high", 30)
	low.Spec.Linux.KeepAlive.TimeSeconds = new(int32(600))
	b.create(low)
	b.have("[fin_timeout=20 of low, keepalive_time=600 of low]", "d1", "d2", "d3")
	b.phase("low", v1alpha1.RolloutComplete, "")

	b.create(high) // of the same priority: nobody's value is held, which the brake forbids
	b.phase("low", v1alpha1.RolloutPaused, "would take settings from 3 nodes")
	b.event("high", v1alpha1.ReasonConflictFound)
	b.event("low", v1alpha1.ReasonConflictFound)

	const both = "[fin_timeout=30 of high, keepalive_time=600 of low]"
	b.patch(high, map[string]any{"spec": map[string]any{"priority": 5, "rollout": map[string]any{"paused": true}}})
	b.phase("high", v1alpha1.RolloutPaused, "paused")
	b.phase("low", v1alpha1.RolloutComplete, "")
	b.have("[fin_timeout=20 of low, keepalive_time=600 of low]", "d1", "d2", "d3") // until the other one comes

	b.patch(high, patchOf("rollout", map[string]any{"paused": false}))
	b.have(both, "d1", "d2", "d3")
	b.phase("high", v1alpha1.RolloutComplete, "")
	b.phase("low", v1alpha1.RolloutComplete, "")
	for _, given := range b.agents["d1"].given() {
		if given == keepAlive+"=600" {
			t.Errorf("the original stood between the two values: %q", b.agents["d1"].given())
		}
	}

	b.must(b.env.Client.Delete(t.Context(), high))
	b.gone("high")
	b.have("[fin_timeout=20 of low, keepalive_time=600 of low]", "d1", "d2", "d3")
}

// An object that is made anew has no settings: the agent holds, and no NodeTuning may
// take that for a release of what others ask for.
func TestAnObjectMadeAnewGivesNothingBack(t *testing.T) {
	b := newBench(t, "e1", "e2", "e3")
	b.begin()
	one, two := b.tuning("one", 20), b.tuning("two", 0)
	two.Spec.Linux = v1alpha1.LinuxSettings{KeepAlive: v1alpha1.LinuxKeepAlive{TimeSeconds: new(int32(600))}}
	b.create(one)
	b.create(two)
	const all = "[fin_timeout=20 of one, keepalive_time=600 of two]"
	b.have(all, "e1", "e2", "e3")
	b.phase("one", v1alpha1.RolloutComplete, "")
	b.phase("two", v1alpha1.RolloutComplete, "")

	b.patch(one, patchOf("rollout", map[string]any{"paused": true}))
	b.phase("one", v1alpha1.RolloutPaused, "")
	before := len(b.agents["e1"].given())
	b.anew("e1")
	b.have(all, "e1")

	b.stop() // and while nobody looks
	b.must(b.env.Client.Delete(t.Context(), one))
	b.anew("e1")
	b.agents["e3"].holds(v1alpha1.Setting{ID: "stray", Key: "stray", Value: "1"})
	b.anew("e3")
	b.begin()
	b.gone("one")
	b.have("[keepalive_time=600 of two]", "e1", "e2", "e3")
	for _, given := range b.agents["e1"].given()[before:] {
		if !strings.Contains(given, keepAlive+"=600") {
			t.Errorf("the agent was given %q, without what another one asks for", given)
		}
	}

	b.must(b.env.Client.Delete(t.Context(), two))
	b.gone("two")
	b.agents["e2"].holds(v1alpha1.Setting{ID: "stray", Key: "stray", Value: "1"})
	b.anew("e2")
	b.settle()
	b.have("hold", "e2")
}

// What is left of a NodeTuning that went without giving back is held.
func TestAFinalizerThatSomeoneRemovedGivesNothingBack(t *testing.T) {
	b := newBench(t, "g1", "g2")
	b.begin()
	b.create(b.tuning("torn", 20))
	b.have("[fin_timeout=20 of torn]", "g1", "g2")
	b.phase("torn", v1alpha1.RolloutComplete, "")
	b.stop()
	b.patch(b.get("torn"), map[string]any{"metadata": map[string]any{"finalizers": nil}})
	b.must(b.env.Client.Delete(t.Context(), b.get("torn")))
	b.gone("torn")
	b.begin()
	b.settle()
	b.have("[fin_timeout=20 of torn]", "g1", "g2")

	heir := b.tuning("heir", 30) // takes it over
	b.create(heir)
	b.have("[fin_timeout=30 of heir]", "g1", "g2")
	b.must(b.env.Client.Delete(t.Context(), heir))
	b.gone("heir")
	b.have("[]", "g1", "g2")
}

func TestADeletedOneWaitsForSilentAgentsUntilItIsLetGo(t *testing.T) {
	b := newBench(t, "h1", "h2")
	b.begin()
	tuning := b.tuning("wait", 20)
	b.create(tuning)
	b.have("[fin_timeout=20 of wait]", "h1", "h2")
	b.phase("wait", v1alpha1.RolloutComplete, "")
	b.must(b.owner.Patch(t.Context(), b.pressure("h1"), client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"portreeve.io/agent":"silent"}}}`))))
	b.agents["h1"].stop()
	b.settle()
	b.must(b.env.Client.Delete(t.Context(), tuning))
	b.phase("wait", v1alpha1.RolloutReleasing, "waiting for the silent agents of h1: to go without them, annotate the NodeTuning with portreeve.io/confirm-release=2")
	b.have("[]", "h2")
	b.have("[fin_timeout=20 of wait]", "h1")
	b.patch(tuning, map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationConfirmRelease: "2"}}})
	b.gone("wait")
	b.have("[]", "h1") // for when it is back
}

// Released nodes give back at once: not at the rollout's pace, and without its brake. A
// deleted NodeTuning waits until they have.
func TestReleasedNodesGiveBackAtOnceAndGetNothing(t *testing.T) {
	nodes := []string{"i1", "i2", "i3"}
	b := newBench(t, nodes...)
	b.begin()
	tuning := b.tuning("pace", 20)
	b.create(tuning)
	b.have("[fin_timeout=20 of pace]", nodes...)
	b.phase("pace", v1alpha1.RolloutComplete, "")
	b.patch(tuning, patchOf("rollout", map[string]any{"paused": true, "maxUnavailable": 1}))
	b.phase("pace", v1alpha1.RolloutPaused, "")

	b.agents["i1"].stop() // and so does not say that it has
	release := func(value any) {
		for _, n := range nodes {
			b.patch(b.pressure(n), map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationRelease: value}}})
		}
	}
	release(v1alpha1.ReleaseRequested)
	b.have("[]", nodes...)
	b.must(b.env.Client.Delete(t.Context(), tuning))
	b.phase("pace", v1alpha1.RolloutReleasing, "1 node to be given back")
	b.agents["i1"].start()
	b.gone("pace")

	next := b.tuning("next", 30)
	b.create(next)
	b.phase("next", v1alpha1.RolloutComplete, "")
	b.have("[]", nodes...)
	release(nil)
	b.have("[fin_timeout=30 of next]", nodes...)
}

func TestARestartAtAnyMomentChangesNothing(t *testing.T) {
	var nodes []string
	for i := range 12 {
		nodes = append(nodes, fmt.Sprintf("f%02d", i))
	}
	b := newBench(t, nodes...)
	tuning := b.tuning("restart", 20)
	tuning.Spec.Rollout.Canaries, tuning.Spec.Rollout.SoakSeconds = new(int32(1)), new(int32(2))
	tuning.Spec.Rollout.MaxUnavailable = new(intstr.FromInt32(2))
	for _, a := range b.agents {
		a.delay = 50 * time.Millisecond
	}
	seen := b.census()
	b.create(tuning)
	restarts := b.restartUntil(func() bool { return b.get("restart").Status.Rollout.Phase == v1alpha1.RolloutComplete })
	b.have("[fin_timeout=20 of restart]", nodes...)
	history := seen()
	for _, h := range history {
		if len(h.moving) > 2 {
			t.Errorf("in change at once: %v", h.moving)
		}
		if h.tuned > 1 && h.at.Sub(history.first()) < time.Second { // statuses know seconds only
			t.Errorf("%d nodes have it after %v, before the canary has soaked", h.tuned, h.at.Sub(history.first()))
		}
	}
	b.must(b.env.Client.Delete(t.Context(), tuning))
	restarts += b.restartUntil(func() bool { return b.get("restart") == nil })
	b.have("[]", nodes...)
	t.Logf("%d restarts, %d changes", restarts, len(history))
}
