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

// harness is one reconciler on a fake API, with everything that it writes.
type harness struct {
	*testing.T
	client client.Client
	clock  *clocktesting.FakeClock
	r      *Reconciler
	// writes are what was sent to the API, events what was said.
	writes, events []string
}

// Eventf implements events.EventRecorder.
func (b *harness) Eventf(regarding, _ runtime.Object, kind, reason, _, note string, args ...any) {
	name := fmt.Sprintf("%T", regarding)
	b.events = append(b.events, fmt.Sprintf("%s %s %s: %s", name, kind, reason, fmt.Sprintf(note, args...)))
}

func newHarness(t *testing.T, objects ...client.Object) *harness {
	t.Helper()
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{corev1.AddToScheme, eventsv1.AddToScheme, v1alpha1.AddToScheme} {
		if err := add(scheme); err != nil {
			t.Fatal(err)
		}
	}
	b := &harness{T: t, clock: clocktesting.NewFakeClock(start)}
	b.client = fake.NewClientBuilder().WithScheme(scheme).WithObjects(objects...).
		WithIndex(&corev1.Pod{}, PodNodeField, IndexPod).
		WithInterceptorFuncs(interceptor.Funcs{
			Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, obj client.Object, opts ...client.GetOption) error {
				err := c.Get(ctx, key, obj, opts...)
				_, failed := TrimPortPressure(obj) // as the cache does
				return errors.Join(err, failed)
			},
			Create: func(ctx context.Context, c client.WithWatch, obj client.Object, opts ...client.CreateOption) error {
				b.writes = append(b.writes, "create "+obj.GetName())
				return c.Create(ctx, obj, opts...)
			},
			Patch: func(ctx context.Context, c client.WithWatch, obj client.Object, patch client.Patch, opts ...client.PatchOption) error {
				data, err := patch.Data(obj)
				b.writes = append(b.writes, fmt.Sprintf("patch %s", data))
				if err != nil {
					return err
				}
				return c.Patch(ctx, obj, patch, opts...)
			},
			Update: func(context.Context, client.WithWatch, client.Object, ...client.UpdateOption) error {
				t.Error("an update, which writes back what the cache trimmed")
				return nil
			},
			Delete: func(context.Context, client.WithWatch, client.Object, ...client.DeleteOption) error {
				t.Error("a delete, which is the garbage collector's")
				return nil
			},
		}).Build()
	b.restartController()
	return b
}

// restartController forgets what a process remembers.
func (b *harness) restartController() {
	b.r = New(b.client, b, b.clock, staticResolver{"10.0.0.9": {Kind: destination.KindService, Namespace: "shop", Name: "db"}},
		Config{Namespace: "portreeve-system", Grace: time.Minute, Heartbeat: 30 * time.Minute, Thresholds: thresholds})
}

// staticResolver knows some addresses.
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

// newReportedPressure is the node's object as the controller leaves it, reported on at reported.
func newReportedPressure(reported time.Time) *v1alpha1.PortPressure {
	meta := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: "1"}}
	p := newPortPressure(meta, thresholds)
	p.CreationTimestamp = metav1.NewTime(start.Add(-24 * time.Hour))
	if !reported.IsZero() {
		p.Status.ObservedAt = new(metav1.NewTime(reported))
	}
	return p
}

func (b *harness) reconcile() ctrl.Result {
	b.Helper()
	result, err := b.r.Reconcile(b.Context(), ctrl.Request{NamespacedName: types.NamespacedName{Name: "n"}})
	if err != nil {
		b.Fatal(err)
	}
	return result
}

// expectWrites fails unless exactly these writes and events came since it was called last.
func (b *harness) expectWrites(writes, events []string) {
	b.Helper()
	if diff := cmp.Diff(writes, b.writes, cmpopts.EquateEmpty()); diff != "" {
		b.Errorf("writes (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(events, b.events, cmpopts.EquateEmpty()); diff != "" {
		b.Errorf("Events (-want +got):\n%s", diff)
	}
	b.writes, b.events = nil, nil
}

func TestANodeGetsItsPortPressureWholeAndOnce(t *testing.T) {
	b := newHarness(t, newNode("1"))
	b.reconcile()
	got := &v1alpha1.PortPressure{}
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "n"}, got); err != nil {
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
	b.expectWrites([]string{"create n"}, nil)
	b.reconcile()
	b.expectWrites(nil, nil)
}

