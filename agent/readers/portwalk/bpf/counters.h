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
	__u32 found;		/* number of CPUs whose memory was found */
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

/* Whether one run of find_cpus finds all CPUs; otherwise it finds its own CPU only. */
#define SEES_ALL bpf_core_enum_value_exists(enum bpf_func_id, BPF_FUNC_map_lookup_percpu_elem) /* 5.19 */

__noinline int find_cpu(__u32 cpu)
{
	__u32 key = 0;
	if (SEES_ALL)
		number = (__u64)bpf_map_lookup_percpu_elem(&here, &key, cpu);
	else
		number = (__u64)bpf_map_lookup_elem(&here, &key);
	__u64 there = number;
	number = (__u64)&here;
	if (!there || cpu >= MAX_CPUS)
		return 1;
	barrier_var(cpu); /* see fill() */
	cpu_offset[cpu & (MAX_CPUS - 1)] = there - read8(number + OFF(bpf_array, pptrs));
	counters.found++;
	return 0;
}

/* Finds the memory of each CPU. It needs to run only once. */
SEC("raw_tp")
int find_cpus(void *ctx)
{
	if (!SEES_ALL) {
		find_cpu(bpf_get_smp_processor_id());
		return 0;
	}
	for (__u32 cpu = 0; cpu < MAX_CPUS; cpu++)
		if (cpu >= counters.cpus || find_cpu(cpu))
			break;
	return 0;
}

static struct { __u64 mib, conntrack, overflow, listen; __u32 insert_failed, drop, early_drop; } sums;

static __always_inline __u32 read4(__u64 p)
{
	__u32 v = 0;
	bpf_probe_read_kernel(&v, sizeof(v), (void *)p);
	return v;
}

__noinline int sum_cpu(__u32 cpu)
{
	__u64 offset = cpu_offset[cpu & (MAX_CPUS - 1)];
	if (!offset) /* the CPU was offline when its memory was located */
		return 0;
	if (sums.mib) {
		sums.overflow += read8(sums.mib + offset + counters.overflow);
		sums.listen += read8(sums.mib + offset + counters.listen);
	}
	if (sums.conntrack) {
		sums.insert_failed += read4(sums.conntrack + offset + counters.insert_failed);
		sums.drop += read4(sums.conntrack + offset + counters.drop);
		sums.early_drop += read4(sums.conntrack + offset + counters.early_drop);
	}
	return 0;
}

/* Adds up net's counters over the CPUs. */
static __always_inline void read_counters(struct net *net, struct net_rec *r)
{
	__builtin_memset(&sums, 0, sizeof(sums));
	if (counters.overflow)
		sums.mib = (__u64)BPF_CORE_READ(net, mib.net_statistics);
	if (bpf_core_field_exists(net->ct) && BPF_CORE_READ(net, ct.stat)) {
		r->conntrack = 1;
		if (counters.drop)
			sums.conntrack = (__u64)BPF_CORE_READ(net, ct.stat);
	}
	if (!sums.mib && !sums.conntrack)
		return;
	for (__u32 cpu = 0; cpu < MAX_CPUS; cpu++) {
		if (cpu >= counters.cpus)
			break;
		sum_cpu(cpu);
	}
	r->overflow = sums.overflow;
	r->listen_overflow = sums.listen;
	r->insert_failed = sums.insert_failed;
	r->drop = sums.drop;
	r->early_drop = sums.early_drop;
}

#endif
