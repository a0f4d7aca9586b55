package nodetuning_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/nodetuning"
)

// reportUnrestored stops the node's agent, and reports that it still has fin_timeout=20.
func (b *testCluster) reportUnrestored(node string, state v1alpha1.SettingState, message string) {
	b.Helper()
	b.agents[node].stop()
	now := metav1.NewTime(time.Now())
	status := v1alpha1.PortPressureStatus{
		ObservedGeneration: b.getPortPressure(node).Generation, ObservedAt: &now, Level: v1alpha1.LevelNormal, UsedPercent: new(int32(3)),
		Settings: []v1alpha1.SettingStatus{{
			ID: finTimeout, Key: finTimeout, Scope: "Host", Current: new("20"), Original: new("60"), State: state, Message: message, LastTransitionTime: &now,
		}},
	}
	data, err := json.Marshal([]map[string]any{{"op": "add", "path": "/status", "value": status}})
	b.must(err)
	b.must(b.agents[node].client.Status().Patch(b.Context(), &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: node}}, client.RawPatch(types.JSONPatchType, data)))
}

// confirmRelease confirms the removal for the current generation.
func (b *testCluster) confirmRelease(tuning string) {
	b.Helper()
	t := b.getTuning(tuning)
	b.patchObject(t, map[string]any{"metadata": map[string]any{"annotations": map[string]any{v1alpha1.AnnotationConfirmRelease: fmt.Sprint(t.Generation)}}})
}

func TestDeletingTheKindRestoresNothing(t *testing.T) {
	b := newTestCluster(t, "o1", "o2", "o3")
	b.startController()
	b.createObject(b.makeTuning("crd", 20))
	b.waitForSettings("[fin_timeout=20 of crd]", "o1", "o2", "o3")
	b.waitForPhase("crd", v1alpha1.RolloutComplete, "")
	b.must(b.env.Client.Delete(t.Context(), newCRD()))
	b.waitUntil(func() string { return "the kind is still there" }, func() bool {
		return apierrors.IsNotFound(b.env.Client.Get(t.Context(), client.ObjectKey{Name: "crd"}, nodetuning.NewTuning())) && !b.isKindDiscovered()
	})
	b.waitForSettings("[fin_timeout=20 of crd]", "o1", "o2", "o3")
	b.env.ApplyManifests(t, crdFile)
	b.waitUntil(func() string { return "the API server does not accept it" }, func() bool { return b.env.Client.Create(t.Context(), b.makeTuning("crd", 25)) == nil })
	b.waitForSettings("[fin_timeout=25 of crd]", "o1", "o2", "o3") // nothing was restored in between
	for _, received := range b.agents["o1"].listReceived() {
		if received == "" {
			t.Errorf("the original value returned in between: %q", b.agents["o1"].listReceived())
		}
	}
}

func TestADeletedTuningWaitsForANodeThatFailsToRestore(t *testing.T) {
	b := newTestCluster(t, "q1", "q2")
	b.startController()
	tuning := b.makeTuning("fails-to-go", 20)
	b.createObject(tuning)
	b.waitForSettings("[fin_timeout=20 of fails-to-go]", "q1", "q2")
	b.waitForPhase("fails-to-go", v1alpha1.RolloutComplete, "")
	b.agents["q1"].stop()
	b.must(b.env.Client.Delete(t.Context(), tuning))
	b.waitForSettings("[]", "q1", "q2")
	b.reportUnrestored("q1", v1alpha1.SettingFailed, "read-only file system")
	b.waitForPhase("fails-to-go", v1alpha1.RolloutReleasing,
		"original settings not yet restored on 1 node; waiting for q1 ("+finTimeout+" Failed: read-only file system): to continue without them")
	b.waitForReconcile()
	if b.getTuning("fails-to-go") == nil {
		t.Fatal("it is released although q1 has not restored its original value")
	}
	b.confirmRelease("fails-to-go")
	b.waitForDeletion("fails-to-go")
}

func TestANodeThatCannotRestoreBlocksNoOtherTuning(t *testing.T) {
	b := newTestCluster(t, "r1", "r2", "r3")
	b.startController()
	one, two := b.makeTuning("one", 20), b.makeTuning("two", 30)
	for _, tn := range []*v1alpha1.NodeTuning{one, two} {
		tn.Spec.NodeSelector.MatchLabels["team"] = tn.Name
	}
	b.setLabels("r1", map[string]any{"team": "one"})
	b.setLabels("r2", map[string]any{"team": "one"})
	b.setLabels("r3", map[string]any{"team": "two"})
	b.createObject(one)
	b.createObject(two)
	b.waitForSettings("[fin_timeout=20 of one]", "r1", "r2")
	b.waitForSettings("[fin_timeout=30 of two]", "r3")
	b.waitForPhase("one", v1alpha1.RolloutComplete, "")
	b.waitForPhase("two", v1alpha1.RolloutComplete, "")
	b.agents["r1"].stop()
	b.setLabels("r1", map[string]any{"team": nil})
	b.waitForSettings("[]", "r1")
	b.reportUnrestored("r1", v1alpha1.SettingPending, "the annotation portreeve.io/hold of this node's PortPressure stops every change")
	b.must(b.env.Client.Delete(t.Context(), two))
	b.waitForDeletion("two")
	b.waitForSettings("[]", "r3")
}

