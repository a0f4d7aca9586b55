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
	mu    sync.Mutex
	objs  walkObjects
	spec  *ebpf.CollectionSpec
	opts  Options
	fds   [2]int // a TCP and a UDP socket: see proto_of in the program
	nets  *ebpf.Memory
	watch link.Link

	owners     owners
	failures   failures
	failsLost  uint32
	generation uint32
	dests      destBatch
	recs       []walkNetRec
	limits     lookLimits
	counting   *counting
}

// Open loads the programs, which takes about 0.2 s of CPU once. The error says
// which need is not met; see the Err values.
func Open(o Options) (*Reader, error) {
	if err := probe(); err != nil {
		return nil, err
	}
	o.Destinations = cmp.Or(o.Destinations, defaultDestinations)
	o.MaxDestinations = cmp.Or(o.MaxDestinations, maxDestinations)
	spec, err := loadWalk()
	if err != nil {
		return nil, fmt.Errorf("read the embedded programs: %w", err)
	}
	r := &Reader{spec: spec, opts: o, fds: [2]int{-1, -1}, limits: defaultLookLimits}
	for i, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
		if r.fds[i], err = unix.Socket(unix.AF_INET, kind|unix.SOCK_CLOEXEC, 0); err != nil {
			r.Close()
			return nil, fmt.Errorf("open a socket: %w", err)
		}
	}
	if err := r.load(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Reader) load() (err error) {
	r.spec.Maps["dests"].MaxEntries = uint32(r.opts.Destinations)
	kernel, err := btf.LoadKernelSpec()
	if err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, err)
	}
	types := ebpf.CollectionOptions{Programs: ebpf.ProgramOptions{KernelTypes: kernel}}
	if err = r.spec.LoadAndAssign(&r.objs, &types); err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, err)
	}
	if r.counting == nil {
		r.counting = locate(kernel)
	}
	if err := r.count(); err != nil {
		return fmt.Errorf("%w: %w", ErrKernel, err)
	}
	// What loading took on the heap, the kernel's BTF above all, is over.
	debug.FreeOSMemory()
	if r.nets, err = r.objs.Nets.Memory(); err != nil {
		return fmt.Errorf("map the namespace table: %w", err)
	}
	if r.opts.Failures {
		r.watch, err = link.AttachRawTracepoint(link.RawTracepointOptions{
			Name: "inet_sock_set_state", Program: r.objs.OnSetState})
		if err != nil {
			return fmt.Errorf("%w: attach to inet_sock_set_state: %w", ErrKernel, err)
		}
	}
	return nil
}

func (r *Reader) unload() error {
	var err error
	if r.watch != nil {
		err = r.watch.Close()
		r.watch = nil
	}
	return errors.Join(err, r.objs.Close())
}

// Close unloads the programs. Nothing of them stays in the kernel.
func (r *Reader) Close() error {
	for _, fd := range r.fds {
		if fd >= 0 {
			unix.Close(fd)
		}
	}
	return r.unload()
}

// Sample walks every table once, and the tightest pool's a second time where a closer
// look is asked for.
func (r *Reader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	runtime.LockOSThread() // for the CPU time, and one CPU's caches
	defer runtime.UnlockOSThread()
	start := threadTime()
	s, tally, err := r.sample(ctx, req)
	for err == nil && tally.DestsLost > 0 && r.opts.Destinations < r.opts.MaxDestinations {
		if err = r.grow(); err == nil {
			s, tally, err = r.sample(ctx, req)
		}
	}
	if err == nil {
		err = r.look(ctx, &s, req.InspectPercent, hertz(tally.NowNs, tally.NowJiffies))
	}
	s.CPUTime = threadTime() - start
	return s, err
}

// grow makes room for twice the destinations. Programs are bound to their maps,
// so that both are loaded anew; the failures that were counted are kept.
func (r *Reader) grow() error {
	r.failures.read(r.objs.Fails)
	r.failures.rebase()
	if err := r.unload(); err != nil {
		return err
	}
	r.opts.Destinations *= 2
	r.owners = owners{}
	return r.load()
}

func (r *Reader) sample(ctx context.Context, req socket.Request) (socket.Sample, walkTally, error) {
	s := socket.Sample{Taken: time.Now()}
	tally, err := r.walk(ctx, req)
	if err != nil {
		return s, tally, err
	}
	nets := r.recs[:tally.Nets]
	by, err := r.owners.read(r.objs.Tasks, nets, &tally, r.generation)
	if err != nil {
		return s, tally, fmt.Errorf("read the processes: %w", err)
	}
	dests, err := r.dests.drain(r.objs.Dests, &tally)
	if err != nil {
		return s, tally, fmt.Errorf("read the destinations: %w", err)
	}
	s.Networks = networks(nets, dests, by, r.counting, hertz(tally.NowNs, tally.NowJiffies), &tally)
	if r.opts.Failures {
		s.Failures = r.failures.read(r.objs.Fails)
	}
	if tally.TcpMem[2] > 0 {
		s.TCPMemoryLimits = &tally.TcpMem
	}
	s.Reader, s.Unobserved = verdict(&tally, r.opts, r.failsLost)
	s.Unobserved = slices.Concat(s.Unobserved, inVRFs(nets), r.counting.unseen)
	return s, tally, r.notice(nets)
}

