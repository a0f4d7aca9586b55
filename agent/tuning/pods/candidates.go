package pods

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// candidateList are the settings of the scope Pods, in order of precedence.
type candidateList []candidate

type candidate struct {
	*v1alpha1.Setting
	namespaces, pods labels.Selector
}

// compileCandidates reads the selectors. The error names the setting whose selector can't be
// read.
func compileCandidates(list []v1alpha1.Setting) (candidateList, error) {
	compiled := make(candidateList, 0, len(list))
	for i := range list {
		w := candidate{Setting: &list[i]}
		for _, side := range []struct {
			field string
			from  *metav1.LabelSelector
			to    *labels.Selector
		}{{"namespaceSelector", w.NamespaceSelector, &w.namespaces}, {"podSelector", w.PodSelector, &w.pods}} {
			selector, err := metav1.LabelSelectorAsSelector(side.from)
			if err != nil {
				return nil, fmt.Errorf("%s: %s can't be read, and what stands in pods is held: %w", w.ID, side.field, err)
			}
			if side.from == nil { // for Kubernetes' own types that is nobody, here everybody
				selector = labels.Everything()
			}
			*side.to = selector
		}
		compiled = append(compiled, w)
	}
	return compiled, nil
}

// namespaceNameLabel is on every namespace, with its name (KEP-2161).
const namespaceNameLabel = "kubernetes.io/metadata.name"

// podSettings is what wishes come to in one pod.
type podSettings struct {
	// enforced are to be held, in order of precedence.
	enforced []v1alpha1.Setting
	// refused says why the pod does not get others that select it, by ID.
	refused map[string]string
	// undecided says that the labels of the pod's namespace are needed, and not known
	// yet.
	undecided bool
}

// resolvePod is p's share. namespace gives the labels of a namespace, where they are known.
func (ws candidateList) resolvePod(p podspecs.Pod, namespace func(string) (map[string]string, bool)) podSettings {
	s := podSettings{refused: map[string]string{}}
	candidates := map[string][]*v1alpha1.Setting{} // by key
	for _, w := range ws {
		selects, known := w.selectsPod(p, namespace)
		if !known {
			return podSettings{undecided: true}
		}
		if selects {
			candidates[w.Key] = append(candidates[w.Key], w.Setting)
		}
	}
	for _, w := range ws {
		if !slices.Contains(candidates[w.Key], w.Setting) {
			continue
		}
		selected, rival := settings.SelectCandidate(candidates[w.Key])
		switch {
		case slices.Contains(p.Sysctls, w.Key):
			s.refused[w.ID] = "the pod sets it itself (securityContext.sysctls), and that stays"
		case rival != nil && settings.HasEqualPrecedence(w.Setting, selected):
			s.refused[w.ID] = fmt.Sprintf("NodeTuning %s and NodeTuning %s want different values with the same priority: neither is held; change the priority, the value or the podSelector of one", selected.From.Name, rival.From.Name)
		case selected == w.Setting:
			s.enforced = append(s.enforced, *w.Setting)
		}
	}
	return s
}

// selectsPod says whether w is for p, if that is known.
func (w candidate) selectsPod(p podspecs.Pod, namespace func(string) (map[string]string, bool)) (selects, known bool) {
	if !w.pods.Matches(labels.Set(p.Labels)) {
		return false, true
	}
	of := map[string]string{namespaceNameLabel: p.Namespace}
	if !needsOnlyName(w.namespaces) {
		all, ok := namespace(p.Namespace)
		if !ok {
			return false, false
		}
		of = all
	}
	return w.namespaces.Matches(labels.Set(of)), true
}

// needsOnlyName says whether a namespace's name is all that s asks for.
func needsOnlyName(s labels.Selector) bool {
	requirements, _ := s.Requirements()
	return !slices.ContainsFunc(requirements, func(r labels.Requirement) bool { return r.Key() != namespaceNameLabel })
}