func TestAnAgentFallsSilentAndComesBack(t *testing.T) {
	pod := newAgentPod("a", corev1.ConditionTrue)
	b := newHarness(t, newNode("1"), pod, newReportedPressure(start.Add(-time.Minute)))
	ready := func(status corev1.ConditionStatus) {
		pod.Status.Conditions[0].Status = status
		if err := b.client.Status().Update(t.Context(), pod); err != nil {
			t.Fatal(err)
		}
	}
	after := func(want time.Duration) {
		t.Helper()
		if got := b.reconcile().RequeueAfter; got != want {
			t.Errorf("requeued after %v, want %v", got, want)
		}
	}

	after(59 * time.Minute)
	b.expectWrites(nil, nil)

	ready(corev1.ConditionFalse)
	after(time.Minute)
	b.clock.SetTime(start.Add(59 * time.Second))
	after(time.Second)
	b.expectWrites(nil, nil)

	b.clock.SetTime(start.Add(time.Minute))
	after(0)
	b.expectWrites([]string{`patch {"metadata":{"labels":{"portreeve.io/agent":"silent"},"resourceVersion":"999"}}`}, []string{
		"*v1alpha1.PortPressure Warning AgentSilent: The agent of this node is silent: its pod is not ready.",
		"*v1.PartialObjectMetadata Warning AgentSilent: The agent of this node is silent: its pod is not ready.",
	})
	after(0)
	b.expectWrites(nil, nil)

	ready(corev1.ConditionTrue)
	after(58 * time.Minute)
	b.expectWrites([]string{`patch {"metadata":{"labels":null,"resourceVersion":"1000"}}`}, []string{
		"*v1alpha1.PortPressure Normal AgentBack: The agent of this node reports again.",
		"*v1.PartialObjectMetadata Normal AgentBack: The agent of this node reports again.",
	})
	after(58 * time.Minute)
	b.expectWrites(nil, nil)
}

func TestANodeWithoutAnAgentCausesNoEvent(t *testing.T) {
	b := newHarness(t, newNode("1"), newReportedPressure(time.Time{}))
	b.reconcile()
	b.expectWrites(nil, nil)
	b.clock.SetTime(start.Add(time.Minute))
	b.reconcile()
	b.expectWrites([]string{`patch {"metadata":{"labels":{"portreeve.io/agent":"none"},"resourceVersion":"999"}}`}, nil)
	b.reconcile()
	b.expectWrites(nil, nil)
}

func TestWhatTheControllerLeavesAndRepairs(t *testing.T) {
	owned := func(uid types.UID) []metav1.OwnerReference {
		return []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: "n", UID: uid, Controller: new(true)}}
	}
	tests := map[string]struct {
		node   *corev1.Node
		change func(*v1alpha1.PortPressure)
		want   []string
	}{
		"an object as it should be is left alone": {node: newNode("1")},
		"labels, annotations and settings of others are left alone": {node: newNode("1"), change: func(p *v1alpha1.PortPressure) {
			p.Labels, p.Annotations = map[string]string{"team": "shop"}, map[string]string{"a": "b"}
			p.Spec.Settings = []v1alpha1.Setting{}
		}},
		"the spec is not this reconciler's": {node: newNode("1"), change: func(p *v1alpha1.PortPressure) {
			p.Spec.Thresholds.CriticalPercent = 99
		}},
		"a lost owner is put back": {
			node: newNode("1"), change: func(p *v1alpha1.PortPressure) { p.OwnerReferences = nil },
			want: []string{`patch {"metadata":{"ownerReferences":[{"apiVersion":"v1","controller":true,"kind":"Node","name":"n","uid":"1"}],"resourceVersion":"999"}}`},
		},
		"an owner of that name that is gone is the garbage collector's": {
			node: newNode("2"), change: func(p *v1alpha1.PortPressure) { p.OwnerReferences = owned("1") },
		},
		"an object that is being deleted is left alone": {node: newNode("1"), change: func(p *v1alpha1.PortPressure) {
			p.DeletionTimestamp, p.Finalizers, p.OwnerReferences = new(metav1.NewTime(start)), []string{"foregroundDeletion"}, nil
		}},
		"without the node the object is the garbage collector's": {change: func(p *v1alpha1.PortPressure) { p.OwnerReferences = nil }},
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
			b := newHarness(t, objects...)
			b.reconcile()
			b.expectWrites(tt.want, nil)
			b.reconcile()
			b.expectWrites(nil, nil)
		})
	}
}

