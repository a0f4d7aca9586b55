package nodetuning

import (
	"context"
	"time"

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

// settle is how long changes of nodes and PortPressures are gathered before all is
// decided anew. A NodeTuning's own change doesn't wait.
const settle = 200 * time.Millisecond

// everything is the one request that there is.
var everything = ctrl.Request{NamespacedName: types.NamespacedName{Name: "all"}}

// SetupWithManager registers the reconciler and its watches. Without the kind
// NodeTuning it keeps thresholds, holds settings, and waits for the kind.
func (r *Reconciler) SetupWithManager(mgr ctrl.Manager) error {
	b := ctrl.NewControllerManagedBy(mgr).
		Named("nodetuning").
		WatchesMetadata(&corev1.Node{}, enqueue(settle), builder.WithPredicates(relabelled())).
		Watches(&v1alpha1.PortPressure{}, enqueue(settle), builder.WithPredicates(moved())).
		WithOptions(queue.NewOptions(1))
	_, err := mgr.GetRESTMapper().RESTMapping(v1alpha1.GroupVersion.WithKind("NodeTuning").GroupKind(), v1alpha1.GroupVersion.Version)
	switch {
	case err == nil:
		r.served.Store(true)
		return b.Watches(Tuning(), enqueue(0)).Complete(r)
	case !meta.IsNoMatchError(err):
		return err
	}
	c, err := b.Build(r)
	if err != nil {
		return err
	}
	return mgr.Add(manager.RunnableFunc(func(ctx context.Context) error { return r.await(ctx, mgr, c) }))
}

// often is how often the API server is asked for the kind.
const often = 10 * time.Second

// await waits until NodeTunings are served and in the cache, and has c watch them.
func (r *Reconciler) await(ctx context.Context, mgr ctrl.Manager, c controller.Controller) error {
	log := mgr.GetLogger().WithValues("controller", "nodetuning")
	log.Info("the API server has no NodeTunings: install the CRDs of this version; settings are held as they are")
	kind := v1alpha1.GroupVersion.WithKind("NodeTuning")
	err := wait.PollUntilContextCancel(ctx, often, false, func(context.Context) (bool, error) {
		_, err := mgr.GetRESTMapper().RESTMapping(kind.GroupKind(), kind.Version)
		return err == nil, nil
	})
	if err != nil {
		return nil //nolint:nilerr // ctx ended
	}
	if _, err := mgr.GetCache().GetInformer(ctx, Tuning()); err != nil { // when it is filled
		return client.IgnoreNotFound(err)
	}
	r.served.Store(true)
	log.Info("the API server has NodeTunings now")
	return c.Watch(source.Kind[client.Object](mgr.GetCache(), Tuning(), enqueue(0)))
}

// enqueue asks for everything, some time after the first of a row of events.
func enqueue(after time.Duration) handler.EventHandler {
	type requests = workqueue.TypedRateLimitingInterface[ctrl.Request]
	return handler.Funcs{
		CreateFunc:  func(_ context.Context, _ event.CreateEvent, q requests) { q.AddAfter(everything, after) },
		UpdateFunc:  func(_ context.Context, _ event.UpdateEvent, q requests) { q.AddAfter(everything, after) },
		DeleteFunc:  func(_ context.Context, _ event.DeleteEvent, q requests) { q.AddAfter(everything, after) },
		GenericFunc: func(_ context.Context, _ event.GenericEvent, q requests) { q.AddAfter(everything, after) },
	}
}

// relabelled passes nodes that come, go, or change what a selector can select.
func relabelled() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		return !equality.Semantic.DeepEqual(e.ObjectOld.GetLabels(), e.ObjectNew.GetLabels()) ||
			(e.ObjectOld.GetDeletionTimestamp() == nil) != (e.ObjectNew.GetDeletionTimestamp() == nil)
	}}
}

// moved passes PortPressures whose change a rollout may go by. Most reports only have
// other figures.
func moved() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
		was, ok := e.ObjectOld.(*v1alpha1.PortPressure)
		is, ok2 := e.ObjectNew.(*v1alpha1.PortPressure)
		return !ok || !ok2 || !equality.Semantic.DeepEqual(essence(was), essence(is))
	}}
}

// essence is what a rollout goes by.
func essence(p *v1alpha1.PortPressure) *v1alpha1.PortPressure {
	e := &v1alpha1.PortPressure{Status: p.Status}
	e.Generation, e.DeletionTimestamp = p.Generation, p.DeletionTimestamp
	e.Labels = map[string]string{v1alpha1.LabelAgent: p.Labels[v1alpha1.LabelAgent]}
	e.Annotations = map[string]string{v1alpha1.AnnotationRelease: p.Annotations[v1alpha1.AnnotationRelease]}
	e.Status.Level, e.Status.Tightest = "", nil
	if p.Status.ObservedAt != nil {
		e.Status.ObservedAt = &metav1.Time{}
	}
	if used := p.Status.UsedPercent; used != nil {
		e.Status.UsedPercent = new(min(1, *used)) // is there traffic?
	}
	return e
}
