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

	"portreeve.io/portreeve/agent/socket"
)

// Options of a Reader. The zero value is good.
type Options struct {
	// Destinations is how many (namespace, source, destination, port) are told
	// apart in one sample, 8192 unless set; about 150 bytes each.
	Destinations int
	// MaxDestinations bounds the doubling of Destinations when they are too few,
	// 262144 unless set.
	MaxDestinations int
	// Failures watches for connect() calls that fail for want of a port.
	Failures bool
}

const (
	defaultDestinations = 8 << 10
	maxDestinations     = 256 << 10
)

// Reader implements agent.Reader. One call waits for another to end.
type Reader struct {
	mu         sync.Mutex
	objects    walkObjects
	spec       *ebpf.CollectionSpec
	options    Options
	fds        [2]int // a TCP and a UDP socket: see proto_of in the program
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

// Open loads the programs, which takes about 0.2 s of CPU once. The error says
// which need is not met; see the Err values.
func Open(o Options) (*Reader, error) {
	if err := checkKernelSupport(); err != nil {
		return nil, err
	}
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
			return nil, fmt.Errorf("open a socket: %w", err)
		}
	}
	if err := r.loadPrograms(); err != nil {
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
	types := ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: kernel}}
	if err = r.spec.LoadAndAssign(&r.objects, &types); err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, err)
	}
	if r.counterLayout == nil {
		r.counterLayout = locateCounters(kernel)
	}
	if err := r.enableCounters(); err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, err)
	}
	// What loading took on the heap, the kernel's BTF above all, is over.
	debug.FreeOSMemory()
	if r.netRecords, err = r.objects.Nets.Memory(); err != nil {
		return fmt.Errorf("map the namespace table: %w", err)
	}
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

// Close unloads the programs. Nothing of them stays in the kernel.
func (r *Reader) Close() error {
	for _, fd := range r.fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	return r.unloadPrograms()
}

// Sample walks every table once, and the tightest pool's a second time where a closer
// look is asked for.
func (r *Reader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	runtime.LockOSThread() // for the CPU time, and one CPU's caches
	defer runtime.UnlockOSThread()
	start := readThreadCPUTime()
	s, tally, err := r.takeSample(ctx, req)
	for err == nil && tally.DestsLost > 0 && r.options.Destinations < r.options.MaxDestinations {
		if err = r.growDestinationMap(); err == nil {
			s, tally, err = r.takeSample(ctx, req)
		}
	}
	if err == nil {
		err = r.inspectTightestPool(ctx, &s, req.LookPercent, detectHZ(tally.NowNs, tally.NowJiffies))
	}
	s.Cost = readThreadCPUTime() - start
	return s, err
}

// growDestinationMap makes room for twice the destinations. Programs are bound to their maps,
// so that both are loaded anew; the failures that were counted are kept.
func (r *Reader) growDestinationMap() error {
	r.failures.readFailures(r.objects.Fails)
	r.failures.carryOver()
	if err := r.unloadPrograms(); err != nil {
		return err
	}
	r.options.Destinations *= 2
	r.owners = ownerCache{}
	return r.loadPrograms()
}

func (r *Reader) takeSample(ctx context.Context, req socket.Request) (socket.Sample, walkTally, error) {
	s := socket.Sample{Taken: time.Now()}
	tally, err := r.walkTables(ctx, req)
	if err != nil {
		return s, tally, err
	}
	nets := r.records[:tally.Nets]
	by, err := r.owners.readOwners(r.objects.Tasks, nets, &tally, r.generation)
	if err != nil {
		return s, tally, fmt.Errorf("read the processes: %w", err)
	}
	dests, err := r.destinations.drainMap(r.objects.Dests, &tally)
	if err != nil {
		return s, tally, fmt.Errorf("read the destinations: %w", err)
	}
	s.Networks = decodeNetworks(nets, dests, by, r.counterLayout, detectHZ(tally.NowNs, tally.NowJiffies), &tally)
	if r.options.Failures {
		s.Failures = r.failures.readFailures(r.objects.Fails)
	}
	if tally.TcpMem[2] > 0 {
		s.TCPMemoryLimits = &tally.TcpMem
	}
	s.Reader, s.Unobserved = assessExactness(&tally, r.options, r.failuresLost)
	s.Unobserved = slices.Concat(s.Unobserved, reportVRFPorts(nets), r.counterLayout.unobserved)
	return s, tally, r.enableConntrackCounters(nets)
}

// walkTables runs the passes. The bind hash comes after the listeners, whose ports it
// wants to know, and before the established hash, which it gates and which skips
// the ports that connect() skips.
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
	// Namespaces with an established hash of their own share these two.
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
	if err := r.enableDetail(req.GatePercent); err != nil {
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
		return fmt.Errorf("%w: no network namespace found in its list", ErrKernel)
	}
	return nil
}

// resetCounts empties what the last sample left.
func (r *Reader) resetCounts() error {
	var t walkTally
	if err := r.objects.Tally.Get(&t); err != nil {
		return err
	}
	r.failuresLost += t.FailsLost
	if t.Blocks > 0 {
		if err := clearPorts(r.objects.Ports); err != nil {
			return fmt.Errorf("clear the sets of ports: %w", err)
		}
	}
	r.generation++
	return errors.Join(r.objects.Tally.Set(walkTally{}), r.objects.Args.Set(r.newWalkArgs()))
}

// The tables, as in the program's enum kind.
const (
	kindEstablished = iota
	kindBind
	kindListen
	kindUDP
)

// nodesPerRun is how many nodes one run visits at most, give or take a bucket: a run
// is one RCU read section, a few milliseconds long.
const nodesPerRun = 16 << 10

// walkHashTable walks one hash table. Each run goes on where the last one stopped.
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
		was := a.Cursor
		if err := r.objects.Args.Get(&a); err != nil {
			return err
		}
		if err := r.objects.Tally.Get(&t); err != nil {
			return err
		}
		if a.Cursor >= t.Size {
			return nil
		}
		if a.Cursor == was {
			return fmt.Errorf("%w: the walk of table %d stands still at bucket %d of %d", ErrKernel, kind, was, t.Size)
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

// readNetRecords copies the namespaces, as far as they are filled, and the tally.
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

// enableDetail marks the namespaces whose destinations are worth counting.
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

func isAboveGate(n *walkNetRec, gatePercent int) bool {
	return int(n.Held)*100 >= gatePercent*decodeSettings(n, 0).Capacity()
}

// listDistinct are the values other than 0, in order of their first appearance.
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

// viewAsBytes is the memory of s, whose type has no padding of Go's own.
func viewAsBytes[T any](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}

func resizeSlice[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}

func readThreadCPUTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
