/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Inspects the sockets of one pool: the number of silent connections, and the
 * processes that use them. Part of portwalk.bpf.c.
 */
#ifndef PORTREEVE_LOOK_H
#define PORTREEVE_LOOK_H

#define IPPROTO_UDP 17
#define RLIMIT_NOFILE 7
#define HOLDERS 4	/* processes that are reported */

struct holder {
	__u32 sockets;		/* of the pool */
	__u32 open_files;
	__u64 max_files;	/* RLIMIT_NOFILE, soft */
	struct task_val who;
};

/* User space sets the first part and zeroes the others. */
struct look {
	__u64 net;		/* of the pool */
	struct dest_key key;	/* of its sockets, unless any is set */
	__u8 on;		/* walk_table only inspects and counts nothing else */
	__u8 any;		/* the pool without a destination: ports that connect() skips */
	__u8 udp;		/* any bound UDP socket */
	__u8 inside;		/* walk_holders: the processes of net, or the others */
	__u32 silent_after;	/* jiffies; 0: unknown */
	__u32 budget;		/* walk_holders stops at this value of visited */

	__u32 attached;		/* sockets that are not orphaned */
	__u32 established, silent, no_keepalive, unanswered;
	__u32 longest;		/* jiffies */

	__u32 visited;		/* files, and words of file bitmaps */
	__u32 more;		/* walk_holders has not reached the end */
	__u64 born;		/* where it continues: the process's start_time, */
	__u32 word;		/* and the next word of its bitmap */
	__u32 held;		/* sum of the processes' sockets */
	struct holder at_hand;
	struct holder holders[HOLDERS];	/* those with the most sockets, unordered */
};

struct look look;

static __u64 socket_ops;	/* f_op of a socket's file */
static __u32 resuming;

/* Returns whether a copied socket belongs to the pool. */
static __always_inline int of_pool(struct slot *s)
{
	__u32 i;
	if ((__u64)FIELD(s, sock_common, skc_net.net) != look.net)
		return 0;
	struct net_rec *n = net_of(look.net, &i);
	__u16 port = FIELD(s, sock_common, skc_num);
	if (!n || !eligible(n, port))
		return 0;
	if (look.udp)
		return 1;
	int skipped = n->skipped && ports_has(i, SET_SKIPPED, port);
	if (look.any) /* the clients of a listener have its port, and take none */
		return skipped && (FIELD(s, sock_common, skc_state) == TCP_LISTEN ||
				   !ports_has(i, SET_LISTENING, port));
	if (skipped)
		return 0;
	key_of(s, i);
	if (dkey.port != look.key.port || dkey.family != look.key.family)
		return 0;
	__u32 differs = 0;
	for (int k = 0; k < 4; k++)
		differs |= (dkey.src[k] ^ look.key.src[k]) | (dkey.dst[k] ^ look.key.dst[k]);
	return !differs;
}

static __always_inline void commit_look(struct slot *s)
{
	__u32 st = FIELD(s, sock_common, skc_state);
	if (st == TCP_TIME_WAIT || st == TCP_NEW_SYN_RECV || !of_pool(s))
		return;
	struct tcp_sock *tp = (void *)s->ptr;
	struct inet_connection_sock *icsk = (void *)tp;
	struct sock *sk = (void *)tp;
	look.attached += !!BPF_CORE_READ(sk, sk_socket);
	if (st != TCP_ESTABLISHED)
		return;
	look.established++;
	look.unanswered += BPF_CORE_READ(icsk, icsk_retransmits) || BPF_CORE_READ(icsk, icsk_probes_out);
	/* Both are tcp_jiffies32 of the last segment that had data (net/ipv4/
	 * tcp_output.c, tcp_event_data_sent(); tcp_input.c, tcp_event_data_recv()),
	 * and of the handshake before that. */
	__u32 sent = now_jiffies - BPF_CORE_READ(tp, lsndtime);
	__u32 received = now_jiffies - BPF_CORE_READ(icsk, icsk_ack.lrcvtime);
	__u32 silence = sent < received ? sent : received;
	if (silence >> 31) /* it moved meanwhile */
		silence = 0;
	if (silence > look.longest)
		look.longest = silence;
	if (!look.silent_after || silence < look.silent_after)
		return;
	look.silent++;
	look.no_keepalive += !(FIELD(s, sock_common, skc_flags) >>
			       bpf_core_enum_value(enum sock_flags, SOCK_KEEPOPEN) & 1);
}

#endif
