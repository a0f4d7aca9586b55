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
	"portreeve.io/portreeve/agent/windows/powershell"
	"portreeve.io/portreeve/agent/windows/sysinfo"
	"portreeve.io/portreeve/api/v1alpha1"
)

const capabilityCompartments = "Compartments"

const (
	// portsInterval is the time between two readings of the ranges. netsh takes longer
	// than all tables.
	portsInterval = 5 * time.Minute
	// minPortsInterval is the minimum time between two readings, even if requested.
	minPortsInterval = 10 * time.Second
	// portsTimeout limits one reading.
	portsTimeout = 15 * time.Second
)

// Options configures a Reader.
type Options struct {
	// Compartments also reads the network compartments of pods. It is experimental.
	Compartments bool
}

// Reader reads the sockets of the agent's compartment, which is the node's own.
type Reader struct {
	builder      networkBuilder
	buf          []byte
	compartments *compartmentReader // nil if not enabled

	netsh            netsh.Client
	ports            atomic.Pointer[portConfig]
	refreshRequested chan struct{}
	autoReuse        autoReuseRange
	powershell       powershell.Client
	bound            atomic.Pointer[boundReading]

	stop    func()
	workers sync.WaitGroup
}

// Open returns a Reader. It reads the ranges once and then refreshes them in the background.
func Open(o Options) (*Reader, error) {
	if err := errors.Join(getExtendedTCPTable.Find(), getExtendedUDPTable.Find()); err != nil {
		return nil, err
	}
	run, err := netsh.NewSystemRunner()
	if err != nil {
		return nil, err
	}
	shell, err := powershell.NewSystemClient()
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Reader{netsh: netsh.Client{Run: run}, powershell: shell, refreshRequested: make(chan struct{}, 1), stop: stop}
	if o.Compartments {
		r.compartments = new(compartmentReader)
	}
	// Because PowerShell takes a second, the auto-reuse range is read only once.
	r.workers.Go(func() { r.autoReuse.ports, r.autoReuse.err = shell.ShowAutoReusePorts(ctx) })
	r.updatePorts(ctx)
	r.workers.Wait()
	r.workers.Go(func() { r.refreshPorts(ctx) })
	r.bound.Store(&boundReading{boundPorts: boundPorts{err: errBoundNotRead}})
	read := make(chan struct{})
	r.workers.Go(func() { r.refreshBoundPorts(ctx, read) })
	select {
	case <-read:
	case <-time.After(boundWait):
	}
	return r, nil
}

// Close stops reading the ranges.
func (r *Reader) Close() error {
	r.stop()
	r.workers.Wait()
	return nil
}

// Refresh requests that the ranges are read again soon, because they were changed.
func (r *Reader) Refresh() {
	select {
	case r.refreshRequested <- struct{}{}:
	default:
	}
}

func (r *Reader) refreshPorts(ctx context.Context) {
	tick := time.NewTicker(portsInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-r.refreshRequested:
		}
		r.updatePorts(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(minPortsInterval):
		}
	}
}

func (r *Reader) updatePorts(ctx context.Context) {
	limited, cancel := context.WithTimeout(ctx, portsTimeout)
	defer cancel()
	p := readPortConfig(limited, r.netsh, readRegistry)
	if ctx.Err() == nil {
		r.ports.Store(&p)
	}
}

// boundReading is a reading of the bound ports.
type boundReading struct {
	boundPorts
	list []powershell.BoundPort
}

// boundWait is the time that a new Reader waits for the first reading.
const boundWait = 10 * time.Second

// errBoundNotRead is the error until the first reading ends.
var errBoundNotRead = errors.New("the first reading has not ended yet")

// updateBoundPorts reads the bound ports and returns the time until the next reading.
func (r *Reader) updateBoundPorts(ctx context.Context) time.Duration {
	start := time.Now()
	var b boundReading
	b.list, b.isTruncated, b.err = r.powershell.ListBoundPorts(ctx)
	b.takes = time.Since(start)
	if ctx.Err() == nil {
		r.bound.Store(&b)
	}
	return b.chooseInterval()
}