// walk runs the passes. The bind hash comes after the listeners, whose ports it
// wants to know, and before the established hash, which it gates and which skips
// the ports that connect() skips.
func (r *Reader) walk(ctx context.Context, req socket.Request) (t walkTally, err error) {
	if err := r.reset(); err != nil {
		return t, err
	}
	if err := run(r.objs.WalkNets); err != nil {
		return t, err
	}
	if err := r.readNets(&t); err != nil || len(r.recs) == 0 {
		return t, errors.Join(err, noNets(len(r.recs)))
	}
	// Namespaces with an established hash of their own share these two.
	shared := r.recs[0].TcpTable
	if err := r.table(ctx, kindListen, shared); err != nil {
		return t, err
	}
	if err := r.table(ctx, kindBind, shared); err != nil {
		return t, err
	}
	for _, udp := range distinct(r.recs, func(n *walkNetRec) uint64 { return n.UdpTable }) {
		if err := r.table(ctx, kindUDP, udp); err != nil {
			return t, err
		}
	}
	if err := r.readNets(&t); err != nil {
		return t, err
	}
	if err := r.open(req.DetailPercent); err != nil {
		return t, err
	}
	for _, tcp := range distinct(r.recs, func(n *walkNetRec) uint64 { return uint64(n.Detail) * n.TcpTable }) {
		if err := r.table(ctx, kindEstablished, tcp); err != nil {
			return t, err
		}
	}
	if err := run(r.objs.WalkTasks); err != nil {
		return t, err
	}
	err = r.readNets(&t)
	return t, err
}

func noNets(n int) error {
	if n == 0 {
		return fmt.Errorf("%w: no network namespace found in its list", ErrKernel)
	}
	return nil
}

// reset empties what the last sample left.
func (r *Reader) reset() error {
	var t walkTally
	if err := r.objs.Tally.Get(&t); err != nil {
		return err
	}
	r.failsLost += t.FailsLost
	if t.Blocks > 0 {
		if err := clearPorts(r.objs.Ports); err != nil {
			return fmt.Errorf("clear the sets of ports: %w", err)
		}
	}
	r.generation++
	return errors.Join(r.objs.Tally.Set(walkTally{}), r.objs.Args.Set(r.args()))
}

// The tables, as in the program's enum kind.
const (
	kindEstablished = iota
	kindBind
	kindListen
	kindUDP
)

// budget is how many nodes one run visits at most, give or take a bucket: a run
// is one RCU read section, a few milliseconds long.
const budget = 16 << 10

// table walks one hash table. Each run goes on where the last one stopped.
func (r *Reader) table(ctx context.Context, kind uint32, table uint64) error {
	if table == 0 {
		return nil
	}
	a := r.args()
	a.Table, a.Kind = table, kind
	var t walkTally
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := r.objs.Tally.Get(&t); err != nil {
			return err
		}
		a.Budget = t.Visited + budget
		if err := r.objs.Args.Set(a); err != nil {
			return err
		}
		if err := run(r.objs.WalkTable); err != nil {
			return err
		}
		was := a.Cursor
		if err := r.objs.Args.Get(&a); err != nil {
			return err
		}
		if err := r.objs.Tally.Get(&t); err != nil {
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

func (r *Reader) args() walkArgs {
	return walkArgs{TcpFd: uint32(r.fds[0]), UdpFd: uint32(r.fds[1]), Generation: r.generation}
}

func run(p *ebpf.Program) error {
	if _, err := p.Run(&ebpf.RunOptions{}); err != nil {
		return fmt.Errorf("run %v: %w", p, err)
	}
	return nil
}

// readNets copies the namespaces, as far as they are filled, and the tally.
func (r *Reader) readNets(t *walkTally) error {
	if err := r.objs.Tally.Get(t); err != nil {
		return err
	}
	r.recs = grown(r.recs, int(t.Nets))
	if len(r.recs) == 0 {
		return nil
	}
	_, err := r.nets.ReadAt(bytesOf(r.recs), 0)
	return err
}

// open marks the namespaces whose destinations are worth counting.
func (r *Reader) open(gatePercent int) error {
	for i := range r.recs {
		n := &r.recs[i]
		if !worthwhile(n, gatePercent) {
			continue
		}
		n.Detail = 1
		off := int64(i)*int64(unsafe.Sizeof(*n)) + int64(unsafe.Offsetof(n.Detail))
		if _, err := r.nets.WriteAt([]byte{1}, off); err != nil {
			return err
		}
	}
	return nil
}

func worthwhile(n *walkNetRec, gatePercent int) bool {
	return int(n.Held)*100 >= gatePercent*settings(n, 0).Capacity()
}

// distinct are the values other than 0, in order of their first appearance.
func distinct(recs []walkNetRec, of func(*walkNetRec) uint64) []uint64 {
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

// bytesOf is the memory of s, whose type has no padding of Go's own.
func bytesOf[T any](s []T) []byte {
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(s))), len(s)*int(unsafe.Sizeof(s[0])))
}

func grown[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n, n+n/4)
	}
	return s[:n]
}

func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
