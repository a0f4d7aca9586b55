package main

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/httpserver"
	"portreeve.io/portreeve/internal/testutil/testenv"
)

// asChild makes the test's binary run the program itself: a process can have only one
// controller with the same name.
const asChild = "PORTREEVE_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(asChild) != "" {
		main()
	}
	testenv.Main(m, "config/default/namespace.yaml", "config/rbac", "config/admission")
}

const namespace = "portreeve-system"

func TestTheControllerInACluster(t *testing.T) {
	p := startProgram(t)
	c := p.env.Client
	node := p.createObject(&corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}})
	p.waitUntil("the node has its PortPressure", func() bool { return p.getPortPressure("n") != nil })
	got := p.getPortPressure("n")
	want := []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: node.GetUID(), Controller: new(true)}}
	if diff := cmp.Diff(want, got.OwnerReferences); diff != "" {
		t.Errorf("owner (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(v1alpha1.PortPressureSpec{Thresholds: v1alpha1.Thresholds{WarningPercent: 50, CriticalPercent: 85}}, got.Spec); diff != "" {
		t.Errorf("spec (-want +got):\n%s", diff)
	}
	p.waitForLabel("n", v1alpha1.AgentNone)

	pod := newAgentPod("agent-n", "n")
	p.createObject(pod)
	p.setPodReady(pod, corev1.ConditionTrue)
	p.reportStatus("n")
	p.waitForLabel("n", "")
	p.waitUntil("the metric counts it", func() bool { return p.formatAgentsMetric() == "none 1, reporting 1, silent 0, starting 0" }) // and the controller's own node
	p.setPodReady(pod, corev1.ConditionFalse)
	p.waitForLabel("n", v1alpha1.AgentSilent)
	p.waitForEvents("n", v1alpha1.ReasonAgentSilent)
	p.setPodReady(pod, corev1.ConditionTrue)
	p.waitForLabel("n", "")
	p.waitForEvents("n", v1alpha1.ReasonAgentBack)

	p.checkLimits()
	p.checkNoWrites(pod)
	p.checkUnknownFieldsStay()

	was := p.getPortPressure("n").UID
	if err := c.Delete(t.Context(), p.getPortPressure("n")); err != nil {
		t.Fatal(err)
	}
	p.waitUntil("the deleted object is recreated", func() bool { return p.getPortPressure("n") != nil && p.getPortPressure("n").UID != was })
	if strings.Contains(p.log.String(), "level=ERROR") {
		t.Errorf("errors in the log:\n%s", p.log.String())
	}
}

// checkLimits fails if a server accepts a large header.
func (p *program) checkLimits() {
	p.Helper()
	for _, address := range []string{p.metrics, p.health} {
		request, err := http.NewRequestWithContext(p.Context(), http.MethodGet, "http://"+address+"/", nil)
		if err != nil {
			p.Fatal(err)
		}
		request.Header.Set("X", strings.Repeat("x", httpserver.MaxHeaderBytes))
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			p.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
			p.Errorf("%s answers a large header with %s", address, response.Status)
		}
	}
}

// checkNoWrites fails if reconciling writes anything when nothing changes.
func (p *program) checkNoWrites(pod *corev1.Pod) {
	p.Helper()
	const patches, reconciles = `rest_client_requests_total\{.*method="(?:PATCH|POST)"`, `controller_runtime_reconcile_total\{controller="portpressure"`
	before, version := p.sumMetric(reconciles), p.getPortPressure("n").ResourceVersion
	writes := p.sumMetric(patches)
	const touches = 3 // the clients of the test count in the same metric
	for i := range touches {
		p.patchObject(pod, fmt.Sprintf(`{"metadata":{"annotations":{"touch":"%d"}}}`, i))
		p.waitUntil("it was reconciled", func() bool { return p.sumMetric(reconciles) > before+float64(i) })
	}
	if got := p.sumMetric(patches) - writes - touches; got != 0 {
		p.Errorf("%v writes although nothing changed", got)
	}
	if got := p.getPortPressure("n").ResourceVersion; got != version {
		p.Errorf("resourceVersion %s became %s", version, got)
	}
}

// checkUnknownFieldsStay fails if a repair removes a field that only a newer version knows.
func (p *program) checkUnknownFieldsStay() {
	p.Helper()
	crd := &unstructured.Unstructured{}
	crd.SetGroupVersionKind(schema.GroupVersionKind{Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition"})
	crd.SetName("portpressures.portreeve.io")
	const field = `[{"op":"add","path":"/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/newer","value":{"type":"string"}}]`
	if err := p.env.Client.Patch(p.Context(), crd, client.RawPatch(types.JSONPatchType, []byte(field))); err != nil {
		p.Fatal(err)
	}
	successor := p.env.ClientFor(p.T, p.env.Token(p.T, types.NamespacedName{Namespace: namespace, Name: "portreeve-controller"}, "controllers"))
	got := &unstructured.Unstructured{}
	got.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind("PortPressure"))
	got.SetName("n")
	const spec = `{"spec":{"newer":"stays","settings":[],"thresholds":{"criticalPercent":99}}}`
	p.waitUntil("the API server knows the field, and the threshold is restored", func() bool {
		if err := successor.Patch(p.Context(), got.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(spec))); err != nil {
			p.Fatal(err)
		}
		p.waitUntil("the threshold is restored", func() bool { return p.getPortPressure("n").Spec.Thresholds.CriticalPercent == 85 })
		if err := p.env.Client.Get(p.Context(), client.ObjectKey{Name: "n"}, got); err != nil {
			p.Fatal(err)
		}
		newer, _, err := unstructured.NestedString(got.Object, "spec", "newer")
		return err == nil && newer == "stays"
	})
	if settings, ok, err := unstructured.NestedSlice(got.Object, "spec", "settings"); err != nil || !ok || len(settings) != 0 {
		p.Errorf("settings: %v, %v, %v; want the empty list", settings, ok, err)
	}
}
