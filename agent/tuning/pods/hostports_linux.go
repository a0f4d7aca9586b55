package pods

import (
	"slices"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/ports"
)

// HostPorts implements tuning.Pods: the hostPorts of the node's pods, and all named
// ports of those on the host network. A pod that starts later is protected as soon as
// the API server tells of it, mostly before its program listens.
func (p *Pods) HostPorts() []plan.Protected {
	if err := p.open(); err != nil {
		p.tell(err)
		return nil
	}
	var list []plan.Protected
	for _, pod := range p.source.All() {
		for _, port := range onHost(pod) {
			list = append(list, plan.Protected{Ports: ports.Range{First: uint16(port), Last: uint16(port)}, Owner: pod.Namespace + "/" + pod.Name})
		}
	}
	return list
}

func onHost(pod podspecs.Pod) []int {
	switch {
	case pod.Finished:
		return nil
	case pod.HostNetwork:
		return slices.Concat(pod.HostPorts, pod.Ports)
	}
	return pod.HostPorts
}
