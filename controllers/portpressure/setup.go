package portpressure

import (
	"context"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/queue"
)

// PodNodeField is the index of pods by node.
const PodNodeField = "spec.nodeName"

// maxConcurrentReconciles is the number of nodes that are reconciled at a time. With
// one, each would wait for the API server's answer, which is slow when 5,000 objects
// are created.
const maxConcurrentReconciles = 4

// SetupWithManager registers the reconciler, its watches and its index.
func (r *Reconciler) SetupWithManager(ctx context.Context, mgr ctrl.Manager) error {
	if err := mgr.GetFieldIndexer().IndexField(ctx, &corev1.Pod{}, PodNodeField, IndexPod); err != nil {
		return err
	}
	if err := mgr.Add(r.events.summary); err != nil {
		return err
	}
	return ctrl.NewControllerManagedBy(mgr).
		Named("portpressure").
		For(&v1alpha1.PortPressure{}).
		WatchesMetadata(&corev1.Node{}, &handler.EnqueueRequestForObject{}, builder.WithPredicates(nodeIdentityChanged())).
		Watches(&corev1.Pod{}, handler.EnqueueRequestsFromMapFunc(mapPodToNode)).
		WithOptions(queue.NewOptions(maxConcurrentReconciles)).
		Complete(r)
}

// IndexPod returns the values of PodNodeField.
func IndexPod(obj client.Object) []string {
	if pod, ok := obj.(*corev1.Pod); ok && pod.Spec.NodeName != "" {
		return []string{pod.Spec.NodeName}
	}
	return nil
}

func mapPodToNode(_ context.Context, pod client.Object) (requests []ctrl.Request) {
	for _, node := range IndexPod(pod) {
		requests = append(requests, ctrl.Request{NamespacedName: types.NamespacedName{Name: node}})
	}
	return requests
}

// nodeIdentityChanged returns a predicate that passes created, deleted and replaced nodes.
// Kubelets update each node's status every few minutes, which doesn't matter here.
func nodeIdentityChanged() predicate.Predicate {
	return predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool { return e.ObjectOld.GetUID() != e.ObjectNew.GetUID() }}
}
