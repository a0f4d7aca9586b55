// Package procfs reads port usage from /proc/PID/net, once per network namespace. It needs no
// capability and no BPF, only the node's PID namespace (hostPID).
//
// Like sock_diag, these tables don't show which sockets were bound before they connected, so
// the headroom is an upper bound. The port range of a namespace is visible only inside it: for
// all but the agent's own the default of the kernel is assumed.
package procfs
