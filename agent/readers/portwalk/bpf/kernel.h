/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Declares only the fields of kernel structures that portwalk reads, instead of a
 * whole vmlinux.h. Offsets and sizes here are irrelevant, because each access is
 * relocated against the running kernel's BTF when the programs are loaded (CO-RE).
 * A suffix ___name marks the same structure in another kernel.
 */
#ifndef PORTREEVE_KERNEL_H
#define PORTREEVE_KERNEL_H

#include <linux/types.h>
#include <stdbool.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct list_head { struct list_head *next; };
struct hlist_node { struct hlist_node *next; };
struct hlist_head { struct hlist_node *first; };
struct hlist_nulls_node { struct hlist_nulls_node *next; };
struct hlist_nulls_head { struct hlist_nulls_node *first; };
typedef struct { int counter; } atomic_t;
typedef struct refcount_struct { atomic_t refs; } refcount_t;
typedef struct { struct net *net; } possible_net_t;
struct in6_addr { union { __u32 u6_addr32[4]; } in6_u; };

/* include/net/sock.h */
struct proto {
	long *sysctl_mem;
	union { struct inet_hashinfo *hashinfo; struct udp_table *udp_table; } h;
};
struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	unsigned int skc_hash;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	unsigned char skc_state;
	int skc_bound_dev_if;
	struct hlist_node skc_bind_node;
	struct proto *skc_prot;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
	unsigned long skc_flags;
	struct hlist_node skc_node;
	struct hlist_nulls_node skc_nulls_node;
};
enum sock_flags { SOCK_KEEPOPEN = 3 };
struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	struct socket *sk_socket;
};
struct socket { struct sock *sk; };

/* include/net/inet_sock.h, inet_connection_sock.h, include/linux/tcp.h */
struct inet_sock {
	struct sock sk;
	__be16 inet_sport;
	__u32 local_port_range;		/* 6.8 */
};
struct inet_sock___67 { struct { __u16 lo, hi; } local_port_range; };	/* 6.3 to 6.7 */
struct inet_connection_sock {
	__u8 icsk_retransmits;
	__u8 icsk_probes_out;
	struct { __u32 lrcvtime; } icsk_ack;
};
struct tcp_sock { __u32 lsndtime; };

/* include/net/inet_timewait_sock.h, include/linux/tcp.h */
struct inet_timewait_sock {
	struct sock_common __tw_common;
	unsigned char tw_substate;
	__u32 tw_entry_stamp;		/* 6.14 */
};
struct tcp_timewait_sock {
	struct inet_timewait_sock tw_sk;
	int tw_ts_recent_stamp;
};

/* include/net/inet_hashtables.h */
struct inet_ehash_bucket { struct hlist_nulls_head chain; };
struct inet_bind_hashbucket { struct hlist_head chain; };
struct inet_listen_hashbucket { struct hlist_nulls_head nulls_head; };
struct inet_bind_bucket {
	possible_net_t ib_net;
	int l3mdev;
	unsigned short port;
	signed char fastreuse;
	signed char fastreuseport;
	struct hlist_node node;
	struct hlist_head owners;	/* until 6.7: the sockets */
	struct hlist_head bhash2;	/* 6.8: one inet_bind2_bucket per address */
};
struct inet_bind2_bucket {
	struct hlist_node bhash_node;
	struct hlist_head owners;
};
struct inet_hashinfo {
	struct inet_ehash_bucket *ehash;
	unsigned int ehash_mask;
	struct inet_bind_hashbucket *bhash;
	unsigned int bhash_size;
	unsigned int lhash2_mask;
	struct inet_listen_hashbucket *lhash2;
	struct inet_listen_hashbucket listening_hash[32];	/* until 5.18: with lhash2's sockets */
};

/* include/net/udp.h */
struct udp_hslot { struct hlist_head head; };
struct udp_table {
	struct udp_hslot *hash;
	unsigned int mask;
};

/* include/net/net_namespace.h, include/net/netns/ipv4.h */
struct ns_common {
	const void *ops;
	unsigned int inum;
	refcount_t count;		/* 5.11 to 6.17 */
};
struct ns_common___618 { refcount_t __ns_ref; };
struct local_ports { __u32 range; };	/* 6.8: last<<16 | first */
struct local_ports___67 { int range[2]; };
struct inet_timewait_death_row {
	refcount_t tw_refcount;		/* 5.17: and one more than there are */
	atomic_t tw_count;		/* until 5.16 */
	struct inet_hashinfo *hashinfo;
	int sysctl_max_tw_buckets;
};
struct netns_ipv4 {
	struct inet_timewait_death_row tcp_death_row;
	struct udp_table *udp_table;	/* 6.2 */
	struct local_ports ip_local_ports;
	unsigned long *sysctl_local_reserved_ports;
	__u8 sysctl_tcp_tw_reuse;
	unsigned int sysctl_tcp_tw_reuse_delay;	/* 6.14, milliseconds */
	int sysctl_tcp_fin_timeout;
	__u8 sysctl_tcp_timestamps;
};
struct netns_ipv4___67 { struct local_ports___67 ip_local_ports; };
struct netns_ipv4___60 { struct inet_timewait_death_row *tcp_death_row; };	/* 5.17 to 6.0 */
struct linux_mib;
struct ip_conntrack_stat;
struct netns_mib { struct linux_mib *net_statistics; };	/* per CPU */
struct netns_ct { struct ip_conntrack_stat *stat; };	/* per CPU */
struct net {
	struct list_head list;
	struct ns_common ns;
	__u32 hash_mix;
	struct netns_ipv4 ipv4;
	__u64 net_cookie;		/* 5.12 */
	struct netns_mib mib;
	struct netns_ct ct;
};
struct net___67 { struct netns_ipv4___67 ipv4; };
struct net___618 { struct ns_common___618 ns; };
struct net___60 { struct netns_ipv4___60 ipv4; };
struct net___510 { refcount_t count; };

/* include/linux/sched.h, sched/signal.h, pid.h, pid_namespace.h, nsproxy.h, fs.h,
 * fdtable.h */
struct upid { int nr; struct pid_namespace *ns; };
struct pid { unsigned int level; struct upid numbers[1]; };
struct pid_namespace {
	struct task_struct *child_reaper;
	unsigned int level;
	struct pid_namespace *parent;
};
struct nsproxy { struct net *net_ns; };
struct file { const void *f_op; void *private_data; };
struct fdtable { unsigned int max_fds; struct file **fd; unsigned long *open_fds; };
struct files_struct { struct fdtable *fdt; };
struct rlimit { unsigned long rlim_cur; };
struct signal_struct { struct rlimit rlim[16]; };
struct task_struct {
	struct list_head tasks;
	struct mm_struct *mm;
	int tgid;
	struct task_struct *group_leader;
	struct pid *thread_pid;
	__u64 start_time;
	char comm[16];
	struct files_struct *files;
	struct signal_struct *signal;
	struct nsproxy *nsproxy;
	struct css_set *cgroups;
};

/* include/linux/bpf.h */
struct bpf_array { void *pptrs[1]; };

/* include/linux/cgroup-defs.h, kernfs.h */
enum cgroup_subsys_id { pids_cgrp_id = 10 };
struct kernfs_node { struct kernfs_node *__parent; const char *name; __u64 id; };
struct kernfs_node___614 { struct kernfs_node *parent; };	/* until 6.14 */
struct cgroup { struct kernfs_node *kn; };
struct cgroup_subsys_state { struct cgroup *cgroup; };
struct css_set {
	struct cgroup_subsys_state *subsys[16];
	struct cgroup *dfl_cgrp;
};

#pragma clang attribute pop

#endif
