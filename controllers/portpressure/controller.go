// Package portpressure keeps one PortPressure for each Node, says on it whether the
// node's agent is there, and tells in Events what changes. The status is the agents',
// the spec package nodetuning's.
package portpressure

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/util/flowcontrol"
	"k8s.io/utils/clock"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/destination"
	"portreeve.io/portreeve/controllers/internal/transition"
)

// Config is what an operator of the controller may choose.
type Config struct {
	// Namespace is where the agents' pods run.
	Namespace string
	// Grace is how long an agent may be missing before that is said.
	Grace time.Duration
	// Heartbeat is how often a healthy agent reports at least: the agents' own
	// --heartbeat, or more.
	Heartbeat time.Duration
	// Thresholds go into every new PortPressure.
	Thresholds v1alpha1.Thresholds
	// AnnotateRestart says on Nodes, too, that settings wait for a restart.
	AnnotateRestart bool
}

// Reconciler reconciles the PortPressure of one Node, by the node's name.
type Reconciler struct {
	config Config
	// client reads from the cache, whose objects are trimmed, and so it only ever
	// creates and patches.
	client client.Client
	events notifier
	clock  clock.Clock
	seen   sightings
	budget budget
}

// Names says what the cluster calls an address.
type Names interface {
	// Name is the zero value where it has no name, or none that may be known.
	Name(ctx context.Context, address string) destination.Name
}

// New returns a Reconciler. c must read from a cache that is trimmed as
// controllers.Cache says, with PodNodeField indexed.
func New(c client.Client, recorder events.EventRecorder, clk clock.Clock, names Names, config Config) *Reconciler {
	return &Reconciler{config: config, client: c, clock: clk, events: notifier{
		recorder: recorder,
		limit:    flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(eventPerSecond, eventBurst, clk),
		summary:  &summary{client: c, clock: clk, names: names, namespace: config.Namespace, asked: make(chan struct{}, 1)},
		names:    names,
	}}
}

// Reconcile makes, repairs and labels the PortPressure of the node req.Name. When
// nothing changes it sends nothing to the API server.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	if err := r.client.Get(ctx, req.NamespacedName, node); err != nil {
		r.seen.forget(req.Name)
		r.budget.forget(req.Name)
		return ctrl.Result{}, client.IgnoreNotFound(err) // the garbage collector takes the PortPressure
	}
	pod, err := r.pod(ctx, node.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	since := r.seen.since(node.Name, pod, r.clock.Now())

	have := &v1alpha1.PortPressure{}
	err = r.client.Get(ctx, types.NamespacedName{Name: node.Name}, have)
	switch {
	case apierrors.IsNotFound(err) && node.DeletionTimestamp.IsZero():
		err := r.client.Create(ctx, create(node, r.config.Thresholds))
		return ctrl.Result{}, client.IgnoreAlreadyExists(err) // the cache is behind: the event comes
	case err != nil || !have.DeletionTimestamp.IsZero():
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	return r.settle(ctx, node, have, pod, since)
}

// settle brings have to what it should be by one patch, and tells what is new.
func (r *Reconciler) settle(ctx context.Context, node *metav1.PartialObjectMetadata, have *v1alpha1.PortPressure, pod podState, since time.Time) (ctrl.Result, error) {
	now := r.clock.Now()
	was := have.Labels[v1alpha1.LabelAgent]
	v := judge(sighting{
		now:      now,
		label:    was,
		pod:      pod,
		since:    since,
		created:  have.CreationTimestamp.Time,
		reported: reportedAt(have),
	}, patience{grace: r.config.Grace, heartbeat: r.config.Heartbeat})
	room, more := r.budget.room(node.Name, now)
	changes, told := transition.Between(transition.Parse(have.Annotations[v1alpha1.AnnotationLastNotified]), &have.Status, room)

	want := desired(have, node, v.label, told.String())
	if !equality.Semantic.DeepEqual(have, want) {
		// With the lock a stale cache gives a conflict and not a second Event.
		patch := client.MergeFromWithOptions(have, client.MergeFromWithOptimisticLock{})
		err := r.client.Patch(ctx, want, patch)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return ctrl.Result{}, nil // the cache is behind: the event comes
		}
		if err != nil {
			return ctrl.Result{}, err
		}
		r.budget.spend(node.Name, now, changes)
		r.events.agent(node, want, was, v)
		r.events.ports(ctx, node, want, changes)
	}
	if err := r.annotate(ctx, node, have); err != nil {
		return ctrl.Result{}, err
	}
	next := earliest(v.next, more)
	if next.IsZero() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(next.Sub(now), time.Nanosecond)}, nil
}

// earliest is the time that comes first; zero is never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// pod says how the agent's pod on the node looks. Two of them (one going, one coming)
// are as good as the better one.
func (r *Reconciler) pod(ctx context.Context, node string) (podState, error) {
	pods := &corev1.PodList{}
	err := r.client.List(ctx, pods, client.InNamespace(r.config.Namespace), client.MatchingFields{PodNodeField: node}, client.UnsafeDisableDeepCopy)
	state := podAbsent
	for i := range pods.Items {
		state = max(state, stateOf(&pods.Items[i]))
	}
	return state, err
}

func stateOf(pod *corev1.Pod) podState {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.DeletionTimestamp.IsZero() {
			return podReady
		}
	}
	return podNotReady
}
