// Package e2e tests the chart on real nodes: kubelet, containerd and kube-proxy of
// hack/cluster. make e2e starts them; alone the tests skip themselves.
//
// The nodes are namespaces of one machine and share its kernel. An agent keeps to
// the processes of its own node's PID namespace, and so says nothing of the others.
package e2e
