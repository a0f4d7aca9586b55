// Package sockdiag works without BPF, by netlink
// dumps of each network namespace's sockets (sock_diag(7)).
//
// It cannot see the kernel's bind hash, and so not which sockets were bound
// before they connected: the headroom that follows from its figures is an upper
// bound on a table that stands still. Two things can make it too low for a while:
// a TIME_WAIT whose timer was restarted by a late packet looks younger than it
// is, for tcp_tw_reuse_delay (1 s); and for a minute after tcp_timestamps is
// turned off, older TIME_WAIT are still reusable and not counted so.
//
// Every dump walks the whole machine's table, so namespaces far from their
// limit are left out by /proc/net/sockstat (socket.Request.GatePercent).
package sockdiag
