package portwalk

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// inspectLimits bounds the inspection of a pool.
type inspectLimits struct {
	silentAfter time.Duration
	maxFiles    uint32 // open files that are checked, over all processes
	filesPerRun uint32
}

var defaultInspectLimits = inspectLimits{silentAfter: socket.SilentAfter, maxFiles: 1 << 20, filesPerRun: nodesPerRun}

// inspectTightestPool adds to s the detail of its fullest pool, if percent or more of
// that is used.
func (r *Reader) inspectTightestPool(ctx context.Context, s *socket.Sample, percent int, hz uint64) error {
	if p, ok := s.TightestPool(); ok && percent > 0 && p.UsedPercent() >= percent {
		return r.inspectPool(ctx, s, p, hz)
	}
	return nil
}

// inspectPool adds to s the detail of p. It reports failures in s.Unobserved, and returns
// an error only when ctx has ended.
func (r *Reader) inspectPool(ctx context.Context, s *socket.Sample, p socket.Pool, hz uint64) error {
	rec := r.findRecord(p.Network)
	if rec == nil {
		return nil
	}
	l := newInspection(p, rec)
	l.SilentAfter = uint32(uint64(r.inspectLimits.silentAfter) * hz / uint64(time.Second))
	if err := r.walkPoolSockets(ctx, &l, rec); err != nil {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: "processes using the fullest pool", Reason: err.Error()})
		return ctx.Err()
	}
	s.PoolDetail = decodePoolDetail(p, &l, hz)
	s.Unobserved = append(s.Unobserved, findInspectionGaps(&l, hz, r.inspectLimits.maxFiles)...)
	return nil
}

// findRecord returns the record of n's namespace, or nil.
func (r *Reader) findRecord(n *socket.Network) *walkNetRec {
	for i := range r.records {
		if uint64(r.records[i].Inum) == n.Inode && r.records[i].Cookie == n.Cookie {
			return &r.records[i]
		}
	}
	return nil
}

// walkPoolSockets walks the sockets of the namespace, then the processes in it, and then
// all other processes unless all of the pool's sockets have been found by then.
func (r *Reader) walkPoolSockets(ctx context.Context, l *walkLook, rec *walkNetRec) (err error) {
	defer func() { err = errors.Join(err, r.objects.Look.Set(walkLook{})) }()
	if l.Udp == 0 {
		l.On = 1
		if err := r.objects.Look.Set(l); err != nil {
			return err
		}
		if err := r.walkHashTable(ctx, r.newWalkArgs(), kindEstablished, rec.TcpTable); err != nil {
			return err
		}
		if err := r.objects.Look.Get(l); err != nil {
			return err
		}
		l.On = 0
	}
	l.Inside = 1
	if err := r.walkHolders(ctx, l); err != nil {
		return err
	}
	if l.Any == 0 && l.Held >= l.Attached || l.More != 0 {
		return nil
	}
	l.Inside, l.Born = 0, 0
	return r.walkHolders(ctx, l)
}

// walkHolders walks the open files of processes, in runs of a few milliseconds.
func (r *Reader) walkHolders(ctx context.Context, l *walkLook) error {
	if err := r.objects.Args.Set(r.newWalkArgs()); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.Budget = l.Visited + r.inspectLimits.filesPerRun
		if err := r.objects.Look.Set(l); err != nil {
			return err
		}
		if err := runProgram(r.objects.WalkHolders); err != nil {
			return err
		}
		if err := r.objects.Look.Get(l); err != nil {
			return err
		}
		if l.More == 0 || l.Visited >= r.inspectLimits.maxFiles {
			return nil
		}
	}
}

// newInspection returns the BPF program's request for p, a pool of rec's namespace.
func newInspection(p socket.Pool, rec *walkNetRec) walkLook {
	l := walkLook{Net: rec.Net}
	d := p.Destination
	if d == nil {
		l.Any = 1
		if p.Protocol == socket.UDP {
			l.Udp = 1
		}
		return l
	}
	l.Key.Family = familyIPv6
	if d.Address.Is4() {
		l.Key.Family = familyIPv4
	}
	l.Key.Port = encodePort(d.Port)
	l.Key.Src, l.Key.Dst = encodeAddress(d.Source), encodeAddress(d.Address)
	return l
}

// encodeAddress is the inverse of decodeIPv6 and decodeIPv4.
func encodeAddress(a netip.Addr) (w [4]uint32) {
	b := a.AsSlice()
	for i := range len(b) / 4 {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

// encodePort is the inverse of decodePort.
func encodePort(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}

// decodePoolDetail converts the BPF program's results for p.
func decodePoolDetail(p socket.Pool, l *walkLook, hz uint64) *socket.PoolDetail {
	out := &socket.PoolDetail{
		Inode: p.Network.Inode, Cookie: p.Network.Cookie, Protocol: p.Protocol,
		ProcessSockets: countSocketsInUse(p, l),
		Established:    int(l.Established), Silent: int(l.Silent),
		NoKeepAlive: int(l.NoKeepalive), Unanswered: int(l.Unanswered),
	}
	if d := p.Destination; d != nil {
		out.Source, out.Destination, out.Port = d.Source, d.Address, d.Port
	}
	if hz > 0 {
		out.LongestSilence = time.Duration(uint64(l.Longest) * uint64(time.Second) / hz)
	}
	for i := range l.Holders {
		if h := &l.Holders[i]; h.Sockets > 0 {
			who := walkTaskVal(h.Who)
			ps := decodeProcess(&who)
			out.Holders = append(out.Holders, socket.Holder{
				Process: ps.Comm, PID: ps.PID, Container: ps.Cgroup.Container,
				Sockets: int(h.Sockets), OpenFiles: int(h.OpenFiles), MaxFiles: int(min(h.MaxFiles, math.MaxInt)),
			})
		}
	}
	slices.SortFunc(out.Holders, func(a, b socket.Holder) int {
		return cmp.Or(cmp.Compare(b.Sockets, a.Sockets), cmp.Compare(a.PID, b.PID), cmp.Compare(a.Process, b.Process))
	})
	return out
}

// countSocketsInUse returns the number of sockets that processes have open. A socket
// that several processes share is found once in each, so the sum over the processes is
// capped by the number of sockets that are not orphaned (sk_socket is set).
func countSocketsInUse(p socket.Pool, l *walkLook) int {
	n := p.Network
	limit := int(l.Attached)
	switch {
	case p.Protocol == socket.UDP:
		limit = n.UDPSockets
	case p.Destination == nil: // the walked table has neither listeners nor sockets that are only bound
		limit += int(n.States[tcpstate.Listen] + n.States[tcpstate.Bound])
	}
	return min(int(l.Held), limit)
}

// findInspectionGaps returns the parts of a pool's detail that were not observed.
func findInspectionGaps(l *walkLook, hz uint64, files uint32) []socket.Unobserved {
	var un []socket.Unobserved
	if l.More != 0 {
		un = append(un, socket.Unobserved{Item: "processes using ports",
			Reason: fmt.Sprintf("the limit of %d open files was reached, so some processes were not checked", files)})
	}
	if hz == 0 && l.Udp == 0 {
		un = append(un, socket.Unobserved{Item: "silent connections",
			Reason: "the kernel's timer frequency (CONFIG_HZ) could not be determined"})
	}
	return un
}