// refreshBoundPorts reads the bound ports until ctx ends. It closes read after the first
// reading.
func (r *Reader) refreshBoundPorts(ctx context.Context, read chan<- struct{}) {
	wait := r.updateBoundPorts(ctx)
	close(read)
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
		wait = r.updateBoundPorts(ctx)
	}
}

func readRegistry() registryValues {
	v := sysinfo.ReadVersion()
	p, err := sysinfo.ReadParameters()
	return registryValues{Major: v.Major, Minor: v.Minor, MaxUserPort: p.MaxUserPort, Err: err}
}

// Sample reads the tables. It fails if the tables of IPv4 can't be read, since the sample
// would be too incomplete.
func (r *Reader) Sample(_ context.Context, req socket.Request) (socket.Sample, error) {
	runtime.LockOSThread() // to measure its CPU time
	defer runtime.UnlockOSThread()
	before := readThreadTime()
	p := r.ports.Load()
	s := socket.Sample{
		Taken:  time.Now(),
		Reader: socket.Reader{Name: v1alpha1.ReaderIPHlpAPI, Exactness: socket.Assumed, Message: exactnessMessage},
	}
	r.builder.startSample(p)
	tables, err := r.readTables(&s)
	if err != nil {
		return s, err
	}
	bound := r.bound.Load()
	r.builder.addBoundPorts(bound.list)
	s.Networks = r.builder.buildNetworks()
	s.Unobserved = append(s.Unobserved, append(r.builder.listUnobserved(), p.unobserved...)...)
	s.Unobserved = append(s.Unobserved, bound.listUnobserved()...)
	s.Windows = &socket.Windows{Ranges: r.builder.describeRanges(), Excluded: p.excluded, AutoReuse: r.autoReuse.ports}
	if a := r.autoReuse.ports; a != nil {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: "auto-reuse range",
			Reason: fmt.Sprintf("connect() chooses from %v; these pools are not shown", *a)})
	}
	s.Capabilities = append(p.listCapabilities(), tables, r.autoReuse.describeCapability(),
		readAllStatistics(s.Windows), bound.describeCapability())
	if t, ok := s.TightestPool(); ok && req.InspectPercent > 0 && t.UsedPercent() >= req.InspectPercent {
		s.PoolDetail = r.builder.inspectPool(t)
	}
	compartments := socket.Capability{Name: capabilityCompartments, State: socket.CapabilityUnsupported,
		Message: "not enabled (--compartments, experimental)"}
	if r.compartments != nil {
		compartments = r.compartments.sampleAll(&s, p)
	}
	s.Capabilities = append(s.Capabilities, compartments)
	s.CPUTime += readThreadTime() - before
	return s, nil
}

// exactnessMessage explains why a level may be too high.
const exactnessMessage = "Windows' tables do not distinguish bind() from connect(), so the level is based on the " +
	"maximum number of ports that may be in use"

// readTables counts the rows of all tables.
func (r *Reader) readTables(s *socket.Sample) (socket.Capability, error) {
	c := socket.Capability{Name: "SocketTables", State: socket.CapabilityVerified,
		Message: "GetExtendedTcpTable, GetExtendedUdpTable"}
	maxUsed := 0
	for t := range numTables {
		rows, err := t.readRows(&r.buf, t.query)
		switch {
		case err == nil:
			r.builder.addTable(t, rows)
		case t == tcp4 || t == udp4:
			return c, err
		default:
			c.Message = "without IPv6: " + err.Error()
			if !isNotSupported(err) {
				s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: t.String(), Reason: err.Error()})
			}
		}
		maxUsed = max(maxUsed, len(rows))
	}
	shrinkBuffer(&r.buf, maxUsed)
	return c, nil
}
