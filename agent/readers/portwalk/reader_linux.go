package portwalk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/socket"
)

// Options configures a Reader. The zero value is ready to use.
type Options struct {
	// Destinations is the initial number of distinct (namespace, source, destination,
	// port) in one sample, by default 8192. Each takes about 150 bytes.
	Destinations int
	// MaxDestinations is the limit up to which Destinations is doubled when they are too
	// few, by default 262144.
	MaxDestinations int
	// Failures enables counting connect() calls that fail for lack of a port.
	Failures bool
}

const (
	defaultDestinations = 8 << 10
	maxDestinations     = 256 << 10
)

// Reader implements agent.Reader. Concurrent calls wait for each other.
type Reader struct {
	mu         sync.Mutex
	objects    walkObjects
	spec       *ebpf.CollectionSpec
	options    Options
	fds        [2]int // a TCP and a UDP socket, see proto_of in the BPF program
	netRecords *ebpf.Memory
	tracepoint link.Link

	owners        ownerCache
	failures      failureCounters
	failuresLost  uint32
	generation    uint32
	destinations  destinationBatch
	records       []walkNetRec
	inspectLimits inspectLimits
	counterLayout *counterLayout
}

// Open loads the programs, which takes about 0.2 s of CPU time. The error wraps one of
// the Err values if a requirement is not met.
func Open(o Options) (*Reader, error) {
	if err := checkKernelSupport(); err != nil {
		return nil, err
	}
	raiseLockedMemoryLimit()
	o.Destinations = cmp.Or(o.Destinations, defaultDestinations)
	o.MaxDestinations = cmp.Or(o.MaxDestinations, maxDestinations)
	spec, err := loadWalk()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	r := &Reader{spec: spec, options: o, fds: [2]int{-1, -1}, inspectLimits: defaultInspectLimits}
	for i, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		if r.fds[i], err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			r.Close()
			return nil, fmt.Errorf("open a socket for the table walk: %w", err)
		}
	}
	if err := r.loadPrograms(); err != nil {
		r.Close()
		return nil, err
	}
	if err := r.attachTracepoint(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) loadPrograms() (err error) {
	r.spec.Maps["dests"].MaxEntries = uint32(r.options.Destinations)
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, err)
	}
	// Before Linux 6.1 (without bpf_mem_alloc), the kernel logs a WARN if a tracing program
	// writes to a map that is not preallocated, and PREEMPT_RT rejects such a program.
	if _, err := kernel.AnyTypeByName("bpf_mem_alloc"); err != nil {
		r.spec.Maps["tasks"].Flags &^= unix.BPF_F_NO_PREALLOC
	}
	types := ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: kernel}}
	if err = r.spec.LoadAndAssign(&r.objects, &types); err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, explainLoadError(err))
	}
	if r.counterLayout == nil {
		r.counterLayout = locateCounters(kernel)
	}
	if err := r.enableCounters(); err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, err)
	}
	// Return the memory that loading needed, mainly for the kernel's BTF.
	debug.FreeOSMemory()
	if r.netRecords, err = r.objects.Nets.Memory(); err != nil {
		return fmt.Errorf("map the namespace table: %w", err)
	}
	return nil
}

// attachTracepoint starts counting failed connects, if the options request it.
func (r *Reader) attachTracepoint() (err error) {
	if r.options.Failures {
		r.tracepoint, err = link.AttachRawTracepoint(link.RawTracepointOptions{
			Name: "inet_sock_set_state", Program: r.objects.OnSetState})
		if err != nil {
			return fmt.Errorf("%w: attach to inet_sock_set_state: %w", ErrKernel, err)
		}
	}
	return nil
}

func (r *Reader) unloadPrograms() error {
	var err error
	if r.tracepoint != nil {
		err = r.tracepoint.Close()
		r.tracepoint = nil
	}
	return errors.Join(err, r.objects.Close())
}

// Close unloads the programs and leaves nothing in the kernel.
func (r *Reader) Close() error {
	for _, fd := range r.fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	return r.unloadPrograms()
}

