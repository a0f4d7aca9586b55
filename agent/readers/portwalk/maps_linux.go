package portwalk

import (
	"bytes"
	"errors"
	"unsafe"

	"github.com/cilium/ebpf"

	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/socket"
)

// batchSize is the number of map entries read per system call.
const batchSize = 4096

// destinationBatch is the destinations of one sample. Its memory is reused.
type destinationBatch struct {
	keys []walkDestKey
	vals []walkDestVal
}

// drainMap moves every destination from the map to b.
func (b *destinationBatch) drainMap(m *ebpf.Map, t *walkTally) (destinationBatch, error) {
	b.keys, b.vals = b.keys[:0], b.vals[:0]
	if t.Dests == 0 {
		return *b, nil
	}
	var cursor ebpf.MapBatchCursor
	for {
		n := len(b.keys)
		b.keys, b.vals = extendSlice(b.keys, batchSize), extendSlice(b.vals, batchSize)
		got, err := m.BatchLookupAndDelete(&cursor, b.keys[n:n+batchSize], b.vals[n:n+batchSize], nil)
		b.keys, b.vals = b.keys[:n+got], b.vals[:n+got]
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return *b, nil
		}
		if err != nil {
			return *b, err
		}
	}
}

// extendSlice returns s with n more elements, keeping its contents.
func extendSlice[T any](s []T, n int) []T {
	if cap(s) < len(s)+n {
		s = append(make([]T, 0, 2*cap(s)+n), s...)
	}
	return s[:len(s)+n]
}

// groupByNetns returns the destinations of each namespace. All slices share one array.
func (b *destinationBatch) groupByNetns(nets int) [][]socket.Destination {
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
			if d, ok := decodeDestination(&b.keys[i], &b.vals[i]); ok {
				out[k] = append(out[k], d)
			}
		}
	}
	return out
}

// clearMap removes all entries.
func clearMap[K, V any](m *ebpf.Map) error {
	var cursor ebpf.MapBatchCursor
	keys, vals := make([]K, batchSize), make([]V, batchSize)
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

// ownerCache caches the namespaces' owners. It reads the processes again only when the
// walk found a new one, or when the namespaces changed.
type ownerCache struct {
	byInode       map[uint64]socket.Owner
	processCounts map[uint64]uint32 // by cookie
}

func (o *ownerCache) readOwners(
	m *ebpf.Map, recs []walkNetRec, t *walkTally, generation uint32,
) (map[uint64]socket.Owner, error) {
	if o.byInode != nil && t.TasksNew == 0 && !o.hasChanged(recs) {
		return o.byInode, nil
	}
	o.recordNetns(recs)
	ps, err := readProcesses(m, generation)
	if err != nil {
		return nil, err
	}
	o.byInode = make(map[uint64]socket.Owner, len(recs))
	for i := range recs {
		inode := uint64(recs[i].Inum)
		owner := netns.ResolveOwner(ps[recs[i].Inum], recs[i].Inum == t.Host)
		if recs[i].TasksLost+t.TasksCut > 0 {
			owner.Container = "" // a lost process may belong to another container
		}
		o.byInode[inode] = owner
	}
	return o.byInode, nil
}

func (o *ownerCache) hasChanged(recs []walkNetRec) bool {
	if len(recs) != len(o.processCounts) {
		return true
	}
	for i := range recs {
		if n, ok := o.processCounts[recs[i].Cookie]; !ok || n != recs[i].Tasks {
			return true
		}
	}
	return false
}

func (o *ownerCache) recordNetns(recs []walkNetRec) {
	o.processCounts = make(map[uint64]uint32, len(recs))
	for i := range recs {
		o.processCounts[recs[i].Cookie] = recs[i].Tasks
	}
}

// readProcesses reads the first process of each cgroup, by namespace inode, and deletes
// the entries that this generation's walk no longer found.
func readProcesses(m *ebpf.Map, generation uint32) (map[uint32][]netns.ProcessInfo, error) {
	out := map[uint32][]netns.ProcessInfo{}
	var keys []walkTaskKey
	var vals []walkTaskVal
	var cursor ebpf.MapBatchCursor
	for {
		k, v := make([]walkTaskKey, batchSize), make([]walkTaskVal, batchSize)
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
		out[keys[i].Inum] = append(out[keys[i].Inum], decodeProcess(&vals[i]))
	}
	return out, nil
}

func decodeProcess(v *walkTaskVal) netns.ProcessInfo {
	names := make([]string, 0, len(v.Names))
	for i := range v.Names {
		names = append(names, decodeCString(v.Names[i][:]))
	}
	return netns.ProcessInfo{
		PID:       int(v.Pid),
		StartTime: v.StartTime,
		Comm:      decodeCString(v.Comm[:]),
		Cgroup:    netns.ParseCgroupNames(names),
	}
}

// decodeCString decodes a C string: b up to its first NUL, or all of it.
func decodeCString(b []int8) string {
	s := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(b))), len(b))
	if i := bytes.IndexByte(s, 0); i >= 0 {
		s = s[:i]
	}
	return string(s)
}
