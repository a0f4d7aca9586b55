// Package e2e tests the chart on real nodes with the kubelet, containerd and kube-proxy of
// hack/cluster. make e2e starts them; otherwise the tests are skipped.
//
// The test is a series of stages. A stage has sequences of steps that run in parallel, each
// with its own nodes and objects (portreeve_linux_test.go). Node d, where the chart installs
// no agent, runs agents that lack a privilege.
//
// The nodes are namespaces of one machine and share its kernel. An agent reads only the
// processes in the PID namespace of its node, and so reports nothing of other nodes.
package e2e
