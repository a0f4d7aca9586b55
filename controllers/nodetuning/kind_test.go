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

func crd() *unstructured.Unstructured {
	u := &unstructured.Unstructured{}
	u.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	u.SetName("nodetunings.portreeve.io")
	return u
}

// raw is a NodeTuning as it is stored.
func (b *bench) raw(name string) *unstructured.Unstructured {
	b.Helper()
	u := nodetuning.NewTuning()
	b.must(b.env.Client.Get(b.Context(), client.ObjectKey{Name: name}, u))
	return u
}

// The API server refuses what can't be decoded; but a CRD can be changed.
func TestOneThatCantBeDecodedIsHeldAndSpoilsNoOther(t *testing.T) {
	b := newBench(t, "k1", "k2")
	b.begin()
	b.create(b.tuning("odd", 20))
	const stands = "[fin_timeout=20 of odd]"
	b.have(stands, "k1", "k2")
	b.phase("odd", v1alpha1.RolloutComplete, "")

	const loosen = `[{"op":"replace","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/priority","value":{"x-kubernetes-preserve-unknown-fields":true}}]`
	b.must(b.env.Client.Patch(t.Context(), crd(), client.RawPatch(types.JSONPatchType, []byte(loosen))))
	spoil := func(body string) error {
		return b.env.Client.Patch(b.Context(), b.raw("odd"), client.RawPatch(types.MergePatchType, []byte(body)))
	}
	b.until(func() string { return "the API server still refuses the odd one" }, func() bool {
		return spoil(`{"spec":{"priority":"high","linux":{"finTimeoutSeconds":40}}}`) == nil
	})
	reason := ""
	b.until(func() string { return "the reason is " + reason }, func() bool {
		reason, _, _ = unstructured.NestedString(b.raw("odd").Object, "status", "rollout", "reason")
		return strings.Contains(reason, "can't be decoded") && strings.Contains(reason, "priority")
	})
	b.event("odd", v1alpha1.ReasonTuningUnreadable)

	other, rival := b.tuning("other", 0), b.tuning("rival", 30)
	other.Spec.Linux = v1alpha1.LinuxSettings{KeepAlive: v1alpha1.LinuxKeepAlive{TimeSeconds: new(int32(600))}}
	rival.Spec.Priority = 7
	b.create(rival)
	b.create(other)
	const both = "[fin_timeout=20 of odd, keepalive_time=600 of other]"
	b.have(both, "k1", "k2")
	b.begin() // anew, it is in the first list
	b.must(b.env.Client.Delete(t.Context(), other))
	b.have(stands, "k1", "k2")

	b.must(spoil(`{"spec":{"priority":9}}`))
	b.have("[fin_timeout=40 of odd]", "k1", "k2")
	b.env.ApplyManifests(t, crdFile)
}

// Without the kind the controller works on, and holds what stands.
func TestWithoutTheKindSettingsAreHeld(t *testing.T) {
	b := newBench(t, "l1")
	b.begin()
	b.create(b.tuning("left", 20))
	b.have("[fin_timeout=20 of left]", "l1")
	b.phase("left", v1alpha1.RolloutComplete, "")
	b.stop()
	b.patch(b.get("left"), map[string]any{"metadata": map[string]any{"finalizers": nil}})
	b.must(b.env.Client.Delete(t.Context(), crd()))
	b.until(func() string { return "the kind is still there" }, func() bool {
		return apierrors.IsNotFound(b.env.Client.Get(t.Context(), client.ObjectKey{Name: "left"}, nodetuning.NewTuning())) && !b.discovered()
	})

	b.must(b.owner.Patch(t.Context(), b.pressure("l1"), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"thresholds":{"criticalPercent":99}}}`))))
	b.begin()
	b.until(func() string { return "the thresholds are not put back" }, func() bool { return b.pressure("l1").Spec.Thresholds == thresholds })
	b.have("[fin_timeout=20 of left]", "l1")

	b.env.ApplyManifests(t, crdFile)
	b.until(func() string { return "the API server does not take it" }, func() bool { return b.env.Client.Create(t.Context(), b.tuning("left", 25)) == nil })
	b.have("[fin_timeout=25 of left]", "l1")
}

// discovered says whether a controller that starts now would find the kind, which the
// API server tells a moment longer than it serves it.
func (b *bench) discovered() bool {
	b.Helper()
	http, err := rest.HTTPClientFor(b.config)
	b.must(err)
	mapper, err := apiutil.NewDynamicRESTMapper(b.config, http)
	b.must(err)
	_, err = mapper.RESTMapping(v1alpha1.GroupVersion.WithKind("NodeTuning").GroupKind(), v1alpha1.GroupVersion.Version)
	return !meta.IsNoMatchError(err)
}

// NodeTuning applied to PortPressure.spec patched.
func TestATuningReachesThePortPressureInASecond(t *testing.T) {
	b := newBench(t, "m1")
	b.begin()
	var took []time.Duration
	for i := range 100 {
		name := fmt.Sprintf("fast-%d", i)
		tuning := b.tuning(name, int32(20+i))
		begun := time.Now()
		b.create(tuning)
		b.have(fmt.Sprintf("[fin_timeout=%d of %s]", 20+i, name), "m1")
		took = append(took, time.Since(begun))
		b.must(b.env.Client.Delete(t.Context(), tuning))
		b.gone(name)
	}
	slices.Sort(took)
	t.Logf("median %v, p99 %v, longest %v", took[49].Round(time.Millisecond), took[98].Round(time.Millisecond), took[99].Round(time.Millisecond))
	if took[98] > time.Second {
		t.Errorf("p99 %v, want 1 s at most", took[98])
	}
}
