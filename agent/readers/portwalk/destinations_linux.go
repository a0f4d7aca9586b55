package portwalk

import (
	"errors"
	"time"

	"github.com/cilium/ebpf"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// destinationTable is the kernel's map of destinations. It is the only element of the map
// outer, where a map of another size can replace it.
type destinationTable struct {
	outer, current   *ebpf.Map
	spec             *ebpf.MapSpec
	capacity         int
	initial, maximum int
	// oversized counts successive samples that used less than an eighth of it.
	oversized int

	batch destinationBatch
}

// open creates the map.
func (d *destinationTable) open(outer *ebpf.Map, spec *ebpf.MapSpec, o Options) error {
	d.outer, d.spec, d.initial, d.maximum = outer, spec, o.Destinations, o.MaxDestinations
	return d.replaceMap(o.Destinations)
}

func (d *destinationTable) close() error {
	if d.current == nil {
		return nil
	}
	return d.current.Close()
}

// replaceMap replaces the map by an empty one for capacity destinations. If there is no
// memory for it, the current one remains.
func (d *destinationTable) replaceMap(capacity int) error {
	spec := d.spec.Copy()
	spec.MaxEntries = uint32(capacity)
	m, err := ebpf.NewMap(spec)
	if err != nil {
		return err
	}
	if err := d.outer.Put(uint32(0), m); err != nil {
		return errors.Join(err, m.Close())
	}
	old := d.current
	d.current, d.capacity, d.oversized, d.batch = m, capacity, 0, destinationBatch{}
	if old == nil {
		return nil
	}
	return old.Close()
}

// growForRecords doubles the map if destinations of recs were not counted. It reports
// whether it did, so that the sample is to be repeated. Without memory for the larger map
// (limited by the cgroup, or by RLIMIT_MEMLOCK), it does not try again.
func (d *destinationTable) growForRecords(recs []walkNetRec) bool {
	if d.capacity >= d.maximum {
		return false
	}
	for i := range recs {
		if recs[i].Uncounted > 0 || recs[i].DestsLost > 0 {
			if d.replaceMap(min(2*d.capacity, d.maximum)) == nil {
				return true
			}
			d.maximum = d.capacity
			return false
		}
	}
	return false
}

// samplesBeforeShrink is the number of samples in which the map must be too large, so that
// a load that comes and goes does not resize it each time.
const samplesBeforeShrink = 30

// shrinkAfter halves the map if for some time samples used little of it. The last one
// used as many destinations.
func (d *destinationTable) shrinkAfter(used int) error {
	if d.capacity <= d.initial || used > d.capacity/8 {
		d.oversized = 0
		return nil
	}
	if d.oversized++; d.oversized < samplesBeforeShrink {
		return nil
	}
	return d.replaceMap(max(d.capacity/2, d.initial))
}

// quota is the part of the map that is divided among the namespaces (see may_add_dest in
// the BPF program).
func (d *destinationTable) quota() int { return d.capacity / 4 }

// thresholdDivisor makes a destination that has a hundredth of a range's ports one that is
// always counted.
const thresholdDivisor = 100

// computeThreshold returns the number of sockets from which a destination of n is counted
// even if n has too many destinations.
func computeThreshold(n *walkNetRec) uint32 {
	return uint32(max(1, decodeSettings(n, 0).Capacity()/thresholdDivisor))
}

// countMissing returns the maximum number of sockets by which the count of a destination of
// r can be too low.
func countMissing(r *walkNetRec) int {
	switch {
	case r.DestsLost > 0:
		return int(r.Held)
	case r.Uncounted > 0:
		return int(min(r.Threshold-1, r.Uncounted))
	}
	return 0
}

// detailCache has the details of namespaces from the last samples that read them, by cookie.
type detailCache map[uint64]cachedDetail

type cachedDetail struct {
	states       tcpstate.Counts
	destinations []socket.Destination
	uncounted    int
	readAt       time.Time
}

// complete adds the cached details to those of all whose details were not read now, and
// keeps the others'. It forgets the namespaces that are not in all.
func (c *detailCache) complete(all []socket.Network, now time.Time) {
	previous := *c
	*c = make(detailCache, len(all))
	for i := range all {
		n := &all[i]
		if n.Detailed {
			(*c)[n.Cookie] = cachedDetail{n.States, n.Destinations, n.Uncounted, now}
			continue
		}
		d, ok := previous[n.Cookie]
		if !ok {
			continue
		}
		(*c)[n.Cookie] = d
		for _, fresh := range []tcpstate.State{tcpstate.Listen, tcpstate.Bound, tcpstate.TimeWait} {
			d.states[fresh] = n.States[fresh]
		}
		n.States, n.Destinations, n.Uncounted = d.states, d.destinations, d.uncounted
		n.Detailed, n.DetailAge = true, now.Sub(d.readAt)
	}
}
