package portpressure

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clocktesting "k8s.io/utils/clock/testing"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/destination"
	"portreeve.io/portreeve/controllers/internal/transition"
)

var (
	start      = time.Date(2026, 7, 1, 3, 12, 0, 0, time.UTC)
	thresholds = v1alpha1.Thresholds{WarningPercent: 50, CriticalPercent: 85}
)

// harness runs a reconciler with a fake API and records its writes.
type harness struct {
	*testing.T
	client client.Client
	clock  *clocktesting.FakeClock
	r      *Reconciler
	// writes are the requests that change an object, events the written Events.
	writes, events []string
}

// Eventf implements events.EventRecorder.
func (h *harness) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	name := fmt.Sprintf("%T", regarding)
	h.events = append(h.events, fmt.Sprintf("%s %s %s: %s", name, kind, reason, fmt.Sprintf(note, args...)))
}

func newHarness(t *testing.T, objects ...client.Object) *harness {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, eventsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	h := &harness{T: t, clock: clocktesting.NewFakeClock(start)}
	h.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&corev1.Pod{}, PodNodeField, IndexPod).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				err := c.Get(ctx, key, obj, opts...)
				_, failed := TrimPortPressure(obj) // as the cache does
				return errors.Join(err, failed)
			},
			Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				h.writes = append(h.writes, "create "+obj.GetName())
				return c.Create(ctx, obj, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
				data, err := patch.Data(obj)
				h.writes = append(h.writes, fmt.Sprintf("patch %s", data))
				if err != nil {
					return err
				}
				return c.Patch(ctx, obj, patch, opts...)
			},
			Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
				t.Error("an update would write back the object as trimmed by the cache")
				return nil
			},
			Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
				t.Error("only the garbage collector may delete objects")
				return nil
			},
		}).Build()
	h.restartController()
	return h
}

// restartController replaces the reconciler by one without in-memory state.
func (h *harness) restartController() {
	h.r = New(h.client, h, h.clock, staticResolver{"10.0.0.9": {Kind: destination.KindService, Namespace: "shop", Name: "db"}},
		Config{Namespace: "portreeve-system", Grace: time.Minute, Heartbeat: 30 * time.Minute, Thresholds: thresholds})
}

// staticResolver resolves the addresses in the map.
type staticResolver map[string]destination.Name

func (n staticResolver) ResolveName(_ context.Context, address string) destination.Name {
	return n[address]
}

func newNode(uid types.UID) *corev1.Node {
	return &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: uid}}
}

func newAgentPod(name string, ready corev1.ConditionStatus) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "portreeve-system", Name: name, Labels: v1alpha1.AgentPodLabels},
		Spec:       corev1.PodSpec{NodeName: "n"},
		Status:     corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: ready}}},
	}
}

// newReportedPressure returns the object of node n as the controller creates it, with the
// time of the agent's report, unless that is zero.
func newReportedPressure(reported time.Time) *v1alpha1.PortPressure {
	meta := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "1"}}
	p := newPortPressure(meta, thresholds)
	p.CreationTimestamp = metav1.NewTime(start.Add(-24 * time.Hour))
	if !reported.IsZero() {
		p.Status.ObservedAt = new(metav1.NewTime(reported))
	}
	return p
}

func (h *harness) reconcile() ctrl.Result {
	h.Helper()
	result, err := h.r.Reconcile(h.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: "n"}})
	if err != nil {
		h.Fatal(err)
	}
	return result
}

// expectWrites compares the writes and Events since its last call.
func (h *harness) expectWrites(writes, events []string) {
	h.Helper()
	if diff := cmp.Diff(writes, h.writes, cmpopts.EquateEmpty()); diff != "" {
		h.Errorf("writes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(events, h.events, cmpopts.EquateEmpty()); diff != "" {
		h.Errorf("Events (-want +got):\n%s", diff)
	}
	h.writes, h.events = nil, nil
}

func TestTheControllerCreatesAPortPressureOnce(t *testing.T) {
	h := newHarness(t, newNode("1"))
	h.reconcile()
	got := &v1alpha1.PortPressure{}
	if err := h.client.Get(t.Context(), client.ObjectKey{Name: "n"}, got); err != nil {
		t.Fatal(err)
	}
	want := &v1alpha1.PortPressure{
		ObjectMeta: metav1.ObjectMeta{
			Name:            "n",
			OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: "1", Controller: new(true)}},
		},
		Spec: v1alpha1.PortPressureSpec{Thresholds: thresholds},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(metav1.ObjectMeta{}, "ResourceVersion")); diff != "" {
		t.Errorf("created (-want +got):\n%s", diff)
	}
	h.expectWrites([]string{"create n"}, nil)
	h.reconcile()
	h.expectWrites(nil, nil)
}

