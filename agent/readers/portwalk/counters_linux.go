package portwalk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/socket"
)

// counterLayout is the location of the kernel's counters of each namespace, as far as
// it is known.
type counterLayout struct {
	offsets    walkCounters
	unobserved []socket.Unobserved
	// moduleQueried is set once the module's own types have been requested.
	moduleQueried bool
}

// Enumerators of include/uapi/linux/snmp.h, and the structure of
// include/linux/netfilter/nf_conntrack_common.h.
const (
	mibTimeWaitOverflow = "LINUX_MIB_TCPTIMEWAITOVERFLOW"
	mibListenOverflows  = "LINUX_MIB_LISTENOVERFLOWS"

	conntrackModule = "nf_conntrack"
	conntrackStruct = "ip_conntrack_stat"
)

// locateCounters locates the counters through the kernel's BTF. Counters that it cannot
// find stay unobserved.
func locateCounters(kernel *btf.Spec) *counterLayout {
	c := &counterLayout{}
	if err := c.countCPUs(); err != nil {
		return &counterLayout{moduleQueried: true, unobserved: []socket.Unobserved{{
			Item: "TIME_WAIT overflows, listen overflows and conntrack drops", Reason: err.Error()}}}
	}
	if err := c.locateMIB(); err != nil {
		c.unobserved = append(c.unobserved, socket.Unobserved{Item: "TIME_WAIT and listen overflows", Reason: err.Error()})
	}
	if err := c.locateConntrack(kernel); err != nil {
		if spec, err := btf.LoadKernelModuleSpec(conntrackModule); err == nil {
			_ = c.locateConntrack(spec) // retried once conntrack is in use
		}
	}
	return c
}

func (c *counterLayout) countCPUs() error {
	cpus, err := ebpf.PossibleCPU()
	if err == nil && cpus > maxCPUs {
		err = fmt.Errorf("the machine has %d possible CPUs; the reader supports at most %d", cpus, maxCPUs)
	}
	if err == nil {
		c.offsets.Cpus = uint32(cpus)
	}
	return err
}

func (c *counterLayout) locateMIB() error {
	raw, err := os.Open(btfPath)
	if err != nil {
		return err
	}
	defer raw.Close()
	found, err := findEnumerators(raw, mibTimeWaitOverflow, mibListenOverflows)
	if err != nil {
		return fmt.Errorf("%s: %w", btfPath, err)
	}
	if len(found) != 2 {
		return fmt.Errorf("%s lacks %s or %s", btfPath, mibTimeWaitOverflow, mibListenOverflows)
	}
	const size = 8 // unsigned long mibs[], struct linux_mib in include/net/snmp.h
	c.offsets.Overflow, c.offsets.Listen = found[mibTimeWaitOverflow]*size, found[mibListenOverflows]*size
	return nil
}

func (c *counterLayout) locateConntrack(spec *btf.Spec) error {
	var s *btf.Struct
	if err := spec.TypeByName(conntrackStruct, &s); err != nil {
		return err
	}
	at := map[string]uint32{}
	for _, m := range s.Members {
		at[m.Name] = m.Offset.Bytes()
	}
	if at["insert_failed"] == 0 || at["drop"] == 0 || at["early_drop"] == 0 {
		return fmt.Errorf("struct %s has fields that this version of Portreeve does not support", conntrackStruct)
	}
	c.offsets.InsertFailed, c.offsets.Drop, c.offsets.EarlyDrop = at["insert_failed"], at["drop"], at["early_drop"]
	return nil
}

// locateInModule locates the conntrack counters in the module's BTF, once conntrack is
// in use. It reports whether it just found them.
func (c *counterLayout) locateInModule() bool {
	if c.moduleQueried || c.offsets.Drop != 0 {
		return false
	}
	c.moduleQueried = true
	spec, err := btf.LoadKernelModuleSpec(conntrackModule)
	if err == nil {
		err = c.locateConntrack(spec)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("the kernel module %s has no BTF (CONFIG_DEBUG_INFO_BTF_MODULES)", conntrackModule)
	}
	if err != nil {
		c.unobserved = append(c.unobserved, socket.Unobserved{Item: "conntrack drops", Reason: err.Error()})
	}
	return err == nil
}

// enableCounters makes the programs read the counters from the next walk on.
func (r *Reader) enableCounters() error {
	if r.counterLayout.offsets.Cpus == 0 { // unknown, or too many
		return nil
	}
	if err := r.objects.Counters.Set(r.counterLayout.offsets); err != nil {
		return err
	}
	return r.findCPUMemory()
}

// findCPUMemory makes the program find the counters of each CPU. Before Linux 5.19 a run
// finds only those of its own CPU, so it runs once on each; a CPU that is offline has none.
func (r *Reader) findCPUMemory() error {
	if err := runProgram(r.objects.FindCpus); err != nil {
		return err
	}
	var counters walkCounters
	if err := r.objects.Counters.Get(&counters); err != nil || counters.Found >= counters.Cpus {
		return err
	}
	for cpu := range counters.Cpus {
		options := ebpf.RunOptions{CPU: cpu, Flags: unix.BPF_F_TEST_RUN_ON_CPU}
		if _, err := r.objects.FindCpus.Run(&options); err != nil && !errors.Is(err, unix.ENXIO) {
			return fmt.Errorf("run %v on CPU %d: %w", r.objects.FindCpus, cpu, err)
		}
	}
	return nil
}

// enableConntrackCounters enables the counters of connection tracking for the next
// sample if recs show it in use for the first time.
func (r *Reader) enableConntrackCounters(recs []walkNetRec) error {
	inUse := func(n walkNetRec) bool { return n.Conntrack != 0 }
	if slices.ContainsFunc(recs, inUse) && r.counterLayout.locateInModule() {
		return r.enableCounters()
	}
	return nil
}

// maxCPUs is MAX_CPUS of the BPF program.
const maxCPUs = 1024

// decodeCounters returns r's counters, or nil if they were not read.
func (c *counterLayout) decodeCounters(r *walkNetRec) *socket.Counters {
	if c.offsets.Cpus == 0 || c.offsets.Overflow == 0 {
		return nil
	}
	out := &socket.Counters{TimeWaitOverflow: r.Overflow, ListenOverflows: r.ListenOverflow}
	if r.Conntrack != 0 && c.offsets.Drop != 0 {
		out.Conntrack = &socket.ConntrackCounters{
			InsertFailed: uint64(r.InsertFailed), Drop: uint64(r.Drop), EarlyDrop: uint64(r.EarlyDrop)}
	}
	return out
}
