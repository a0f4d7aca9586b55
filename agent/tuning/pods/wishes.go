package pods

import (
	"fmt"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/api/v1alpha1"
)

// wishes are the settings of the scope Pods, in order of precedence.
type wishes []wish

type wish struct {
	*v1alpha1.Setting
	namespaces, pods labels.Selector
}

// compile reads the selectors. The error names the setting whose selector can't be
// read.
func compile(settings []v1alpha1.Setting) (wishes, error) {
	list := make(wishes, 0, len(settings))
	for i := range settings {
		w := wish{Setting: &settings[i]}
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
		list = append(list, w)
	}
	return list, nil
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
	rivals := map[string][]wish{} // by key
	for _, w := range ws {
		selects, known := w.selects(p, namespace)
		if !known {
			return share{unknown: true}
		}
		if selects {
			rivals[w.Key] = append(rivals[w.Key], w)
		}
	}
	for _, w := range ws {
		of := rivals[w.Key]
		if !slices.ContainsFunc(of, func(o wish) bool { return o.Setting == w.Setting }) {
			continue
		}
		best, other := winner(of)
		switch {
		case slices.Contains(p.Sysctls, w.Key):
			s.refused[w.ID] = "the pod sets it itself (securityContext.sysctls), and that stays"
		case other != nil && w.level(best):
			s.refused[w.ID] = fmt.Sprintf("NodeTuning %s and NodeTuning %s want different values with the same priority: neither is held; change the priority, the value or the podSelector of one", best.From.Name, other.From.Name)
		case best.Setting == w.Setting:
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

// winner is who is held of those that want the same key of a pod: the first that
// enforces, or, where none does, the first. other contradicts it with the same
// priority, nil where nobody does.
func winner(rivals []wish) (best wish, other *wish) {
	best = rivals[0]
	if i := slices.IndexFunc(rivals, func(w wish) bool { return w.Mode != v1alpha1.ModeDryRun }); i >= 0 {
		best = rivals[i]
	}
	for i := range rivals {
		if w := &rivals[i]; w.level(best) && w.Value != best.Value && w.From.Name != best.From.Name {
			return best, w
		}
	}
	return best, nil
}

// level says whether w and o are on a level: neither goes before the other.
func (w wish) level(o wish) bool {
	return w.From.Priority == o.From.Priority && (w.Mode == v1alpha1.ModeDryRun) == (o.Mode == v1alpha1.ModeDryRun)
}
