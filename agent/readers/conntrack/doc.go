// Package conntrack finds the SNAT pools in the kernel's connection tracking table
// (nf_conntrack). A source address that connections are translated to, for example by
// MASQUERADE, has its own pool of ports for every destination, independent of
// net.ipv4.ip_local_port_range.
//
// Without --to-ports the kernel keeps a connection's own port if that is free. Otherwise
// it chooses from 1024-65535, or for a port below 1024 from a range below 1024
// (net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple; the same in Linux 6.1, 6.12
// and 6.18). In a range of up to 128 ports it tries all of them. In a wider one it tries
// 128 consecutive ports from a random one on, then 64, 32, 16 and 8, and then drops the
// packet and increments insert_failed. So a wide pool loses its first connections before
// it is full, when nearly all of its ports are in use. From Linux 6.5 on the last
// attempts of each series reuse the ports of TCP connections that have ended
// (nf_nat_used_tuple_harder).
//
// The table does not show whether a rule narrows the range (--to-ports). The figures do
// not include connections without translation, such as the node's own, although they use
// ports of the same pools. Nor do they include privileged ports (below 1024) and
// protocols other than TCP and UDP.
package conntrack
