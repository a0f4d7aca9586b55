// SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause)
/*
 * portwalk reads the kernel's own tables through BPF_PROG_TEST_RUN: the list of
 * network namespaces, the TCP bind, listening and established hashes, the UDP
 * hash, and the task list. It takes no lock and writes only to its maps.
 * The kernel runs each program inside an RCU read section. Every pointer is
 * followed with bpf_probe_read_kernel, so a stale one leads to a rejected node
 * and never to a fault.
 *
 * A hash table is walked bucket by bucket. A bucket is first copied (fill), then
 * checked (settled), and only then counted (commit_*), so that a bucket that
 * changed under the walk can be read again and nothing is counted twice.
 * docs/how-it-measures.md describes the consequences.
 */
#include "kernel.h"
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>

char _license[] SEC("license") = "Dual BSD/GPL";

#define AF_INET 2
#define AF_INET6 10
#define TCP_ESTABLISHED 1
#define TCP_TIME_WAIT 6
#define TCP_CLOSE 7
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_LISTEN 10
#define TCP_NEW_SYN_RECV 12
#define NSTATES 14
#define LOOPBACK_IFINDEX 1

#define MAX_NETS 4096	/* namespaces; a power of two */
#define SLOTS 64	/* sockets of one bucket that are checked together */
#define PARTS 256	/* times SLOTS: the maximum length of a chain */
#define RETRIES 8	/* attempts to read a bucket again that changes */
#define RAW 256		/* bytes of a node that can be copied */
#define GROUP 32	/* buckets whose heads are read at once */
#define OWNERS 4096	/* owners of one bind bucket that are checked */
#define OWNERS_LISTENING 64	/* the same where a listener's clients are among them */
#define LISTENERS 8	/* listening ports of the range that are reported */
#define BLOCKS 4096	/* entries of ports */
#define CGROUPS 4096	/* entries of tasks */
#define NET_CGROUPS 64	/* those of one namespace */
#define CELLS 65536	/* counters of sockets whose destination is not in dests */
#define RANKED (~0u)	/* net_index: to be listed before other namespaces */
#define POD_NETS 8	/* namespaces of one pod that are listed before others */
#define NO_COOKIE (1ULL << 63)	/* marks the number that replaces a missing cookie */

#define OFF(T, f) bpf_core_field_offset(struct T, f)

extern void *bpf_rdonly_cast(const void *obj, __u32 btf_id) __ksym __weak;	/* 6.2 */

/* ---- data shared with user space ---- */

enum kind { KIND_EHASH, KIND_BHASH, KIND_LHASH, KIND_UDP };
enum port_set { SET_SKIPPED, SET_LISTENING, SET_UDP };

/* A network namespace. User space sets detail, share and threshold, and reads the rest. */
struct net_rec {
	__u64 net;		/* the kernel's struct net, to which its sockets point */
	__u64 cookie;
	__u64 tcp_table;	/* struct inet_hashinfo, shared or its own */
	__u64 udp_table;
	__u64 reserved_map;	/* the bitmap of ip_local_reserved_ports */
	__u32 inum;
	__u32 hash_mix;
	__u16 first, last;
	__u8 tw_reuse, timestamps, pad[2];
	__u32 detail;		/* whether its destinations are counted */
	__u32 share;		/* destinations that it can have even if the map is full */
	__u32 threshold;	/* sockets from which a destination above the share is counted */
	__u32 dests;
	__u32 uncounted;	/* sockets of destinations below the threshold */
	__u32 dests_lost;	/* sockets of other destinations, because the map was full */
	__u32 narrow;		/* sockets found with IP_LOCAL_PORT_RANGE */
	__u32 blocks, blocks_lost;	/* lost: ports, because the map was full */
	__u32 cgroups, tasks_lost;	/* lost: processes, because the map was full */
	__u32 owners_cut;	/* ports with more than OWNERS sockets */
	__u32 reuse_delay_ms, fin_timeout_jiffies, max_tw, time_wait;
	__u32 reserved;		/* of the range */
	__u32 tasks;		/* visible processes (see walk_tasks) */
	__u32 held, skipped, skipped_listening;
	__u32 udp_held, udp_sockets;
	__u32 l3mdev;		/* bind buckets of VRFs, not counted */
	__u32 states[NSTATES];
	__u16 listen[LISTENERS];	/* ports of the range, ascending, up to the first 0 */
	__u32 conntrack;	/* whether it is in use */
	__u32 insert_failed, drop, early_drop;
	__u64 overflow, listen_overflow;	/* of TIME_WAIT, of accept queues */
};
/* A destination, IPv4 in the first word of each address. */
struct dest_key {
	__u32 net;		/* index into nets */
	__be16 port;
	__u16 family;
	__u32 src[4], dst[4];
};
struct dest_val {
	__u32 reusable;
	__u32 reusable_if_all;	/* if tcp_tw_reuse were 1 */
	__u32 seen;		/* check_range has read a socket */
	__u32 states[12];
};
/* 1,024 ports of one set of one namespace. */
struct port_key { __u32 net; __u16 set, block; };
struct port_bits { __u64 w[16]; };
/* The first process of one cgroup in one namespace. */
struct task_key { __u32 inum, pad; __u64 cgroup; };
struct task_val {
	__u64 start_time;	/* ns since boot */
	__u32 pid;		/* in the reader's PID namespace; 0: not visible */
	__u32 count;
	__u32 generation;
	__u32 pad;
	char comm[24];
	char names[4][96];	/* of the cgroup, its parent and so on */
};

struct args {
	__u64 table;		/* struct inet_hashinfo or struct udp_table */
	__u32 kind;
	__u32 cursor;		/* next bucket; at the end: size */
	__u32 budget;		/* nodes after which a run stops between buckets */
	__u32 tcp_fd, udp_fd;	/* sockets of the caller */
	__u32 generation;	/* of the task walk */
	__u32 block_share;	/* entries of ports that each namespace can have */
	__u32 dest_quota;	/* a quarter of the entries of dests */
	__u32 rank;		/* enum rank */
	__u32 max_nets;
};
/* With more namespaces than nets can list, the first walks rank them and the last one
 * lists those with a rank before the others. */
enum rank { RANK_NONE, RANK_PODS, RANK_TASKS, RANK_TABLES, RANK_LIST };
/* Counters of one sample, zeroed by user space. Everything that could make a figure
 * wrong is counted. */
