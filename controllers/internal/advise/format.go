package advise

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
	"portreeve.io/portreeve/internal/text"
)

// Proposal is a NodeTuning and the advice that leads to it, of one node or of several with
// the same problem. Tuning is nil if no setting helps.
type Proposal struct {
	Tuning *v1alpha1.NodeTuning
	Advice []Advice
}

// GroupAdvice returns a Proposal for each different spec, in the order of the advice. A
// spec for several nodes selects all of them.
func GroupAdvice(all []Advice) (proposals []Proposal) {
	index, names := map[string]int{}, map[string]int{}
	for _, a := range all {
		key, err := formatSettings(a)
		i, isKnown := index[key]
		if a.Spec == nil || err != nil || !isKnown {
			i = len(proposals)
			index[key] = i
			proposals = append(proposals, Proposal{Tuning: newTuning(a)})
		}
		proposals[i].Advice = append(proposals[i].Advice, a)
	}
	for i := range proposals {
		if p := &proposals[i]; p.Tuning != nil {
			p.selectNodes()
			if names[p.Tuning.Name]++; names[p.Tuning.Name] > 1 {
				p.Tuning.Name += fmt.Sprintf("-%d", names[p.Tuning.Name])
			}
		}
	}
	return proposals
}

// formatSettings returns the spec without its nodes, as text.
func formatSettings(a Advice) (string, error) {
	if a.Spec == nil {
		return "", nil
	}
	spec := *a.Spec
	spec.NodeSelector = nil
	out, err := yaml.Marshal(spec)
	return string(out), err
}

func newTuning(a Advice) *v1alpha1.NodeTuning {
	if a.Spec == nil {
		return nil
	}
	t := &v1alpha1.NodeTuning{Spec: *a.Spec}
	t.APIVersion, t.Kind = v1alpha1.GroupVersion.String(), "NodeTuning"
	return t
}

// selectNodes names the NodeTuning, and selects the nodes of its advice.
func (p *Proposal) selectNodes() {
	nodes := p.listNodes()
	first := p.Advice[0]
	p.Tuning.Name = makeName("advise-" + first.Node)
	switch {
	case len(nodes) > 1:
		p.Tuning.Name = makeName("advise-" + strings.ToLower(string(first.Cause)))
		p.Tuning.Spec.NodeSelector.MatchLabels = nil
		p.Tuning.Spec.NodeSelector.MatchExpressions = selectHostnames(nodes)
	case first.Spec.Pods != nil:
		p.Tuning.Name = makeName("advise-" + strings.ReplaceAll(first.Subject, "/", "-"))
	}
}

// makeName returns s shortened to a valid name of an object.
func makeName(s string) string {
	const maxBytes = 240 // leaves room for a number
	return strings.TrimRight(s[:min(len(s), maxBytes)], "-.")
}

func (p *Proposal) listNodes() (nodes []string) {
	for _, a := range p.Advice {
		if !slices.Contains(nodes, a.Node) {
			nodes = append(nodes, a.Node)
		}
	}
	return nodes
}

// maxDescribed is the number of nodes whose situation is printed.
const maxDescribed = 5

// Format returns the proposal as YAML, with the reasons in comments. Without a NodeTuning
// it has only comments.
func (p *Proposal) Format() (string, error) {
	var b strings.Builder
	for i, a := range p.Advice {
		if i == maxDescribed {
			writeComment(&b, fmt.Sprintf("The same on %d more nodes, which nodeSelector lists.", len(p.Advice)-maxDescribed))
			break
		}
		comments := a.Comments
		if i > 0 && p.Tuning != nil {
			comments = comments[:1] // the rest is the same
		}
		for _, c := range comments {
			writeComment(&b, c)
		}
	}
	if p.Tuning == nil {
		return b.String(), nil
	}
	for _, warning := range settings.ReviewSpec(&p.Tuning.Spec) {
		writeComment(&b, "kubectl apply warns: "+warning)
	}
	if p.Tuning.Spec.Mode == v1alpha1.ModeDryRun {
		writeComment(&b, fmt.Sprintf("DryRun writes nothing. After kubectl apply, kubectl portreeve tuning %s shows what each node would write. "+
			"Remove mode to write it, which needs agents with agent.mode %s.", p.Tuning.Name, p.requiredMode()))
	}
	object, err := yaml.Marshal(p.Tuning)
	b.Write(object)
	return b.String(), err
}

func (p *Proposal) requiredMode() string {
	if p.Tuning.Spec.Pods != nil {
		return "pods"
	}
	return "host"
}

// writeComment writes a paragraph as a comment of YAML, in lines of at most 100 characters
// unless a word is longer.
func writeComment(b *strings.Builder, paragraph string) {
	const width = 100
	line := "#"
	for word := range strings.FieldsSeq(text.MakePrintable(paragraph, '\ufffd')) {
		if len(line) > 1 && len(line)+1+len(word) > width {
			b.WriteString(line + "\n")
			line = "#"
		}
		line += " " + word
	}
	b.WriteString(line + "\n")
}

func selectHostnames(nodes []string) []metav1.LabelSelectorRequirement {
	slices.Sort(nodes)
	return []metav1.LabelSelectorRequirement{{Key: labelHostname, Operator: metav1.LabelSelectorOpIn, Values: nodes}}
}
