package view

import (
	"cmp"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/pressuretext"
	"portreeve.io/portreeve/internal/terminal"
	"portreeve.io/portreeve/internal/text"
)

// podNetwork is the network of a pod as its node reports it.
type podNetwork struct {
	node     *v1alpha1.PortPressure
	name     string // the network's name, which users know the pod by
	network  v1alpha1.Network
	tightest *v1alpha1.Pool
}

// listPodNetworks returns the networks of the pods that the nodes report, those with the
// least headroom first: the listed networks, and the tightest network of each node. An
// empty namespace means all.
func listPodNetworks(ps []v1alpha1.PortPressure, namespace string) (pods []podNetwork) {
	for i := range ps {
		p := &ps[i]
		listed := map[string]bool{}
		for _, n := range p.Status.Networks {
			listed[n.Network] = true
			if len(n.Pools) > 0 && (n.Pod != "" || n.UID != "") {
				pods = append(pods, podNetwork{node: p, name: n.Network, network: n, tightest: &n.Pools[0]})
			}
		}
		if n, ok := makeTightestPodNetwork(p); ok && !listed[n.Network] {
			pods = append(pods, podNetwork{node: p, name: n.Network, network: n, tightest: p.Status.Tightest})
		}
	}
	pods = slices.DeleteFunc(pods, func(p podNetwork) bool { return namespace != "" && p.network.Namespace != namespace })
	slices.SortStableFunc(pods, func(a, b podNetwork) int {
		return cmp.Or(cmp.Compare(b.network.UsedPercent, a.network.UsedPercent), cmp.Compare(a.name, b.name))
	})
	return pods
}

// makeTightestPodNetwork returns the network of p's tightest pool with all that the pool
// contains about it: below the warning threshold no network is listed. ok is false if it
// isn't the network of a pod.
func makeTightestPodNetwork(p *v1alpha1.PortPressure) (n v1alpha1.Network, ok bool) {
	t := p.Status.Tightest
	if t == nil || t.Holder == nil || t.Holder.Pod == "" || p.Status.UsedPercent == nil {
		return n, false
	}
	return v1alpha1.Network{
		Network: t.Network, Namespace: t.Holder.Namespace, Pod: t.Holder.Pod,
		UsedPercent: *p.Status.UsedPercent, Cause: p.Status.Cause, Pools: []v1alpha1.Pool{*t},
	}, true
}

// FormatPods returns a table with a row for each pod that ps report.
func FormatPods(ps []v1alpha1.PortPressure, namespace string, o Options) string {
	b := terminal.NewBuilder(o.Options)
	pods := listPodNetworks(ps, namespace)
	line := []terminal.Span{terminal.Bold(text.FormatPlural(len(pods), "pod") + " reported")}
	b.WriteLine(append(line, o.formatWatchError()...)...)
	if len(pods) > 0 {
		b.WriteTable(makePodColumns(pods, o))
	}
	b.WriteWrapped("", "Each node reports its tightest pool and, of the networks above the warning threshold, "+
		"the worst three. The agents' metrics have more.")
	return b.String()
}

func makePodColumns(pods []podNetwork, o Options) []*terminal.Column {
	name := &terminal.Column{Heading: "POD", CanShrink: true, MinWidth: 16}
	node := &terminal.Column{Heading: "NODE", MaxWidth: 24, IsOptional: true}
	used, left := &terminal.Column{Heading: "USED"}, &terminal.Column{Heading: "LEFT", AlignRight: true}
	lasts := &terminal.Column{Heading: "LASTS", AlignRight: true}
	pool := &terminal.Column{Heading: "POOL", CanShrink: true, MinWidth: 16}
	cause, seen := &terminal.Column{Heading: "CAUSE", IsOptional: true}, &terminal.Column{Heading: "SEEN"}
	for _, p := range pods {
		s := &p.node.Status
		name.AddCell(terminal.Plain(p.name))
		node.AddCell(terminal.Plain(p.node.Name))
		used.AddCell(pressuretext.FormatUsage(p.network.UsedPercent, p.node.Spec.Thresholds)...)
		left.AddCell(terminal.Plain(pressuretext.FormatLeft(*p.tightest, s.Reader.Exactness)))
		var seconds *int64
		if s.Tightest != nil && s.Tightest.Network == p.name {
			seconds = s.ExhaustionSeconds
		}
		lasts.AddCell(terminal.Plain(formatExhaustion(seconds)))
		pool.AddCell(terminal.Plain(p.tightest.Purpose()))
		cause.AddCell(terminal.Plain(string(p.network.Cause)))
		seen.AddCell(o.formatLastSeen(p.node))
	}
	if o.Wide {
		node.IsOptional, cause.IsOptional = false, false
		name.CanShrink, pool.CanShrink, node.MaxWidth = false, false, 0
	}
	return []*terminal.Column{name, node, used, left, lasts, pool, cause, seen}
}
