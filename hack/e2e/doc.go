// Package e2e tests the chart on real nodes: kubelet, containerd and kube-proxy of
// hack/cluster. make e2e starts them; alone the tests skip themselves.
//
// A test is a row of stages, and a stage some lanes side by side, each with nodes and
// objects of its own (portreeve_linux_test.go). On node d are the agents that lack
// something; the chart brings none there.
//
// The nodes are namespaces of one machine and share its kernel. An agent keeps to
// the processes of its own node's PID namespace, and so says nothing of the others.
package e2e
