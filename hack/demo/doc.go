// Demo shows Portreeve at work with a real Kubernetes API on loopback: a Node that runs
// out of ports, and gets more by a NodeTuning, which is then taken back. Controller and
// agent have the tokens of their service accounts. It ends by itself, and leaves nothing
// behind. Run it as root, by `make demo`.
//
// An agent that tunes writes the sysctls of its host. Here that is the network namespace
// that the demo is started in, and all of its programs with it: the namespace has a
// port range and sysctls of its own, and goes with the last of them. The machine's
// are not touched; the demo refuses to run where it would be otherwise.
package main
