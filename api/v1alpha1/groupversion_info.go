package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is portreeve.io/v1alpha1.
var GroupVersion = schema.GroupVersion{Group: "portreeve.io", Version: "v1alpha1"}

var schemeBuilder = runtime.NewSchemeBuilder(addKnownTypes)

// AddToScheme registers every kind of this package.
var AddToScheme = schemeBuilder.AddToScheme

func addKnownTypes(scheme *runtime.Scheme) error {
	scheme.AddKnownTypes(GroupVersion, &PortPressure{}, &PortPressureList{}, &NodeTuning{}, &NodeTuningList{})
	metav1.AddToGroupVersion(scheme, GroupVersion)
	return nil
}
