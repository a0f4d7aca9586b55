package portpressure

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

// newPortPressure is the PortPressure of a node that has none. Its settings are absent: the
// agent holds what it holds.
func newPortPressure(node *metav1.PartialObjectMetadata, thresholds v1alpha1.Thresholds) *v1alpha1.PortPressure {
	p := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: node.Name}}
	ensureOwner(p, node)
	p.Spec.Thresholds = thresholds
	return p
}

// withDesiredMetadata is have with the metadata that it should have; have stays as it is. The
// spec is package nodetuning's, once the object is there.
func withDesiredMetadata(have *v1alpha1.PortPressure, node *metav1.PartialObjectMetadata, label, told string) *v1alpha1.PortPressure {
	want := have.DeepCopy()
	ensureOwner(want, node)
	want.Labels = setOrRemove(want.Labels, v1alpha1.LabelAgent, label)
	want.Annotations = setOrRemove(want.Annotations, v1alpha1.AnnotationLastNotified, told)
	return want
}

// setOrRemove sets the value of key in all, or removes the key where the value is empty.
func setOrRemove(all map[string]string, key, value string) map[string]string {
	if value == "" {
		delete(all, key)
		return all
	}
	if all == nil {
		all = map[string]string{}
	}
	all[key] = value
	return all
}

// ensureOwner makes the node an owner, so that the garbage collector removes p with it. A
// reference to a node of that name that is gone stays: the garbage collector is
// about to remove p, which speaks of another machine.
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