struct tally {
	__u64 udp_table;	/* the shared one */
	__u64 tcp_mem[3];	/* pages: low, pressure, high */
	__u64 now_ns, now_jiffies;	/* of the same moment, to calculate HZ */
	__u32 nets, nets_dead, nets_lost;	/* lost: more than MAX_NETS */
	__u32 size;		/* buckets of the walked table */
	__u32 visited;		/* nodes */
	__u32 retries;		/* buckets read again */
	__u32 unsettled;	/* buckets that still changed after RETRIES */
	__u32 capped;		/* chains longer than SLOTS*PARTS */
	__u32 strangers;	/* sockets of a namespace that is not in nets */
	__u32 odd_states;
	__u32 capped_udp;	/* the same for UDP, where only the number of sockets is wrong */
	__u32 ranked;
	__u32 dests, dests_shared, dests_large;
	__u32 blocks;
	__u32 tasks, tasks_new, tasks_cut;
	__u32 cgroups;
	__u32 own_level, scope_level;	/* of the PID namespaces of the caller and the node */
	__u32 host;		/* inum of the node's own namespace */
};

struct args args;
struct tally tally;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, MAX_NETS);
	__type(key, __u32);
	__type(value, struct net_rec);
} nets SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, MAX_NETS * 2);
	__type(key, __u64);
	__type(value, __u32);
} net_index SEC(".maps");
struct dest_map {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 1);
	__type(key, struct dest_key);
	__type(value, struct dest_val);
};
/* User space replaces the map inside by a larger or smaller one. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct dest_map);
} dests SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, BLOCKS);
	__type(key, struct port_key);
	__type(value, struct port_bits);
} ports SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CGROUPS);
	__uint(map_flags, BPF_F_NO_PREALLOC);	/* large, few, and retried in the next sample */
	__type(key, struct task_key);
	__type(value, struct task_val);
} tasks SEC(".maps");

/* ---- scratch: one program runs at a time ---- */

struct slot { __u64 ptr; __u8 raw[RAW]; };
static struct slot slots[SLOTS];
static __u8 heads[GROUP * 128];
static __u64 bits[1024];
static struct dest_key dkey;
static struct task_val tval;
__u16 cells[CELLS];		/* zeroed by user space */
static const struct port_bits no_bits;
static const struct dest_val no_dest;

static __u64 cur;		/* fill: its position in a chain */
static __u32 filled, strange;	/* fill: slots in use; a node was of another bucket */
static __u64 buckets;		/* walk_table: the table's array */
static __u32 mask;		/* size - 1 */
static __u32 now_ms, now_s, now_jiffies;
static __u64 last_net;		/* net_of: its last answer */
static __u32 last_index;

/* LOOP runs an iteration up to 2^20 times, until it returns other than 0. The verifier
 * follows a loop iteration by iteration, and gives up after a million instructions, but it
 * verifies a global function separately and only once (Linux 5.6). So one iteration is a
 * global function, and so are TURNS iterations. bpf_loop() does the same from 5.17 on. */
#define TURNS 1024
#define LOOP_OF(turn)								\
	__noinline int turn##s(void)						\
	{									\
		for (__u32 i = 0; i < TURNS; i++)				\
			if (turn())						\
				return 1;					\
		return 0;							\
	}
#define LOOP(turn)								\
	for (__u32 i_ = 0; i_ < TURNS; i_++)					\
		if (turn##s())							\
			break

static __always_inline __u64 read8(__u64 p)
{
	__u64 v = 0;
	bpf_probe_read_kernel(&v, sizeof(v), (void *)p);
	return v;
}

/* Bytes that are read of each socket: up to tw_substate, TIME_WAIT or FIN_WAIT2. */
#define SOCK_LEN ((OFF(inet_timewait_sock, tw_substate) + 8) & ~7)

/* A field of a copied node, from the copy if that is long enough. */
#define FIELD(s, T, f) ({							\
	typeof(((struct T *)0)->f) v_ = 0;					\
	if (OFF(T, f) + sizeof(v_) <= LEN(T))					\
		v_ = *(typeof(v_) *)((s)->raw + OFF(T, f));			\
	else									\
		bpf_probe_read_kernel(&v_, sizeof(v_), (void *)((s)->ptr + OFF(T, f))); \
	v_; })

/* The number of bytes of a T that are copied. */
#define LEN(T) _Generic((struct T *)0,					\
	struct inet_bind_bucket *: bpf_core_type_size(struct inet_bind_bucket),	\
	default: SOCK_LEN)

static __always_inline struct net_rec *net_of(__u64 net, __u32 *index)
{
	if (net != last_net) {
		__u32 *i = bpf_map_lookup_elem(&net_index, &net);
		if (!i || *i >= MAX_NETS)
			return 0;
		last_net = net;
		last_index = *i;
	}
	*index = last_index;
	return bpf_map_lookup_elem(&nets, index);
}

/* ---- sets of ports ---- */

/* Adds port to the set, and returns whether it is new there. Half of the map is for
 * anyone; of the other half each namespace has a share. */
static __always_inline int ports_add(struct net_rec *n, __u32 net, __u16 set, __u16 port)
{
	struct port_key k = { .net = net, .set = set, .block = port >> 10 };
	struct port_bits *b = bpf_map_lookup_elem(&ports, &k);
	if (!b) {
		if (tally.blocks < BLOCKS / 2 || n->blocks < args.block_share)
			bpf_map_update_elem(&ports, &k, &no_bits, BPF_NOEXIST);
		b = bpf_map_lookup_elem(&ports, &k);
		if (!b) {
			n->blocks_lost++;
			return 1;
		}
		tally.blocks++;
		n->blocks++;
	}
	__u64 bit = 1ULL << (port & 63), *w = &b->w[(port >> 6) & 15];
	if (*w & bit)
		return 0;
	*w |= bit;
	return 1;
}

static __always_inline int ports_has(__u32 net, __u16 set, __u16 port)
{
	struct port_key k = { .net = net, .set = set, .block = port >> 10 };
	struct port_bits *b = bpf_map_lookup_elem(&ports, &k);
	return b && b->w[(port >> 6) & 15] >> (port & 63) & 1;
}

/* Returns whether connect() and bind(0) can choose port. */
static __always_inline int eligible(struct net_rec *n, __u16 port)
{
	if (port < n->first || port > n->last)
		return 0;
	if (n->reserved && read8(n->reserved_map + (port >> 6) * 8) >> (port & 63) & 1)
		return 0;
	return 1;
}

/* ---- counting one copied node ---- */

static __always_inline int is_loopback(const struct dest_key *k)
{
	if (k->family == AF_INET)
		return (k->src[0] & 0xff) == 127 || (k->dst[0] & 0xff) == 127;
	return (!(k->src[0] | k->src[1] | k->src[2]) && k->src[3] == __builtin_bswap32(1)) ||
	       (!(k->dst[0] | k->dst[1] | k->dst[2]) && k->dst[3] == __builtin_bswap32(1));
}

