package portpressure

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"portreeve.io/portreeve/api/v1alpha1"
)

// annotateRestartRequired says on the node whether its settings wait for a restart, for whatever
// drains and restarts nodes. It is sent when it is not so already; a node whose agent
// does not say keeps what it has.
func (r *Reconciler) annotateRestartRequired(ctx context.Context, node *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure) error {
	if !r.config.AnnotateRestart || p.Status.ObservedAt == nil {
		return nil
	}
	value := "null"
	if meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionRestartRequired) {
		value = `"true"`
	}
	if _, has := node.Annotations[v1alpha1.AnnotationRestartRequired]; has == (value != "null") {
		return nil
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, v1alpha1.AnnotationRestartRequired, value)
	return client.IgnoreNotFound(r.client.Patch(ctx, node.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))))
}
