package portpressure

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// newPortPressure returns the PortPressure for a node that has none. Its settings are
// absent, so the agent keeps enforcing what it enforces.
func newPortPressure(node *metav1.PartialObjectMetadata, thresholds v1alpha1.Thresholds) *v1alpha1.PortPressure {
	p := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: node.Name}}
	ensureOwner(p, node)
	p.Spec.Thresholds = thresholds
	return p
}

// withDesiredMetadata returns a copy of current with the desired metadata. The spec of an
// existing object belongs to package nodetuning.
func withDesiredMetadata(current *v1alpha1.PortPressure, node *metav1.PartialObjectMetadata, label, notified string) *v1alpha1.PortPressure {
	desired := current.DeepCopy()
	ensureOwner(desired, node)
	if !metav1.IsControlledBy(desired, node) {
		dropMachineAnnotations(desired)
	}
	desired.Labels = setOrRemove(desired.Labels, v1alpha1.LabelAgent, label)
	desired.Annotations = setOrRemove(desired.Annotations, v1alpha1.AnnotationLastNotified, notified)
	return desired
}

// dropMachineAnnotations removes the annotations that users set for one machine: p belongs
// to a deleted Node, whose name another machine has now.
func dropMachineAnnotations(p *v1alpha1.PortPressure) {
	delete(p.Annotations, v1alpha1.AnnotationHold)
	delete(p.Annotations, v1alpha1.AnnotationRelease)
}

// setOrRemove sets key in values, or removes it if value is empty.
func setOrRemove(values map[string]string, key, value string) map[string]string {
	if value == "" {
		delete(values, key)
		return values
	}
	if values == nil {
		values = map[string]string{}
	}
	values[key] = value
	return values
}

// ensureOwner makes the node an owner of p, so that the garbage collector removes p with
// it. A reference to a deleted node of the same name stays: p is about another machine,
// and the garbage collector is about to remove it.
func ensureOwner(p *v1alpha1.PortPressure, node *metav1.PartialObjectMetadata) {
	isNode := func(r metav1.OwnerReference) bool {
		return r.Kind == "Node" && r.APIVersion == corev1.SchemeGroupVersion.String() && r.Name == node.Name
	}
	if slices.ContainsFunc(p.OwnerReferences, isNode) {
		return
	}
	p.OwnerReferences = append(p.OwnerReferences, metav1.OwnerReference{
		APIVersion: corev1.SchemeGroupVersion.String(),
		Kind:       "Node",
		Name:       node.Name,
		UID:        node.UID,
		Controller: new(true),
	})
}
