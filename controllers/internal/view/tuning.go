package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
	"portreeve.io/portreeve/internal/text"
)

// FormatTuning returns the progress of t: its rollout, conflicts with other NodeTunings,
// the nodes that have its settings, and the reasons why settings are not applied.
func FormatTuning(t v1alpha1.NodeTuning, ps []v1alpha1.PortPressure, o Options) string {
	b := terminal.NewBuilder(o.Options)
	writeRollout(b, &t, o)
	writeConflicts(b, &t)
	nodes := listTunedNodes(ps, &t)
	if len(nodes) > 0 {
		b.WriteLine()
		b.WriteTable(makeTuningColumns(nodes, &t, o))
	}
	writeReasons(b, nodes)
	if left := int(t.Status.Counts.Matched) - len(nodes); left > 0 && t.DeletionTimestamp == nil {
		b.WriteLine()
		b.WriteWrapped("", fmt.Sprintf("Not updated yet: %d of %s.", left,
			text.FormatPlural(t.Status.Counts.Matched, "selected node")))
	}
	return b.String()
}

// writeRollout writes the phase, the progress and the problems of the rollout.
func writeRollout(b *terminal.Builder, t *v1alpha1.NodeTuning, o Options) {
	r, n := t.Status.Rollout, t.Status.Counts
	phase := string(r.Phase)
	if phase == "" {
		phase = "Pending (not reconciled yet; check that portreeve-controller is running)"
	}
	heading := []terminal.Span{terminal.Bold(t.Name + "  " + phase)}
	switch {
	case t.DeletionTimestamp != nil || r.Phase == "":
	case n.Matched == 0:
		heading = append(heading, terminal.Plain("  it selects no nodes"))
	default:
		percent := int32(int64(n.Updated) * 100 / int64(n.Matched))
		heading = append(heading, terminal.Plain("  "), terminal.FormatProgress(percent), terminal.Plain(fmt.Sprintf(
			"  %d of %s updated, %d applied", n.Updated, text.FormatPlural(n.Matched, "node"), n.Applied)))
	}
	b.WriteLine(heading...)
	if r.Reason != "" {
		b.WriteWrapped("  ", r.Reason)
	}
	b.WriteWrapped("", strings.Join(listTuningFacts(t, o), " · "))
	if len(r.Canaries) > 0 {
		b.WriteWrapped("Canaries  ", strings.Join(r.Canaries, ", "))
	}
	if problems := listProblems(n); len(problems) > 0 {
		b.WriteLine(terminal.Alert(strings.Join(problems, ", ")))
	}
}

// listTuningFacts returns the mode, priority, generation and ages of t.
func listTuningFacts(t *v1alpha1.NodeTuning, o Options) []string {
	mode := string(cmp.Or(t.Spec.Mode, v1alpha1.ModeEnforce))
	if t.Spec.Activation == v1alpha1.ActivationUnderPressure {
		mode += " " + string(t.Spec.Activation)
	}
	facts := []string{mode, fmt.Sprintf("priority %d", t.Spec.Priority), fmt.Sprintf("generation %d", t.Generation)}
	if t.Status.ObservedGeneration != t.Generation {
		facts = append(facts, fmt.Sprintf("observed generation %d", t.Status.ObservedGeneration))
	}
	if age := o.formatAge(t.Status.Rollout.Since); age != "" {
		facts = append(facts, "in this phase for "+age)
	}
	if t.DeletionTimestamp != nil {
		facts = append(facts, "deleted "+o.formatAge(t.DeletionTimestamp)+" ago")
	}
	return facts
}

// listProblems returns how many nodes have settings in each of the states that need
// attention.
func listProblems(n v1alpha1.TuningCounts) (problems []string) {
	for _, c := range []struct {
		nodes   int32
		problem string
	}{
		{n.Failed, "failed"}, {n.Contested, "contested"},
		{n.Refused, "refused"}, {n.RestartRequired, "waiting for a restart"},
	} {
		if c.nodes > 0 {
			problems = append(problems, text.FormatPlural(c.nodes, "node")+" "+c.problem)
		}
	}
	return problems
}

