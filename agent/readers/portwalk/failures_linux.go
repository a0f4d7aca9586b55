package portwalk

import (
	"errors"
	"maps"
	"slices"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

const (
	// maxFailures is FAILS of the BPF program, and the number of failures in a sample.
	maxFailures = 1024
	// maxNetworkFailures is the number of failures of one network in a sample. The oldest
	// are dropped.
	maxNetworkFailures = 32
	// failureIdle is the time after which the kernel's counter of a destination is removed,
	// so that its place is free. New calls begin another counter.
	failureIdle = time.Minute
	// failureRetention is the time for which a failure is listed.
	failureRetention = time.Hour
)

// Kinds of call, as in the BPF program's enum call.
const (
	callConnect = iota
	callBind
	callUDP
)

// otherCalls is the kind of the calls of a network for which there was no counter.
const otherCalls = 255

// failureCounters adds up the kernel's counters of failed calls, and keeps their number
// bounded. No count decreases.
type failureCounters struct {
	last   map[walkFailKey]uint64 // values of the kernel's counters
	listed map[walkFailKey]*socket.Failure
	// lost counts the calls of networks for which the kernel's map had no room; lostNow
	// those since the sample before.
	lost, lostNow uint64
	lostAt        time.Time
	// used is the number of the kernel's counters.
	used int
}

// readFailures returns the failed calls of this node's networks.
func (f *failureCounters) readFailures(o *bpfObjects, owned *netOwnership) ([]socket.Failure, error) {
	if f.last == nil {
		f.last, f.listed = map[walkFailKey]uint64{}, map[walkFailKey]*socket.Failure{}
	}
	if err := f.countLost(o); err != nil {
		return nil, err
	}
	if err := f.readDestinations(o.Fails, owned); err != nil {
		return nil, err
	}
	if err := f.readOthers(o.FailNets, owned); err != nil {
		return nil, err
	}
	f.dropOld(time.Now())
	out := make([]socket.Failure, 0, len(f.listed)+1)
	for _, failure := range f.listed {
		out = append(out, *failure)
	}
	if f.lost > 0 {
		out = append(out, socket.Failure{Count: f.lost, LastAt: f.lostAt})
	}
	return out, nil
}

func (f *failureCounters) countLost(o *bpfObjects) error {
	before := f.lost
	err := o.FailsLost.Get(&f.lost)
	if f.lostNow = f.lost - before; f.lostNow > 0 {
		f.lostAt = time.Now()
	}
	return err
}

// netOwnership knows which networks exist, and which are this node's. If the machine is
// the node, so are those that are gone.
type netOwnership struct {
	isOurs         map[walkFailNet]bool // for each that exists
	pods           []walkFailNet        // of isOurs
	listedNs       uint64               // time when they were listed, since boot
	isWholeMachine bool
}

func newNetOwnership(live []walkNetRec, ours []socket.Network, t *walkTally) *netOwnership {
	o := &netOwnership{isOurs: make(map[walkFailNet]bool, len(live)), listedNs: t.NowNs, isWholeMachine: t.ScopeLevel == 0}
	for i := range live {
		o.isOurs[walkFailNet{Cookie: live[i].Cookie, Inum: live[i].Inum}] = false
	}
	for i := range ours {
		net := walkFailNet{Cookie: ours[i].Cookie, Inum: uint32(ours[i].Inode)}
		o.isOurs[net] = true
		if ours[i].Owner.Kind == socket.OwnerPod {
			o.pods = append(o.pods, net)
		}
	}
	return o
}

// isGone reports whether net did not exist when the networks were listed, and had no
// failed call since.
func (o *netOwnership) isGone(net walkFailNet, lastNs uint64) bool {
	_, exists := o.isOurs[net]
	return !exists && lastNs < o.listedNs
}

func (o *netOwnership) belongsToNode(net walkFailNet) bool {
	isOurs, exists := o.isOurs[net]
	return isOurs || !exists && o.isWholeMachine
}

// readDestinations adds the counters of destinations, and removes those that are idle or
// whose network is gone.
func (f *failureCounters) readDestinations(m *ebpf.Map, owned *netOwnership) error {
	var k walkFailKey
	var v walkFailVal
	var unused []walkFailKey
	boot, now := readBootTime(), readMonotonicClock()
	seen := make(map[walkFailKey]bool, len(f.last))
	for it := m.Iterate(); it.Next(&k, &v); {
		seen[k] = true
		f.addCount(k, v.Count, boot.Add(time.Duration(v.LastNs)), owned)
		if owned.isGone(k.Net, v.LastNs) || now-time.Duration(v.LastNs) > failureIdle {
			unused = append(unused, k)
		}
	}
	f.used = len(seen)
	maps.DeleteFunc(f.last, func(k walkFailKey, _ uint64) bool { return k.Call != otherCalls && !seen[k] })
	for _, k := range unused {
		if err := m.Delete(&k); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
		delete(f.last, k)
	}
	return nil
}

// readOthers adds the calls that have no counter of their own. It removes the networks that
// are gone, and adds those of pods, so that they have a place before they need it.
func (f *failureCounters) readOthers(m *ebpf.Map, owned *netOwnership) error {
	var net walkFailNet
	var v walkFailSum
	boot := readBootTime()
	seen := map[walkFailNet]bool{}
	for it := m.Iterate(); it.Next(&net, &v); {
		f.addCount(walkFailKey{Net: net, Call: otherCalls}, v.Count, boot.Add(time.Duration(v.LastNs)), owned)
		seen[net] = !owned.isGone(net, v.LastNs)
	}
	for net, stays := range seen {
		if stays {
			continue
		}
		delete(f.last, walkFailKey{Net: net, Call: otherCalls})
		if err := m.Delete(&net); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
			return err
		}
	}
	for _, net := range owned.pods {
		if !seen[net] {
			_ = m.Update(&net, &walkFailSum{}, ebpf.UpdateNoExist) // the map may be full
		}
	}
	return nil
}