/* Returns whether connect() would reuse a TIME_WAIT socket if tcp_tw_reuse were 1.
 * This reads memory that the walk does not need otherwise (net/ipv4/tcp_ipv4.c,
 * tcp_twsk_unique()). */
static __always_inline int reusable_if_all(struct net_rec *n, struct slot *s)
{
	int stamp = FIELD(s, tcp_timewait_sock, tw_ts_recent_stamp);
	if (!stamp)
		return 0;
	if (bpf_core_field_exists(struct inet_timewait_sock, tw_entry_stamp))
		return (int)(now_ms - FIELD(s, inet_timewait_sock, tw_entry_stamp) - n->reuse_delay_ms) > 0;
	return (int)(now_s - stamp) > 0;
}

/* Returns whether tcp_tw_reuse allows connect() to reuse the socket. */
static __always_inline int reuse_allowed(struct net_rec *n, struct slot *s)
{
	if (n->tw_reuse != 2)
		return n->tw_reuse;
	return is_loopback(&dkey) || FIELD(s, sock_common, skc_bound_dev_if) == LOOPBACK_IFINDEX;
}

/* Returns whether a pool of n can be half used. */
static __always_inline int half_held(struct net_rec *n)
{
	return n->held * 2 >= (__u32)(n->last - n->first);
}

/* Sets dkey to the destination of a copied socket. */
static __always_inline void key_of(struct slot *s, __u32 net)
{
	dkey.net = net;
	dkey.port = FIELD(s, sock_common, skc_dport);
	dkey.family = FIELD(s, sock_common, skc_family);
	__builtin_memset(dkey.src, 0, sizeof(dkey.src) + sizeof(dkey.dst));
	if (dkey.family == AF_INET6) {
		*(struct in6_addr *)dkey.src = *(struct in6_addr *)(s->raw + OFF(sock_common, skc_v6_rcv_saddr));
		*(struct in6_addr *)dkey.dst = *(struct in6_addr *)(s->raw + OFF(sock_common, skc_v6_daddr));
		if (!dkey.dst[0] && !dkey.dst[1] && dkey.dst[2] == __builtin_bswap32(0xffff)) {
			/* IPv4-mapped: one pool with IPv4 */
			dkey.family = AF_INET;
			__builtin_memset(dkey.src, 0, sizeof(dkey.src) + sizeof(dkey.dst));
		}
	}
	if (dkey.family == AF_INET) {
		dkey.src[0] = FIELD(s, sock_common, skc_rcv_saddr);
		dkey.dst[0] = FIELD(s, sock_common, skc_daddr);
	}
}

/* Returns whether dkey can have threshold sockets or more: whether the cell of its hash,
 * which it may share with others, has counted that many. If not, it counts one more. */
static __always_inline int is_large(__u32 threshold)
{
	const __u32 *w = (const __u32 *)&dkey;
	__u32 h = 0;
	for (__u32 i = 0; i < sizeof(dkey) / 4; i++) {
		h = (h ^ w[i]) * 0x9e3779b1;
		h ^= h >> 15;
	}
	__u16 *cell = &cells[h & (CELLS - 1)];
	if (*cell + 1 >= threshold)
		return 1;
	++*cell;
	return 0;
}

/* Returns whether dkey, which is not in dests, may be added. Half of the map is for any
 * destination, a quarter is divided among the namespaces, and a quarter is for those that
 * have threshold sockets. So no namespace can fill the map, and the count of a destination
 * lacks less than threshold sockets. */
static __always_inline int may_add_dest(struct net_rec *n)
{
	if (tally.dests_shared < args.dest_quota * 2) {
		tally.dests_shared++;
		return 1;
	}
	if (n->dests < n->share)
		return 1;
	if (!is_large(n->threshold)) {
		n->uncounted++;
		return 0;
	}
	if (tally.dests_large < args.dest_quota) {
		tally.dests_large++;
		return 1;
	}
	n->dests_lost++;
	return 0;
}

/* Returns dkey's counter, or 0 if it has none. */
static __always_inline struct dest_val *dest_of(struct net_rec *n)
{
	__u32 zero = 0;
	void *map = bpf_map_lookup_elem(&dests, &zero);
	if (!map)
		return 0;
	struct dest_val *v = bpf_map_lookup_elem(map, &dkey);
	if (v || !may_add_dest(n))
		return v;
	if (bpf_map_update_elem(map, &dkey, &no_dest, BPF_NOEXIST)) {
		n->dests_lost++;
		return 0;
	}
	tally.dests++;
	n->dests++;
	return bpf_map_lookup_elem(map, &dkey);
}

/* Returns the address of a socket's IP_LOCAL_PORT_RANGE, or 0 before 6.3. */
static __always_inline __u64 own_range(struct slot *s)
{
	if (bpf_core_field_exists(struct inet_sock, local_port_range))
		return s->ptr + OFF(inet_sock, local_port_range);
	if (bpf_core_field_exists(struct inet_sock___67, local_port_range))
		return s->ptr + OFF(inet_sock___67, local_port_range);
	return 0;
}

/* Counts sockets with a narrower port range than their namespace's. To save time it
 * reads only one socket in 32, and the first one of each destination. */
static __always_inline void check_range(struct net_rec *n, struct slot *s, struct dest_val *v)
{
	__u32 range = 0;
	if (FIELD(s, sock_common, skc_num) % 32 && v->seen)
		return;
	v->seen = 1;
	__u64 at = own_range(s);
	if (at)
		bpf_probe_read_kernel(&range, sizeof(range), (void *)at);
	n->narrow += !!range;
}

static __always_inline void commit_ehash(struct slot *s)
{
	__u32 i;
	struct net_rec *n = net_of((__u64)FIELD(s, sock_common, skc_net.net), &i);
	if (!n) {
		tally.strangers++;
		return;
	}
	__u32 st = FIELD(s, sock_common, skc_state);
	int fresh = st == TCP_NEW_SYN_RECV;
	if (st == TCP_TIME_WAIT)
		st = FIELD(s, inet_timewait_sock, tw_substate);
	else if (fresh)
		st = TCP_SYN_RECV;
	if (st >= 12) {
		tally.odd_states++;
		return;
	}
	n->states[st]++;
	__u16 port = FIELD(s, sock_common, skc_num);
	/* A request socket has its listener's port. */
	if (!n->detail || fresh || !eligible(n, port))
		return;
	if (n->skipped && ports_has(i, SET_SKIPPED, port))
		return;

	key_of(s, i);
	int allowed = st == TCP_TIME_WAIT && reuse_allowed(n, s);
	int again = st == TCP_TIME_WAIT && (allowed || half_held(n)) && reusable_if_all(n, s);
	struct dest_val *v = dest_of(n);
	if (!v)
		return;
	if (FIELD(s, sock_common, skc_state) != TCP_TIME_WAIT)
		check_range(n, s, v);
	v->states[st]++;
	v->reusable_if_all += again;
	v->reusable += again && allowed;
}

