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

// lookLimits bound a closer look.
type lookLimits struct {
	silentAfter time.Duration
	files       uint32 // open files that are looked at, all processes together
	run         uint32 // files of one run
}

var defaultLookLimits = lookLimits{silentAfter: socket.SilentAfter, files: 1 << 20, run: budget}

// look adds to s a closer look at its tightest pool, where that is percent used.
func (r *Reader) look(ctx context.Context, s *socket.Sample, percent int, hz uint64) error {
	if p, ok := s.TightestPool(); ok && percent > 0 && p.UsedPercent() >= percent {
		return r.lookAt(ctx, s, p, hz)
	}
	return nil
}

// lookAt adds to s a closer look at p. What can't be seen is unseen; only the end of
// ctx is an error.
func (r *Reader) lookAt(ctx context.Context, s *socket.Sample, p socket.Pool, hz uint64) error {
	rec := r.record(p.Network)
	if rec == nil {
		return nil
	}
	l := request(p, rec)
	l.SilentAfter = uint32(uint64(r.limits.silentAfter) * hz / uint64(time.Second))
	if err := r.walkLook(ctx, &l, rec); err != nil {
		s.Unobserved = append(s.Unobserved, socket.Unobserved{Item: "who holds the tightest pool", Reason: err.Error()})
		return ctx.Err()
	}
	s.PoolDetail = looked(p, &l, hz)
	s.Unobserved = append(s.Unobserved, overlooked(&l, hz, r.limits.files)...)
	return nil
}

func (r *Reader) record(n *socket.Network) *walkNetRec {
	for i := range r.recs {
		if uint64(r.recs[i].Inum) == n.Inode && r.recs[i].Cookie == n.Cookie {
			return &r.recs[i]
		}
	}
	return nil
}

// walkLook walks the sockets of the namespace, then the processes that live in it,
// and the others unless all of the pool's sockets have been found by then.
func (r *Reader) walkLook(ctx context.Context, l *walkLook, rec *walkNetRec) (err error) {
	defer func() { err = errors.Join(err, r.objs.Look.Set(walkLook{})) }()
	if l.Udp == 0 {
		l.On = 1
		if err := r.objs.Look.Set(l); err != nil {
			return err
		}
		if err := r.table(ctx, kindEstablished, rec.TcpTable); err != nil {
			return err
		}
		if err := r.objs.Look.Get(l); err != nil {
			return err
		}
		l.On = 0
	}
	l.Inside = 1
	if err := r.holders(ctx, l); err != nil {
		return err
	}
	if l.Any == 0 && l.Held >= l.Attached || l.More != 0 {
		return nil
	}
	l.Inside, l.Born = 0, 0
	return r.holders(ctx, l)
}

// holders walks open files, in runs of a few milliseconds.
func (r *Reader) holders(ctx context.Context, l *walkLook) error {
	if err := r.objs.Args.Set(r.args()); err != nil {
		return err
	}
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		l.Budget = l.Visited + r.limits.run
		if err := r.objs.Look.Set(l); err != nil {
			return err
		}
		if err := run(r.objs.WalkHolders); err != nil {
			return err
		}
		if err := r.objs.Look.Get(l); err != nil {
			return err
		}
		if l.More == 0 || l.Visited >= r.limits.files {
			return nil
		}
	}
}

// request asks for p, which is of rec.
func request(p socket.Pool, rec *walkNetRec) walkLook {
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
	l.Key.Port = bigEndian(d.Port)
	l.Key.Src, l.Key.Dst = words(d.Source), words(d.Address)
	return l
}

// words is the reverse of address and word.
func words(a netip.Addr) (w [4]uint32) {
	b := a.AsSlice()
	for i := range len(b) / 4 {
		w[i] = binary.NativeEndian.Uint32(b[4*i:])
	}
	return w
}

// bigEndian is the reverse of port.
func bigEndian(p uint16) uint16 {
	var b [2]byte
	binary.BigEndian.PutUint16(b[:], p)
	return binary.NativeEndian.Uint16(b[:])
}

// looked turns what was found into the domain's terms.
func looked(p socket.Pool, l *walkLook, hz uint64) *socket.PoolDetail {
	out := &socket.PoolDetail{
		Inode: p.Network.Inode, Cookie: p.Network.Cookie, Protocol: p.Protocol,
		ProcessSockets: heldOnce(p, l),
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
			ps := process(&who)
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

// heldOnce is how many sockets any process holds. A socket that several processes
// share was found once in each, so that the sum over the processes is held against
// how many sockets there are that are not the kernel's alone.
func heldOnce(p socket.Pool, l *walkLook) int {
	n := p.Network
	limit := int(l.Attached)
	switch {
	case p.Protocol == socket.UDP:
		limit = n.UDPSockets
	case p.Destination == nil: // listeners and sockets that only bind are in no table that was walked
		limit += int(n.States[tcpstate.Listen] + n.States[tcpstate.Bound])
	}
	return min(int(l.Held), limit)
}

// overlooked is what the look could not see.
func overlooked(l *walkLook, hz uint64, files uint32) []socket.Unobserved {
	var un []socket.Unobserved
	if l.More != 0 {
		un = append(un, socket.Unobserved{Item: "holders of ports", Reason: fmt.Sprintf("more than %d files are open: those of some processes were not looked at", files)})
	}
	if hz == 0 && l.Udp == 0 {
		un = append(un, socket.Unobserved{Item: "silent connections", Reason: "the kernel's clock rate (CONFIG_HZ) can't be told"})
	}
	return un
}
