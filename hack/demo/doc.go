// Demo shows Portreeve at work with a real Kubernetes API on loopback: this machine
// as the Node, controller and agent with the tokens of their service accounts, and a
// network namespace that runs out of ports. It ends by itself, and leaves nothing
// behind. Run it as root, by `make demo`.
package main
