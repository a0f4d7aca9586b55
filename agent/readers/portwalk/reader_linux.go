package portwalk

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/socket"
)

// Options configures a Reader. The zero value is ready to use.
type Options struct {
	// Destinations is the initial number of distinct (namespace, source, destination,
	// port) in one sample, by default 8192. Each takes about 170 bytes of kernel memory.
	Destinations int
	// MaxDestinations is the limit up to which Destinations is doubled when they are too
	// few, by default 262144.
	MaxDestinations int
	// Networks is the maximum number of network namespaces, by default and at most 4096.
	Networks int
	// Failures enables counting calls that fail for lack of a port.
	Failures bool
	// OnFailure, if set, is called soon after such a call, in another goroutine and at most
	// ten times a second.
	OnFailure func()
}

const (
	defaultDestinations = 8 << 10
	maxDestinations     = 256 << 10
	maxNetworks         = 4096 // MAX_NETS of the BPF program
)

// Reader implements agent.Reader. Concurrent calls wait for each other.
type Reader struct {
	mu         sync.Mutex
	objects    bpfObjects
	options    Options
	fds        [2]int // a TCP and a UDP socket, see proto_of in the BPF program
	netRecords *ebpf.Memory
	links      []link.Link
	wakeups    *ringbuf.Reader     // nil if OnFailure is not set
	notifier   sync.WaitGroup      // reads wakeups
	unobserved []socket.Unobserved // in every sample

	owners        ownerCache
	failures      failureCounters
	generation    uint32
	destinations  destinationTable
	details       detailCache
	detailedAt    time.Time // of the last sample with all namespaces
	records       []walkNetRec
	ranked        bool // there are more namespaces than fit, so they are ranked
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
	o.Destinations = min(o.Destinations, o.MaxDestinations)
	o.Networks = cmp.Or(o.Networks, maxNetworks)
	r := &Reader{options: o, fds: [2]int{-1, -1}, inspectLimits: defaultInspectLimits}
	for i, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		var err error
		if r.fds[i], err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			r.Close()
			return nil, fmt.Errorf("open a socket for the table walk: %w", err)
		}
	}
	if err := r.loadPrograms(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
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
// pool's detail. The table of connections is omitted if req asks for no namespace's detail.
func (r *Reader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	runtime.LockOSThread() // for the thread's CPU time, and warm caches
	defer runtime.UnlockOSThread()
	start := kernelstat.ReadThreadCPUTime()
	s, counts, err := r.takeSample(ctx, req)
	for err == nil && r.destinations.growForRecords(r.records) {
		s, counts, err = r.takeSample(ctx, req)
	}
	if err == nil {
		err = r.inspectTightestPool(ctx, &s, req.InspectPercent, detectHZ(counts.NowNs, counts.NowJiffies))
	}
	if err == nil {
		err = r.destinations.shrinkAfter(int(counts.Dests))
	}
	s.CPUTime = kernelstat.ReadThreadCPUTime() - start
	return s, err
}

func (r *Reader) takeSample(ctx context.Context, req socket.Request) (socket.Sample, walkTally, error) {
	s := socket.Sample{Taken: time.Now()}
	if req.MaxDetailAge > 0 && s.Taken.Sub(r.detailedAt) >= req.MaxDetailAge {
		req.DetailPercent = 0
	}
	counts, err := r.walkTables(ctx, req)
	if err != nil {
		return s, counts, err
	}
	nets := r.records[:counts.Nets]
	by, err := r.owners.readOwners(r.objects.Tasks, nets, &counts, r.generation)
	if err != nil {
		return s, counts, fmt.Errorf("read the processes: %w", err)
	}
	dests, err := r.destinations.batch.drainMap(r.destinations.current, &counts)
	if err != nil {
		return s, counts, fmt.Errorf("read the destinations: %w", err)
	}
	all := decodeNetworks(nets, dests, by, r.counterLayout, detectHZ(counts.NowNs, counts.NowJiffies))
	r.details.complete(all, s.Taken)
	if req.DetailPercent == 0 {
		r.detailedAt = s.Taken
	}
	s.Networks = selectVisible(all, nets, &counts)
	if r.options.Failures {
		if s.Failures, err = r.failures.readFailures(&r.objects, newNetOwnership(nets, s.Networks, &counts)); err != nil {
			return s, counts, fmt.Errorf("read the failed calls: %w", err)
		}
	}
	if counts.TcpMem[2] > 0 {
		s.TCPMemoryLimits = &counts.TcpMem
	}
	s.Tables = r.listTables(&counts)
	s.Reader, s.Unobserved = assessExactness(&counts, nets, r.options, r.failures.lost)
	s.Unobserved = slices.Concat(s.Unobserved, r.unobserved, r.counterLayout.unobserved)
	return s, counts, r.enableConntrackCounters(nets)
}

// walkTables runs the passes. The bind hash comes after the listeners, because it needs
// their ports, and before the established hash, because it decides which namespaces'
// destinations are counted and which ports connect() skips.
func (r *Reader) walkTables(ctx context.Context, req socket.Request) (t walkTally, err error) {
	if err := r.resetCounts(); err != nil {
		return t, err
	}
	if err := r.listNetworks(ctx, &t); err != nil {
		return t, err
	}
	args := r.newWalkArgs()
	args.BlockShare = uint32(max(1, maxBlocks/2/len(r.records)))
	args.DestQuota = uint32(r.destinations.quota())
	// All namespaces share the listening and bind hash, even those with their own
	// established hash.
	shared := r.records[0].TcpTable
	if err := r.walkHashTable(ctx, args, kindListen, shared); err != nil {
		return t, err
	}
	if err := r.walkHashTable(ctx, args, kindBind, shared); err != nil {
		return t, err
	}
	for _, udp := range r.listUDPTables() {
		if err := r.walkHashTable(ctx, args, kindUDP, udp); err != nil {
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
		if err := r.walkHashTable(ctx, args, kindEstablished, tcp); err != nil {
			return t, err
		}
	}
	if err := runProgram(r.objects.WalkTasks); err != nil {
		return t, err
	}
	err = r.readNetRecords(&t)
	return t, err
}

// maxBlocks is BLOCKS of the BPF program.
const maxBlocks = 4096

func (r *Reader) listUDPTables() []uint64 {
	return listDistinct(r.records, func(n *walkNetRec) uint64 { return n.UdpTable })
}

// listNetworks lists the network namespaces in r.records. If there are more than fit, those
// of pods come first, then others with processes, then others with bound ports.
func (r *Reader) listNetworks(ctx context.Context, t *walkTally) error {
	for {
		if err := r.rankNetworks(ctx); err != nil {
			return err
		}
		if err := runProgram(r.objects.WalkNets); err != nil {
			return err
		}
		if err := r.readNetRecords(t); err != nil {
			return err
		}
		if err := checkNetnsFound(len(r.records)); err != nil {
			return err
		}
		if (t.NetsLost > 0) == r.ranked {
			return nil
		}
		r.ranked = t.NetsLost > 0
		if err := r.resetCounts(); err != nil {
			return err
		}
		if err := clearMap[uint64, uint32](r.objects.NetIndex); err != nil {
			return fmt.Errorf("clear the index of namespaces: %w", err)
		}
	}
}

// Ranks, as in the BPF program's enum rank.
const (
	rankPods = 1 + iota
	rankTasks
	rankTables
	rankList
)

// rankNetworks ranks the namespaces if there are more than fit.
func (r *Reader) rankNetworks(ctx context.Context) error {
	if !r.ranked {
		return nil
	}
	if err := clearMap[uint64, uint32](r.objects.NetIndex); err != nil {
		return fmt.Errorf("clear the index of namespaces: %w", err)
	}
	args := r.newWalkArgs()
	for args.Rank = rankPods; args.Rank <= rankTasks; args.Rank++ {
		if err := r.objects.Args.Set(args); err != nil {
			return err
		}
		if err := runProgram(r.objects.WalkTasks); err != nil {
			return err
		}
	}
	if len(r.records) > 0 { // of the last sample
		if err := r.walkHashTable(ctx, args, kindBind, r.records[0].TcpTable); err != nil {
			return err
		}
		for _, udp := range r.listUDPTables() {
			if err := r.walkHashTable(ctx, args, kindUDP, udp); err != nil {
				return err
			}
		}
	}
	args.Rank = rankList
	return r.objects.Args.Set(args)
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
	if t.Blocks > 0 {
		if err := clearMap[walkPortKey, walkPortBits](r.objects.Ports); err != nil {
			return fmt.Errorf("clear the port sets: %w", err)
		}
	}
	if slices.ContainsFunc(r.records, func(n walkNetRec) bool { return n.Uncounted > 0 || n.DestsLost > 0 }) {
		if err := r.objects.Cells.Set(make([]byte, r.objects.Cells.Size())); err != nil {
			return fmt.Errorf("clear the counters of sockets: %w", err)
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
func (r *Reader) walkHashTable(ctx context.Context, a walkArgs, kind uint32, table uint64) error {
	if table == 0 {
		return nil
	}
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
	return walkArgs{TcpFd: uint32(r.fds[0]), UdpFd: uint32(r.fds[1]), Generation: r.generation,
		MaxNets: uint32(r.options.Networks)}
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

// enableDetail marks the namespaces whose destinations are to be counted, and divides the
// map of destinations among them.
func (r *Reader) enableDetail(gatePercent int) error {
	above := 0
	for i := range r.records {
		if isAboveGate(&r.records[i], gatePercent) {
			above++
		}
	}
	for i := range r.records {
		n := &r.records[i]
		if !isAboveGate(n, gatePercent) {
			continue
		}
		n.Detail, n.Share, n.Threshold = 1, uint32(max(1, r.destinations.quota()/above)), computeThreshold(n)
		off := int64(i)*int64(unsafe.Sizeof(*n)) + int64(unsafe.Offsetof(n.Detail))
		if _, err := r.netRecords.WriteAt(viewAsBytes([]uint32{n.Detail, n.Share, n.Threshold}), off); err != nil {
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
