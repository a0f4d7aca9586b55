package portwalk

import (
	"bytes"
	"errors"
	"maps"
	"time"
	"unsafe"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
)

// batch is how many entries of a map one system call brings.
const batch = 4096

// destBatch is the destinations of one sample. Its memory is used again.
type destBatch struct {
	keys []walkDestKey
	vals []walkDestVal
}

// drain takes every destination out of the map.
func (b *destBatch) drain(m *ebpf.Map, t *walkTally) (destBatch, error) {
	b.keys, b.vals = b.keys[:0], b.vals[:0]
	if t.Dests == 0 {
		return *b, nil
	}
	var cursor ebpf.MapBatchCursor
	for {
		n := len(b.keys)
		b.keys, b.vals = room(b.keys, batch), room(b.vals, batch)
		got, err := m.BatchLookupAndDelete(&cursor, b.keys[n:n+batch], b.vals[n:n+batch], nil)
		b.keys, b.vals = b.keys[:n+got], b.vals[:n+got]
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return *b, nil
		}
		if err != nil {
			return *b, err
		}
	}
}

// room makes s longer by n, keeping what it holds.
func room[T any](s []T, n int) []T {
	if cap(s) < len(s)+n {
		s = append(make([]T, 0, 2*cap(s)+n), s...)
	}
	return s[:len(s)+n]
}

// perNet sorts the destinations by namespace: one array, cut up.
func (b *destBatch) perNet(nets int) [][]socket.Destination {
	count := make([]int, nets)
	for i := range b.keys {
		if k := b.keys[i].Net; int(k) < nets {
			count[k]++
		}
	}
	all := make([]socket.Destination, 0, len(b.keys))
	out := make([][]socket.Destination, nets)
	for i, n := range count {
		if n > 0 {
			out[i] = all[len(all) : len(all) : len(all)+n]
			all = all[:len(all)+n]
		}
	}
	for i := range b.keys {
		if k := b.keys[i].Net; int(k) < nets {
			if d, ok := destination(&b.keys[i], &b.vals[i]); ok {
				out[k] = append(out[k], d)
			}
		}
	}
	return out
}

func clearPorts(m *ebpf.Map) error {
	var cursor ebpf.MapBatchCursor
	keys, vals := make([]walkPortKey, batch), make([]walkPortBits, batch)
	for {
		_, err := m.BatchLookupAndDelete(&cursor, keys, vals, nil)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// owners remembers who lives where, and reads the processes again only when a
// new one was seen or the namespaces changed.
type owners struct {
	by   map[uint64]socket.Owner
	nets map[uint64]uint32 // cookie: processes
}

func (o *owners) read(m *ebpf.Map, recs []walkNetRec, t *walkTally, generation uint32) (map[uint64]socket.Owner, error) {
	if o.by != nil && t.TasksNew == 0 && !o.moved(recs) {
		return o.by, nil
	}
	o.remember(recs)
	ps, err := processes(m, generation)
	if err != nil {
		return nil, err
	}
	o.by = make(map[uint64]socket.Owner, len(recs))
	for i := range recs {
		inode := uint64(recs[i].Inum)
		owner := netns.Owner(ps[recs[i].Inum], recs[i].Inum == t.Host)
		if t.TasksLost+t.TasksCut > 0 {
			owner.Container = "" // another one may be among those not seen
		}
		o.by[inode] = owner
	}
	return o.by, nil
}

func (o *owners) moved(recs []walkNetRec) bool {
	if len(recs) != len(o.nets) {
		return true
	}
	for i := range recs {
		if n, ok := o.nets[recs[i].Cookie]; !ok || n != recs[i].Tasks {
			return true
		}
	}
	return false
}

func (o *owners) remember(recs []walkNetRec) {
	o.nets = make(map[uint64]uint32, len(recs))
	for i := range recs {
		o.nets[recs[i].Cookie] = recs[i].Tasks
	}
}

// processes reads the first process of each cgroup by namespace, and drops those
// that the walk of this generation did not meet any more.
func processes(m *ebpf.Map, generation uint32) (map[uint32][]netns.Process, error) {
	out := map[uint32][]netns.Process{}
	var keys []walkTaskKey
	var vals []walkTaskVal
	var cursor ebpf.MapBatchCursor
	for {
		k, v := make([]walkTaskKey, batch), make([]walkTaskVal, batch)
		n, err := m.BatchLookup(&cursor, k, v, nil)
		keys, vals = append(keys, k[:n]...), append(vals, v[:n]...)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	for i := range keys {
		if vals[i].Generation != generation {
			if err := m.Delete(&keys[i]); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
				return nil, err
			}
			continue
		}
		out[keys[i].Inum] = append(out[keys[i].Inum], process(&vals[i]))
	}
	return out, nil
}

func process(v *walkTaskVal) netns.Process {
	names := make([]string, 0, len(v.Names))
	for i := range v.Names {
		names = append(names, text(v.Names[i][:]))
	}
	return netns.Process{
		PID:       int(v.Pid),
		StartTime: v.StartTime,
		Comm:      text(v.Comm[:]),
		Cgroup:    netns.CgroupOfNames(names),
	}
}

// text is a C string: up to the first NUL, or the whole of b.
func text(b []int8) string {
	s := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
	if i := bytes.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return string(s)
}

// failures reads the counters of failed connects, which only grow.
type failures struct {
	base map[walkFailKey]walkFailVal // what programs unloaded since had counted
	now  map[walkFailKey]walkFailVal
}

func (f *failures) read(m *ebpf.Map) []socket.Failure {
	f.now = maps.Clone(f.base)
	if f.now == nil {
		f.now = map[walkFailKey]walkFailVal{}
	}
	var k walkFailKey
	var v walkFailVal
	for it := m.Iterate(); it.Next(&k, &v); {
		v.Count += f.base[k].Count
		f.now[k] = v
	}
	boot := time.Now().Add(-monotonic())
	out := make([]socket.Failure, 0, len(f.now))
	for k, v := range f.now {
		src, dst, ok := addresses(k.Family, &k.Src, &k.Dst)
		if !ok {
			continue
		}
		out = append(out, socket.Failure{Inode: uint64(k.Inum), Source: src, Destination: dst,
			Port: port(k.Port), Count: v.Count, LastAt: boot.Add(time.Duration(v.LastNs))})
	}
	return out
}

// rebase keeps what was counted so far for the time after the map is gone.
func (f *failures) rebase() { f.base = f.now }

func monotonic() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_MONOTONIC, &ts); err != nil {
		return 0
	}
	return time.Duration(ts.Nano())
}
