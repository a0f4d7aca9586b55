/* SPDX-License-Identifier: (GPL-2.0-only OR BSD-2-Clause) */
/*
 * Finds the processes that use the sockets of the inspected pool, by a walk over the
 * open files of every process. Part of portwalk.bpf.c.
 */
#ifndef PORTREEVE_HOLDERS_H
#define PORTREEVE_HOLDERS_H

/* Counts an open file, and counts it as a socket if it belongs to the pool. */
__noinline int meet(__u64 file)
{
	look.visited++;
	look.at_hand.open_files++;
	if (read8(file + OFF(file, f_op)) != socket_ops)
		return 0;
	struct sock *sk = (void *)read8(read8(file + OFF(file, private_data)) + OFF(socket, sk));
	if (!sk || (__u64)BPF_CORE_READ(sk, __sk_common.skc_net.net) != look.net)
		return 0;
	struct slot *s = &slots[0];
	s->ptr = (__u64)sk;
	bpf_probe_read_kernel(s->raw, SOCK_LEN & (RAW - 1), sk);
	__u32 family = FIELD(s, sock_common, skc_family);
	if ((family == AF_INET || family == AF_INET6) && of_pool(s) &&
	    (BPF_CORE_READ(sk, sk_protocol) == IPPROTO_UDP) == look.udp)
		look.at_hand.sockets++;
	return 0;
}

static struct { __u64 files, open; __u32 words; } fds;

/* Checks the 64 files of one word of a process's bitmap of open files. */
__noinline int fd_step(void)
{
	if (look.word >= fds.words || look.visited >= look.budget)
		return 1;
	__u64 w = look.word++;
	__u64 open = read8(fds.open + w * 8);
	look.visited++;
	if (!open || bpf_probe_read_kernel(bits, 64 * 8, (void *)(fds.files + w * 64 * 8)))
		return 0;
	for (__u32 k = 0; k < 64; k++) {
		__u64 file = open >> k & 1 ? bits[k] : 0;
		if (file)
			meet(file);
	}
	return 0;
}
LOOP_OF(fd_step)

/* Records the current process if it is among those with the most sockets. */
static __always_inline void keep(struct task_struct *t, __u64 number)
{
	__u32 least = 0, sockets = ~0u;
	for (__u32 k = 0; k < HOLDERS; k++) {
		if (look.holders[k].sockets < sockets) {
			sockets = look.holders[k].sockets;
			least = k;
		}
	}
	if (look.at_hand.sockets <= sockets)
		return;
	read_task(t, cgroup_of(t));
	if (number)
		bpf_probe_read_kernel(&tval.pid, 4, (void *)(number + OFF(upid, nr)));
	look.at_hand.max_files = BPF_CORE_READ(t, signal, rlim[RLIMIT_NOFILE].rlim_cur);
	look.at_hand.who = tval;
	barrier_var(least);
	look.holders[least & (HOLDERS - 1)] = look.at_hand;
}

__noinline int holder_step(void)
{
	struct ring *w = &ring;
	struct task_struct *t = (void *)(w->cur - OFF(task_struct, tasks));
	w->cur = read8(w->cur);
	w->done = w->cur == w->start || !w->cur;
	struct fdtable *ft = BPF_CORE_READ(t, files, fdt);
	struct pid *pid = BPF_CORE_READ(t, thread_pid);
	__u64 net = (__u64)BPF_CORE_READ(t, nsproxy, net_ns);
	if (!net || !pid || !ft || (net == look.net) != look.inside || !in_scope(pid, w))
		return w->done;
	__u64 born = BPF_CORE_READ(t, start_time);
	if (resuming && born < look.born)
		return w->done;
	if (!resuming || born != look.born) {
		look.word = 0;
		__builtin_memset(&look.at_hand, 0, sizeof(look.at_hand));
	}
	resuming = 0;
	fds.files = (__u64)BPF_CORE_READ(ft, fd);
	fds.open = (__u64)BPF_CORE_READ(ft, open_fds);
	fds.words = (BPF_CORE_READ(ft, max_fds) + 63) / 64;
	LOOP(fd_step);
	look.born = born;
	if (look.word < fds.words) {
		w->done = 0;
		return 1;
	}
	look.held += look.at_hand.sockets;
	if (look.at_hand.sockets)
		keep(t, number_of(pid, tally.own_level));
	look.born = born + 1;
	return w->done || look.visited >= look.budget;
}
LOOP_OF(holder_step)

/* Walks the visible processes (see walk_tasks), either those in the pool's namespace
 * or all others, from look.born on. */
SEC("raw_tp")
int walk_holders(void *ctx)
{
	begin_tasks(&ring);
	socket_ops = read8(file_of((void *)bpf_get_current_task(), args.tcp_fd) + OFF(file, f_op));
	resuming = look.born != 0;
	LOOP(holder_step);
	look.more = !ring.done;
	return 0;
}

#endif
