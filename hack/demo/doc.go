// Demo shows Portreeve with a real Kubernetes API server on loopback: a Node runs out of
// ports, gets more through a NodeTuning, and gets its original sysctls back when the
// NodeTuning is deleted. The controller and the agent use the tokens of their service
// accounts. The demo ends by itself, and leaves nothing behind. Run it as root with
// `make demo`.
//
// An agent that tunes writes the sysctls of its host. Here the host is the network
// namespace in which the demo and all its programs run, with a port range and sysctls of
// its own. The machine's are not changed: the demo refuses to run in the machine's
// network namespace.
package main
