package plan

import (
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// NodePorts is Kubernetes' default range of node ports (kube-apiserver's
// --service-node-port-range). Connections to them are translated, so nothing listens
// there, but a connection from the node with such a local port would conflict.
var NodePorts = ports.Range{First: 30000, Last: 32767}

// SystemPorts are the ports of Kubernetes components and other common node software
// (https://kubernetes.io/docs/reference/networking/ports-and-protocols/ and the
// projects' documents). A range must not take them even if nothing listens: a
// restarting kubelet needs its port.
var SystemPorts = []Protected{
	{ports.Range{First: 2379, Last: 2381}, "etcd"},
	{ports.Range{First: 4240, Last: 4245}, "Cilium"},
	{ports.Range{First: 4789, Last: 4789}, "VXLAN"},
	{ports.Range{First: 5473, Last: 5473}, "Calico Typha"},
	{ports.Range{First: 6081, Last: 6081}, "Geneve"},
	{ports.Range{First: 6443, Last: 6443}, "kube-apiserver"},
	{ports.Range{First: 6783, Last: 6784}, "Weave Net"},
	{ports.Range{First: 8472, Last: 8472}, "VXLAN"},
	{ports.Range{First: 9099, Last: 9100}, "Calico and node_exporter"},
	{ports.Range{First: 9797, Last: 9797}, "portreeve-agent"},
	{ports.Range{First: 9878, Last: 9879}, "Cilium"},
	{ports.Range{First: 9890, Last: 9893}, "Cilium"},
	{ports.Range{First: 9962, Last: 9965}, "Cilium"},
	{ports.Range{First: 10248, Last: 10250}, "kubelet and kube-proxy"},
	{ports.Range{First: 10255, Last: 10259}, "kubelet, kube-proxy, kube-scheduler and kube-controller-manager"},
	{ports.Range{First: 51820, Last: 51821}, "WireGuard"},
	{ports.Range{First: 51871, Last: 51871}, "Cilium's WireGuard"},
	{ports.Range{First: 61678, Last: 61679}, "Amazon VPC CNI"},
}

// IsRangeSetting reports whether s sets the range that pods' ports on the host lie in.
func IsRangeSetting(s v1alpha1.Setting) bool { return s.Key == rangeKey }
