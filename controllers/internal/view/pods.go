package view

import (
	"cmp"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// pod is a pod's network as its node reports it.
type pod struct {
	node    *v1alpha1.PortPressure
	name    string // for people
	network v1alpha1.Network
	pool    *v1alpha1.Pool // the tightest
}

// podsOf are the pods that the nodes report, the least headroom first: those past the
// line, and each node's tightest. namespace "" is all of them.
func podsOf(ps []v1alpha1.PortPressure, namespace string) (pods []pod) {
	for i := range ps {
		p := &ps[i]
		listed := map[string]bool{}
		for _, n := range p.Status.Networks {
			listed[n.Network] = true
			if len(n.Pools) > 0 && (n.Pod != "" || n.UID != "") {
				pods = append(pods, pod{node: p, name: n.Network, network: n, pool: &n.Pools[0]})
			}
		}
		if n, ok := tightestPod(p); ok && !listed[n.Network] {
			pods = append(pods, pod{node: p, name: n.Network, network: n, pool: p.Status.Tightest})
		}
	}
	pods = slices.DeleteFunc(pods, func(p pod) bool { return namespace != "" && p.network.Namespace != namespace })
	slices.SortStableFunc(pods, func(a, b pod) int {
		return cmp.Or(cmp.Compare(b.network.UsedPercent, a.network.UsedPercent), cmp.Compare(a.name, b.name))
	})
	return pods
}

// tightestPod is the network of the tightest pool of p, which is not listed below the
// line: what is known of it stands in its pool. ok says that it is a pod's.
func tightestPod(p *v1alpha1.PortPressure) (n v1alpha1.Network, ok bool) {
	t := p.Status.Tightest
	if t == nil || t.Holder == nil || t.Holder.Pod == "" || p.Status.UsedPercent == nil {
		return n, false
	}
	return v1alpha1.Network{
		Network: t.Network, Namespace: t.Holder.Namespace, Pod: t.Holder.Pod,
		UsedPercent: *p.Status.UsedPercent, Cause: p.Status.Cause, Pools: []v1alpha1.Pool{*t},
	}, true
}

// Pods is a row for each pod that ps report.
func Pods(ps []v1alpha1.PortPressure, namespace string, o Options) string {
	g := terminal.NewPage(o.Options)
	pods := podsOf(ps, namespace)
	line := []terminal.Span{terminal.Bold(plural(len(pods), "pod") + " reported")}
	g.Line(append(line, o.stale()...)...)
	if len(pods) > 0 {
		draw(g, podColumns(pods, o))
	}
	g.Wrap("", "Each node reports its tightest pool, and of what is past the line the worst three networks; the agents' metrics have more.")
	return g.String()
}

func podColumns(pods []pod, o Options) []*column {
	name := &column{head: "POD", gives: true, least: 16}
	node := &column{head: "NODE", most: 24, spare: true}
	used, left := &column{head: "USED"}, &column{head: "LEFT", right: true}
	runs := &column{head: "LASTS", right: true}
	to := &column{head: "POOL", gives: true, least: 16}
	why, seen := &column{head: "CAUSE", spare: true}, &column{head: "SEEN"}
	for _, p := range pods {
		s := &p.node.Status
		name.add(terminal.Plain(p.name))
		node.add(terminal.Plain(p.node.Name))
		used.add(terminal.Bar(p.network.UsedPercent, p.node.Spec.Thresholds)...)
		left.add(terminal.Plain(terminal.Left(*p.pool, s.Reader.Exactness)))
		var seconds *int64
		if s.Tightest != nil && s.Tightest.Network == p.name {
			seconds = s.ExhaustionSeconds
		}
		runs.add(terminal.Plain(runsOut(seconds)))
		to.add(terminal.Plain(p.pool.Purpose()))
		why.add(terminal.Plain(string(p.network.Cause)))
		seen.add(o.seen(p.node))
	}
	if o.Wide {
		node.spare, why.spare, name.gives, to.gives, node.most = false, false, false, false, 0
	}
	return []*column{name, node, used, left, runs, to, why, seen}
}
