package pods

import (
	"slices"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/settings"
)

// HostPorts implements tuning.Pods: the hostPorts of the node's pods, and all named
// ports of those on the host network. A pod that starts later is protected as soon as
// the API server tells of it, mostly before its program listens.
func (p *Pods) HostPorts() []plan.Protected {
	if err := p.openSource(); err != nil {
		p.logError(err)
		return nil
	}
	var list []plan.Protected
	for _, pod := range p.source.All() {
		for _, port := range listHostPorts(pod) {
			list = append(list, plan.Protected{Ports: settings.Ports{First: port, Last: port}, Whose: pod.Namespace + "/" + pod.Name})
		}
	}
	return list
}

func listHostPorts(pod podspecs.Pod) []int {
	switch {
	case pod.Finished:
		return nil
	case pod.HostNetwork:
		return slices.Concat(pod.HostPorts, pod.Ports)
	}
	return pod.HostPorts
}
