package portwalk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"

	"portreeve.io/portreeve/agent/socket"
)

// counting is what is known of where the kernel keeps each namespace's counters.
type counting struct {
	at     walkCounters
	unseen []socket.Unobserved
	// asked says that the module's own types were asked for.
	asked bool
}

// The enumerators of include/uapi/linux/snmp.h, and the structure of
// include/linux/netfilter/nf_conntrack_common.h.
const (
	mibOverflow = "LINUX_MIB_TCPTIMEWAITOVERFLOW"
	mibListen   = "LINUX_MIB_LISTENOVERFLOWS"

	conntrackModule = "nf_conntrack"
	conntrackStruct = "ip_conntrack_stat"
)

// locate finds what the kernel's BTF tells of the counters. Whatever it can't find
// is unseen from then on.
func locate(kernel *btf.Spec) *counting {
	c := &counting{}
	if err := c.findCPUs(); err != nil {
		return &counting{asked: true, unseen: []socket.Unobserved{{Item: "overflows and conntrack drops", Reason: err.Error()}}}
	}
	if err := c.locateMIB(); err != nil {
		c.unseen = append(c.unseen, socket.Unobserved{Item: "TIME_WAIT and listen overflows", Reason: err.Error()})
	}
	if err := c.locateConntrack(kernel); err != nil {
		if spec, err := btf.LoadKernelModuleSpec(conntrackModule); err == nil {
			_ = c.locateConntrack(spec) // asked again once it is in use
		}
	}
	return c
}

func (c *counting) findCPUs() error {
	cpus, err := ebpf.PossibleCPU()
	if err == nil && cpus > maxCPUs {
		err = fmt.Errorf("%d CPUs are more than %d", cpus, maxCPUs)
	}
	if err == nil {
		c.at.Cpus = uint32(cpus)
	}
	return err
}

func (c *counting) locateMIB() error {
	raw, err := os.Open(btfPath)
	if err != nil {
		return err
	}
	defer raw.Close()
	found, err := enumerators(raw, mibOverflow, mibListen)
	if err != nil {
		return fmt.Errorf("%s: %w", btfPath, err)
	}
	if len(found) != 2 {
		return fmt.Errorf("%s has no %s or no %s", btfPath, mibOverflow, mibListen)
	}
	const size = 8 // unsigned long mibs[], struct linux_mib in include/net/snmp.h
	c.at.Overflow, c.at.Listen = found[mibOverflow]*size, found[mibListen]*size
	return nil
}

func (c *counting) locateConntrack(spec *btf.Spec) error {
	var s *btf.Struct
	if err := spec.TypeByName(conntrackStruct, &s); err != nil {
		return err
	}
	at := map[string]uint32{}
	for _, m := range s.Members {
		at[m.Name] = m.Offset.Bytes()
	}
	if at["insert_failed"] == 0 || at["drop"] == 0 || at["early_drop"] == 0 {
		return fmt.Errorf("struct %s has other fields than this version knows", conntrackStruct)
	}
	c.at.InsertFailed, c.at.Drop, c.at.EarlyDrop = at["insert_failed"], at["drop"], at["early_drop"]
	return nil
}

// conntrack asks the module for its types, once it is in use. It says whether they
// are known now and were not before.
func (c *counting) conntrack() bool {
	if c.asked || c.at.Drop != 0 {
		return false
	}
	c.asked = true
	spec, err := btf.LoadKernelModuleSpec(conntrackModule)
	if err == nil {
		err = c.locateConntrack(spec)
	}
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("the kernel's module %s has no BTF", conntrackModule)
	}
	if err != nil {
		c.unseen = append(c.unseen, socket.Unobserved{Item: "conntrack drops", Reason: err.Error()})
	}
	return err == nil
}

// count makes the programs count from the next walk on.
func (r *Reader) count() error {
	if r.counting.at.Cpus == 0 { // too many, or nobody knows
		return nil
	}
	if err := r.objs.Counters.Set(r.counting.at); err != nil {
		return err
	}
	return run(r.objs.FindCpus)
}

// notice lets the next sample count connection tracking, where this one found it in
// use for the first time.
func (r *Reader) notice(recs []walkNetRec) error {
	inUse := func(n walkNetRec) bool { return n.Conntrack != 0 }
	if slices.ContainsFunc(recs, inUse) && r.counting.conntrack() {
		return r.count()
	}
	return nil
}

// maxCPUs is the program's MAX_CPUS.
const maxCPUs = 1024

// counters are r's, nil where none were counted.
func (c *counting) counters(r *walkNetRec) *socket.Counters {
	if c.at.Cpus == 0 || c.at.Overflow == 0 {
		return nil
	}
	out := &socket.Counters{TimeWaitOverflow: r.Overflow, ListenOverflows: r.ListenOverflow}
	if r.Conntrack != 0 && c.at.Drop != 0 {
		out.Conntrack = &socket.ConntrackCounters{
			InsertFailed: uint64(r.InsertFailed), Drop: uint64(r.Drop), EarlyDrop: uint64(r.EarlyDrop)}
	}
	return out
}
