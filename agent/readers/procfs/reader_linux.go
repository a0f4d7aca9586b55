package procfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"
	"syscall"
	"time"

	"portreeve.io/portreeve/agent/readers/kernelstat"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/readers/osdefaults"
	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/readers/sockdiag"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
)

// Options configures a Reader.
type Options struct {
	// Proc is the mount point of a procfs, by default "/proc".
	Proc string
}

// Reader implements agent.Reader.
//
// The Inode of a network other than the agent's own is that of its /proc/PID/net/tcp
// (netns.NewUnprivilegedFinder), and its Cookie is 0. Destinations and States of a namespace that is not Detailed are absent.
type Reader struct {
	proc    string
	finder  *netns.Finder
	counter *portusage.Counter
	lines   lineBuffer
}

// ErrNoHostPID means that the procfs does not show the processes of the node.
var ErrNoHostPID = errors.New("the node's processes are not visible; this needs hostPID")

// Open returns a Reader. It returns ErrNoHostPID if the procfs does not show the node's
// processes.
func Open(o Options) (*Reader, error) {
	if o.Proc == "" {
		o.Proc = "/proc"
	}
	f, err := netns.NewUnprivilegedFinder(o.Proc)
	if err != nil {
		return nil, fmt.Errorf("procfs: %w", err)
	}
	if !f.ShowsNode() {
		return nil, fmt.Errorf("procfs: %w", ErrNoHostPID)
	}
	return &Reader{proc: o.Proc, finder: f, counter: portusage.New(portusage.Options{})}, nil
}

// Close does nothing: no file stays open between samples.
func (r *Reader) Close() error { return nil }

// Sample reads every network namespace that has a process. Namespaces that vanish meanwhile are
// omitted.
func (r *Reader) Sample(ctx context.Context, req socket.Request) (socket.Sample, error) {
	runtime.LockOSThread() // for the thread's CPU time
	defer runtime.UnlockOSThread()
	start := kernelstat.ReadThreadCPUTime()
	found, unobserved, err := r.finder.Find()
	if err != nil {
		return socket.Sample{}, fmt.Errorf("procfs: %w", err)
	}
	own, reserved, err := sockdiag.ReadSettings(r.proc)
	if err != nil {
		return socket.Sample{}, fmt.Errorf("procfs: settings of the agent's own network: %w", err)
	}
	ownInode, err := netns.ReadOwnInode(r.proc)
	if err != nil {
		return socket.Sample{}, fmt.Errorf("procfs: %w", err)
	}
	out := socket.Sample{Taken: time.Now(), Reader: readerInfo, Unobserved: append(unobserved, failuresUnobserved)}
	notes := sampleNotes{}
	for _, n := range found {
		if err := ctx.Err(); err != nil {
			return socket.Sample{}, fmt.Errorf("procfs: %w", err)
		}
		settings, skip := assumedSettings, (*ports.Set)(nil)
		if n.IsOwn {
			settings, skip = own, reserved
		}
		network, err := r.readNetwork(n, settings, skip, req)
		switch {
		case isVanished(err):
			continue
		case err != nil:
			notes.addError(n, err)
			continue
		}
		if n.IsOwn {
			network.Inode = ownInode
		}
		notes.addNetwork(n, &network, r.counter.Summarize())
		out.Networks = append(out.Networks, network)
	}
	out.Unobserved = append(out.Unobserved, notes.listUnobserved()...)
	if p, ok := out.TightestPool(); ok && req.InspectPercent > 0 && p.UsedPercent() >= req.InspectPercent {
		out.Unobserved = append(out.Unobserved, detailUnobserved)
	}
	out.CPUTime = kernelstat.ReadThreadCPUTime() - start
	return out, nil
}

var (
	readerInfo = socket.Reader{
		Name:      Name,
		Exactness: socket.UpperBound,
		Message: "/proc doesn't show which sockets were bound before they connected: fewer ports may be left than shown; " +
			"the port ranges of other networks are assumed",
	}
	failuresUnobserved = socket.Unobserved{Item: "failed connects",
		Reason: "the procfs reader cannot count them; this needs the portwalk reader"}
	detailUnobserved = socket.Unobserved{Item: "processes using the fullest pool",
		Reason: "the procfs reader cannot find them; this needs the portwalk reader"}

	// assumedSettings are the kernel's defaults, which every new network namespace has
	// (net/ipv4/af_inet.c, inet_init_net; net/ipv4/tcp_ipv4.c, tcp_sk_init).
	assumedSettings = socket.Settings{
		Range: osdefaults.FindSystem(osdefaults.Linux).Range,
		Reuse: socket.ReuseLoopback, ReuseDelay: time.Second, Timestamps: true, FinTimeout: time.Minute,
	}
)

// Name is the name of the reader in samples.
const Name = "procfs"

// isVanished reports whether err means that the namespace or its process has ended.
func isVanished(err error) bool {
	return netns.IsVanished(err) || errors.Is(err, syscall.ESRCH)
}

// unprivilegedPorts may be the range of a network whose settings are assumed.
var unprivilegedPorts = ports.Range{First: 1024, Last: 65535}

// readNetwork reads one namespace.
func (r *Reader) readNetwork(n netns.Namespace, settings socket.Settings, reserved *ports.Set, req socket.Request) (socket.Network, error) {
	r.counter.Reset(portusage.Options{
		Range: settings.Range, UDPRange: settings.Range, Reserved: reserved, ReservedUDP: reserved,
		Stored: unprivilegedPorts, Complete: true,
	})
	out := socket.Network{Inode: n.Inode, Owner: n.Owner, Settings: settings}
	d, err := openNetFolder(n)
	if err != nil {
		return out, err
	}
	defer d.Close()
	count, err := countSockets(d)
	if err != nil {
		return out, err
	}
	capacity := settings.Range.Len() - settings.Reserved
	isAboveGate := func(sockets uint64) bool { return sockets*100 >= uint64(req.DetailPercent)*uint64(capacity) }
	tcp, udp := isAboveGate(count.TCP), count.UDP > 0 && isAboveGate(count.UDP)
	if tcp {
		if err := r.addTables(d, socket.TCP, "tcp", "tcp6"); err != nil {
			return out, err
		}
	}
	if udp {
		if err := r.addTables(d, socket.UDP, "udp", "udp6"); err != nil {
			return out, err
		}
	}
	if tcp || udp {
		out = r.counter.BuildNetwork()
		out.Inode, out.Owner, out.Settings, out.Detailed = n.Inode, n.Owner, settings, tcp
		setReusable(out.Destinations, settings)
	}
	if !udp {
		out.UDPSockets = int(count.UDP)
	}
	return out, nil
}

// setReusable sets the reusable sockets by tcp_tw_reuse. The counter assumes ReuseLoopback.
func setReusable(destinations []socket.Destination, s socket.Settings) {
	for i := range destinations {
		d := &destinations[i]
		switch {
		case s.Reuse == socket.ReuseOff:
			d.Reusable = 0
		case s.Reuse == socket.ReuseAll && s.Timestamps:
			d.Reusable = d.ReusableIfAll
		}
	}
}

// addTables adds the sockets in the named files to the counter. The second may be missing.
func (r *Reader) addTables(d *os.Root, protocol socket.Protocol, v4, v6 string) error {
	for _, name := range []string{v4, v6} {
		f, err := d.Open(name)
		if err != nil {
			if name == v6 && errors.Is(err, fs.ErrNotExist) {
				return nil // the kernel has no IPv6
			}
			return err
		}
		err = r.lines.addRows(f, protocol, r.counter)
		_ = f.Close() // nothing was written
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
