// Package sockdiag reads port usage without BPF, from netlink dumps of each network
// namespace's sockets (sock_diag(7)).
//
// It cannot read the kernel's bind hash, so it does not know which sockets were bound
// before they connected. The headroom calculated from its figures is therefore an upper
// bound, as long as the table does not change. In two cases it can be too low for a
// while. A TIME_WAIT socket whose timer was restarted by a late packet looks younger
// than it is, for tcp_tw_reuse_delay (1 s). And for a minute after tcp_timestamps is
// turned off, older TIME_WAIT sockets are reusable but not counted as such.
//
// Every dump walks the table of the whole machine, so namespaces with few sockets
// according to /proc/net/sockstat are not dumped (socket.Request.GatePercent).
package sockdiag
