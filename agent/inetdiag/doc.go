// Package inetdiag is the reader "sockdiag": it works without BPF, by netlink
// dumps of each network namespace's sockets (sock_diag(7)).
//
// It cannot see the kernel's bind hash, and so not which sockets were bound
// before they connected: the headroom that follows from its figures is an upper
// bound. Two rare cases may make it report less than there is: a TIME_WAIT whose
// timer was restarted by a late packet looks younger than it is, for
// tcp_tw_reuse_delay; and a listener that was bound with SO_REUSEADDR to a port
// while a connection held it does not keep connect() from that port.
//
// Every dump walks the whole machine's table, so namespaces far from their
// limit are left out by /proc/net/sockstat (socket.Request.GatePercent).
package inetdiag
