// Package inetdiag is the reader "sockdiag": it works without BPF, by netlink
// dumps of each network namespace's sockets (sock_diag(7)).
//
// It cannot see the kernel's bind hash, and so not which sockets were bound
// before they connected: the headroom that follows from its figures is an upper
// bound. One thing can make it too low, for tcp_tw_reuse_delay (1 s): a TIME_WAIT
// whose timer was restarted by a late packet looks younger than it is.
//
// Every dump walks the whole machine's table, so namespaces far from their
// limit are left out by /proc/net/sockstat (socket.Request.GatePercent).
package inetdiag
