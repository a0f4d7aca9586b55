// Package portpressure keeps one PortPressure for each Node, labels it with the state of
// the node's agent, and writes Events about changes. The status belongs to the agents,
// the spec to package nodetuning.
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

// Config configures a Reconciler.
type Config struct {
	// Namespace is where the agents' pods run.
	Namespace string
	// Grace is how long an agent may be missing before it is reported.
	Grace time.Duration
	// Heartbeat is the longest interval between two reports of a healthy agent: the
	// agents' own --heartbeat, or more.
	Heartbeat time.Duration
	// Thresholds are set in every new PortPressure.
	Thresholds v1alpha1.Thresholds
	// AnnotateRestart also annotates Nodes whose settings take effect after a restart.
	AnnotateRestart bool
}

// Reconciler reconciles the PortPressure of one Node, by the node's name.
type Reconciler struct {
	config Config
	// client reads from the cache, whose objects are trimmed. So it must only create and
	// patch, never update.
	client    client.Client
	events    notifier
	clock     clock.Clock
	podStates podStateTracker
	budgets   nodeBudgets
}

// NameResolver resolves addresses to the names of Services and pods.
type NameResolver interface {
	// ResolveName returns the zero value if the address has no name, or its name must not
	// be looked up.
	ResolveName(ctx context.Context, address string) destination.Name
}

// New returns a Reconciler. c must read from a cache that is trimmed as in
// controllers.Cache, with PodNodeField indexed.
func New(c client.Client, recorder events.EventRecorder, clk clock.Clock, names NameResolver, config Config) *Reconciler {
	return &Reconciler{config: config, client: c, clock: clk, events: notifier{
		recorder:    recorder,
		rateLimiter: flowcontrol.NewTokenBucketPassiveRateLimiterWithClock(eventsPerSecond, eventBurst, clk),
		summary:     &summaryWriter{client: c, clock: clk, names: names, namespace: config.Namespace, requests: make(chan struct{}, 1)},
		names:       names,
	}}
}

// Reconcile creates, repairs and labels the PortPressure of the node req.Name. If nothing
// differs, nothing is sent to the API server.
func (r *Reconciler) Reconcile(ctx context.Context, req ctrl.Request) (ctrl.Result, error) {
	node := &metav1.PartialObjectMetadata{}
	node.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Node"))
	if err := r.client.Get(ctx, req.NamespacedName, node); err != nil {
		r.podStates.forgetNode(req.Name)
		r.budgets.forgetNode(req.Name)
		return ctrl.Result{}, client.IgnoreNotFound(err) // the garbage collector removes the PortPressure
	}
	pod, err := r.readAgentPodState(ctx, node.Name)
	if err != nil {
		return ctrl.Result{}, err
	}
	since := r.podStates.trackPodState(node.Name, pod, r.clock.Now())

	current := &v1alpha1.PortPressure{}
	err = r.client.Get(ctx, types.NamespacedName{Name: node.Name}, current)
	switch {
	case apierrors.IsNotFound(err) && node.DeletionTimestamp.IsZero():
		err := r.client.Create(ctx, newPortPressure(node, r.config.Thresholds))
		return ctrl.Result{}, client.IgnoreAlreadyExists(err) // the cache is behind, and an event follows
	case err != nil || !current.DeletionTimestamp.IsZero():
		return ctrl.Result{}, client.IgnoreNotFound(err)
	}
	return r.updatePortPressure(ctx, node, current, pod, since)
}

// updatePortPressure patches current if it differs from what is desired, and writes Events
// about what has changed.
func (r *Reconciler) updatePortPressure(ctx context.Context, node *metav1.PartialObjectMetadata, current *v1alpha1.PortPressure, pod agentPodState, since time.Time) (ctrl.Result, error) {
	now := r.clock.Now()
	previousLabel := current.Labels[v1alpha1.LabelAgent]
	decision := decideAgentLabel(agentObservation{
		now:      now,
		label:    previousLabel,
		pod:      pod,
		podSince: since,
		created:  current.CreationTimestamp.Time,
		reported: findReportTime(current),
	}, agentTimeouts{grace: r.config.Grace, heartbeat: r.config.Heartbeat})
	remaining, moreAt := r.budgets.countRemaining(node.Name, now)
	changes, notified := transition.FindChanges(transition.ParseNotified(current.Annotations[v1alpha1.AnnotationLastNotified]), &current.Status, remaining)

	desired := withDesiredMetadata(current, node, decision.label, notified.String())
	if !equality.Semantic.DeepEqual(current, desired) {
		// With the lock, a stale cache causes a conflict instead of a second Event.
		patch := client.MergeFromWithOptions(current, client.MergeFromWithOptimisticLock{})
		err := r.client.Patch(ctx, desired, patch)
		if apierrors.IsConflict(err) || apierrors.IsNotFound(err) {
			return ctrl.Result{}, nil // the cache is behind, and an event follows
		}
		if err != nil {
			return ctrl.Result{}, err
		}
		r.budgets.recordChanges(node.Name, now, changes)
		r.events.notifyAgentChange(node, desired, previousLabel, decision)
		r.events.notifyChanges(ctx, node, desired, changes)
	}
	if err := r.annotateRestartRequired(ctx, node, current); err != nil {
		return ctrl.Result{}, err
	}
	next := findEarliest(decision.nextCheck, moreAt)
	if next.IsZero() {
		return ctrl.Result{}, nil
	}
	return ctrl.Result{RequeueAfter: max(next.Sub(now), time.Nanosecond)}, nil
}

// findEarliest returns the earlier of two times; a zero time means never.
func findEarliest(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// readAgentPodState returns the state of the agent's pod on the node. While one pod
// replaces another, it is the better of their states.
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