/* Returns the first of the bucket's owners in the copy, or 0. */
static __always_inline __u64 first_owner(struct slot *s)
{
	if (bpf_core_field_exists(struct inet_bind_bucket, bhash2))
		return (__u64)FIELD(s, inet_bind_bucket, bhash2.first);
	return (__u64)FIELD(s, inet_bind_bucket, owners.first);
}

/* count_owners: the next socket, the bucket of the next address (6.8), and the limit. */
static struct { __u64 sk, bucket2; __u32 left, bound; } own;

/* Looks at a socket of a bind bucket. */
__noinline int owner_step(void)
{
	if (!own.sk) {
		if (!bpf_core_field_exists(struct inet_bind_bucket, bhash2) || !own.bucket2)
			return 1;
		own.sk = read8(own.bucket2 - OFF(inet_bind2_bucket, bhash_node) + OFF(inet_bind2_bucket, owners));
		own.bucket2 = read8(own.bucket2);
		return 0;
	}
	if (!own.left)
		return 1;
	own.left--;
	__u8 st = 0;
	bpf_probe_read_kernel(&st, 1, (void *)(own.sk - OFF(sock_common, skc_bind_node) + OFF(sock_common, skc_state)));
	own.bound += st == TCP_CLOSE;
	own.sk = read8(own.sk);
	return 0;
}

/* Counts the bucket's sockets that neither listen nor are connected. A listener's clients
 * are among its sockets, so there only the first ones are looked at. */
static __always_inline void count_bound(struct net_rec *n, struct slot *s, int listens)
{
	own.sk = own.bucket2 = own.bound = 0;
	if (bpf_core_field_exists(struct inet_bind_bucket, bhash2))
		own.bucket2 = first_owner(s);
	else
		own.sk = first_owner(s);
	own.left = listens ? OWNERS_LISTENING : OWNERS;
	for (int i = 0; i < OWNERS; i++) /* LOOP would exceed the kernel's 8 frames */
		if (owner_step())
			break;
	n->states[13] += own.bound;
	n->owners_cut += !listens && (own.sk || own.bucket2);
}

/* Keeps the lowest listening ports. */
static __always_inline void name_listener(struct net_rec *n, __u16 port)
{
	for (int k = 0; k < LISTENERS && port; k++) {
		__u16 have = n->listen[k];
		if (have && have <= port)
			continue;
		n->listen[k] = port;
		port = have;
	}
}

/* Returns whether connect() skips the bucket's port (net/ipv4/inet_hashtables.c,
 * __inet_hash_connect()). A bucket that connect() creates is in the table shortly
 * before it is marked as not to be skipped, and gets its first owner after that.
 * Therefore the mark is read again after the owner. */
static __always_inline int skipped(struct slot *s)
{
	if (FIELD(s, inet_bind_bucket, fastreuse) < 0 && FIELD(s, inet_bind_bucket, fastreuseport) < 0)
		return 0;
	if (!first_owner(s))
		return 0;
	struct inet_bind_bucket *b = (void *)s->ptr;
	return BPF_CORE_READ(b, fastreuse) >= 0 || BPF_CORE_READ(b, fastreuseport) >= 0;
}

/* Lists the namespace before those without a rank. */
static __always_inline void rank(__u64 net)
{
	__u32 ranked = RANKED;
	if (tally.ranked < args.max_nets && !bpf_map_update_elem(&net_index, &net, &ranked, BPF_NOEXIST))
		tally.ranked++;
}

static __always_inline void commit_bhash(struct slot *s)
{
	__u32 i;
	if (args.rank) {
		rank((__u64)FIELD(s, inet_bind_bucket, ib_net.net));
		return;
	}
	struct net_rec *n = net_of((__u64)FIELD(s, inet_bind_bucket, ib_net.net), &i);
	if (!n) {
		tally.strangers++;
		return;
	}
	if (FIELD(s, inet_bind_bucket, l3mdev)) {
		n->l3mdev++;
		return;
	}
	__u16 port = FIELD(s, inet_bind_bucket, port);
	int skip = skipped(s);
	int listens = skip && ports_has(i, SET_LISTENING, port);
	if (skip)
		count_bound(n, s, listens);
	if (!eligible(n, port))
		return;
	n->held++;
	if (skip) {
		n->skipped++;
		n->skipped_listening += listens;
		if (listens)
			name_listener(n, port);
		ports_add(n, i, SET_SKIPPED, port);
	}
}

static __always_inline void commit_lhash(struct slot *s)
{
	__u32 i;
	struct net_rec *n = net_of((__u64)FIELD(s, sock_common, skc_net.net), &i);
	if (!n) {
		tally.strangers++;
		return;
	}
	n->states[TCP_LISTEN]++;
	ports_add(n, i, SET_LISTENING, FIELD(s, sock_common, skc_num));
}

static __always_inline void commit_udp(struct slot *s)
{
	__u32 i;
	if (args.rank) {
		rank((__u64)FIELD(s, sock_common, skc_net.net));
		return;
	}
	struct net_rec *n = net_of((__u64)FIELD(s, sock_common, skc_net.net), &i);
	if (!n) {
		tally.strangers++;
		return;
	}
	n->udp_sockets++;
	__u16 port = FIELD(s, sock_common, skc_num);
	if (eligible(n, port))
		n->udp_held += ports_add(n, i, SET_UDP, port);
}

#include "look.h"

__noinline int commit(__u32 j)
{
	struct slot *s = &slots[j & (SLOTS - 1)];
	if (look.on) {
		commit_look(s);
		return 0;
	}
	switch (args.kind) {
	case KIND_EHASH: commit_ehash(s); break;
	case KIND_BHASH: commit_bhash(s); break;
	case KIND_LHASH: commit_lhash(s); break;
	case KIND_UDP: commit_udp(s); break;
	}
	return 0;
}

/* ---- walking one bucket ---- */

/* Returns whether a copied node belongs to bucket b. A freed and reused node usually
 * does not; the caller's other checks cover the rest. */
static __always_inline int belongs(struct slot *s, __u32 b)
{
	__u32 i;
	struct net_rec *n;
	switch (args.kind) {
	case KIND_EHASH:
		return (FIELD(s, sock_common, skc_hash) & mask) == b;
	case KIND_BHASH:
		n = net_of((__u64)FIELD(s, inet_bind_bucket, ib_net.net), &i);
		return !n || ((FIELD(s, inet_bind_bucket, port) + n->hash_mix) & mask) == b;
	case KIND_UDP:
		n = net_of((__u64)FIELD(s, sock_common, skc_net.net), &i);
		return !n || ((FIELD(s, sock_common, skc_num) + n->hash_mix) & mask) == b;
	}
	return 1;
}

