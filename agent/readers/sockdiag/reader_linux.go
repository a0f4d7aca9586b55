package sockdiag

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netlink"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
)

// Options say where the reader looks.
type Options struct {
	// Proc is where a procfs is mounted, "/proc" when empty. What is seen
	// depends on whose PIDs it shows.
	Proc string
	// NetnsRoot is a folder of namespace files, "/run/netns" when empty.
	NetnsRoot string
	// OwnOnly keeps to the process's own network namespace.
	OwnOnly bool
}

// Reader is the reader "sockdiag", an agent.Reader.
//
// Held, Skipped, States and UDPHeld of a namespace that is not Detailed are 0:
// they were not read. UDPHeld is 0 as well where the gate left only UDP out.
type Reader struct {
	options Options
	finder  *netns.Finder
	open    map[uint64]*space
	tally   tally
	buf     []byte
	away    time.Duration // CPU time of threads that entered namespaces
}

// Open checks that sock_diag works here, by opening the own namespace.
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
	s, err := openSpace(o.Proc)
	if err != nil {
		return nil, fmt.Errorf("sockdiag: %w", err)
	}
	s.close()
	return &Reader{options: o, finder: f, open: map[uint64]*space{}, buf: make([]byte, netlink.BufferSize)}, nil
}

// Close lets all namespaces go.
func (r *Reader) Close() error {
	for inode, s := range r.open {
		s.close()
		delete(r.open, inode)
	}
	return nil
}

// Sample reads every namespace that it may. What vanishes meanwhile is left out.
func (r *Reader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	runtime.LockOSThread() // whose CPU time is taken
	defer runtime.UnlockOSThread()
	start := threadTime()
	r.away = 0

	found, unseen, err := r.finder.Find()
	if err != nil {
		return socket.Sample{}, fmt.Errorf("sockdiag: %w", err)
	}
	if r.options.OwnOnly {
		found, unseen = ownOnly(found)
	}
	r.forget(found)
	out := socket.Sample{Taken: time.Now(), Reader: spoken, Unobserved: append(unseen, failuresUnseen)}
	var missed reasons
	for _, n := range found {
		if err := ctx.Err(); err != nil {
			return socket.Sample{}, fmt.Errorf("sockdiag: %w", err)
		}
		network, interrupted, err := r.network(n, req)
		switch {
		case errors.Is(err, fs.ErrNotExist), errors.Is(err, netns.ErrChanged), errors.Is(err, netns.ErrNotNamespace):
			continue // gone since it was found
		case err != nil:
			missed.add(n, err)
			continue
		}
		if interrupted {
			out.Reader.Exactness, out.Reader.Message = socket.Approximate, messageInterrupted
		}
		if r.tally.left > 0 && network.Detailed {
			out.Unobserved = append(out.Unobserved, socket.Unobserved{
				Item:   fmt.Sprintf("the destinations of %d sockets in net:[%d]", r.tally.left, n.Inode),
				Reason: fmt.Sprintf("the reader keeps at most %d destinations of a namespace", maxDestinations),
			})
		}
		out.Networks = append(out.Networks, network)
	}
	out.Unobserved = append(out.Unobserved, missed.unseen()...)
	if p, ok := out.TightestPool(); ok && req.InspectPercent > 0 && p.UsedPercent() >= req.InspectPercent {
		out.Unobserved = append(out.Unobserved, lookUnseen)
	}
	out.CPUTime = threadTime() - start + r.away
	return out, nil
}

var (
	spoken = socket.Reader{
		Name:      "sockdiag",
		Exactness: socket.UpperBound,
		Message:   "sock_diag doesn't show which sockets were bound before they connected: fewer ports may be left than shown",
	}
	messageInterrupted = "the socket tables changed while they were read: a few sockets may be missing or counted twice"

	failuresUnseen = socket.Unobserved{Item: "failed connects", Reason: "sockdiag can't see them: needs the reader portwalk"}
	lookUnseen     = socket.Unobserved{Item: "who holds the tightest pool", Reason: "sockdiag takes no closer look: needs the reader portwalk"}
)

// network reads one namespace.
func (r *Reader) network(n netns.Namespace, req socket.Request) (socket.Network, bool, error) {
	s, err := r.space(n)
	if err != nil {
		return socket.Network{}, false, err
	}
	out := socket.Network{Inode: n.Inode, Cookie: s.cookie, Owner: n.Owner}
	settings, reserved, err := s.readSettings(r.buf)
	if err != nil {
		return out, false, r.drop(n.Inode, err)
	}
	u, err := s.use(r.buf)
	if err != nil {
		return out, false, r.drop(n.Inode, err)
	}
	capacity := settings.Range.Len() - settings.Reserved
	near := func(sockets uint64) bool { return sockets*100 >= uint64(req.DetailPercent)*uint64(capacity) }
	out.Settings, out.Detailed = settings, near(u.tcp)
	udp := u.udp > 0 && near(u.udp)
	if !out.Detailed && !udp {
		out.UDPSockets = int(u.udp)
		return out, false, nil
	}
	interrupted := false
	for range 2 { // once more when the table changed
		r.tally.reset(settings, s.reuseDelay(settings), reserved)
		if interrupted, err = s.sockets(&r.tally, r.buf, out.Detailed, udp); err != nil {
			return out, false, r.drop(n.Inode, err)
		}
		if !interrupted {
			break
		}
	}
	r.tally.finish(&out)
	if !udp {
		out.UDPSockets = int(u.udp)
	}
	return out, interrupted, nil
}

// reuseDelay is how old a TIME_WAIT is at the least when it is reused. Before
// Linux 6.14 the kernel compared whole seconds: any moment could be enough.
func (s *space) reuseDelay(settings socket.Settings) time.Duration {
	if s.settings[fileReuseDelay] < 0 {
		return 0
	}
	return settings.ReuseDelay
}

// space is what is kept open of n.
func (r *Reader) space(n netns.Namespace) (*space, error) {
	if s := r.open[n.Inode]; s != nil {
		return s, nil
	}
	var s *space
	openHere := func() (err error) {
		start := threadTime()
		s, err = openSpace(r.options.Proc)
		if !n.Own {
			r.away += threadTime() - start
		}
		return err
	}
	var err error
	if n.Own {
		err = openHere()
	} else {
		err = netns.Enter(n.Path, n.Inode, openHere)
	}
	if err != nil {
		return nil, err
	}
	r.open[n.Inode] = s
	return s, nil
}

// drop closes a space that can't be relied on any more; the next sample opens it
// anew.
func (r *Reader) drop(inode uint64, err error) error {
	r.open[inode].close()
	delete(r.open, inode)
	return err
}

// forget lets go of the namespaces that are no longer found.
func (r *Reader) forget(found []netns.Namespace) {
	alive := make(map[uint64]bool, len(found))
	for _, n := range found {
		alive[n.Inode] = true
	}
	for inode, s := range r.open {
		if !alive[inode] {
			s.close()
			delete(r.open, inode)
		}
	}
}

func ownOnly(found []netns.Namespace) ([]netns.Namespace, []socket.Unobserved) {
	for _, n := range found {
		if n.Own {
			return []netns.Namespace{n}, []socket.Unobserved{{
				Item: "other network namespaces", Reason: "the reader was asked to keep to its own"}}
		}
	}
	return nil, nil
}

// threadTime is the CPU time of the calling thread.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0
	}
	return time.Duration(t.Nano())
}