// kubectl delete portpressures --all, and nodetunings --all before they are recreated.
func TestADeletedTuningWaitsForDeletedPortPressures(t *testing.T) {
	nodes := []string{"s1", "s2"}
	b := newTestCluster(t, nodes...)
	b.startController()
	tuning := b.makeTuning("both", 20)
	b.createObject(tuning)
	b.waitForSettings("[fin_timeout=20 of both]", nodes...)
	b.waitForPhase("both", v1alpha1.RolloutComplete, "")
	for _, n := range nodes {
		b.must(b.env.Client.Delete(t.Context(), b.getPortPressure(n)))
	}
	b.must(b.env.Client.Delete(t.Context(), tuning))
	b.waitForPhase("both", v1alpha1.RolloutReleasing, "waiting for s1 (it has no PortPressure yet), s2")
	for _, n := range nodes {
		b.must(b.owner.Create(t.Context(), &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: n}, Spec: v1alpha1.PortPressureSpec{Thresholds: thresholds}}))
	}
	b.waitForDeletion("both")
	b.waitForSettings("[]", nodes...)
	b.waitForEvent("both", v1alpha1.ReasonReleased)
}

func TestSpecsAreKeptAsControllerRevisions(t *testing.T) {
	b := newTestCluster(t, "t1")
	b.startController()
	tuning := b.makeTuning("kept", 20)
	b.createObject(tuning)
	list := func() (values []string) {
		revisions := &appsv1.ControllerRevisionList{}
		b.must(b.env.Client.List(t.Context(), revisions, client.InNamespace(controllerAccount.Namespace), client.MatchingLabels{v1alpha1.LabelTuning: "kept"}))
		for i := range revisions.Items {
			r := &revisions.Items[i]
			if owner := metav1.GetControllerOf(r); owner == nil || owner.Name != "kept" || string(owner.UID) != r.Labels[v1alpha1.LabelTuningUID] {
				t.Errorf("owner %+v, labels %v", owner, r.Labels)
			}
			var spec v1alpha1.NodeTuningSpec
			b.must(json.Unmarshal(r.Data.Raw, &spec))
			values = append(values, fmt.Sprintf("%d:%d", r.Revision, *spec.Linux.FinTimeoutSeconds))
		}
		return values
	}
	for i := range 12 {
		fin := int32(21 + i)
		b.patchObject(tuning, patchOf("linux", map[string]any{"finTimeoutSeconds": fin}))
		b.waitForSettings(fmt.Sprintf("[fin_timeout=%d of kept]", fin), "t1")
	}
	b.waitUntil(func() string { return fmt.Sprintf("revisions %v", list()) }, func() bool {
		got := list()
		return len(got) <= 11 && strings.Contains(strings.Join(got, " "), "13:32") // the last completed one may be kept in addition
	})
}

func TestThePaceConfigMapAppliesAtOnce(t *testing.T) {
	b := newTestCluster(t, "u1", "u2")
	b.startController()
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: controllerAccount.Namespace, Name: v1alpha1.PaceConfigMap}, Data: map[string]string{"paused": "true"}}
	b.createObject(config)
	t.Cleanup(func() { b.must(client.IgnoreNotFound(b.env.Client.Delete(context.WithoutCancel(b.Context()), config))) })
	b.createObject(b.makeTuning("paced", 20))
	b.waitForPhase("paced", v1alpha1.RolloutPaused, "paused is true in the ConfigMap portreeve-pace")
	b.waitForSettings("absent", "u1", "u2")
	b.patchObject(config, map[string]any{"data": map[string]any{"paused": nil, "pauseWhenNodesNotReady": "50%"}}) // no kubelet makes them ready
	b.waitForPhase("paced", v1alpha1.RolloutPaused, "nodes are not ready, and pauseWhenNodesNotReady is 50% in the ConfigMap portreeve-pace")
	b.must(b.env.Client.Delete(t.Context(), config))
	b.waitForSettings("[fin_timeout=20 of paced]", "u1", "u2")
}
