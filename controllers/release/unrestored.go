package release

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// explainUnrestored returns why the original settings of a node may not be restored, or an
// empty string if they are: the agent's status is for the current spec, and contains no
// setting that is still enforced.
func explainUnrestored(p *v1alpha1.PortPressure) string {
	switch {
	case p.Annotations[v1alpha1.AnnotationRelease] == v1alpha1.ReleaseAbandoned:
		return ""
	case len(p.Spec.Settings) > 0:
		return "the controller has not requested the release yet"
	case p.Spec.Settings != nil && p.Status.ObservedGeneration != p.Generation:
		return "its agent has not confirmed the release" + describeAgent(p)
	}
	var enforced []string
	for _, s := range p.Status.Settings {
		if !isRestored(p, s) {
			enforced = append(enforced, fmt.Sprintf("%s %s%s", s.Key, s.State, formatMessage(s)))
		}
	}
	if out := p.Status.OmittedSettings; out != nil {
		enforced = append(enforced, fmt.Sprintf("%d settings Applied", out.Count))
	}
	if len(enforced) == 0 {
		return ""
	}
	return formatFirst(enforced, ", ") + describeAgent(p)
}

// isRestored reports whether s was restored, even if that takes effect only after a restart.
// A setting that waits for a restart counts if the spec no longer contains any.
func isRestored(p *v1alpha1.PortPressure, s v1alpha1.SettingStatus) bool {
	return s.State == v1alpha1.SettingReleased || s.State == v1alpha1.SettingRestartRequired && p.Spec.Settings != nil
}

// formatFirst lists the first items, and counts the others.
func formatFirst(list []string, separator string) string {
	const maxItems = 3
	if len(list) <= maxItems {
		return strings.Join(list, separator)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:maxItems], separator), len(list)-maxItems)
}

func formatMessage(s v1alpha1.SettingStatus) string {
	if s.Message == "" {
		return ""
	}
	return " (" + s.Message + ")"
}

// describeAgent returns the state of a node's agent, if it does not report.
func describeAgent(p *v1alpha1.PortPressure) string {
	switch p.Labels[v1alpha1.LabelAgent] {
	case v1alpha1.AgentSilent:
		return ": the agent is silent"
	case v1alpha1.AgentNone:
		return ": the node has no agent"
	}
	return ""
}

// listUnrestored lists the nodes that may not be restored, with the reason, by name.
func listUnrestored(list []v1alpha1.PortPressure) (nodes []string) {
	for i := range list {
		if why := explainUnrestored(&list[i]); why != "" {
			nodes = append(nodes, list[i].Name+": "+why)
		}
	}
	slices.Sort(nodes)
	return nodes
}