// Sample walks every table once, and the fullest pool's table again if req asks for that
// pool's detail.
func (r *Reader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	runtime.LockOSThread() // for the thread's CPU time, and warm caches
	defer runtime.UnlockOSThread()
	start := kernelstat.ReadThreadCPUTime()
	s, counts, err := r.takeSample(ctx, req)
	for err == nil && counts.DestsLost > 0 && r.options.Destinations < r.options.MaxDestinations {
		if err = r.growDestinationMap(); err == nil {
			s, counts, err = r.takeSample(ctx, req)
		}
	}
	if err == nil {
		err = r.inspectTightestPool(ctx, &s, req.InspectPercent, detectHZ(counts.NowNs, counts.NowJiffies))
	}
	s.CPUTime = kernelstat.ReadThreadCPUTime() - start
	return s, err
}

// growDestinationMap doubles the destination map. Programs are bound to their maps, so
// both are loaded again. The counts of failed connects are kept. Without memory for the
// larger map (limited by the cgroup, or by RLIMIT_MEMLOCK), the current programs and maps
// stay in use and the map does not grow any more.
func (r *Reader) growDestinationMap() error {
	current, records := r.objects, r.netRecords
	r.objects = walkObjects{}
	r.options.Destinations *= 2
	if r.loadPrograms() != nil {
		err := r.objects.Close()
		r.objects, r.netRecords = current, records
		r.options.Destinations /= 2
		r.options.MaxDestinations = r.options.Destinations
		return err
	}
	r.owners = ownerCache{}
	if r.tracepoint != nil {
		if err := r.tracepoint.Close(); err != nil {
			return errors.Join(err, current.Close())
		}
		r.failures.readFailures(current.Fails)
		r.failures.carryOver()
	}
	return errors.Join(r.attachTracepoint(), current.Close())
}

func (r *Reader) takeSample(ctx context.Context, req socket.Request) (socket.Sample, walkTally, error) {
	s := socket.Sample{Taken: time.Now()}
	counts, err := r.walkTables(ctx, req)
	if err != nil {
		return s, counts, err
	}
	nets := r.records[:counts.Nets]
	by, err := r.owners.readOwners(r.objects.Tasks, nets, &counts, r.generation)
	if err != nil {
		return s, counts, fmt.Errorf("read the processes: %w", err)
	}
	dests, err := r.destinations.drainMap(r.objects.Dests, &counts)
	if err != nil {
		return s, counts, fmt.Errorf("read the destinations: %w", err)
	}
	s.Networks = decodeNetworks(nets, dests, by, r.counterLayout, detectHZ(counts.NowNs, counts.NowJiffies), &counts)
	if r.options.Failures {
		s.Failures = r.failures.readFailures(r.objects.Fails)
	}
	if counts.TcpMem[2] > 0 {
		s.TCPMemoryLimits = &counts.TcpMem
	}
	s.Reader, s.Unobserved = assessExactness(&counts, r.options, r.failuresLost)
	s.Unobserved = slices.Concat(s.Unobserved, reportVRFPorts(nets), r.counterLayout.unobserved)
	return s, counts, r.enableConntrackCounters(nets)
}

// walkTables runs the passes. The bind hash comes after the listeners, because it needs
// their ports, and before the established hash, because it decides which namespaces'
// destinations are counted and which ports connect() skips.
func (r *Reader) walkTables(ctx context.Context, req socket.Request) (t walkTally, err error) {
	if err := r.resetCounts(); err != nil {
		return t, err
	}
	if err := runProgram(r.objects.WalkNets); err != nil {
		return t, err
	}
	if err := r.readNetRecords(&t); err != nil || len(r.records) == 0 {
		return t, errors.Join(err, checkNetnsFound(len(r.records)))
	}
	// All namespaces share the listening and bind hash, even those with their own
	// established hash.
	shared := r.records[0].TcpTable
	if err := r.walkHashTable(ctx, kindListen, shared); err != nil {
		return t, err
	}
	if err := r.walkHashTable(ctx, kindBind, shared); err != nil {
		return t, err
	}
	for _, udp := range listDistinct(r.records, func(n *walkNetRec) uint64 { return n.UdpTable }) {
		if err := r.walkHashTable(ctx, kindUDP, udp); err != nil {
			return t, err
		}
	}
	if err := r.readNetRecords(&t); err != nil {
		return t, err
	}
	if err := r.enableDetail(req.DetailPercent); err != nil {
		return t, err
	}
	for _, tcp := range listDistinct(r.records, func(n *walkNetRec) uint64 { return uint64(n.Detail) * n.TcpTable }) {
		if err := r.walkHashTable(ctx, kindEstablished, tcp); err != nil {
			return t, err
		}
	}
	if err := runProgram(r.objects.WalkTasks); err != nil {
		return t, err
	}
	err = r.readNetRecords(&t)
	return t, err
}

