package podspecs

import "slices"

// Pod is the part of a pod that is stored.
type Pod struct {
	UID             string
	Namespace, Name string
	Labels          map[string]string
	// HostNetwork is true if the pod uses the node's network.
	HostNetwork bool
	// Finished is true if its containers will not run any more.
	Finished bool
	// Ports are the ports of its containers, probes and hooks, sorted; HostPorts are its
	// ports on the node.
	Ports, HostPorts []int
	// Sysctls are the names, with dots, of the sysctls that the pod sets itself.
	Sysctls []string
	// HasInit is true if the pod has init containers, and CanWriteSysctls if one of its
	// containers may write sysctls of the pod's network.
	HasInit, CanWriteSysctls bool
	// Hash is the UID of a static pod on its node, if this is its mirror.
	Hash string
}

// The kubelet's annotations of a static pod's mirror, which has a UID
// of its own in the API. Both are the static pod's UID on the node (CreateMirrorPod,
// pkg/kubelet/pod/mirror_client.go).
const (
	annotationHash   = "kubernetes.io/config.hash"
	annotationMirror = "kubernetes.io/config.mirror"
)

func convertPod(o *podObject) Pod {
	p := Pod{UID: string(o.UID), Namespace: o.Namespace, Name: o.Name, Labels: o.Labels, HostNetwork: o.Spec.HostNetwork,
		Finished: o.Status.Phase == "Succeeded" || o.Status.Phase == "Failed"}
	if hash := o.Annotations[annotationHash]; hash == o.Annotations[annotationMirror] {
		p.Hash = hash
	}
	p.HasInit = len(o.Spec.InitContainers) > 0
	for _, c := range slices.Concat(o.Spec.InitContainers, o.Spec.Containers) {
		p.CanWriteSysctls = p.CanWriteSysctls || c.canWriteSysctls()
		for _, port := range c.Ports {
			p.Ports = append(p.Ports, port.ContainerPort)
			p.HostPorts = append(p.HostPorts, port.HostPort)
		}
		for _, a := range []*handlerSpec{c.LivenessProbe, c.ReadinessProbe, c.StartupProbe,
			c.Lifecycle.PostStart, c.Lifecycle.PreStop} {
			p.Ports = append(p.Ports, a.listPorts()...)
		}
	}
	p.Ports, p.HostPorts = normalizePorts(p.Ports), normalizePorts(p.HostPorts)
	for _, s := range o.Spec.SecurityContext.Sysctls {
		p.Sysctls = append(p.Sysctls, normalizeSysctlName(s.Name))
	}
	return p
}

// normalizePorts sorts list and removes duplicates and invalid port numbers.
func normalizePorts(list []int) []int {
	list = slices.DeleteFunc(list, func(p int) bool { return p < 1 || p > 65535 })
	slices.Sort(list)
	return slices.Compact(list)
}

// normalizeSysctlName returns a sysctl's name with dots. Kubernetes accepts slashes as
// well, in which case a dot is part of a name (NormalizeName, component-helpers/node/util/sysctl).
func normalizeSysctlName(name string) string {
	for i := range len(name) {
		switch name[i] {
		case '.':
			return name
		case '/':
			b := []byte(name)
			for j, c := range b {
				switch c {
				case '/':
					b[j] = '.'
				case '.':
					b[j] = '/'
				}
			}
			return string(b)
		}
	}
	return name
}
