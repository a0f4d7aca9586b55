// Package evidence reads the limits of connections other than ephemeral ports: accept queues,
// sockets in CLOSE_WAIT, open files, privileged source ports, ports of services that
// connections use, and whether IPv6 is on. It reads them from sock_diag and procfs, inside
// the network namespaces that it can enter; entering another one needs SYS_ADMIN, and the
// names of other users' processes SYS_PTRACE.
package evidence
