package pods

import (
	"slices"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/ports"
)

// HostPorts implements tuning.Pods. It returns the hostPorts of the node's pods, and all
// declared ports of hostNetwork pods. A new pod is protected as soon as the API server
// reports it, which is usually before its program listens.
func (p *Pods) HostPorts() (list []plan.Protected, areKnown bool) {
	if err := p.openSource(); err != nil {
		p.logError(err)
		return nil, false
	}
	for _, pod := range p.source.ListPods() {
		for _, port := range listHostPorts(pod) {
			list = append(list, plan.Protected{Ports: ports.Range{First: uint16(port), Last: uint16(port)}, Owner: pod.Namespace + "/" + pod.Name, IsPod: true})
		}
	}
	return list, p.source.HasSynced()
}

// listHostPorts returns the ports that a pod may listen on in the host's network.
func listHostPorts(pod podspecs.Pod) []int {
	switch {
	case pod.Finished:
		return nil
	case pod.HostNetwork:
		return slices.Concat(pod.HostPorts, pod.Ports)
	}
	return pod.HostPorts
}
