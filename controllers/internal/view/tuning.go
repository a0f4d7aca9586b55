package view

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// Tuning is how far t has come: its rollout, who fails and why, who contradicts it,
// and each node that it has reached.
func Tuning(t v1alpha1.NodeTuning, ps []v1alpha1.PortPressure, o Options) string {
	g := terminal.NewPage(o.Options)
	rollout(g, &t, o)
	conflicts(g, &t)
	rows := reached(ps, &t)
	if len(rows) > 0 {
		g.Line()
		draw(g, reachedColumns(rows, &t, o))
	}
	reasons(g, rows)
	if left := int(t.Status.Counts.Matched) - len(rows); left > 0 && t.DeletionTimestamp == nil {
		g.Line()
		g.Wrap("", "Not reached yet: "+plural(left, "node")+" of "+fmt.Sprint(t.Status.Counts.Matched)+" that it selects.")
	}
	return g.String()
}

// rollout is the verdict on the whole.
func rollout(g *terminal.Page, t *v1alpha1.NodeTuning, o Options) {
	r, n := t.Status.Rollout, t.Status.Counts
	phase := string(r.Phase)
	if phase == "" {
		phase = "not looked at yet: is the controller running?"
	}
	head := []terminal.Span{terminal.Bold(t.Name + "  " + phase)}
	switch {
	case t.DeletionTimestamp != nil || r.Phase == "":
	case n.Matched == 0:
		head = append(head, terminal.Plain("  it selects no node"))
	default:
		done := int32(int64(n.Updated) * 100 / int64(n.Matched))
		head = append(head, terminal.Plain("  "), terminal.Progress(done))
		head = append(head, terminal.Plain(fmt.Sprintf("  %d of %s reached, %d as wanted", n.Updated, plural(int(n.Matched), "node"), n.Applied)))
	}
	g.Line(head...)
	if r.Reason != "" {
		g.Wrap("  ", r.Reason)
	}
	g.Wrap("", strings.Join(facts(t, o), " · "))
	if len(r.Canaries) > 0 {
		g.Wrap("Canaries  ", strings.Join(r.Canaries, ", "))
	}
	if bad := bad(n); len(bad) > 0 {
		g.Line(terminal.Alarm(strings.Join(bad, ", ")))
	}
}

// facts is what else there is to know, in a line.
func facts(t *v1alpha1.NodeTuning, o Options) []string {
	mode := string(cmp.Or(t.Spec.Mode, v1alpha1.ModeEnforce))
	if t.Spec.Activation == v1alpha1.ActivationUnderPressure {
		mode += " " + string(t.Spec.Activation)
	}
	list := []string{mode, fmt.Sprintf("priority %d", t.Spec.Priority), fmt.Sprintf("generation %d", t.Generation)}
	if t.Status.ObservedGeneration != t.Generation {
		list = append(list, fmt.Sprintf("the controller has seen %d", t.Status.ObservedGeneration))
	}
	if since := o.age(t.Status.Rollout.Since); since != "" {
		list = append(list, "in this phase for "+since)
	}
	if t.DeletionTimestamp != nil {
		list = append(list, "deleted "+o.age(t.DeletionTimestamp)+" ago")
	}
	return list
}

// bad is how many nodes have a setting that is not as wanted.
func bad(n v1alpha1.TuningCounts) (list []string) {
	for _, c := range []struct {
		nodes int32
		what  string
	}{{n.Failed, "failed"}, {n.Contested, "contested"}, {n.Refused, "refused"}, {n.RestartRequired, "waiting for a restart"}} {
		if c.nodes > 0 {
			list = append(list, plural(int(c.nodes), "node")+" "+c.what)
		}
	}
	return list
}

func conflicts(g *terminal.Page, t *v1alpha1.NodeTuning) {
	if len(t.Status.Conflicts) == 0 {
		return
	}
	g.Line()
	g.Line(terminal.Bold("Conflicts"))
	for _, c := range t.Status.Conflicts {
		who := "neither is held: give one a higher priority"
		switch c.Winner {
		case t.Name:
			who = "this one is held: it has the higher priority"
		case c.With:
			who = "the other is held: it has the higher priority"
		}
		g.Wrap("  ", fmt.Sprintf("%s: %s wants another value on %s; %s", c.Key, c.With, plural(int(c.Nodes), "node"), who))
	}
}

// node is a node that has settings of a NodeTuning.
type node struct {
	*v1alpha1.PortPressure
	settings []setting
	worst    v1alpha1.SettingState
	good     int
}

// reached is the nodes of ps that have settings of t, those that need a look first.
func reached(ps []v1alpha1.PortPressure, t *v1alpha1.NodeTuning) (nodes []node) {
	for i := range ps {
		n := node{PortPressure: &ps[i], settings: settingsOf(&ps[i], t.Name)}
		if len(n.settings) == 0 {
			continue
		}
		n.worst = v1alpha1.SettingApplied
		for _, s := range n.settings {
			if rank(s.State) > rank(n.worst) {
				n.worst = s.State
			}
			if rank(s.State) < severity[v1alpha1.SettingPending] {
				n.good++
			}
		}
		nodes = append(nodes, n)
	}
	slices.SortFunc(nodes, func(a, b node) int {
		return cmp.Or(cmp.Compare(rank(b.worst), rank(a.worst)), cmp.Compare(a.Name, b.Name))
	})
	return nodes
}

func reachedColumns(nodes []node, t *v1alpha1.NodeTuning, o Options) []*column {
	name := &column{head: "NODE", most: 32, gives: true, least: 12}
	states, good := &column{head: "STATE"}, &column{head: "SETTINGS", right: true}
	generation := &column{head: "GENERATION", right: true}
	used, since, seen := &column{head: "USED"}, &column{head: "SINCE", right: true}, &column{head: "SEEN"}
	for _, n := range nodes {
		name.add(terminal.Plain(n.Name))
		states.add(state(n.worst))
		good.add(terminal.Plain(fmt.Sprintf("%d/%d", n.good, len(n.settings))))
		generation.add(terminal.Plain(behind(n, t)))
		used.add(usedOf(n.PortPressure)...)
		since.add(terminal.Plain(o.age(n.since())))
		seen.add(o.seen(n.PortPressure))
	}
	if o.Wide {
		name.most, name.gives = 0, false
	}
	return []*column{name, states, good, generation, used, since, seen}
}

// behind is the generation that n has, where it is not the newest.
func behind(n node, t *v1alpha1.NodeTuning) string {
	least := slices.MinFunc(n.settings, func(a, b setting) int { return cmp.Compare(a.generation, b.generation) }).generation
	if least == t.Generation {
		return ""
	}
	return fmt.Sprintf("%d of %d", least, t.Generation)
}

// since is when a setting of n changed its state last.
func (n node) since() (latest *metav1.Time) {
	for _, s := range n.settings {
		if at := s.LastTransitionTime; at != nil && (latest == nil || latest.Before(at)) {
			latest = at
		}
	}
	return latest
}
