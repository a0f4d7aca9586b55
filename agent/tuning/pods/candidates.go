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

// candidateList is the settings with scope Pods, in order of precedence.
type candidateList []candidate

// candidate is a setting that may be enforced in the pods that its selectors match.
type candidate struct {
	*v1alpha1.Setting
	namespaces, pods labels.Selector
}

// compileCandidates parses the selectors. An error names the setting with the invalid
// selector.
func compileCandidates(list []v1alpha1.Setting) (candidateList, error) {
	compiled := make(candidateList, 0, len(list))
	for i := range list {
		c := candidate{Setting: &list[i]}
		for _, side := range []struct {
			field string
			from  *metav1.LabelSelector
			to    *labels.Selector
		}{{"namespaceSelector", c.NamespaceSelector, &c.namespaces}, {"podSelector", c.PodSelector, &c.pods}} {
			selector, err := metav1.LabelSelectorAsSelector(side.from)
			if err != nil {
				return nil, fmt.Errorf("%s: invalid %s, keeping the current settings in pods: %w", c.ID, side.field, err)
			}
			if side.from == nil { // LabelSelectorAsSelector matches nothing then, podSelector everything
				selector = labels.Everything()
			}
			*side.to = selector
		}
		compiled = append(compiled, c)
	}
	return compiled, nil
}

// namespaceNameLabel is on every namespace, with its name (KEP-2161).
const namespaceNameLabel = "kubernetes.io/metadata.name"

// podSettings are the settings of one pod.
type podSettings struct {
	// enforced are the settings to enforce, in order of precedence.
	enforced []v1alpha1.Setting
	// refused has the reasons why other settings that select the pod are not enforced, by
	// ID.
	refused map[string]string
	// undecided is set if the labels of the pod's namespace are needed but not known yet.
	undecided bool
}

// resolvePod returns the settings of p. namespace returns the labels of a namespace, if they
// are known.
func (list candidateList) resolvePod(p podspecs.Pod, namespace func(string) (map[string]string, bool)) podSettings {
	s := podSettings{refused: map[string]string{}}
	if p.IsOversized {
		for _, c := range list {
			s.refused[c.ID] = "the pod has too many labels, ports or sysctls to decide whether it can be enforced; remove some"
		}
		return s
	}
	candidates := map[string][]*v1alpha1.Setting{} // by key
	for _, c := range list {
		selects, known := c.selectsPod(p, namespace)
		if !known {
			return podSettings{undecided: true}
		}
		if selects {
			candidates[c.Key] = append(candidates[c.Key], c.Setting)
		}
	}
	for _, c := range list {
		if !slices.Contains(candidates[c.Key], c.Setting) {
			continue
		}
		selected, rival := settings.SelectCandidate(candidates[c.Key])
		switch {
		case slices.Contains(p.Sysctls, c.Key):
			s.refused[c.ID] = "the pod sets it itself (securityContext.sysctls), which takes precedence"
		case rival != nil && settings.HasEqualPrecedence(c.Setting, selected):
			s.refused[c.ID] = fmt.Sprintf("NodeTunings %s and %s set different values with the same priority, so neither is enforced; "+
				"change the priority, the value or the podSelector of one", selected.From.Name, rival.From.Name)
		case selected == c.Setting:
			s.enforced = append(s.enforced, *c.Setting)
		}
	}
	return s
}

// selectsPod reports whether the selectors of c match p, and whether that is known.
func (c candidate) selectsPod(p podspecs.Pod, namespace func(string) (map[string]string, bool)) (selects, known bool) {
	if !c.pods.Matches(labels.Set(p.Labels)) {
		return false, true
	}
	namespaceLabels := map[string]string{namespaceNameLabel: p.Namespace}
	if !needsOnlyName(c.namespaces) {
		all, ok := namespace(p.Namespace)
		if !ok {
			return false, false
		}
		namespaceLabels = all
	}
	return c.namespaces.Matches(labels.Set(namespaceLabels)), true
}

// needsOnlyName reports whether s depends on no label of a namespace but its name.
func needsOnlyName(s labels.Selector) bool {
	requirements, _ := s.Requirements()
	return !slices.ContainsFunc(requirements, func(r labels.Requirement) bool { return r.Key() != namespaceNameLabel })
}