func TestTheBetterOfTwoPodsCounts(t *testing.T) {
	going := newAgentPod("going", corev1.ConditionTrue)
	going.DeletionTimestamp, going.Finalizers = new(metav1.NewTime(start)), []string{"x"}
	elsewhere := newAgentPod("elsewhere", corev1.ConditionTrue)
	elsewhere.Namespace = "shop"
	tests := map[string]struct {
		pods []client.Object
		want agentPodState
	}{
		"none":                                  {nil, agentPodAbsent},
		"one that starts beside one that ends":  {[]client.Object{newAgentPod("a", corev1.ConditionTrue), newAgentPod("b", corev1.ConditionFalse)}, agentPodReady},
		"one that ends is not ready":            {[]client.Object{going}, agentPodNotReady},
		"pods of other namespaces are not ours": {[]client.Object{elsewhere}, agentPodAbsent},
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

func TestAStaleCacheWritesNothingAndSaysNothing(t *testing.T) {
	b := newHarness(t, newNode("1"), newReportedPressure(time.Time{}), newAgentPod("a", corev1.ConditionFalse))
	stale := &v1alpha1.PortPressure{}
	if err := b.client.Get(t.Context(), client.ObjectKey{Name: "n"}, stale); err != nil {
		t.Fatal(err)
	}
	b.reconcile()
	b.clock.SetTime(start.Add(time.Hour))
	b.reconcile()
	b.writes, b.events = nil, nil

	meta := &metav1.PartialObjectMetadata{ObjectMeta: newNode("1").ObjectMeta}
	version := func() string {
		have := &v1alpha1.PortPressure{}
		if err := b.client.Get(t.Context(), client.ObjectKey{Name: "n"}, have); err != nil {
			t.Fatal(err)
		}
		return have.ResourceVersion
	}
	before := version()
	if got, err := b.r.updatePortPressure(t.Context(), meta, stale, agentPodNotReady, start); err != nil || got != (ctrl.Result{}) {
		t.Errorf("settle on a stale object: %v, %v, want the event of the new one waited for", got, err)
	}
	if after := version(); len(b.writes) != 1 || after != before {
		t.Errorf("tried %q, resourceVersion %s became %s: want one refused patch", b.writes, before, after)
	}
	if len(b.events) > 0 {
		t.Errorf("Events for what was not written: %q", b.events)
	}
}

func TestANodeThatIsGoneIsForgotten(t *testing.T) {
	n := newNode("1")
	b := newHarness(t, n, newReportedPressure(start))
	b.r.budgets.recordChanges("n", start, []transition.Change{{Reason: v1alpha1.ReasonHeadroomLow}})
	b.reconcile()
	if len(b.r.podStates.nodes) != 1 || len(b.r.budgets.nodes) != 1 {
		t.Fatal("nothing was remembered")
	}
	b.r.client = newHarness(t).client
	b.reconcile()
	if len(b.r.podStates.nodes) != 0 || len(b.r.budgets.nodes) != 0 {
		t.Errorf("still remembered: %v, %v", b.r.podStates.nodes, b.r.budgets.nodes)
	}
}
