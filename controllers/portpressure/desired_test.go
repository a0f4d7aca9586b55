package portpressure

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestAnnotationsOfAMachineEndWithItsNode(t *testing.T) {
	node := func(uid types.UID) *metav1.PartialObjectMetadata {
		return &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "n", UID: uid}}
	}
	for name, test := range map[string]struct {
		owner types.UID // of the object, none if empty
		want  map[string]string
	}{
		"The Node is the same":           {"a", map[string]string{v1alpha1.AnnotationHold: "true", v1alpha1.AnnotationRelease: "true", "mine": "1"}},
		"The Node was registered again":  {"b", map[string]string{"mine": "1"}},
		"The object has no owner so far": {"", map[string]string{v1alpha1.AnnotationHold: "true", v1alpha1.AnnotationRelease: "true", "mine": "1"}},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "n"}}
			if test.owner != "" {
				ensureOwner(p, node(test.owner))
			}
			p.Annotations = map[string]string{v1alpha1.AnnotationHold: "true", v1alpha1.AnnotationRelease: "true", "mine": "1"}
			if diff := cmp.Diff(test.want, withDesiredMetadata(p, node("a"), "", "").Annotations); diff != "" {
				t.Error(diff)
			}
		})
	}
}
