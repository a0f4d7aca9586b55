package v1alpha1

import (
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// LabelNamespaceName is the label that the API server sets on each Namespace to its name.
const LabelNamespaceName = "kubernetes.io/metadata.name"

// volatileLabels are labels that differ among the pods of a workload, or change with it.
var volatileLabels = []string{
	"pod-template-hash", "controller-revision-hash", "pod-template-generation", "statefulset.kubernetes.io/pod-name",
	"apps.kubernetes.io/pod-index", "batch.kubernetes.io/controller-uid", "controller-uid",
	"batch.kubernetes.io/job-name", "job-name", "batch.kubernetes.io/job-completion-index",
}

// NewPodScope returns the scope of the pods of a workload, given the namespace and the
// labels of one of its pods. An empty namespace or no labels select all.
func NewPodScope(namespace string, labels map[string]string) *PodScope {
	p := &PodScope{}
	if namespace != "" {
		p.NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{LabelNamespaceName: namespace}}
	}
	stable := map[string]string{}
	for key, value := range labels {
		if !slices.Contains(volatileLabels, key) {
			stable[key] = value
		}
	}
	if len(stable) > 0 {
		p.PodSelector = &metav1.LabelSelector{MatchLabels: stable}
	}
	return p
}