/* hlist chains end in NULL, hlist_nulls chains in an odd number. */
static __always_inline int ended(__u64 p) { return !p || p & 1; }

/* Copies nodes of bucket b from cur on into free slots. */
__noinline int fill(__u32 b)
{
	__u64 p = cur;
	__u32 n = filled;
	for (int j = 0; j < SLOTS; j++) {
		if (ended(p) || n >= SLOTS)
			break;
		__u32 at = n;
		barrier_var(at); /* else the compiler drops the bounds that the kernel asks for */
		struct slot *s = &slots[at & (SLOTS - 1)];
		switch (args.kind) {
		case KIND_BHASH:
			s->ptr = p - OFF(inet_bind_bucket, node);
			bpf_probe_read_kernel(s->raw, bpf_core_type_size(struct inet_bind_bucket) & (RAW - 1), (void *)s->ptr);
			p = (__u64)FIELD(s, inet_bind_bucket, node.next);
			break;
		case KIND_UDP:
			s->ptr = p - OFF(sock_common, skc_node);
			bpf_probe_read_kernel(s->raw, SOCK_LEN & (RAW - 1), (void *)s->ptr);
			p = (__u64)FIELD(s, sock_common, skc_node.next);
			break;
		default:
			s->ptr = p - OFF(sock_common, skc_nulls_node);
			bpf_probe_read_kernel(s->raw, SOCK_LEN & (RAW - 1), (void *)s->ptr);
			p = (__u64)FIELD(s, sock_common, skc_nulls_node.next);
			break;
		}
		if (!belongs(s, b))
			strange = 1;
		n++;
	}
	cur = p;
	tally.visited += n - filled;
	filled = n;
	return 0;
}

static __always_inline __u64 head_of(__u32 b)
{
	switch (args.kind) {
	case KIND_EHASH:
		return read8(buckets + (__u64)b * bpf_core_type_size(struct inet_ehash_bucket));
	case KIND_BHASH:
		return read8(buckets + (__u64)b * bpf_core_type_size(struct inet_bind_hashbucket) + OFF(inet_bind_hashbucket, chain));
	case KIND_LHASH:
		return read8(buckets + (__u64)b * bpf_core_type_size(struct inet_listen_hashbucket) + OFF(inet_listen_hashbucket, nulls_head));
	}
	return read8(buckets + (__u64)b * bpf_core_type_size(struct udp_hslot));
}

/* Returns whether the walk that started at head saw bucket b unchanged: every node
 * was of this bucket, the chain ended in this bucket's own nulls value (ehash), and
 * nothing was inserted meanwhile, which always happens at the front. */
static __always_inline int settled(__u32 b, __u64 head)
{
	if (strange || !ended(cur))
		return 0;
	if (args.kind == KIND_EHASH && cur >> 1 != b)
		return 0;
	return head_of(b) == head;
}

__noinline int commit_all(void)
{
	for (__u32 j = 0; j < SLOTS; j++) {
		if (j >= filled)
			break;
		commit(j);
	}
	filled = 0;
	return 0;
}

/* Copies bucket b, which just began with head, into the slots after those in use, and
 * retries while it changes. Returns false if it did not fit. */
static __always_inline int gather(__u32 b, __u64 head)
{
	__u32 before = filled;
	for (int try = 0; try < RETRIES; try++) {
		if (try)
			head = head_of(b);
		cur = head;
		strange = 0;
		filled = before;
		fill(b);
		if (!ended(cur))
			return 0;
		if (settled(b, head))
			return 1;
		tally.retries++;
	}
	tally.unsettled++;
	return 1;
}

/* A chain longer than the slots is counted while it is read, and checked only at its
 * end. */
__noinline int visit_long(__u32 b)
{
	cur = head_of(b);
	strange = 0;
	filled = 0;
	for (int part = 0; part < PARTS && !ended(cur); part++) {
		fill(b);
		commit_all();
	}
	if (!ended(cur) && args.kind == KIND_UDP)
		tally.capped_udp++;
	else if (!ended(cur))
		tally.capped++;
	else if (strange || (args.kind == KIND_EHASH && cur >> 1 != b))
		tally.unsettled++;
	return 0;
}

__noinline int visit(__u32 b, __u64 head)
{
	__u32 before = filled;
	if (gather(b, head))
		return 0;
	filled = before;
	commit_all();
	if (!gather(b, head_of(b)))
		visit_long(b);
	return 0;
}

/* Prefetches the three cache lines of a node that will be copied, without using
 * them yet, so that the CPU waits for the memory of many sockets at once instead of
 * one after the other. It saves about a third of the time for a large table. Plain
 * loads work best, which bpf_rdonly_cast allows since Linux 6.2; helper calls are
 * too long for the CPU to execute many of them ahead. */
static __always_inline void touch(__u64 node)
{
	if (ended(node))
		return;
	node -= OFF(sock_common, skc_nulls_node);
	if (bpf_rdonly_cast) {
		struct inet_timewait_sock *tw = bpf_rdonly_cast((void *)node,
			bpf_core_type_id_kernel(struct inet_timewait_sock));
		*(volatile int *)&tw->__tw_common.skc_bound_dev_if;
		*(struct hlist_nulls_node *volatile *)&tw->__tw_common.skc_nulls_node.next;
		*(volatile unsigned char *)&tw->tw_substate;
		return;
	}
	read8(node);
	read8(node + OFF(sock_common, skc_nulls_node));
}

/* Walks GROUP buckets from args.cursor on. */
__noinline int step(void)
{
	__u32 base = args.cursor;
	if (base > mask || tally.visited >= args.budget)
		return 1;
	args.cursor = base + GROUP;
#define GROUP_OF(T, o) do {							\
		if (bpf_core_type_size(struct T) > sizeof(heads) / GROUP)	\
			return 1;						\
		if (bpf_probe_read_kernel(heads, GROUP * bpf_core_type_size(struct T), \
			(void *)(buckets + (__u64)base * bpf_core_type_size(struct T)))) \
			tally.unsettled++;	/* the table is gone */		\
		if (args.kind == KIND_EHASH)					\
			for (__u32 k = 0; k < GROUP; k++)			\
				touch(*(__u64 *)(heads + k * bpf_core_type_size(struct T))); \
		for (__u32 k = 0; k < GROUP; k++) {				\
			__u64 head = *(__u64 *)(heads + k * bpf_core_type_size(struct T) + (o)); \
			if (!ended(head) && base + k <= mask)			\
				visit(base + k, head);				\
		}								\
	} while (0)
	switch (args.kind) {
	case KIND_EHASH: GROUP_OF(inet_ehash_bucket, 0); break;
	case KIND_BHASH: GROUP_OF(inet_bind_hashbucket, OFF(inet_bind_hashbucket, chain)); break;
	case KIND_LHASH: GROUP_OF(inet_listen_hashbucket, OFF(inet_listen_hashbucket, nulls_head)); break;
	case KIND_UDP: GROUP_OF(udp_hslot, 0); break;
	}
	commit_all();
	return 0;
}
LOOP_OF(step)