func TestAnAgentFallsSilentAndComesBack(t *testing.T) {
	pod := newAgentPod("a", corev1.ConditionTrue)
	h := newHarness(t, newNode("1"), pod, newReportedPressure(start.Add(-time.Minute)))
	ready := func(status corev1.ConditionStatus) {
		pod.Status.Conditions[0].Status = status
		if err := h.client.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	after := func(want time.Duration) {
		t.Helper()
		if got := h.reconcile().RequeueAfter; got != want {
			t.Errorf("requeued after %v, want %v", got, want)
		}
	}

	after(59 * time.Minute)
	h.expectWrites(nil, nil)

	ready(corev1.ConditionFalse)
	after(time.Minute)
	h.clock.SetTime(start.Add(59 * time.Second))
	after(time.Second)
	h.expectWrites(nil, nil)

	h.clock.SetTime(start.Add(time.Minute))
	after(0)
	h.expectWrites([]string{`patch {"metadata":{"labels":{"portreeve.io/agent":"silent"},"resourceVersion":"999"}}`}, []string{
		"*v1alpha1.PortPressure Warning AgentSilent: The agent of this node is silent: its pod is not ready.",
		"*v1.PartialObjectMetadata Warning AgentSilent: The agent of this node is silent: its pod is not ready.",
	})
	after(0)
	h.expectWrites(nil, nil)

	ready(corev1.ConditionTrue)
	after(58 * time.Minute)
	h.expectWrites([]string{`patch {"metadata":{"labels":null,"resourceVersion":"1000"}}`}, []string{
		"*v1alpha1.PortPressure Normal AgentBack: The agent of this node reports again.",
		"*v1.PartialObjectMetadata Normal AgentBack: The agent of this node reports again.",
	})
	after(58 * time.Minute)
	h.expectWrites(nil, nil)
}

func TestANodeWithoutAnAgentCausesNoEvent(t *testing.T) {
	h := newHarness(t, newNode("1"), newReportedPressure(time.Time{}))
	h.reconcile()
	h.expectWrites(nil, nil)
	h.clock.SetTime(start.Add(time.Minute))
	h.reconcile()
	h.expectWrites([]string{`patch {"metadata":{"labels":{"portreeve.io/agent":"none"},"resourceVersion":"999"}}`}, nil)
	h.reconcile()
	h.expectWrites(nil, nil)
}

func TestTheControllerRepairsOnlyTheOwner(t *testing.T) {
	owned := func(uid types.UID) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: uid, Controller: new(true)}}
	}
	tests := map[string]struct {
		node   *corev1.Node
		change func(*v1alpha1.PortPressure)
		want   []string
	}{
		"a correct object is not changed": {node: newNode("1")},
		"labels, annotations and settings of others are not changed": {node: newNode("1"), change: func(p *v1alpha1.PortPressure) {
			p.Labels, p.Annotations = map[string]string{"team": "shop"}, map[string]string{"a": "b"}
			p.Spec.Settings = []v1alpha1.Setting{}
		}},
		"the spec is not changed": {node: newNode("1"), change: func(p *v1alpha1.PortPressure) {
			p.Spec.Thresholds.CriticalPercent = 99
		}},
		"a missing owner is restored": {
			node: newNode("1"), change: func(p *v1alpha1.PortPressure) { p.OwnerReferences = nil },
			want: []string{`patch {"metadata":{"ownerReferences":[{"apiVersion":"v1","controller":true,"kind":"Node","name":"n","uid":"1"}],"resourceVersion":"999"}}`},
		},
		"an object of a former node of that name is left to the garbage collector": {
			node: newNode("2"), change: func(p *v1alpha1.PortPressure) { p.OwnerReferences = owned("1") },
		},
		"an object that is being deleted is not changed": {node: newNode("1"), change: func(p *v1alpha1.PortPressure) {
			p.DeletionTimestamp, p.Finalizers, p.OwnerReferences = new(metav1.NewTime(start)), []string{"foregroundDeletion"}, nil
		}},
		"without the node the object is left to the garbage collector": {change: func(p *v1alpha1.PortPressure) { p.OwnerReferences = nil }},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			p := newReportedPressure(start)
			if tt.change != nil {
				tt.change(p)
			}
			objects := []client.Object{p, newAgentPod("a", corev1.ConditionTrue)}
			if tt.node != nil {
				objects = append(objects, tt.node)
			}
			h := newHarness(t, objects...)
			h.reconcile()
			h.expectWrites(tt.want, nil)
			h.reconcile()
			h.expectWrites(nil, nil)
		})
	}
}

