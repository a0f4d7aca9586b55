package sockdiag

import (
	"context"
	"fmt"
	"runtime"
	"time"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
)

// Options configures a Reader.
type Options struct {
	// Proc is the mount point of a procfs, by default "/proc". The reader finds the
	// namespaces of the processes that it shows.
	Proc string
	// NetnsRoot is a folder of namespace files, by default "/run/netns".
	NetnsRoot string
	// OwnOnly restricts the reader to its process's network namespace.
	OwnOnly bool
}

// Reader implements agent.Reader.
//
// Held, Skipped, States and UDPHeld of a namespace that is not Detailed are 0, because
// they were not read. UDPHeld is also 0 where only UDP is below the gate.
type Reader struct {
	options          Options
	finder           *netns.Finder
	handles          map[uint64]*netnsHandle
	usage            portUsage
	buf              []byte
	helperThreadTime time.Duration // CPU time of threads that entered namespaces
}

// Open returns a Reader. It checks that sock_diag works, in the process's own namespace.
func Open(o Options) (*Reader, error) {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	if o.NetnsRoot == "" {
		o.NetnsRoot = "/run/netns"
	}
	f, err := netns.NewFinder(o.Proc, o.NetnsRoot)
	if err != nil {
		return nil, fmt.Errorf("sockdiag: %w", err)
	}
	s, err := openNetns(o.Proc)
	if err != nil {
		return nil, fmt.Errorf("sockdiag: %w", err)
	}
	s.closeFiles()
	return &Reader{options: o, finder: f, handles: map[uint64]*netnsHandle{}, buf: make([]byte, netlink.BufferSize)}, nil
}

// Close closes all namespaces.
func (r *Reader) Close() error {
	for inode, s := range r.handles {
		s.closeFiles()
		delete(r.handles, inode)
	}
	return nil
}

// Sample reads every namespace that it has access to. Namespaces that vanish meanwhile
// are omitted.
func (r *Reader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	runtime.LockOSThread() // for the thread's CPU time
	defer runtime.UnlockOSThread()
	start := kernelstat.ReadThreadCPUTime()
	r.helperThreadTime = 0

	found, unobserved, err := r.finder.Find()
	if err != nil {
		return socket.Sample{}, fmt.Errorf("sockdiag: %w", err)
	}
	if r.options.OwnOnly {
		found, unobserved = selectOwnNetns(found)
	}
	r.closeVanished(found)
	out := socket.Sample{Taken: time.Now(), Reader: readerInfo, Unobserved: append(unobserved, failuresUnobserved)}
	var failures failureReasons
	for _, n := range found {
		if err := ctx.Err(); err != nil {
			return socket.Sample{}, fmt.Errorf("sockdiag: %w", err)
		}
		network, interrupted, err := r.readNetwork(n, req)
		switch {
		case netns.IsVanished(err):
			continue // vanished since it was found
		case err != nil:
			failures.addFailure(n, err)
			continue
		}
		if interrupted {
			out.Reader.Exactness, out.Reader.Message = socket.Approximate, messageInterrupted
		}
		if r.usage.uncounted > 0 && network.Detailed {
			out.Unobserved = append(out.Unobserved, socket.Unobserved{
				Item:   fmt.Sprintf("destinations of %d sockets in net:[%d]", r.usage.uncounted, n.Inode),
				Reason: fmt.Sprintf("the reader counts at most %d destinations per namespace", maxDestinations),
			})
		}
		out.Networks = append(out.Networks, network)
	}
	out.Unobserved = append(out.Unobserved, failures.listUnobserved()...)
	if p, ok := out.TightestPool(); ok && req.InspectPercent > 0 && p.UsedPercent() >= req.InspectPercent {
		out.Unobserved = append(out.Unobserved, detailUnobserved)
	}
	out.CPUTime = kernelstat.ReadThreadCPUTime() - start + r.helperThreadTime
	return out, nil
}

