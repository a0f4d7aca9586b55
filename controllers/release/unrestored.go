package release

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// explainUnrestored says why a node can't be said to have its originals back; empty where it can.
// What the agent has acknowledged counts: its status speaks of the spec as it is, and
// of no setting that is held still.
func explainUnrestored(p *v1alpha1.PortPressure) string {
	switch {
	case p.Annotations[v1alpha1.AnnotationRelease] == v1alpha1.ReleaseAbandoned:
		return ""
	case len(p.Spec.Settings) > 0:
		return "the controller has not asked it yet"
	case p.Spec.Settings != nil && p.Status.ObservedGeneration != p.Generation:
		return "its agent has not answered" + describeAgent(p)
	}
	var held []string
	for _, s := range p.Status.Settings {
		if !isRestored(p, s) {
			held = append(held, fmt.Sprintf("%s %s%s", s.Key, s.State, formatMessage(s)))
		}
	}
	if out := p.Status.OmittedSettings; out != nil {
		held = append(held, fmt.Sprintf("%d settings Applied", out.Count))
	}
	if len(held) == 0 {
		return ""
	}
	return formatFirst(held, ", ") + describeAgent(p)
}

// isRestored says whether s was given back, if only for after a restart: nothing is wanted
// any more then.
func isRestored(p *v1alpha1.PortPressure, s v1alpha1.SettingStatus) bool {
	return s.State == v1alpha1.SettingReleased || s.State == v1alpha1.SettingRestartRequired && p.Spec.Settings != nil
}

// formatFirst are the first of a list, and how many more there are.
func formatFirst(list []string, separator string) string {
	const few = 3
	if len(list) <= few {
		return strings.Join(list, separator)
	}
	return fmt.Sprintf("%s and %d more", strings.Join(list[:few], separator), len(list)-few)
}

func formatMessage(s v1alpha1.SettingStatus) string {
	if s.Message == "" {
		return ""
	}
	return " (" + s.Message + ")"
}

// describeAgent is what the controller knows of a node's agent.
func describeAgent(p *v1alpha1.PortPressure) string {
	switch p.Labels[v1alpha1.LabelAgent] {
	case v1alpha1.AgentSilent:
		return ": the agent is silent"
	case v1alpha1.AgentNone:
		return ": the node has no agent"
	}
	return ""
}

// listUnrestored are the nodes that are left, and why, by name.
func listUnrestored(list []v1alpha1.PortPressure) (nodes []string) {
	for i := range list {
		if why := explainUnrestored(&list[i]); why != "" {
			nodes = append(nodes, list[i].Name+": "+why)
		}
	}
	slices.Sort(nodes)
	return nodes
}
