// Package conntrack finds the pools of SNAT in the kernel's connection tracking
// table (nf_conntrack): a source address that is translated, by MASQUERADE for
// one, has a supply of ports of its own towards every destination, which has
// nothing to do with net.ipv4.ip_local_port_range.
//
// Without --to-ports the kernel keeps a connection's own port if that is free,
// and else chooses from 1024-65535, or, for a port below 1024, from its like
// (net/netfilter/nf_nat_core.c, nf_nat_l4proto_unique_tuple; the same in Linux
// 6.1, 6.12 and 6.18). In a range of up to 128 ports it tries them all. In a
// wider one it tries 128 in a row from a random one, then 64, 32, 16 and 8, and
// gives up: the packet is dropped and insert_failed counts one more. So a wide
// pool loses its first connections before it is full, when nearly all of its
// ports are taken. From Linux 6.5 on the last tries of a row take over entries of
// TCP connections that have ended (nf_nat_used_tuple_harder).
//
// What conntrack can't tell: whether a rule narrows the range (--to-ports).
// Connections that need no translation, such as the node's own, take ports from
// the same pools and are not in the figures; nor are privileged ports (below
// 1024) and protocols beside TCP and UDP.
package conntrack
