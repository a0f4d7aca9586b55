/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Reads the kernel's per-CPU counters of each network namespace. Part of
 * portwalk.bpf.c.
 */
#ifndef PORTREEVE_COUNTERS_H
#define PORTREEVE_COUNTERS_H

#define MAX_CPUS 1024

/* Offsets of the counters, which user space found in the kernel's BTF, because CO-RE
 * supports neither values of unnamed enums nor types of modules. */
struct counters {
	__u32 cpus;		/* possible CPUs; 0: nothing is counted */
	__u32 overflow, listen;	/* in struct linux_mib; 0: unknown */
	__u32 insert_failed, drop, early_drop;	/* in struct ip_conntrack_stat; 0: unknown */
};

struct counters counters;

/* A per-CPU map shows the distance of each CPU's memory from per-CPU pointers. This
 * is __per_cpu_offset, whose address is visible only with CAP_SYSLOG. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64);
} here SEC(".maps");

static __u64 cpu_offset[MAX_CPUS];
/* Pointers become numbers by a store to memory, where the verifier does not track
 * their type. */
static volatile __u64 number;

static long cpu_step(__u32 cpu, void *ctx)
{
	__u32 key = 0;
	number = (__u64)bpf_map_lookup_percpu_elem(&here, &key, cpu);
	__u64 there = number;
	number = (__u64)&here;
	if (!there || cpu >= MAX_CPUS)
		return 1;
	barrier_var(cpu); /* see fill() */
	cpu_offset[cpu & (MAX_CPUS - 1)] = there - read8(number + OFF(bpf_array, pptrs));
	return 0;
}

/* Finds the memory of each CPU. It needs to run only once. */
SEC("raw_tp")
int find_cpus(void *ctx)
{
	bpf_loop(counters.cpus, cpu_step, 0, 0);
	return 0;
}

struct sums { __u64 mib, conntrack, overflow, listen; __u32 insert_failed, drop, early_drop; };

static __always_inline __u32 read4(__u64 p)
{
	__u32 v = 0;
	bpf_probe_read_kernel(&v, sizeof(v), (void *)p);
	return v;
}

static long sum_step(__u32 cpu, struct sums *s)
{
	__u64 offset = cpu_offset[cpu & (MAX_CPUS - 1)];
	if (s->mib) {
		s->overflow += read8(s->mib + offset + counters.overflow);
		s->listen += read8(s->mib + offset + counters.listen);
	}
	if (s->conntrack) {
		s->insert_failed += read4(s->conntrack + offset + counters.insert_failed);
		s->drop += read4(s->conntrack + offset + counters.drop);
		s->early_drop += read4(s->conntrack + offset + counters.early_drop);
	}
	return 0;
}

/* Adds up net's counters over the CPUs. */
static __always_inline void read_counters(struct net *net, struct net_rec *r)
{
	struct sums s = {};
	if (counters.overflow)
		s.mib = (__u64)BPF_CORE_READ(net, mib.net_statistics);
	if (bpf_core_field_exists(net->ct) && BPF_CORE_READ(net, ct.stat)) {
		r->conntrack = 1;
		if (counters.drop)
			s.conntrack = (__u64)BPF_CORE_READ(net, ct.stat);
	}
	if (!s.mib && !s.conntrack)
		return;
	bpf_loop(counters.cpus, sum_step, &s, 0);
	r->overflow = s.overflow;
	r->listen_overflow = s.listen;
	r->insert_failed = s.insert_failed;
	r->drop = s.drop;
	r->early_drop = s.early_drop;
}

#endif
