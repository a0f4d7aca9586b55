package portwalk

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

const (
	familyIPv4 = 2  // AF_INET
	familyIPv6 = 10 // AF_INET6
)

// networks turns what was walked into the domain's terms, in the order of the
// kernel's list. Namespaces that no process of this node lives in are left out
// where several nodes share the kernel.
func networks(recs []walkNetRec, dests destBatch, by map[uint64]socket.Owner, c *counting, hz uint64, t *walkTally) []socket.Network {
	all := make([]socket.Network, len(recs))
	for i := range recs {
		all[i] = network(&recs[i], hz)
		all[i].Owner = by[all[i].Inode]
		all[i].Counters = c.counters(&recs[i])
	}
	byNet := dests.perNet(len(recs))
	for i := range all {
		all[i].Destinations = byNet[i]
	}
	if t.ScopeLevel == 0 {
		return all
	}
	kept := all[:0]
	for i := range all {
		if recs[i].Tasks > 0 || recs[i].Inum == t.Host {
			kept = append(kept, all[i])
		}
	}
	return kept
}

func network(r *walkNetRec, hz uint64) socket.Network {
	n := socket.Network{
		Inode:            uint64(r.Inum),
		Cookie:           r.Cookie,
		Settings:         settings(r, hz),
		InUse:            int(r.Held),
		Skipped:          int(r.Skipped),
		SkippedListening: int(r.SkippedListening),
		States:           r.States,
		Detailed:         r.Detail != 0,
		UDPInUse:         int(r.UdpHeld),
		UDPSockets:       int(r.UdpSockets),
		ListenPorts:      listenPorts(&r.Listen),
	}
	if !n.Detailed {
		n.States[tcpstate.TimeWait] = r.TimeWait
	}
	return n
}

// listenPorts are those before the first 0, never nil: where there are none, it is
// known.
func listenPorts(ports *[8]uint16) []uint16 {
	n := slices.Index(ports[:], 0)
	if n < 0 {
		n = len(ports)
	}
	return slices.Clone(ports[:n:n])
}

func settings(r *walkNetRec, hz uint64) socket.Settings {
	s := socket.Settings{
		Range:       ports.Range{First: r.First, Last: r.Last},
		Reserved:    int(r.Reserved),
		Reuse:       socket.Reuse(r.TwReuse),
		ReuseDelay:  time.Duration(r.ReuseDelayMs) * time.Millisecond,
		Timestamps:  r.Timestamps != 0,
		MaxTimeWait: int(r.MaxTw),
	}
	if hz > 0 {
		s.FinTimeout = time.Duration(uint64(r.FinTimeoutJiffies) * uint64(time.Second) / hz)
	}
	return s
}

// destination turns a key into the domain's terms; ok is false for a family
// that the program never writes.
func destination(k *walkDestKey, v *walkDestVal) (d socket.Destination, ok bool) {
	d.Source, d.Address, ok = addresses(k.Family, &k.Src, &k.Dst)
	d.Port = port(k.Port)
	copy(d.States[:], v.States[:])
	d.Reusable, d.ReusableIfAll = v.Reusable, v.ReusableIfAll
	return d, ok
}

func addresses(family uint16, src, dst *[4]uint32) (netip.Addr, netip.Addr, bool) {
	switch family {
	case familyIPv4:
		return netip.AddrFrom4(word(src[0])), netip.AddrFrom4(word(dst[0])), true
	case familyIPv6:
		return address(src), address(dst), true
	}
	return netip.Addr{}, netip.Addr{}, false
}

// The addresses and ports stand in memory in network byte order, whatever the
// machine's own.
func word(w uint32) (b [4]byte) {
	binary.NativeEndian.PutUint32(b[:], w)
	return b
}

func address(w *[4]uint32) netip.Addr {
	var b [16]byte
	for i := range w {
		binary.NativeEndian.PutUint32(b[4*i:], w[i])
	}
	return netip.AddrFrom16(b)
}

func port(p uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], p)
	return binary.BigEndian.Uint16(b[:])
}

// hertz is the kernel's CONFIG_HZ, which no unprivileged interface tells:
// jiffies start at 2^32 - 300*HZ (include/linux/jiffies.h) and have run for as
// long as the monotonic clock. 0 where no usual value fits.
func hertz(ns, jiffies uint64) uint64 {
	for _, hz := range []uint64{100, 250, 300, 1000} {
		start := uint64(1<<32) - 300*hz
		if jiffies < start {
			continue
		}
		diff := int64((jiffies-start)/hz) - int64(ns/1e9)
		if -5 <= diff && diff <= 5 {
			return hz
		}
	}
	return 0
}

// verdict says how exact the sample is, and what it could not see.
func verdict(t *walkTally, o Options, failsLost uint32) (socket.Reader, []socket.Unobserved) {
	rd := socket.Reader{Name: "portwalk", Exactness: socket.Exact}
	if t.Unsettled > 0 {
		rd.Exactness = socket.Approximate
		rd.Message = fmt.Sprintf("%d hash buckets kept changing while they were read", t.Unsettled)
	}
	if t.Strangers > 0 {
		// Namespaces that were made after the list was read: next time.
		rd.Message = join(rd.Message, fmt.Sprintf("%d sockets of namespaces that appeared meanwhile are left out", t.Strangers))
	}
	var un []socket.Unobserved
	lost := func(n uint32, what, why string) {
		if n > 0 {
			rd.Exactness = socket.Approximate
			un = append(un, socket.Unobserved{Item: what, Reason: fmt.Sprintf(why, n)})
		}
	}
	lost(t.NetsLost, "network namespaces", "%d more than the table holds (4096)")
	lost(t.DestsLost, "destinations", "%d sockets belong to destinations past the limit of "+fmt.Sprint(o.Destinations))
	lost(t.BlocksLost, "bound ports", "%d ports did not fit the table of bound ports")
	lost(t.Capped, "sockets", "%d hash chains are longer than 4096")
	lost(t.OddStates, "sockets", "%d are in a state that this version does not know")
	if t.TasksLost+t.TasksCut > 0 {
		un = append(un, socket.Unobserved{Item: "owners", Reason: fmt.Sprintf("%d processes did not fit the table of processes", t.TasksLost)})
	}
	if failsLost+t.FailsLost > 0 {
		un = append(un, socket.Unobserved{Item: "failed connects", Reason: fmt.Sprintf("%d to destinations past the limit of 1024", failsLost+t.FailsLost)})
	}
	if !o.Failures {
		un = append(un, socket.Unobserved{Item: "failed connects", Reason: "counted only while watching"})
	}
	return rd, un
}

// inVRFs are ports whose bind buckets belong to a layer 3 master device: each has
// pools of its own, which are not counted.
func inVRFs(recs []walkNetRec) []socket.Unobserved {
	ports := 0
	for i := range recs {
		ports += int(recs[i].L3mdev)
	}
	if ports == 0 {
		return nil
	}
	return []socket.Unobserved{{Item: "VRFs", Reason: fmt.Sprintf("%d ports are bound in VRFs, which have pools of their own", ports)}}
}

func join(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
