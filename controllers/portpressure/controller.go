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
	podStates   podStateTracker
	budgets nodeBudgets
}

// NameResolver says what the cluster calls an address.
type NameResolver interface {
	// ResolveName is the zero value where it has no name, or none that may be known.
	ResolveName(ctx context.Context, address string) destination.Name
}

// New returns a Reconciler. c must read from a cache that is trimmed as
// controllers.Cache says, with PodNodeField indexed.
func New(c client.Client, recorder events.EventRecorder, clk clock.Clock, names NameResolver, config Config) *Reconciler {
	return &Reconciler{config: config, client: c, clock: clk, events: notifier{
		recorder: recorder,
		rateLimiter:    flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(eventsPerSecond, eventBurst, clk),
		summary:  &summaryWriter{client: c, clock: clk, names: names, namespace: config.Namespace, requests: make(chan struct{}, 1)},
		names:    names,
	}}
}

// Reconcile makes, repairs and labels the PortPressure of the node req.Name. When
// nothing changes it sends nothing to the API server.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	if err := r.client.Get(ctx, req.NamespacedName, node); err != nil {
		r.podStates.forgetNode(req.Name)
		r.budgets.forgetNode(req.Name)
		return ctrl.Result{}, client.IgnoreNotFound(err) // the garbage collector takes the PortPressure
	}
	pod, err := r.readAgentPodState(ctx, node.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	since := r.podStates.trackPodState(node.Name, pod, r.clock.Now())

	have := &v1alpha1.PortPressure{}
	err = r.client.Get(ctx, types.NamespacedName{Name: node.Name}, have)
	switch {
	case apierrors.IsNotFound(err) && node.DeletionTimestamp.IsZero():
		err := r.client.Create(ctx, newPortPressure(node, r.config.Thresholds))
		return ctrl.Result{}, client.IgnoreAlreadyExists(err) // the cache is behind: the event comes
	case err != nil || !have.DeletionTimestamp.IsZero():
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	return r.updatePortPressure(ctx, node, have, pod, since)
}

// updatePortPressure brings have to what it should be by one patch, and tells what is new.
func (r *Reconciler) updatePortPressure(ctx context.Context, node *metav1.PartialObjectMetadata, have *v1alpha1.PortPressure, pod agentPodState, since time.Time) (ctrl.Result, error) {
	now := r.clock.Now()
	was := have.Labels[v1alpha1.LabelAgent]
	v := decideAgentLabel(agentObservation{
		now:      now,
		label:    was,
		pod:      pod,
		podSince:    since,
		created:  have.CreationTimestamp.Time,
		reported: findReportTime(have),
	}, agentTimeouts{grace: r.config.Grace, heartbeat: r.config.Heartbeat})
	room, more := r.budgets.countRemaining(node.Name, now)
	changes, told := transition.FindChanges(transition.ParseNotified(have.Annotations[v1alpha1.AnnotationLastNotified]), &have.Status, room)

	want := withDesiredMetadata(have, node, v.label, told.String())
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
		r.budgets.recordChanges(node.Name, now, changes)
		r.events.notifyAgentChange(node, want, was, v)
		r.events.notifyChanges(ctx, node, want, changes)
	}
	if err := r.annotateRestartRequired(ctx, node, have); err != nil {
		return ctrl.Result{}, err
	}
	next := findEarliest(v.nextCheck, more)
	if next.IsZero() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(next.Sub(now), time.Nanosecond)}, nil
}

// findEarliest is the time that comes first; zero is never.
func findEarliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// readAgentPodState says how the agent's pod on the node looks. Two of them (one going, one coming)
// are as good as the better one.
func (r *Reconciler) readAgentPodState(ctx context.Context, node string) (agentPodState, error) {
	pods := &corev1.PodList{}
	err := r.client.List(ctx, pods, client.InNamespace(r.config.Namespace), client.MatchingFields{PodNodeField: node}, client.UnsafeDisableDeepCopy)
	state := agentPodAbsent
	for i := range pods.Items {
		state = max(state, classifyPod(&pods.Items[i]))
	}
	return state, err
}

func classifyPod(pod *corev1.Pod) agentPodState {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && pod.DeletionTimestamp.IsZero() {
			return agentPodReady
		}
	}
	return agentPodNotReady
}