/* Walks args.table from args.cursor to its end, or for about args.budget nodes. */
SEC("raw_tp")
int walk_table(void *ctx)
{
	struct inet_hashinfo *h = (void *)args.table;
	__u64 now = bpf_ktime_get_ns();
	now_ms = now / 1000000;
	now_s = now / 1000000000;
	now_jiffies = bpf_jiffies64();
	last_net = 0;
	switch (args.kind) {
	case KIND_EHASH:
		buckets = (__u64)BPF_CORE_READ(h, ehash);
		mask = BPF_CORE_READ(h, ehash_mask);
		break;
	case KIND_BHASH:
		buckets = (__u64)BPF_CORE_READ(h, bhash);
		mask = BPF_CORE_READ(h, bhash_size) - 1;
		break;
	case KIND_LHASH:
		/* Until 5.18 the sockets of lhash2 are linked in another way. */
		if (bpf_core_field_exists(h->listening_hash)) {
			buckets = args.table + OFF(inet_hashinfo, listening_hash);
			mask = bpf_core_field_size(struct inet_hashinfo, listening_hash) /
			       bpf_core_type_size(struct inet_listen_hashbucket) - 1;
			break;
		}
		buckets = (__u64)BPF_CORE_READ(h, lhash2);
		mask = BPF_CORE_READ(h, lhash2_mask);
		break;
	case KIND_UDP:
		buckets = (__u64)BPF_CORE_READ((struct udp_table *)h, hash);
		mask = BPF_CORE_READ((struct udp_table *)h, mask);
		break;
	}
	tally.size = mask + 1;
	LOOP(step);
	return 0;
}

/* ---- namespaces ---- */

/* A walk of one of the kernel's circular lists. */
struct ring { __u64 cur, start; __u32 done, level; __u64 scope; __u32 others; };
static struct ring ring;

static __always_inline __u32 popcount(__u64 x)
{
	x -= x >> 1 & 0x5555555555555555;
	x = (x & 0x3333333333333333) + (x >> 2 & 0x3333333333333333);
	x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0f;
	return x * 0x0101010101010101 >> 56;
}

/* Returns the part of word i of a port bitmap that is in the range. */
static __always_inline __u64 in_range(__u64 x, __u32 i, __u16 first, __u16 last)
{
	if (i < first >> 6 || i > last >> 6)
		return 0;
	if (i == first >> 6)
		x &= ~0ULL << (first & 63);
	if (i == last >> 6)
		x &= ~0ULL >> (63 - (last & 63));
	return x;
}

static struct span { __u16 first, last; __u32 reserved; } span;

__noinline int count_reserved(__u32 i)
{
	__u32 w = i * 8 & 1023 & ~7;
	__u64 any = 0;
#pragma unroll
	for (int k = 0; k < 8; k++)
		any |= bits[w + k];
	if (any)
		for (int k = 0; k < 8; k++)
			span.reserved += popcount(in_range(bits[w + k], w + k, span.first, span.last));
	return 0;
}

static __always_inline int refs_of(struct net *net)
{
	struct net___618 *n = (void *)net;
	if (bpf_core_field_exists(n->ns.__ns_ref))
		return BPF_CORE_READ(n, ns.__ns_ref.refs.counter);
	if (bpf_core_field_exists(net->ns.count))
		return BPF_CORE_READ(net, ns.count.refs.counter);
	struct net___510 *o = (void *)net;
	return BPF_CORE_READ(o, count.refs.counter);
}

static __always_inline struct inet_timewait_death_row *death_row_of(struct net *net)
{
	if (bpf_core_field_exists(net->ipv4.tcp_death_row))
		return (void *)net + OFF(net, ipv4.tcp_death_row);
	struct net___60 *o = (void *)net;
	return BPF_CORE_READ(o, ipv4.tcp_death_row);
}

/* Returns a number that no other namespace had since boot. Before 5.12 few namespaces
 * have a cookie; all have a random number. */
static __always_inline __u64 cookie_of(struct net *net)
{
	if (bpf_core_field_exists(net->net_cookie))
		return BPF_CORE_READ(net, net_cookie);
	return NO_COOKIE | BPF_CORE_READ(net, hash_mix);
}

static __always_inline void read_net(struct net *net, struct net_rec *r)
{
	r->net = (__u64)net;
	r->inum = BPF_CORE_READ(net, ns.inum);
	r->hash_mix = BPF_CORE_READ(net, hash_mix);
	r->cookie = cookie_of(net);
	struct inet_timewait_death_row *row = death_row_of(net);
	r->tcp_table = (__u64)BPF_CORE_READ(row, hashinfo);
	if (bpf_core_field_exists(net->ipv4.udp_table))
		r->udp_table = (__u64)BPF_CORE_READ(net, ipv4.udp_table);
	else
		r->udp_table = tally.udp_table;
	struct net___67 *o = (void *)net;
	if (bpf_core_field_exists(o->ipv4.ip_local_ports.range)) {
		r->first = BPF_CORE_READ(o, ipv4.ip_local_ports.range[0]);
		r->last = BPF_CORE_READ(o, ipv4.ip_local_ports.range[1]);
	} else {
		__u32 x = BPF_CORE_READ(net, ipv4.ip_local_ports.range);
		r->first = x;
		r->last = x >> 16;
	}
	r->tw_reuse = BPF_CORE_READ(net, ipv4.sysctl_tcp_tw_reuse);
	r->timestamps = BPF_CORE_READ(net, ipv4.sysctl_tcp_timestamps);
	r->reuse_delay_ms = 1000;
	if (bpf_core_field_exists(net->ipv4.sysctl_tcp_tw_reuse_delay))
		r->reuse_delay_ms = BPF_CORE_READ(net, ipv4.sysctl_tcp_tw_reuse_delay);
	r->fin_timeout_jiffies = BPF_CORE_READ(net, ipv4.sysctl_tcp_fin_timeout);
	r->max_tw = BPF_CORE_READ(row, sysctl_max_tw_buckets);
	if (bpf_core_field_exists(row->tw_refcount))
		r->time_wait = BPF_CORE_READ(row, tw_refcount.refs.counter) - 1;
	else
		r->time_wait = BPF_CORE_READ(row, tw_count.counter);
	r->reserved_map = (__u64)BPF_CORE_READ(net, ipv4.sysctl_local_reserved_ports);
	span.first = r->first;
	span.last = r->last;
	span.reserved = 0;
	if (r->reserved_map && !bpf_probe_read_kernel(bits, sizeof(bits), (void *)r->reserved_map))
		for (__u32 i = 0; i < 128; i++)
			count_reserved(i);
	r->reserved = span.reserved;
}

