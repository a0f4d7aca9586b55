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
	// Hash is the UID of a static pod on its node, if this is its mirror. The kubelet writes
	// it to two annotations (CreateMirrorPod, pkg/kubelet/pod/mirror_client.go).
	Hash string
	// IsOversized is true if the pod has more labels, ports or sysctls than are stored, so
	// that it is not known which settings select or would break it.
	IsOversized bool
}

// The limits of what is stored of a pod. A pod may have 1.5 MB.
const (
	maxLabelBytes = 8 << 10
	maxPorts      = 1024
	maxSysctls    = 64
)

func convertPod(o *podObject) Pod {
	m := &o.Metadata
	p := Pod{UID: m.UID, Namespace: m.Namespace, Name: m.Name, Labels: m.Labels, HostNetwork: o.Spec.HostNetwork,
		Finished: o.Status.Phase == "Succeeded" || o.Status.Phase == "Failed"}
	if a := m.Annotations; a.Hash == a.Mirror && len(a.Hash) <= maxHash {
		p.Hash = a.Hash
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
	limitPod(&p)
	return p
}

// maxHash is the length of a UID.
const maxHash = 36

// limitPod removes what exceeds the limits.
func limitPod(p *Pod) {
	p.IsOversized = sumLabelBytes(p.Labels) > maxLabelBytes || len(p.Ports) > maxPorts || len(p.HostPorts) > maxPorts || len(p.Sysctls) > maxSysctls
	p.Labels = limitLabels(p.Labels)
	p.Ports = slices.Clone(p.Ports[:min(len(p.Ports), maxPorts)])
	p.HostPorts = slices.Clone(p.HostPorts[:min(len(p.HostPorts), maxPorts)])
	p.Sysctls = p.Sysctls[:min(len(p.Sysctls), maxSysctls)]
}

// limitLabels returns the labels, or none if they are too many.
func limitLabels(labels map[string]string) map[string]string {
	if sumLabelBytes(labels) > maxLabelBytes {
		return nil
	}
	return labels
}

func sumLabelBytes(labels map[string]string) (sum int) {
	for key, value := range labels {
		sum += len(key) + len(value)
	}
	return sum
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
