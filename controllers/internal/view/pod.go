package view

import (
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// PodRef names a pod. Namespace "" is any; UID, where it is known, finds pods that
// their node could not name.
type PodRef struct{ Namespace, Name, UID string }

func (r PodRef) String() string {
	if r.Namespace == "" {
		return r.Name
	}
	return r.Namespace + "/" + r.Name
}

func (r PodRef) is(n *v1alpha1.Network) bool {
	if r.UID != "" && n.UID == r.UID {
		return true
	}
	return n.Pod != "" && n.Pod == r.Name && (r.Namespace == "" || r.Namespace == n.Namespace)
}

// Find is the PortPressures that report pods of that reference, each narrowed to one.
func Find(ps []v1alpha1.PortPressure, ref PodRef) (found []v1alpha1.PortPressure) {
	for _, p := range podsOf(ps, "") {
		if ref.is(&p.network) {
			found = append(found, narrow(p))
		}
	}
	return found
}

// PodName is the pod that a narrowed PortPressure is of.
func PodName(p *v1alpha1.PortPressure) string { return p.Status.Tightest.Network }

// narrow is the PortPressure of p's node with nothing in it but p.
func narrow(p pod) v1alpha1.PortPressure {
	out := *p.node.DeepCopy()
	s := &out.Status
	whole := s.Tightest != nil && s.Tightest.Network == p.name
	if !whole {
		t := *p.pool.DeepCopy()
		t.Network, t.Summary = p.name, p.name+" "+t.Purpose()
		s.Tightest, s.UsedPercent = &t, new(p.network.UsedPercent)
		s.Level, s.Cause, s.Advice, s.ExhaustionSeconds = levelAt(p.network.UsedPercent, out.Spec.Thresholds), p.network.Cause, "", nil
		s.Conditions = nil // they speak of the node's tightest pool
	}
	s.Networks = slices.DeleteFunc(s.Networks, func(n v1alpha1.Network) bool { return n.Network != p.name })
	s.Failures = slices.DeleteFunc(s.Failures, func(f v1alpha1.Failure) bool { return f.Network != p.name })
	s.Unobserved = slices.DeleteFunc(s.Unobserved, func(u v1alpha1.Unobserved) bool { return u.Item != p.name })
	s.States, s.UDP, s.Conntrack, s.NetworkCount, s.Windows, s.Capabilities = nil, nil, nil, nil, nil, nil
	if l := s.LastPressure; l != nil && !strings.HasPrefix(l.Summary, p.name+" ") {
		s.LastPressure = nil
	}
	s.Settings = slices.DeleteFunc(s.Settings, func(x v1alpha1.SettingStatus) bool { return x.Scope != string(v1alpha1.ScopePods) })
	out.Spec.Settings = slices.DeleteFunc(out.Spec.Settings, func(x v1alpha1.Setting) bool { return x.Scope != v1alpha1.ScopePods })
	return out
}

// levelAt is the level that percent is at.
func levelAt(percent int32, t v1alpha1.Thresholds) v1alpha1.Level {
	warning, critical := t.WarningPercent, t.CriticalPercent
	if warning == 0 {
		warning = v1alpha1.DefaultWarningPercent
	}
	if critical == 0 {
		critical = v1alpha1.DefaultCriticalPercent
	}
	switch {
	case percent >= critical:
		return v1alpha1.LevelCritical
	case percent >= warning:
		return v1alpha1.LevelWarning
	}
	return v1alpha1.LevelNormal
}

// Unreported explains a pod that its node p does not report.
func Unreported(p v1alpha1.PortPressure, ref PodRef, o Options) string {
	g := terminal.NewPage(o.Options)
	g.Wrap("", ref.String()+" on "+p.Name+": not reported. No pool of it is past the warning line, or three other networks of the node are worse.")
	g.Wrap("", "All pools: /portreeve-agent report --pools all, in the agent's pod there (docs/causes.md, the first five minutes). More on the node: kubectl portreeve explain "+p.Name+".")
	g.Line()
	return g.String() + Nodes([]v1alpha1.PortPressure{p}, o)
}

// HostNetwork explains a pod that shares the network of its node p.
func HostNetwork(p v1alpha1.PortPressure, ref PodRef, o Options) string {
	g := terminal.NewPage(o.Options)
	g.Wrap("", ref.String()+" has hostNetwork: true, so its ports are those of "+p.Name+", in the network Host.")
	g.Line()
	return g.String() + Node(p, o)
}

// Names is what can be explained: nodes and the pods that they report, with a namespace
// its pods only.
func Names(ps []v1alpha1.PortPressure, namespace string) (names []string) {
	if namespace == "" {
		for i := range ps {
			names = append(names, ps[i].Name)
		}
	}
	for _, p := range podsOf(ps, namespace) {
		if p.network.Pod == "" {
			continue
		}
		if name := p.network.Pod; namespace != "" {
			names = append(names, name)
		} else {
			names = append(names, p.network.Namespace+"/"+name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