#include "counters.h"

__noinline int net_step(void)
{
	struct ring *w = &ring;
	struct net *net = (void *)(w->cur - OFF(net, list));
	w->cur = read8(w->cur);
	w->done = w->cur == w->start || !w->cur;
	/* The ring's head, net_namespace_list, is not a namespace and has other bytes there. */
	if ((__u64)BPF_CORE_READ(net, ns.ops) != w->scope)
		return w->done;
	if (refs_of(net) <= 0) {
		tally.nets_dead++;
		return w->done;
	}
	__u64 key = (__u64)net;
	__u32 *at = bpf_map_lookup_elem(&net_index, &key);
	/* First those with a rank, then those that were not listed by then. */
	if (args.rank && (w->others ? at && *at != RANKED : !at || *at != RANKED))
		return w->done;
	__u32 k = tally.nets;
	struct net_rec *r = bpf_map_lookup_elem(&nets, &k);
	if (!r) {
		tally.nets_lost++;
		return w->done;
	}
	/* Remove the former namespace, unless it has already moved up in the list. */
	__u64 old = r->net;
	at = bpf_map_lookup_elem(&net_index, &old);
	if (at && *at == k)
		bpf_map_delete_elem(&net_index, &old);
	__builtin_memset(r, 0, sizeof(*r));
	read_net(net, r);
	read_counters(net, r);
	if (bpf_map_update_elem(&net_index, &key, &k, BPF_ANY)) {
		tally.nets_lost++;
		return w->done;
	}
	tally.nets++;
	return w->done;
}
LOOP_OF(net_step)

/* Returns one of the caller's open files. */
static __always_inline __u64 file_of(struct task_struct *t, __u32 fd)
{
	struct fdtable *ft = BPF_CORE_READ(t, files, fdt);
	if (fd >= BPF_CORE_READ(ft, max_fds))
		return 0;
	return read8((__u64)BPF_CORE_READ(ft, fd) + fd * sizeof(void *));
}

/* Returns the protocol of one of the caller's sockets. It leads to tables and settings
 * whose symbols are visible only with CAP_SYSLOG. */
static __always_inline struct proto *proto_of(struct task_struct *t, __u32 fd)
{
	struct file *f = (void *)file_of(t, fd);
	struct socket *so = BPF_CORE_READ(f, private_data);
	return BPF_CORE_READ(so, sk, __sk_common.skc_prot);
}

/* Lists every network namespace into nets, in the order of the kernel's ring. */
SEC("raw_tp")
int walk_nets(void *ctx)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct net *me = BPF_CORE_READ(t, nsproxy, net_ns);
	tally.now_ns = bpf_ktime_get_ns();
	tally.now_jiffies = bpf_jiffies64();
	struct proto *udp = proto_of(t, args.udp_fd), *tcp = proto_of(t, args.tcp_fd);
	tally.udp_table = (__u64)BPF_CORE_READ(udp, h.udp_table);
	bpf_probe_read_kernel(tally.tcp_mem, sizeof(tally.tcp_mem), BPF_CORE_READ(tcp, sysctl_mem));
	ring.start = ring.cur = (__u64)me + OFF(net, list);
	ring.scope = (__u64)BPF_CORE_READ(me, ns.ops);
	ring.done = 0;
	ring.others = 0;
	LOOP(net_step);
	if (args.rank) {
		ring.others = 1;
		ring.cur = ring.start;
		LOOP(net_step);
	}
	if (!ring.done)
		tally.nets_lost++;
	return 0;
}

/* ---- tasks: the processes in each namespace ---- */

static __always_inline struct kernfs_node *parent_of(struct kernfs_node *kn)
{
	struct kernfs_node___614 *o = (void *)kn;
	if (bpf_core_field_exists(o->parent))
		return BPF_CORE_READ(o, parent);
	return BPF_CORE_READ(kn, __parent);
}

/* Returns the cgroup with the container's name: v2's, or if that is the root (v1 and
 * hybrid hosts) that of the pids controller. */
static __always_inline struct kernfs_node *cgroup_of(struct task_struct *t)
{
	struct css_set *cs = BPF_CORE_READ(t, cgroups);
	struct kernfs_node *kn = BPF_CORE_READ(cs, dfl_cgrp, kn);
	if (kn && parent_of(kn))
		return kn;
	__u64 css = read8((__u64)cs + OFF(css_set, subsys) +
			  8 * bpf_core_enum_value(enum cgroup_subsys_id, pids_cgrp_id));
	return BPF_CORE_READ((struct cgroup_subsys_state *)css, cgroup, kn);
}

/* A walk up the cgroup hierarchy. A pod can create cgroups of any name inside its own, so
 * the outermost cgroup of Kubernetes counts, and the walk must reach the root. */
#define MAX_DEPTH 256
static struct {
	__u64 kn;
	__u64 last[4];	/* the last nodes, the highest first */
	__u64 pod[4];	/* the highest "kubepods" and the nodes below it */
} climb;

#define KUBEPODS "kubepods"

/* Goes to the parent. */
__noinline int climb_step(void)
{
	struct kernfs_node *kn = (void *)climb.kn;
	char name[48] = {};
	if (!kn)
		return 1;
	climb.last[3] = climb.last[2];
	climb.last[2] = climb.last[1];
	climb.last[1] = climb.last[0];
	climb.last[0] = climb.kn;
	climb.kn = (__u64)parent_of(kn);
	bpf_probe_read_kernel_str(name, sizeof(name), BPF_CORE_READ(kn, name));
	for (__u32 i = 0; i + sizeof(KUBEPODS) <= sizeof(name); i++) {
		__u32 same = 1;
		for (__u32 k = 0; k < sizeof(KUBEPODS) - 1; k++)
			same &= name[i + k] == KUBEPODS[k];
		if (same) {
			__builtin_memcpy(climb.pod, climb.last, sizeof(climb.pod));
			return 0;
		}
	}
	return 0;
}

/* Sets climb.pod for a process in cgroup kn, to 0 outside of pods. Returns whether it
 * reached the root. */
