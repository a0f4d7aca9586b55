package iphlpapi

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/agent/windows/sysinfo"
	"portreeve.io/portreeve/api/v1alpha1"
)

const capCompartments = "Compartments"

const (
	// portsInterval is the time between two readings of the ranges: netsh takes longer
	// than all the tables.
	portsInterval = 5 * time.Minute
	// portsPause is the least time between two, however often it is asked for.
	portsPause = 10 * time.Second
	// portsTimeout bounds one.
	portsTimeout = 15 * time.Second
)

// Options say what a Reader reads.
type Options struct {
	// Compartments reads the network compartments of pods, too: an experiment.
	Compartments bool
}

// Reader reads the sockets of the compartment that the agent is in: the node's own.
type Reader struct {
	node         node
	buf          []byte
	compartments *compartments // nil where they are not asked for

	netsh     netsh.Client
	ports     atomic.Pointer[portConfig]
	again     chan struct{}
	autoReuse autoReuse

	stop func()
	done sync.WaitGroup
}

// Open reads the ranges, once, and from then on now and then.
func Open(o Options) (*Reader, error) {
	if err := errors.Join(getExtendedTCPTable.Find(), getExtendedUDPTable.Find()); err != nil {
		return nil, err
	}
	run, err := netsh.System()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Reader{netsh: netsh.Client{Run: run}, again: make(chan struct{}, 1), stop: stop}
	if o.Compartments {
		r.compartments = new(compartments)
	}
	r.done.Go(func() { r.autoReuse = readAutoReuse(ctx) })
	r.readPorts(ctx)
	r.done.Wait()
	r.done.Go(func() { r.follow(ctx) })
	return r, nil
}

// Close ends what reads the ranges.
func (r *Reader) Close() error {
	r.stop()
	r.done.Wait()
	return nil
}

// Refresh has the ranges read again soon, because they were changed.
func (r *Reader) Refresh() {
	select {
	case r.again <- struct{}{}:
	default:
	}
}

func (r *Reader) follow(ctx context.Context) {
	tick := time.NewTicker(portsInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.again:
		}
		r.readPorts(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(portsPause):
		}
	}
}

func (r *Reader) readPorts(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, portsTimeout)
	defer cancel()
	p := readPorts(limited, r.netsh, readRegistry)
	if ctx.Err() == nil {
		r.ports.Store(&p)
	}
}

func readRegistry() registry {
	v := sysinfo.ReadVersion()
	p, err := sysinfo.ReadParameters()
	return registry{Major: v.Major, Minor: v.Minor, MaxUserPort: p.MaxUserPort, Err: err}
}

// Sample reads the tables. Without TCP over IPv4 there is none: what it shows would be
// less than there is.
func (r *Reader) Sample(_ context.Context, req socket.Request) (socket.Sample, error) {
	runtime.LockOSThread() // for its CPU time
	defer runtime.UnlockOSThread()
	before := threadTime()
	p := r.ports.Load()
	s := socket.Sample{
		Taken:  time.Now(),
		Reader: socket.Reader{Name: v1alpha1.ReaderIPHlpAPI, Exactness: socket.Assumed, Message: message},
	}
	r.node.begin(p)
	tables, err := r.readTables(&s)
	if err != nil {
		return s, err
	}
	s.Networks = r.node.networks()
	s.Unobserved = append(s.Unobserved, append(r.node.unseen(), p.unseen...)...)
	s.Windows = &socket.Windows{Ranges: r.node.ranges(), Excluded: p.excluded, AutoReuse: r.autoReuse.ports}
	if a := r.autoReuse.ports; a != nil {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: "auto-reuse range", Reason: fmt.Sprintf("connect() draws from %v there: these pools are not shown", *a)})
	}
	s.Capabilities = append(p.capabilities(), tables, r.autoReuse.capability(), readAllStatistics(s.Windows), boundTable())
	if t, ok := s.Tightest(); ok && req.LookPercent > 0 && t.UsedPercent() >= req.LookPercent {
		s.Look = r.node.look(t)
	}
	compartments := socket.Capability{Name: capCompartments, State: socket.Unsupported, Message: "not asked for: --compartments, an experiment"}
	if r.compartments != nil {
		compartments = r.compartments.sample(&s, p)
	}
	s.Capabilities = append(s.Capabilities, compartments)
	s.Cost += threadTime() - before
	return s, nil
}

// message is why a level may be higher than need be.
const message = "bind() and connect() look alike in Windows' tables: the level is that of the most ports that may be in use"

// readTables adds up every table.
func (r *Reader) readTables(s *socket.Sample) (socket.Capability, error) {
	c := socket.Capability{Name: "SocketTables", State: socket.Verified, Message: "GetExtendedTcpTable, GetExtendedUdpTable"}
	most := 0
	for t := range numTables {
		rows, err := t.fill(&r.buf, t.get)
		switch {
		case err == nil:
			r.node.add(t, rows)
		case t == tcp4 || t == udp4:
			return c, err
		default:
			c.Message = "without IPv6: " + err.Error()
			if !notSupported(err) {
				s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: t.String(), Reason: err.Error()})
			}
		}
		most = max(most, len(rows))
	}
	shrink(&r.buf, most)
	return c, nil
}
