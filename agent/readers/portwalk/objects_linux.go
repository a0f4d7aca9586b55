package portwalk

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/socket"
)

// bpfObjects are the programs and maps that the reader needs.
type bpfObjects struct {
	walkMaps
	walkVariables

	FindCpus    *ebpf.Program `ebpf:"find_cpus"`
	OnSetState  *ebpf.Program `ebpf:"on_set_state"`
	WalkHolders *ebpf.Program `ebpf:"walk_holders"`
	WalkNets    *ebpf.Program `ebpf:"walk_nets"`
	WalkTable   *ebpf.Program `ebpf:"walk_table"`
	WalkTasks   *ebpf.Program `ebpf:"walk_tasks"`

	// Data contains walkVariables.
	Data *ebpf.Map `ebpf:".bss"`
}

func (o *bpfObjects) Close() error {
	return errors.Join(o.walkMaps.Close(), _WalkClose(
		o.FindCpus, o.OnSetState, o.WalkHolders, o.WalkNets, o.WalkTable, o.WalkTasks, o.Data))
}

// bindProbes are the programs that count failed calls of bind() and of UDP. Some kernels
// refuse programs that are attached to functions.
type bindProbes struct {
	OnTCPBind *ebpf.Program `ebpf:"on_tcp_bind"`
	OnUDPBind *ebpf.Program `ebpf:"on_udp_bind"`
}

func (p *bindProbes) Close() error { return _WalkClose(p.OnTCPBind, p.OnUDPBind) }

// loadPrograms loads everything that the options request.
func (r *Reader) loadPrograms() error {
	spec, err := loadWalk()
	if err != nil {
		return fmt.Errorf("read the embedded programs: %w", err)
	}
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, err)
	}
	spec.Maps["wakeups"].MaxEntries = uint32(os.Getpagesize())
	spec.Maps["nets"].MaxEntries = uint32(r.options.Networks)
	spec.Maps["net_index"].MaxEntries = 2 * uint32(r.options.Networks)
	// Before Linux 6.1 (without bpf_mem_alloc), the kernel logs a WARN if a tracing program
	// writes to a map that is not preallocated, and PREEMPT_RT rejects such a program.
	var allocator *btf.Struct // there is a function of that name, too
	if err := kernel.TypeByName("bpf_mem_alloc", &allocator); err != nil {
		spec.Maps["tasks"].Flags &^= unix.BPF_F_NO_PREALLOC
	}
	types := ebpf.ProgramOptions{KernelTypes: kernel}
	if err = spec.LoadAndAssign(&r.objects, &ebpf.CollectionOptions{Programs: types}); err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, explainLoadError(err))
	}
	if err := r.destinations.open(r.objects.Dests, spec.Maps["dests"].InnerMap, r.options); err != nil {
		return fmt.Errorf("%w: create the destination map: %w", ErrKernel, explainLoadError(err))
	}
	r.counterLayout = locateCounters(kernel)
	if err := r.enableCounters(); err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, err)
	}
	if err := r.attachProbes(spec, types); err != nil {
		return err
	}
	// Return the memory that loading needed, mainly for the kernel's BTF.
	debug.FreeOSMemory()
	if r.netRecords, err = r.objects.Nets.Memory(); err != nil {
		return fmt.Errorf("map the namespace table: %w", err)
	}
	return nil
}

// attachProbes starts counting failed calls, if the options request it.
func (r *Reader) attachProbes(spec *ebpf.CollectionSpec, types ebpf.ProgramOptions) error {
	if !r.options.Failures {
		return nil
	}
	connects, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "inet_sock_set_state", Program: r.objects.OnSetState})
	if err != nil {
		return fmt.Errorf("%w: attach to inet_sock_set_state: %w", ErrKernel, err)
	}
	r.links = append(r.links, connects)
	if err := r.startNotifier(); err != nil {
		return fmt.Errorf("%w: read wake-ups: %w", ErrKernel, err)
	}
	if err := r.attachBindProbes(spec, types); err != nil {
		r.unobserved = append(r.unobserved, socket.Unobserved{Item: "failed binds and UDP",
			Reason: fmt.Sprintf("the kernel refused to trace them: %v", err)})
	}
	return nil
}

// startNotifier calls OnFailure after failed calls until the reader is closed.
func (r *Reader) startNotifier() (err error) {
	if r.options.OnFailure == nil {
		return nil
	}
	if r.wakeups, err = ringbuf.NewReader(r.objects.Wakeups); err != nil {
		return err
	}
	r.notifier.Go(func() {
		var record ringbuf.Record
		for r.wakeups.ReadInto(&record) == nil { // until it is closed
			r.options.OnFailure()
		}
	})
	return nil
}

// attachBindProbes attaches both probes or none.
func (r *Reader) attachBindProbes(spec *ebpf.CollectionSpec, types ebpf.ProgramOptions) error {
	var probes bindProbes
	shared := map[string]*ebpf.Map{"fails": r.objects.Fails, "fail_nets": r.objects.FailNets, "wakeups": r.objects.Wakeups, ".bss": r.objects.Data}
	if err := spec.LoadAndAssign(&probes, &ebpf.CollectionOptions{Programs: types, MapReplacements: shared}); err != nil {
		return err
	}
	defer probes.Close() // the links keep them
	tcp, err := link.AttachTracing(link.TracingOptions{Program: probes.OnTCPBind})
	if err != nil {
		return err
	}
	udp, err := link.AttachTracing(link.TracingOptions{Program: probes.OnUDPBind})
	if err != nil {
		return errors.Join(err, tcp.Close())
	}
	r.links = append(r.links, tcp, udp)
	return nil
}

// unloadPrograms removes the programs from the kernel.
func (r *Reader) unloadPrograms() error {
	var errs []error
	if r.wakeups != nil {
		errs = append(errs, r.wakeups.Close())
		r.notifier.Wait()
	}
	for _, l := range r.links {
		errs = append(errs, l.Close())
	}
	return errors.Join(append(errs, r.destinations.close(), r.objects.Close())...)
}
