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
	{Ports: ports.Range{First: 2379, Last: 2381}, Owner: "etcd"},
	{Ports: ports.Range{First: 4240, Last: 4245}, Owner: "Cilium"},
	{Ports: ports.Range{First: 4789, Last: 4789}, Owner: "VXLAN"},
	{Ports: ports.Range{First: 5473, Last: 5473}, Owner: "Calico Typha"},
	{Ports: ports.Range{First: 6081, Last: 6081}, Owner: "Geneve"},
	{Ports: ports.Range{First: 6443, Last: 6443}, Owner: "kube-apiserver"},
	{Ports: ports.Range{First: 6783, Last: 6784}, Owner: "Weave Net"},
	{Ports: ports.Range{First: 8472, Last: 8472}, Owner: "VXLAN"},
	{Ports: ports.Range{First: 9099, Last: 9100}, Owner: "Calico and node_exporter"},
	{Ports: ports.Range{First: 9797, Last: 9797}, Owner: "portreeve-agent"},
	{Ports: ports.Range{First: 9878, Last: 9879}, Owner: "Cilium"},
	{Ports: ports.Range{First: 9890, Last: 9893}, Owner: "Cilium"},
	{Ports: ports.Range{First: 9962, Last: 9965}, Owner: "Cilium"},
	{Ports: ports.Range{First: 10248, Last: 10250}, Owner: "kubelet and kube-proxy"},
	{Ports: ports.Range{First: 10255, Last: 10259}, Owner: "kubelet, kube-proxy, kube-scheduler and kube-controller-manager"},
	{Ports: ports.Range{First: 51820, Last: 51821}, Owner: "WireGuard"},
	{Ports: ports.Range{First: 51871, Last: 51871}, Owner: "Cilium's WireGuard"},
	{Ports: ports.Range{First: 61678, Last: 61679}, Owner: "Amazon VPC CNI"},
}

// IsRangeSetting reports whether s sets the range that pods' ports on the host lie in.
func IsRangeSetting(s v1alpha1.Setting) bool { return s.Key == rangeKey }