static __always_inline int find_pod(struct kernfs_node *kn)
{
	__builtin_memset(&climb, 0, sizeof(climb));
	climb.kn = (__u64)kn;
	for (int i = 0; i < MAX_DEPTH; i++)
		if (climb_step())
			break;
	return !climb.kn;
}

/* Reads the process's names: of its pod's cgroup with those around it, or outside of pods
 * of its own cgroup and of those above. */
static __always_inline void read_task(struct task_struct *t, struct kernfs_node *kn)
{
	__builtin_memset(&tval, 0, sizeof(tval));
	tval.start_time = BPF_CORE_READ(t, start_time);
	tval.count = 1;
	tval.generation = args.generation;
	bpf_probe_read_kernel(tval.comm, 16, (void *)((__u64)t + OFF(task_struct, comm)));
	if (!find_pod(kn))
		return;
#pragma unroll
	for (int i = 0; i < 4; i++) {
		struct kernfs_node *of = climb.pod[0] ? (void *)climb.pod[3 - i] : kn;
		if (of)
			bpf_probe_read_kernel_str(tval.names[i], sizeof(tval.names[i]), BPF_CORE_READ(of, name));
		if (kn)
			kn = parent_of(kn);
	}
}

/* Returns the address of a process's PID in the PID namespaces of a level, or 0. */
static __always_inline __u64 number_of(struct pid *pid, __u32 level)
{
	if (BPF_CORE_READ(pid, level) < level)
		return 0;
	return (__u64)pid + OFF(pid, numbers) + level * bpf_core_type_size(struct upid);
}

/* Returns whether a process is in the PID namespace of the walk. */
static __always_inline int in_scope(struct pid *pid, struct ring *w)
{
	__u64 number = number_of(pid, w->level);
	return number && read8(number + OFF(upid, ns)) == w->scope;
}

/* Lists the namespace before others. Of one pod, at most POD_NETS are among the first. */
static __always_inline void rank_task(__u64 net, struct kernfs_node *kn)
{
	if (args.rank == RANK_TASKS || bpf_map_lookup_elem(&net_index, &net)) {
		rank(net);
		return;
	}
	if (!find_pod(kn) || !climb.pod[2])
		return;
	__u32 one = 1, *nets = bpf_map_lookup_elem(&net_index, &climb.pod[2]);
	if (!nets)
		bpf_map_update_elem(&net_index, &climb.pod[2], &one, BPF_NOEXIST);
	else if (*nets < POD_NETS)
		++*nets;
	else
		return;
	rank(net);
}

/* Returns whether the namespace may have another cgroup in tasks, v if it is there. Half
 * of the map is for any, the other half for the first two of each namespace. */
static __always_inline int may_add_cgroup(struct net_rec *n, struct task_val *v)
{
	if (!v && n->cgroups >= 2 && (n->cgroups >= NET_CGROUPS || tally.cgroups >= CGROUPS / 2)) {
		n->tasks_lost++;
		return 0;
	}
	n->cgroups++;
	tally.cgroups++;
	return 1;
}

__noinline int task_step(void)
{
	struct ring *w = &ring;
	struct task_struct *t = (void *)(w->cur - OFF(task_struct, tasks));
	w->cur = read8(w->cur);
	w->done = w->cur == w->start || !w->cur;
	tally.tasks++;
	struct pid *pid = BPF_CORE_READ(t, thread_pid);
	__u64 net = (__u64)BPF_CORE_READ(t, nsproxy, net_ns);
	if (!net || !pid || !BPF_CORE_READ(t, mm))	/* exiting, or a kernel thread */
		return w->done;
	if (!in_scope(pid, w))
		return w->done;
	if (args.rank) {
		rank_task(net, cgroup_of(t));
		return w->done;
	}
	__u32 index;
	struct net_rec *n = net_of(net, &index);
	if (!n)
		return w->done;
	n->tasks++;
	if (n->inum == tally.host)
		return w->done;
	struct kernfs_node *kn = cgroup_of(t);
	struct task_key k = { .inum = n->inum, .cgroup = BPF_CORE_READ(kn, id) };
	struct task_val *v = bpf_map_lookup_elem(&tasks, &k);
	if (v && v->generation == args.generation) {
		v->count++;
		return w->done;
	}
	if (!may_add_cgroup(n, v))
		return w->done;
	/* The same process as in the last walk, unless exec has renamed it. */
	if (v && v->start_time == BPF_CORE_READ(t, start_time)) {
		__u64 comm[2] = {};
		bpf_probe_read_kernel(comm, sizeof(comm), (void *)((__u64)t + OFF(task_struct, comm)));
		if (comm[0] == *(__u64 *)v->comm && comm[1] == *(__u64 *)(v->comm + 8)) {
			v->generation = args.generation;
			v->count = 1;
			return w->done;
		}
	}
	read_task(t, kn);
	__u64 number = number_of(pid, tally.own_level);
	if (number)
		bpf_probe_read_kernel(&tval.pid, 4, (void *)(number + OFF(upid, nr)));
	tally.tasks_new++;
	if (bpf_map_update_elem(&tasks, &k, &tval, BPF_ANY))
		n->tasks_lost++;
	return w->done;
}
LOOP_OF(task_step)

/* Sets w up for the processes that are visible to the node: those of the parent of
 * the caller's PID namespace, or of that itself if it has none. If the machine is
 * the node, these are all processes. If nodes share a kernel (kind), they are this
 * node's. */
static __always_inline void begin_tasks(struct ring *w)
{
	struct task_struct *t = (void *)bpf_get_current_task();
	struct pid *pid = BPF_CORE_READ(t, group_leader, thread_pid);
	__u32 level = BPF_CORE_READ(pid, level);
	struct pid_namespace *ns = (void *)read8(number_of(pid, level) + OFF(upid, ns));
	tally.own_level = level;
	if (level) {
		ns = BPF_CORE_READ(ns, parent);
		level--;
	}
	tally.scope_level = level;
	/* Processes are in the order of their start, so begin with the first one. */
	t = BPF_CORE_READ(ns, child_reaper, group_leader);
	tally.host = BPF_CORE_READ(t, nsproxy, net_ns, ns.inum);
	last_net = 0;
	w->start = w->cur = (__u64)t + OFF(task_struct, tasks);
	w->level = level;
	w->scope = (__u64)ns;
	w->done = 0;
}

/* Finds the processes in each namespace in nets. */
SEC("raw_tp")
int walk_tasks(void *ctx)
{
	begin_tasks(&ring);
	LOOP(task_step);
	if (!ring.done)
		tally.tasks_cut++;
	return 0;
}

#include "holders.h"

#include "failures.h"
