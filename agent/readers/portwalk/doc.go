// Package portwalk reads exact port usage: its BPF programs walk the kernel's own
// tables, all network namespaces in one pass, and count inside the kernel.
//
// It needs Linux 5.10 or later with BTF (/sys/kernel/btf/vmlinux) and the capabilities
// BPF and PERFMON. It needs no host namespace, no host path and no other privilege.
// docs/how-it-measures.md describes the walk.
package portwalk

//go:generate go run github.com/cilium/ebpf/cmd/bpf2go -tags linux -target bpfel -type net_rec -type dest_key -type dest_val -type task_key -type task_val -type fail_net -type fail_sum -type fail_key -type fail_val -go-package portwalk walk bpf/portwalk.bpf.c -- -O2 -Wall -Werror -idirafter /usr/include/x86_64-linux-gnu -idirafter /usr/include/aarch64-linux-gnu
