/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Counts calls that fail because no port is free, when they happen. Part of
 * portwalk.bpf.c.
 */
#ifndef PORTREEVE_FAILURES_H
#define PORTREEVE_FAILURES_H

#define IPPROTO_TCP 6
#define FAIL_NETS 1024	/* namespaces with failed calls */
#define FAILS 1024	/* their destinations */
#define FAIL_SHARE 16	/* destinations that one namespace can add between two samples */

enum call { CALL_CONNECT, CALL_BIND, CALL_UDP };

/* A namespace. Inodes are reused at once, so a namespace is its cookie. */
struct fail_net { __u64 cookie; __u32 inum, pad; };
/* The failed calls of a namespace that are not in fails. */
struct fail_sum {
	__u64 count, last_ns;
	__u32 round, created;	/* entries of fails added since the sample with this number */
};
/* Failed calls of one kind, and for CALL_CONNECT to one destination. */
struct fail_key {
	struct fail_net net;
	__be16 port;
	__u8 family, call;
	__u32 src[4], dst[4], pad;
};
struct fail_val { __u64 count, last_ns; };

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FAIL_NETS);
	__type(key, struct fail_net);
	__type(value, struct fail_sum);
} fail_nets SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, FAILS);
	__type(key, struct fail_key);
	__type(value, struct fail_val);
} fails SEC(".maps");

/* Wakes user space after a failed call, at most once in WAKE_NS. User space sets
 * max_entries to the size of a page, the smallest possible. */
#define WAKE_NS 100000000ULL
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} wakeups SEC(".maps");
__u64 woken_ns;		/* time of the last wake-up, since boot */

static __always_inline void wake_reader(__u64 now)
{
	if (now - woken_ns < WAKE_NS)
		return;
	woken_ns = now;
	bpf_ringbuf_output(&wakeups, &now, sizeof(now), 0);
}

__u64 fails_lost;	/* calls of namespaces for which fail_nets had no room */
__u32 fail_round;	/* number of the last sample */

static const struct fail_sum no_sum;
static const struct fail_val no_fail;

/* Returns whether the namespace may have another entry, so that none can fill the map. */
static __always_inline int may_add(struct fail_sum *n)
{
	if (n->round != fail_round) {
		n->round = fail_round;
		n->created = 0;
	}
	return n->created++ < FAIL_SHARE;
}

static __always_inline void count_failure(struct fail_key *k)
{
	__u64 now = bpf_ktime_get_ns();
	wake_reader(now);
	struct fail_sum *n = bpf_map_lookup_elem(&fail_nets, &k->net);
	if (!n) {
		bpf_map_update_elem(&fail_nets, &k->net, &no_sum, BPF_NOEXIST);
		n = bpf_map_lookup_elem(&fail_nets, &k->net);
		if (!n) {
			__sync_fetch_and_add(&fails_lost, 1);
			return;
		}
	}
	struct fail_val *v = bpf_map_lookup_elem(&fails, k);
	if (!v && may_add(n)) {
		bpf_map_update_elem(&fails, k, &no_fail, BPF_NOEXIST);
		v = bpf_map_lookup_elem(&fails, k);
	}
	if (v) {
		__sync_fetch_and_add(&v->count, 1);
		v->last_ns = now;
	} else {
		__sync_fetch_and_add(&n->count, 1);
		n->last_ns = now;
	}
}

static __always_inline struct fail_net fail_net_of(struct sock *sk)
{
	struct net *net = BPF_CORE_READ(sk, __sk_common.skc_net.net);
	struct fail_net n = { .cookie = cookie_of(net), .inum = BPF_CORE_READ(net, ns.inum) };
	return n;
}

/* trace_inet_sock_set_state(sk, oldstate, newstate). A connect() that found no port
 * changes from SYN_SENT to CLOSE without ever having had one. A refused or closed
 * socket still has inet_sport. An MPTCP socket changes along with its first subflow,
 * which is a TCP socket. */
SEC("raw_tp/inet_sock_set_state")
int on_set_state(struct bpf_raw_tracepoint_args *ctx)
{
	if (ctx->args[1] != TCP_SYN_SENT || ctx->args[2] != TCP_CLOSE)
		return 0;
	struct inet_sock *sk = (void *)ctx->args[0];
	if (BPF_CORE_READ(sk, inet_sport) || BPF_CORE_READ(sk, sk.sk_protocol) != IPPROTO_TCP)
		return 0;
	struct fail_key k = { .net = fail_net_of(&sk->sk), .call = CALL_CONNECT };
	k.port = BPF_CORE_READ(sk, sk.__sk_common.skc_dport);
	k.family = BPF_CORE_READ(sk, sk.__sk_common.skc_family);
	if (k.family == AF_INET6) {
		BPF_CORE_READ_INTO(&k.src, sk, sk.__sk_common.skc_v6_rcv_saddr);
		BPF_CORE_READ_INTO(&k.dst, sk, sk.__sk_common.skc_v6_daddr);
		if (!k.dst[0] && !k.dst[1] && k.dst[2] == __builtin_bswap32(0xffff)) {
			k.family = AF_INET;
			__builtin_memset(k.src, 0, sizeof(k.src) + sizeof(k.dst));
		}
	}
	if (k.family == AF_INET) {
		k.src[0] = BPF_CORE_READ(sk, sk.__sk_common.skc_rcv_saddr);
		k.dst[0] = BPF_CORE_READ(sk, sk.__sk_common.skc_daddr);
	}
	count_failure(&k);
	return 0;
}

/* Counts a call that asked for any port (snum 0) and got an error. */
static __always_inline int count_bind(__u64 sk, __u16 snum, int result, enum call call)
{
	if (snum || !result)
		return 0;
	struct fail_key k = { .net = fail_net_of((void *)sk), .call = call };
	count_failure(&k);
	return 0;
}

/* inet_csk_get_port(sk, snum): TCP's bind(), and listen() without it. */
SEC("fexit/inet_csk_get_port")
int on_tcp_bind(__u64 *ctx)
{
	return count_bind(ctx[0], ctx[1], ctx[2], CALL_BIND);
}

/* udp_lib_get_port(sk, snum, hash2_nulladdr): UDP's bind(), connect() and sendto(). */
SEC("fexit/udp_lib_get_port")
int on_udp_bind(__u64 *ctx)
{
	return count_bind(ctx[0], ctx[1], ctx[3], CALL_UDP);
}

#endif