func checkNetnsFound(n int) error {
	if n == 0 {
		return fmt.Errorf("%w: its list of network namespaces is empty", ErrKernel)
	}
	return nil
}

// resetCounts clears the counts of the last sample.
func (r *Reader) resetCounts() error {
	var t walkTally
	if err := r.objects.Tally.Get(&t); err != nil {
		return err
	}
	r.failuresLost += t.FailsLost
	if t.Blocks > 0 {
		if err := clearPorts(r.objects.Ports); err != nil {
			return fmt.Errorf("clear the port sets: %w", err)
		}
	}
	r.generation++
	return errors.Join(r.objects.Tally.Set(walkTally{}), r.objects.Args.Set(r.newWalkArgs()))
}

// Kinds of hash table, as in the BPF program's enum kind.
const (
	kindEstablished = iota
	kindBind
	kindListen
	kindUDP
)

// nodesPerRun is the maximum number of nodes that one run visits, give or take a bucket.
// A run is one RCU read section of a few milliseconds.
const nodesPerRun = 16 << 10

// walkHashTable walks one hash table. Each run continues where the last one stopped.
func (r *Reader) walkHashTable(ctx context.Context, kind uint32, table uint64) error {
	if table == 0 {
		return nil
	}
	a := r.newWalkArgs()
	a.Table, a.Kind = table, kind
	var t walkTally
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.objects.Tally.Get(&t); err != nil {
			return err
		}
		a.Budget = t.Visited + nodesPerRun
		if err := r.objects.Args.Set(a); err != nil {
			return err
		}
		if err := runProgram(r.objects.WalkTable); err != nil {
			return err
		}
		before := a.Cursor
		if err := r.objects.Args.Get(&a); err != nil {
			return err
		}
		if err := r.objects.Tally.Get(&t); err != nil {
			return err
		}
		if a.Cursor >= t.Size {
			return nil
		}
		if a.Cursor == before {
			return fmt.Errorf("%w: the walk of table %d makes no progress at bucket %d of %d", ErrKernel, kind, before, t.Size)
		}
	}
}

func (r *Reader) newWalkArgs() walkArgs {
	return walkArgs{TcpFd: uint32(r.fds[0]), UdpFd: uint32(r.fds[1]), Generation: r.generation}
}

func runProgram(p *ebpf.Program) error {
	if _, err := p.Run(&ebpf.RunOptions{}); err != nil {
		return fmt.Errorf("run %v: %w", p, err)
	}
	return nil
}

// readNetRecords copies the counts to t and the filled namespace records to r.records.
func (r *Reader) readNetRecords(t *walkTally) error {
	if err := r.objects.Tally.Get(t); err != nil {
		return err
	}
	r.records = resizeSlice(r.records, int(t.Nets))
	if len(r.records) == 0 {
		return nil
	}
	_, err := r.netRecords.ReadAt(viewAsBytes(r.records), 0)
	return err
}

// enableDetail marks the namespaces whose destinations are to be counted.
func (r *Reader) enableDetail(gatePercent int) error {
	for i := range r.records {
		n := &r.records[i]
		if !isAboveGate(n, gatePercent) {
			continue
		}
		n.Detail = 1
		off := int64(i)*int64(unsafe.Sizeof(*n)) + int64(unsafe.Offsetof(n.Detail))
		if _, err := r.netRecords.WriteAt([]byte{1}, off); err != nil {
			return err
		}
	}
	return nil
}

// isAboveGate reports whether at least gatePercent of n's ports are in use.
func isAboveGate(n *walkNetRec, gatePercent int) bool {
	return int(n.Held)*100 >= gatePercent*decodeSettings(n, 0).Capacity()
}

// listDistinct returns the distinct values other than 0, in order of first appearance.
func listDistinct(recs []walkNetRec, of func(*walkNetRec) uint64) []uint64 {
	var out []uint64
next:
	for i := range recs {
		v := of(&recs[i])
		if v == 0 {
			continue
		}
		for _, o := range out {
			if o == v {
				continue next
			}
		}
		out = append(out, v)
	}
	return out
}

// viewAsBytes returns the memory of s, whose element type must have no padding.
func viewAsBytes[T any](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}

// resizeSlice returns a slice of n elements. It reuses s's memory if that is enough.
func resizeSlice[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}
