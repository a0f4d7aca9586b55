// Package e2e tests the chart on real nodes: kubelet, containerd and kube-proxy of
// hack/cluster. make e2e starts them; alone the tests skip themselves.
//
// The nodes are namespaces of one machine, and share its kernel. An agent therefore
// sees the namespaces of every node, and of whatever else runs on the machine; only
// its own node's pods have names. So the tests ask what is said of a pod by name, and
// not whether a node is at ease.
package e2e