func TestTheStateOfAgentPods(t *testing.T) {
	deleted := newAgentPod("deleted", corev1.ConditionTrue)
	deleted.DeletionTimestamp, deleted.Finalizers = new(metav1.NewTime(start)), []string{"x"}
	elsewhere := newAgentPod("elsewhere", corev1.ConditionTrue)
	elsewhere.Namespace = "shop"
	tests := map[string]struct {
		pods []client.Object
		want agentPodState
	}{
		"no pods":                 {nil, agentPodAbsent},
		"one ready pod is enough": {[]client.Object{newAgentPod("a", corev1.ConditionTrue), newAgentPod("b", corev1.ConditionFalse)}, agentPodReady},
		"a pod that is being deleted is not ready": {[]client.Object{deleted}, agentPodNotReady},
		"pods in other namespaces are ignored":     {[]client.Object{elsewhere}, agentPodAbsent},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			got, err := newHarness(t, tt.pods...).r.readAgentPodState(t.Context(), "n")
			if err != nil || got != tt.want {
				t.Errorf("pod = %v, %v, want %v", got, err, tt.want)
			}
		})
	}
}

func TestAStaleCacheCausesNoWritesAndNoEvents(t *testing.T) {
	h := newHarness(t, newNode("1"), newReportedPressure(time.Time{}), newAgentPod("a", corev1.ConditionFalse))
	stale := &v1alpha1.PortPressure{}
	if err := h.client.Get(t.Context(), client.ObjectKey{Name: "n"}, stale); err != nil {
		t.Fatal(err)
	}
	h.reconcile()
	h.clock.SetTime(start.Add(time.Hour))
	h.reconcile()
	h.writes, h.events = nil, nil

	meta := &metav1.PartialObjectMetadata{ObjectMeta: newNode("1").ObjectMeta}
	version := func() string {
		current := &v1alpha1.PortPressure{}
		if err := h.client.Get(t.Context(), client.ObjectKey{Name: "n"}, current); err != nil {
			t.Fatal(err)
		}
		return current.ResourceVersion
	}
	before := version()
	if got, err := h.r.updatePortPressure(t.Context(), meta, stale, agentPodNotReady, start); err != nil || got != (ctrl.Result{}) {
		t.Errorf("updatePortPressure of a stale object = %v, %v, want an empty result and no error", got, err)
	}
	if after := version(); len(h.writes) != 1 || after != before {
		t.Errorf("tried %q, resourceVersion %s became %s, want one rejected patch", h.writes, before, after)
	}
	if len(h.events) > 0 {
		t.Errorf("Events after a rejected patch: %q", h.events)
	}
}

func TestTheStateOfADeletedNodeIsRemoved(t *testing.T) {
	n := newNode("1")
	h := newHarness(t, n, newReportedPressure(start))
	h.r.budgets.recordChanges("n", start, []transition.Change{{Reason: v1alpha1.ReasonHeadroomLow}})
	h.reconcile()
	if len(h.r.podStates.nodes) != 1 || len(h.r.budgets.nodes) != 1 {
		t.Fatal("no state was stored")
	}
	h.r.client = newHarness(t).client
	h.reconcile()
	if len(h.r.podStates.nodes) != 0 || len(h.r.budgets.nodes) != 0 {
		t.Errorf("the state still exists: %v, %v", h.r.podStates.nodes, h.r.budgets.nodes)
	}
}
