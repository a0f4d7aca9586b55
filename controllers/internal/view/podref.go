package view

import (
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
)

// PodRef identifies a pod. An empty Namespace means any. UID, if it is known, finds pods
// whose names their node doesn't know.
type PodRef struct{ Namespace, Name, UID string }

// String returns the name, with the namespace if there is one.
func (r PodRef) String() string {
	if r.Namespace == "" {
		return r.Name
	}
	return r.Namespace + "/" + r.Name
}

// matchesNetwork reports whether n is the network of the pod.
func (r PodRef) matchesNetwork(n *v1alpha1.Network) bool {
	if r.UID != "" && n.UID == r.UID {
		return true
	}
	return n.Pod != "" && n.Pod == r.Name && (r.Namespace == "" || r.Namespace == n.Namespace)
}

// FindPods returns the PortPressures that report a pod that matches ref, each restricted
// to that pod.
func FindPods(ps []v1alpha1.PortPressure, ref PodRef) (found []v1alpha1.PortPressure) {
	for _, p := range listPodNetworks(ps, "") {
		if ref.matchesNetwork(&p.network) {
			found = append(found, restrictToPod(p))
		}
	}
	return found
}

// PodName returns the name of the pod that FindPods restricted p to.
func PodName(p *v1alpha1.PortPressure) string { return p.Status.Tightest.Network }

// restrictToPod returns a copy of the PortPressure of p's node with the data of p only.
func restrictToPod(p podNetwork) v1alpha1.PortPressure {
	out := *p.node.DeepCopy()
	s := &out.Status
	if s.Tightest == nil || s.Tightest.Network != p.name {
		t := *p.tightest.DeepCopy()
		t.Network, t.Summary = p.name, p.name+" "+t.Purpose()
		s.Tightest, s.UsedPercent = &t, new(p.network.UsedPercent)
		s.Level = out.Spec.Thresholds.Level(p.network.UsedPercent)
		s.Cause, s.Advice, s.ExhaustionSeconds = p.network.Cause, "", nil
		s.Conditions = nil // they are about the node's tightest pool
	}
	s.Networks = slices.DeleteFunc(s.Networks, func(n v1alpha1.Network) bool { return n.Network != p.name })
	s.Failures = slices.DeleteFunc(s.Failures, func(f v1alpha1.Failure) bool { return f.Network != p.name })
	s.Unobserved = slices.DeleteFunc(s.Unobserved, func(u v1alpha1.Unobserved) bool { return u.Item != p.name })
	s.States, s.UDP, s.Conntrack, s.NetworkCount, s.Windows, s.Capabilities = nil, nil, nil, nil, nil, nil
	if l := s.LastPressure; l != nil && !strings.HasPrefix(l.Summary, p.name+" ") {
		s.LastPressure = nil
	}
	s.Settings = slices.DeleteFunc(s.Settings, func(x v1alpha1.SettingStatus) bool {
		return x.Scope != string(v1alpha1.ScopePods)
	})
	out.Spec.Settings = slices.DeleteFunc(out.Spec.Settings, func(x v1alpha1.Setting) bool {
		return x.Scope != v1alpha1.ScopePods
	})
	return out
}

// FormatUnreportedPod explains a pod that its node p doesn't report.
func FormatUnreportedPod(p v1alpha1.PortPressure, ref PodRef, o Options) string {
	b := terminal.NewBuilder(o.Options)
	b.WriteWrapped("", ref.String()+" on "+p.Name+" is not reported: none of its pools is above the warning "+
		"threshold, or three other networks on the node are closer to exhaustion.")
	b.WriteWrapped("", "To list all pools, run /portreeve-agent report --pools all in the agent's pod on that node "+
		"(docs/causes.md, the first five minutes). For the node, run kubectl portreeve explain "+p.Name+".")
	b.WriteLine()
	return b.String() + FormatNodes([]v1alpha1.PortPressure{p}, o)
}

// FormatHostNetworkPod explains a pod that uses the network of its node p.
func FormatHostNetworkPod(p v1alpha1.PortPressure, ref PodRef, o Options) string {
	b := terminal.NewBuilder(o.Options)
	b.WriteWrapped("", ref.String()+" has hostNetwork: true, so it uses the ports of "+p.Name+" (network Host).")
	b.WriteLine()
	return b.String() + FormatNode(p, o)
}

// ListNames returns the names that can be explained: nodes and reported pods, or only the
// pods of a namespace if one is given.
func ListNames(ps []v1alpha1.PortPressure, namespace string) (names []string) {
	if namespace == "" {
		for i := range ps {
			names = append(names, ps[i].Name)
		}
	}
	for _, p := range listPodNetworks(ps, namespace) {
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
