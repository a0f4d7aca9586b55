package nodetuning

import (
	"context"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/util/workqueue"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/queue"
)

// batchDelay is the time for which changes of nodes and PortPressures are collected before
// reconciling. Changes of a NodeTuning are not delayed.
const batchDelay = 200 * time.Millisecond

// reconcileAll is the only request.
var reconcileAll = ctrl.Request{NamespacedName: types.NamespacedName{Name: "all"}}

// SetupWithManager registers the reconciler and its watches. If the API
// server does not serve NodeTuning, it maintains thresholds, keeps settings, and waits for
// the kind.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	r.deletions.reader, r.notReadyCounter.reader = mgr.GetAPIReader(), mgr.GetAPIReader()
	b := ctrl.NewControllerManagedBy(mgr).
		Named("nodetuning").
		WatchesMetadata(&corev1.Node{}, enqueueAfter(batchDelay), builder.WithPredicates(nodeLabelsChanged())).
		Watches(&v1alpha1.PortPressure{}, enqueueAfter(batchDelay), builder.WithPredicates(statusChanged())).
		Watches(&corev1.ConfigMap{}, enqueueAfter(0)).
		Watches(&appsv1.ControllerRevision{}, enqueueAfter(batchDelay)).
		WithOptions(queue.NewOptions(1))
	kind := v1alpha1.GroupVersion.WithKind("NodeTuning")
	_, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
	switch {
	case err == nil:
		r.kindServed.Store(true)
		return b.Watches(NewTuning(), enqueueAfter(0)).Complete(r)
	case !meta.IsNoMatchError(err):
		return err
	}
	c, err := b.Build(r)
	if err != nil {
		return err
	}
	return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return r.awaitKind(ctx, mgr, c) }))
}

// kindPollInterval is the interval at which the API server is asked for the kind.
const kindPollInterval = 10 * time.Second

// awaitKind waits until NodeTunings are served and cached, then makes c watch them.
func (r *Reconciler) awaitKind(ctx context.Context, mgr ctrl.Manager, c controller.Controller) error {
	log := mgr.GetLogger().WithValues("controller", "nodetuning")
	log.Info("the API server does not serve NodeTuning: install the CRDs of this version; " +
		"nodes keep their current settings")
	kind := v1alpha1.GroupVersion.WithKind("NodeTuning")
	err := wait.PollUntilContextCancel(ctx, kindPollInterval, false, func(context.Context) (bool, error) {
		_, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
		return err == nil, nil
	})
	if err != nil {
		return nil //nolint:nilerr // ctx ended
	}
	if _, err := mgr.GetCache().GetInformer(ctx, NewTuning()); err != nil { // waits until it is synced
		return client.IgnoreNotFound(err)
	}
	r.kindServed.Store(true)
	log.Info("the API server now serves NodeTuning")
	return c.Watch(source.Kind[client.Object](mgr.GetCache(), NewTuning(), enqueueAfter(0)))
}

// enqueueAfter enqueues reconcileAll with a delay after the first of a series of events.
func enqueueAfter(after time.Duration) handler.EventHandler {
	type requests = workqueue.TypedRateLimitingInterface[ctrl.Request]
	return handler.Funcs{
		CreateFunc:  func(_ context.Context, _ event.CreateEvent, q requests) { q.AddAfter(reconcileAll, after) },
		UpdateFunc:  func(_ context.Context, _ event.UpdateEvent, q requests) { q.AddAfter(reconcileAll, after) },
		DeleteFunc:  func(_ context.Context, _ event.DeleteEvent, q requests) { q.AddAfter(reconcileAll, after) },
		GenericFunc: func(_ context.Context, _ event.GenericEvent, q requests) { q.AddAfter(reconcileAll, after) },
	}
}

// nodeLabelsChanged passes nodes that are added, deleted, or whose labels change.
func nodeLabelsChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !equality.Semantic.DeepEqual(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) ||
			(e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
	}}
}

// statusChanged passes PortPressures with changed rolloutInputs. Most reports only contain
// other numbers.
func statusChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, ok := e.ObjectOld.(*v1alpha1.PortPressure)
		is, ok2 := e.ObjectNew.(*v1alpha1.PortPressure)
		return !ok || !ok2 || !equality.Semantic.DeepEqual(rolloutInputs(was), rolloutInputs(is))
	}}
}

// rolloutInputs returns a copy of p with only the fields that affect a rollout.
func rolloutInputs(p *v1alpha1.PortPressure) *v1alpha1.PortPressure {
	e := &v1alpha1.PortPressure{Status: p.Status}
	e.Generation, e.DeletionTimestamp = p.Generation, p.DeletionTimestamp
	e.Labels = map[string]string{v1alpha1.LabelAgent: p.Labels[v1alpha1.LabelAgent]}
	e.Annotations = map[string]string{
		v1alpha1.AnnotationRelease: p.Annotations[v1alpha1.AnnotationRelease],
		v1alpha1.AnnotationHold:    p.Annotations[v1alpha1.AnnotationHold],
	}
	e.Status.Level, e.Status.Tightest = "", nil
	if p.Status.ObservedAt != nil {
		e.Status.ObservedAt = &metav1.Time{}
	}
	if used := p.Status.UsedPercent; used != nil {
		e.Status.UsedPercent = new(min(1, *used)) // whether there is traffic
	}
	return e
}
