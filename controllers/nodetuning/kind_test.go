package nodetuning_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/nodetuning"
)

const crdFile = "config/crd/portreeve.io_nodetunings.yaml"

func newCRD() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	u.SetName("nodetunings.portreeve.io")
	return u
}

// getUnstructured returns a NodeTuning as it is stored.
func (b *testCluster) getUnstructured(name string) *unstructured.Unstructured {
	b.Helper()
	u := nodetuning.NewTuning()
	b.must(b.env.Client.Get(b.Context(), client.ObjectKey{Name: name}, u))
	return u
}

// The API server rejects NodeTunings that cannot be decoded, unless the CRD is changed.
func TestATuningThatCannotBeDecodedKeepsItsSettingsAndAffectsNoOther(t *testing.T) {
	b := newTestCluster(t, "k1", "k2")
	b.startController()
	b.createObject(b.makeTuning("odd", 20))
	const current = "[fin_timeout=20 of odd]"
	b.waitForSettings(current, "k1", "k2")
	b.waitForPhase("odd", v1alpha1.RolloutComplete, "")

	const loosen = `[{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/priority","value":{"x-kubernetes-preserve-unknown-fields":true}}]`
	b.must(b.env.Client.Patch(t.Context(), newCRD(), client.RawPatch(types.JSONPatchType, []byte(loosen))))
	makeInvalid := func(body string) error {
		return b.env.Client.Patch(b.Context(), b.getUnstructured("odd"), client.RawPatch(types.MergePatchType, []byte(body)))
	}
	b.waitUntil(func() string { return "the API server still rejects the invalid NodeTuning" }, func() bool {
		return makeInvalid(`{"spec":{"priority":"high","linux":{"finTimeoutSeconds":40}}}`) == nil
	})
	reason := ""
	b.waitUntil(func() string { return "the reason is " + reason }, func() bool {
		reason, _, _ = unstructured.NestedString(b.getUnstructured("odd").Object, "status", "rollout", "reason")
		return strings.Contains(reason, "cannot be decoded") && strings.Contains(reason, "priority")
	})
	b.waitForEvent("odd", v1alpha1.ReasonTuningUnreadable)

	other, rival := b.makeTuning("other", 0), b.makeTuning("rival", 30)
	other.Spec.Linux = v1alpha1.LinuxSettings{KeepAlive: v1alpha1.LinuxKeepAlive{TimeSeconds: new(int32(600))}}
	rival.Spec.Priority = 7
	b.createObject(rival)
	b.createObject(other)
	const both = "[fin_timeout=20 of odd, keepalive_time=600 of other]"
	b.waitForSettings(both, "k1", "k2")
	b.startController() // after a restart, it is in the first list
	b.must(b.env.Client.Delete(t.Context(), other))
	b.waitForSettings(current, "k1", "k2")

	b.must(makeInvalid(`{"spec":{"priority":9}}`))
	b.waitForSettings("[fin_timeout=40 of odd]", "k1", "k2")
	b.env.ApplyManifests(t, crdFile)
}

// Without the kind the controller keeps running, and nodes keep their settings.
func TestWithoutTheKindNodesKeepTheirSettings(t *testing.T) {
	b := newTestCluster(t, "l1")
	b.startController()
	b.createObject(b.makeTuning("left", 20))
	b.waitForSettings("[fin_timeout=20 of left]", "l1")
	b.waitForPhase("left", v1alpha1.RolloutComplete, "")
	b.stopController()
	b.patchObject(b.getTuning("left"), map[string]any{"metadata": map[string]any{"finalizers": nil}})
	b.must(b.env.Client.Delete(t.Context(), newCRD()))
	b.waitUntil(func() string { return "the kind is still there" }, func() bool {
		return apierrors.IsNotFound(b.env.Client.Get(t.Context(), client.ObjectKey{Name: "left"}, nodetuning.NewTuning())) && !b.isKindDiscovered()
	})

	b.must(b.owner.Patch(t.Context(), b.getPortPressure("l1"), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"thresholds":{"criticalPercent":99}}}`))))
	b.startController()
	b.waitUntil(func() string { return "the thresholds are not restored" }, func() bool { return b.getPortPressure("l1").Spec.Thresholds == thresholds })
	b.waitForSettings("[fin_timeout=20 of left]", "l1")

	b.env.ApplyManifests(t, crdFile)
	b.waitUntil(func() string { return "the API server does not accept it" }, func() bool { return b.env.Client.Create(t.Context(), b.makeTuning("left", 25)) == nil })
	b.waitForSettings("[fin_timeout=25 of left]", "l1")
}

// isKindDiscovered reports whether a controller that starts now would find the kind.
// Discovery lists it slightly longer than the API server serves it.
func (b *testCluster) isKindDiscovered() bool {
	b.Helper()
	http, err := rest.HTTPClientFor(b.config)
	b.must(err)
	mapper, err := apiutil.NewDynamicRESTMapper(b.config, http)
	b.must(err)
	_, err = mapper.RESTMapping(v1alpha1.GroupVersion.WithKind("NodeTuning").GroupKind(), v1alpha1.GroupVersion.Version)
	return !meta.IsNoMatchError(err)
}

// This measures the time from creating the NodeTuning to the changed PortPressure spec.
func TestATuningReachesThePortPressureWithinASecond(t *testing.T) {
	b := newTestCluster(t, "m1")
	b.startController()
	var took []time.Duration
	for i := range 100 {
		name := fmt.Sprintf("fast-%d", i)
		tuning := b.makeTuning(name, int32(20+i))
		begun := time.Now()
		b.createObject(tuning)
		b.waitForSettings(fmt.Sprintf("[fin_timeout=%d of %s]", 20+i, name), "m1")
		took = append(took, time.Since(begun))
		b.must(b.env.Client.Delete(t.Context(), tuning))
		b.waitForDeletion(name)
	}
	slices.Sort(took)
	t.Logf("median %v, p99 %v, longest %v", took[49].Round(time.Millisecond), took[98].Round(time.Millisecond), took[99].Round(time.Millisecond))
	if took[98] > time.Second {
		t.Errorf("p99 %v, want 1 s at most", took[98])
	}
}
