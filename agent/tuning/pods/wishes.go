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

// wishes are the settings of the scope Pods, in order of precedence.
type wishes []wish

type wish struct {
	*v1alpha1.Setting
	namespaces, pods labels.Selector
}

// compile reads the selectors. The error names the setting whose selector can't be
// read.
func compile(list []v1alpha1.Setting) (wishes, error) {
	compiled := make(wishes, 0, len(list))
	for i := range list {
		w := wish{Setting: &list[i]}
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

// labelName is on every namespace, with its name (KEP-2161).
const labelName = "kubernetes.io/metadata.name"

// share is what wishes come to in one pod.
type share struct {
	// settings are to be held, in order of precedence.
	settings []v1alpha1.Setting
	// refused says why the pod does not get others that select it, by ID.
	refused map[string]string
	// unknown says that the labels of the pod's namespace are needed, and not known
	// yet.
	unknown bool
}

// of is p's share. namespace gives the labels of a namespace, where they are known.
func (ws wishes) of(p podspecs.Pod, namespace func(string) (map[string]string, bool)) share {
	s := share{refused: map[string]string{}}
	candidates := map[string][]*v1alpha1.Setting{} // by key
	for _, w := range ws {
		selects, known := w.selects(p, namespace)
		if !known {
			return share{unknown: true}
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
			s.settings = append(s.settings, *w.Setting)
		}
	}
	return s
}

// selects says whether w is for p, if that is known.
func (w wish) selects(p podspecs.Pod, namespace func(string) (map[string]string, bool)) (selects, known bool) {
	if !w.pods.Matches(labels.Set(p.Labels)) {
		return false, true
	}
	of := map[string]string{labelName: p.Namespace}
	if !onlyName(w.namespaces) {
		all, ok := namespace(p.Namespace)
		if !ok {
			return false, false
		}
		of = all
	}
	return w.namespaces.Matches(labels.Set(of)), true
}

// onlyName says whether a namespace's name is all that s asks for.
func onlyName(s labels.Selector) bool {
	requirements, _ := s.Requirements()
	return !slices.ContainsFunc(requirements, func(r labels.Requirement) bool { return r.Key() != labelName })
}
