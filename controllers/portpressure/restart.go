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

// annotateRestartRequired sets or removes the node's annotation that settings take effect
// after a restart, for tools that drain and restart nodes. Nothing is sent if the
// annotation is already right. Before the agent's first report it stays.
func (r *Reconciler) annotateRestartRequired(ctx context.Context, node *metav1.PartialObjectMetadata, p *v1alpha1.PortPressure) error {
	if !r.config.AnnotateRestart || p.Status.ObservedAt == nil {
		return nil
	}
	value := "null" // removes the annotation
	if meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionRestartRequired) {
		value = `"true"`
	}
	if _, has := node.Annotations[v1alpha1.AnnotationRestartRequired]; has == (value != "null") {
		return nil
	}
	patch := fmt.Sprintf(`{"metadata":{"annotations":{%q:%s}}}`, v1alpha1.AnnotationRestartRequired, value)
	return client.IgnoreNotFound(r.client.Patch(ctx, node.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch))))
}
