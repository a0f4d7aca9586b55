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
	"portreeve.io/portreeve/internal/text"
)

const (
	familyIPv4 = 2  // AF_INET
	familyIPv6 = 10 // AF_INET6
)

// decodeNetworks converts the walked namespaces, in the order of the kernel's list.
func decodeNetworks(
	recs []walkNetRec, dests destinationBatch, owners map[uint64]socket.Owner, c *counterLayout, hz uint64,
) []socket.Network {
	all := make([]socket.Network, len(recs))
	for i := range recs {
		all[i] = decodeNetwork(&recs[i], hz)
		all[i].Owner = owners[all[i].Inode]
		all[i].Counters = c.decodeCounters(&recs[i])
	}
	byNet := dests.groupByNetns(len(recs))
	for i := range all {
		all[i].Destinations = byNet[i]
	}
	return all
}

// selectVisible returns the networks of this node: where several nodes share the kernel,
// those with a process of this node.
func selectVisible(all []socket.Network, recs []walkNetRec, t *walkTally) []socket.Network {
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

func decodeNetwork(r *walkNetRec, hz uint64) socket.Network {
	n := socket.Network{
		Inode:            uint64(r.Inum),
		Cookie:           r.Cookie,
		Settings:         decodeSettings(r, hz),
		InUse:            int(r.Held),
		Skipped:          int(r.Skipped),
		SkippedListening: int(r.SkippedListening),
		States:           r.States,
		Detailed:         r.Detail != 0,
		Uncounted:        countMissing(r),
		UDPInUse:         int(r.UdpHeld),
		UDPSockets:       int(r.UdpSockets),
		ListenPorts:      decodeListenPorts(&r.Listen),
	}
	if !n.Detailed {
		n.States[tcpstate.TimeWait] = r.TimeWait
	}
	return n
}

// decodeListenPorts returns the ports before the first 0. The result is never nil, because
// nil would mean that the ports are unknown.
func decodeListenPorts(ports *[8]uint16) []uint16 {
	n := slices.Index(ports[:], 0)
	if n < 0 {
		n = len(ports)
	}
	return slices.Clone(ports[:n:n])
}

func decodeSettings(r *walkNetRec, hz uint64) socket.Settings {
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

// decodeDestination converts a destination. ok is false for an address family that the
// BPF program never writes.
func decodeDestination(k *walkDestKey, v *walkDestVal) (d socket.Destination, ok bool) {
	d.Source, d.Address, ok = decodeAddresses(k.Family, &k.Src, &k.Dst)
	d.Port = decodePort(k.Port)
	copy(d.States[:], v.States[:])
	d.Reusable, d.ReusableIfAll = v.Reusable, v.ReusableIfAll
	return d, ok
}

func decodeAddresses(family uint16, src, dst *[4]uint32) (netip.Addr, netip.Addr, bool) {
	switch family {
	case familyIPv4:
		return netip.AddrFrom4(decodeIPv4(src[0])), netip.AddrFrom4(decodeIPv4(dst[0])), true
	case familyIPv6:
		return decodeIPv6(src), decodeIPv6(dst), true
	}
	return netip.Addr{}, netip.Addr{}, false
}

// decodeIPv4 returns the bytes of an address. Addresses and ports are in network byte
// order in memory.
func decodeIPv4(w uint32) (b [4]byte) {
	binary.NativeEndian.PutUint32(b[:], w)
	return b
}

func decodeIPv6(w *[4]uint32) netip.Addr {
	var b [16]byte
	for i := range w {
		binary.NativeEndian.PutUint32(b[4*i:], w[i])
	}
	return netip.AddrFrom16(b)
}

func decodePort(p uint16) uint16 {
	var b [2]byte
	binary.NativeEndian.PutUint16(b[:], p)
	return binary.BigEndian.Uint16(b[:])
}

// detectHZ returns the kernel's CONFIG_HZ, or 0 if no usual value fits. No unprivileged
// interface shows it, but jiffies start at 2^32 - 300*HZ (include/linux/jiffies.h) and
// have run for as long as the monotonic clock.
func detectHZ(ns, jiffies uint64) uint64 {
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

// assessExactness returns how exact the sample is, and what was not observed.
func assessExactness(t *walkTally, recs []walkNetRec, o Options, failuresLost uint64) (socket.Reader, []socket.Unobserved) {
	rd := socket.Reader{Name: "portwalk", Exactness: socket.Exact}
	if t.Unsettled > 0 {
		rd.Exactness = socket.Approximate
		rd.Message = fmt.Sprintf("%d hash buckets changed during every attempt to read them", t.Unsettled)
	}
	if t.Strangers > 0 && t.NetsLost == 0 {
		// Namespaces created after the list was read are in the next sample.
		rd.Message = joinMessages(rd.Message,
			fmt.Sprintf("%d sockets belong to namespaces created during the sample and are omitted", t.Strangers))
	}
	var un []socket.Unobserved
	report := func(n uint32, item, format string) {
		if n > 0 {
			un = append(un, socket.Unobserved{Item: item, Reason: fmt.Sprintf(format, n)})
		}
	}
	lost := func(n uint32, item, format string) {
		if n > 0 {
			rd.Exactness = socket.Approximate
		}
		report(n, item, format)
	}
	sum := sumRecords(recs)
	lost(t.NetsLost, "network namespaces", "%d exceed the limit of "+fmt.Sprint(o.Networks)+"; those of pods are read first")
	if sum.bounded > 0 {
		un = append(un, socket.Unobserved{Item: "destinations",
			Reason: text.FormatPlural(int(sum.bounded), "network") + " with more than can be counted; the used ports have bounds"})
	}
	lost(sum.blocksLost, "bound ports", "%d ports exceed the capacity of the table of bound ports")
	lost(t.Capped, "sockets", "%d hash chains have more than "+maxChain+" sockets")
	report(t.CappedUdp, "UDP sockets", "%d ports have more than "+maxChain)
	report(sum.ownersCut, "bound sockets", "%d ports have more than 4096 sockets, of which the rest was not counted")
	report(sum.narrow, "IP_LOCAL_PORT_RANGE", "%d sockets or more restrict themselves to a part of their network's range; less is free for them than reported")
	lost(t.OddStates, "sockets", "%d are in a TCP state that this version of Portreeve does not support")
	report(sum.l3mdev, "VRFs", "%d ports are bound in VRFs, whose separate pools are not measured")
	report(sum.tasksLost+t.TasksCut, "owners", "%d processes exceed the capacity of the process table")
	if failuresLost > 0 {
		un = append(un, socket.Unobserved{Item: "failed calls",
			Reason: fmt.Sprintf("%d belong to networks above the limit of 1024", failuresLost)})
	}
	if !o.Failures {
		un = append(un, socket.Unobserved{Item: "failed connects",
			Reason: "counted only over time: use report --watch or a running agent"})
	}
	return rd, un
}

// maxChain is SLOTS times PARTS of the BPF program.
const maxChain = "16384"

// recordSums are the sums of the items that were not observed in each namespace.
type recordSums struct {
	bounded                                                uint32 // namespaces with uncounted destinations
	blocksLost, ownersCut, narrow, l3mdev, tasksLost, lost uint32
}

func sumRecords(recs []walkNetRec) (s recordSums) {
	for i := range recs {
		r := &recs[i]
		if countMissing(r) > 0 {
			s.bounded++
		}
		s.lost += r.Uncounted + r.DestsLost
		s.blocksLost += r.BlocksLost
		s.ownersCut += r.OwnersCut
		s.narrow += r.Narrow
		s.l3mdev += r.L3mdev
		s.tasksLost += r.TasksLost
	}
	return s
}

// listTables returns how full the tables are.
func (r *Reader) listTables(t *walkTally) []socket.Table {
	sum := sumRecords(r.records)
	return []socket.Table{
		{Name: "networks", Used: int(t.Nets), Capacity: r.options.Networks, Lost: uint64(t.NetsLost)},
		{Name: "destinations", Used: int(t.Dests), Capacity: r.destinations.capacity, Lost: uint64(sum.lost)},
		{Name: "bound_ports", Used: int(t.Blocks), Capacity: maxBlocks, Lost: uint64(sum.blocksLost)},
		{Name: "processes", Used: int(t.Cgroups), Capacity: maxCgroups, Lost: uint64(sum.tasksLost + t.TasksCut)},
		{Name: "failed_calls", Used: r.failures.used, Capacity: maxFailures, Lost: r.failures.lostNow},
	}
}

// maxCgroups is CGROUPS of the BPF program.
const maxCgroups = 4096

func joinMessages(a, b string) string {
	if a == "" {
		return b
	}
	return a + "; " + b
}