// addCount adds what a counter has counted since it was last read.
func (f *failureCounters) addCount(k walkFailKey, count uint64, at time.Time, owned *netOwnership) {
	more := count - f.last[k]
	if more == 0 {
		return
	}
	f.last[k] = count
	if !owned.belongsToNode(k.Net) {
		return
	}
	failure := f.listed[k]
	if failure == nil {
		failure = decodeFailure(&k)
		f.listed[k] = failure
	}
	failure.Count += more
	failure.LastAt = at
}

func decodeFailure(k *walkFailKey) *socket.Failure {
	failure := &socket.Failure{Inode: uint64(k.Net.Inum), Cookie: k.Net.Cookie, Port: decodePort(k.Port)}
	switch k.Call {
	case callConnect:
		failure.Source, failure.Destination, _ = decodeAddresses(uint16(k.Family), &k.Src, &k.Dst)
	case callBind:
		failure.Reason = v1alpha1.FailureAddressInUse
	case callUDP:
		failure.Reason = v1alpha1.FailureUDPAddressInUse
	}
	return failure
}

// dropOld drops the failures that are too old, and the oldest of each network and of all if
// there are too many.
func (f *failureCounters) dropOld(now time.Time) {
	keys := make([]walkFailKey, 0, len(f.listed))
	for k := range f.listed {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b walkFailKey) int { return f.listed[b].LastAt.Compare(f.listed[a].LastAt) })
	kept, perNet := 0, map[walkFailNet]int{}
	for _, k := range keys {
		if now.Sub(f.listed[k].LastAt) > failureRetention || perNet[k.Net] == maxNetworkFailures || kept == maxFailures {
			delete(f.listed, k)
			continue
		}
		kept++
		perNet[k.Net]++
	}
}

func readBootTime() time.Time { return time.Now().Add(-readMonotonicClock()) }

func readMonotonicClock() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