var (
	readerInfo = socket.Reader{
		Name:      "sockdiag",
		Exactness: socket.UpperBound,
		Message:   "sock_diag doesn't show which sockets were bound before they connected: fewer ports may be left than shown",
	}
	messageInterrupted = "the socket tables changed while they were read, so a few sockets may be missing or counted twice"

	failuresUnobserved = socket.Unobserved{Item: "failed connects",
		Reason: "the sockdiag reader cannot count them; this needs the portwalk reader"}
	detailUnobserved = socket.Unobserved{Item: "processes using the fullest pool",
		Reason: "the sockdiag reader cannot find them; this needs the portwalk reader"}
)

// readNetwork reads one namespace. interrupted reports whether its table kept changing.
func (r *Reader) readNetwork(n netns.Namespace, req socket.Request) (out socket.Network, interrupted bool, err error) {
	s, err := r.openHandle(n)
	if err != nil {
		return socket.Network{}, false, err
	}
	out = socket.Network{Inode: n.Inode, Cookie: s.cookie, Owner: n.Owner}
	settings, reserved, err := s.readSettings(r.buf)
	if err != nil {
		return out, false, r.closeHandle(n.Inode, err)
	}
	u, err := s.countSockets(r.buf)
	if err != nil {
		return out, false, r.closeHandle(n.Inode, err)
	}
	capacity := settings.Range.Len() - settings.Reserved
	isAboveGate := func(sockets uint64) bool { return sockets*100 >= uint64(req.DetailPercent)*uint64(capacity) }
	out.Settings, out.Detailed = settings, isAboveGate(u.TCP)
	udp := u.UDP > 0 && isAboveGate(u.UDP)
	if !out.Detailed && !udp {
		out.UDPSockets = int(u.UDP)
		return out, false, nil
	}
	for range 2 { // again if the table changed
		r.usage.resetFor(settings, s.minReuseAge(settings), reserved)
		if interrupted, err = s.dumpSockets(&r.usage, r.buf, out.Detailed, udp); err != nil {
			return out, false, r.closeHandle(n.Inode, err)
		}
		if !interrupted {
			break
		}
	}
	r.usage.writeTo(&out)
	if !udp {
		out.UDPSockets = int(u.UDP)
	}
	return out, interrupted, nil
}

// minReuseAge returns the age from which on a TIME_WAIT socket may be reused. Before
// Linux 6.14 the kernel compared whole seconds, so any age could be enough.
func (s *netnsHandle) minReuseAge(settings socket.Settings) time.Duration {
	if s.settings[fileReuseDelay] < 0 {
		return 0
	}
	return settings.ReuseDelay
}

// openHandle returns n's handle, and opens it on first use.
func (r *Reader) openHandle(n netns.Namespace) (*netnsHandle, error) {
	if s := r.handles[n.Inode]; s != nil {
		return s, nil
	}
	var s *netnsHandle
	openHere := func() (err error) {
		start := kernelstat.ReadThreadCPUTime()
		s, err = openNetns(r.options.Proc)
		if !n.IsOwn {
			r.helperThreadTime += kernelstat.ReadThreadCPUTime() - start
		}
		return err
	}
	var err error
	if n.IsOwn {
		err = openHere()
	} else {
		err = netns.Enter(n.Path, n.Inode, openHere)
	}
	if err != nil {
		return nil, err
	}
	r.handles[n.Inode] = s
	return s, nil
}

// closeHandle closes a handle after an error and returns err. The next sample opens the
// namespace again.
func (r *Reader) closeHandle(inode uint64, err error) error {
	r.handles[inode].closeFiles()
	delete(r.handles, inode)
	return err
}

// closeVanished closes the handles of namespaces that no longer exist.
func (r *Reader) closeVanished(found []netns.Namespace) {
	exists := make(map[uint64]bool, len(found))
	for _, n := range found {
		exists[n.Inode] = true
	}
	for inode, s := range r.handles {
		if !exists[inode] {
			s.closeFiles()
			delete(r.handles, inode)
		}
	}
}

// selectOwnNetns returns only the process's own namespace.
func selectOwnNetns(found []netns.Namespace) ([]netns.Namespace, []socket.Unobserved) {
	for _, n := range found {
		if n.IsOwn {
			return []netns.Namespace{n}, []socket.Unobserved{{
				Item: "other network namespaces", Reason: "the reader was configured to read only its own"}}
		}
	}
	return nil, nil
}