func writeConflicts(b *terminal.Builder, t *v1alpha1.NodeTuning) {
	if len(t.Status.Conflicts) == 0 {
		return
	}
	b.WriteLine()
	b.WriteLine(terminal.Bold("Conflicts"))
	for _, c := range t.Status.Conflicts {
		outcome := "neither is enforced until one has a higher priority"
		switch c.Winner {
		case t.Name:
			outcome = t.Name + " is enforced because it has the higher priority"
		case c.With:
			outcome = c.With + " is enforced because it has the higher priority"
		}
		b.WriteWrapped("  ", fmt.Sprintf("%s: %s sets a different value on %s; %s",
			c.Key, c.With, text.FormatPlural(c.Nodes, "node"), outcome))
	}
}

// tunedNode is a node that has settings of a NodeTuning.
type tunedNode struct {
	*v1alpha1.PortPressure
	settings []settingProgress
	worst    v1alpha1.SettingState
	done     int // the number of settings that need no further step
}

// listTunedNodes returns the nodes of ps that have settings of t, the most severe first.
func listTunedNodes(ps []v1alpha1.PortPressure, t *v1alpha1.NodeTuning) (nodes []tunedNode) {
	for i := range ps {
		n := tunedNode{PortPressure: &ps[i], settings: listSettings(&ps[i], t.Name)}
		if len(n.settings) == 0 {
			continue
		}
		n.worst = v1alpha1.SettingApplied
		for _, s := range n.settings {
			if severityOf(s.State) > severityOf(n.worst) {
				n.worst = s.State
			}
			if severityOf(s.State) < severity[v1alpha1.SettingPending] {
				n.done++
			}
		}
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b tunedNode) int {
		return cmp.Or(cmp.Compare(severityOf(b.worst), severityOf(a.worst)), cmp.Compare(a.Name, b.Name))
	})
	return nodes
}

func makeTuningColumns(nodes []tunedNode, t *v1alpha1.NodeTuning, o Options) []*terminal.Column {
	name := &terminal.Column{Heading: "NODE", MaxWidth: 32, CanShrink: true, MinWidth: 12}
	state, done := &terminal.Column{Heading: "STATE"}, &terminal.Column{Heading: "SETTINGS", AlignRight: true}
	generation := &terminal.Column{Heading: "GENERATION", AlignRight: true}
	used := &terminal.Column{Heading: "USED"}
	since, seen := &terminal.Column{Heading: "SINCE", AlignRight: true}, &terminal.Column{Heading: "SEEN"}
	for _, n := range nodes {
		name.AddCell(terminal.Plain(n.Name))
		state.AddCell(formatState(n.worst))
		done.AddCell(terminal.Plain(fmt.Sprintf("%d/%d", n.done, len(n.settings))))
		generation.AddCell(terminal.Plain(formatOldGeneration(n, t)))
		used.AddCell(formatUsed(n.PortPressure)...)
		since.AddCell(terminal.Plain(o.formatAge(n.findLastTransition())))
		seen.AddCell(o.formatLastSeen(n.PortPressure))
	}
	if o.Wide {
		name.MaxWidth, name.CanShrink = 0, false
	}
	return []*terminal.Column{name, state, done, generation, used, since, seen}
}

// formatOldGeneration returns the generation of t that n has, or "" if it is the latest.
func formatOldGeneration(n tunedNode, t *v1alpha1.NodeTuning) string {
	oldest := n.settings[0].generation
	for _, s := range n.settings {
		oldest = min(oldest, s.generation)
	}
	if oldest == t.Generation {
		return ""
	}
	return fmt.Sprintf("%d of %d", oldest, t.Generation)
}

// findLastTransition returns when a setting of n last changed its state.
func (n tunedNode) findLastTransition() (latest *metav1.Time) {
	for _, s := range n.settings {
		if at := s.LastTransitionTime; at != nil && (latest == nil || latest.Before(at)) {
			latest = at
		}
	}
	return latest
}
