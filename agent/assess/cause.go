package assess

import (
	"math"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// maxAdvice is how much of an advice a status has room for, in characters; names
// of pods decide how long it is.
const maxAdvice = 600

// evidence is what s and f know of p, a pool past the line in a network of this name.
func evidence(p socket.Pool, s *socket.Sample, f Facts, network string) cause.Evidence {
	e := cause.Evidence{
		Pool: p, Tight: true, Network: network, Holder: holder(p, s.Look, 0, true),
		Machine: machine(f), System: f.System,
	}
	if s.Look.Of(p) {
		e.Look = s.Look
	}
	return e
}

// explain adds the cause of the tightest pool and the advice, where there is a level
// or somebody asked.
func explain(status *v1alpha1.PortPressureStatus, p socket.Pool, s *socket.Sample, f Facts) {
	e := evidence(p, s, f, status.Tightest.Network)
	e.Tight, e.OpensPerSecond = status.Level != v1alpha1.LevelNormal, f.Forecast.OpensPerSecond
	if !e.Tight && !f.Explain {
		return
	}
	verdict := cause.Judge(e)
	status.Cause, status.Advice = verdict.Cause, clip(verdict.Advice(), maxAdvice)
}

// Why is why p, a pool of s, is past the line.
func Why(p socket.Pool, s *socket.Sample, f Facts) cause.Verdict {
	e := evidence(p, s, f, Names(s.Networks)(p.Network))
	if tightest, ok := s.Tightest(); ok && socket.Compare(tightest, p) == 0 {
		e.OpensPerSecond = f.Forecast.OpensPerSecond
	}
	return cause.Judge(e)
}

func machine(f Facts) cause.Machine {
	m := cause.Machine{
		Conntrack: cause.Conntrack{Refused: f.Before.Refused, Evicted: f.Before.Evicted},
		Orphans:   gauge(f.TCP.Orphans, f.TCP.MaxOrphans),
		Files:     gauge(f.TCP.OpenFiles, f.TCP.MaxFiles),
	}
	if c := f.Conntrack; c != nil {
		m.Conntrack.Gauge = cause.Gauge{Used: uint64(max(0, c.Entries)), Max: uint64(max(0, c.Max))}
	}
	if f.TCP.Memory != nil {
		m.TCPMemory = *f.TCP.Memory
	}
	if w := f.Windows; w != nil && w.Memory != nil {
		m.Nonpaged = cause.Gauge{Used: w.Memory.Nonpaged, Max: w.Memory.NonpagedLimit()}
		m.Commit = cause.Gauge{Used: w.Memory.Commit, Max: w.Memory.CommitLimit}
	}
	return m
}

// gauge has no limit where one of them was not read.
func gauge(used, limit *uint64) cause.Gauge {
	if used == nil || limit == nil {
		return cause.Gauge{}
	}
	return cause.Gauge{Used: *used, Max: *limit}
}

// Before is what the samples before one tell about it. The zero value is the start.
type Before struct {
	// Level is the level so far, which a pool that hovers at the line keeps.
	Level v1alpha1.Level
	// Refused is packets that connection tracking dropped of late, Evicted entries
	// that it threw out since the sample before to make room.
	Refused, Evicted uint64
}

// Before is what the samples until now tell; Count takes the newest one's counters
// first.
func (c *Course) Before() Before {
	return Before{Level: c.level, Refused: uint64(math.Round(c.conntrack.recent)), Evicted: c.evicted.by}
}

// rise is by how much a counter rose with the newest sample.
type rise struct {
	counted   bool
	total, by uint64
}

// to takes the counter's new total; false where it could not be read. One that fell
// began again.
func (r *rise) to(total uint64, read bool) {
	by := uint64(0)
	if read && r.counted && total > r.total {
		by = total - r.total
	}
	*r = rise{read, total, by}
}

// evictions is how many entries the node's connection tracking has thrown out early.
func evictions(sample *socket.Sample, f Facts) (total uint64, ok bool) {
	if f.Conntrack != nil && f.Conntrack.EarlyDrop != nil {
		return uint64(*f.Conntrack.EarlyDrop), true
	}
	if c := hostConntrack(sample); c != nil {
		return c.EarlyDrop, true
	}
	return 0, false
}

// hostConntrack is the counters of the node's own network, nil where the reader
// does not see them.
func hostConntrack(sample *socket.Sample) *socket.ConntrackCounters {
	if n := sample.Host(); n != nil && n.Counters != nil {
		return n.Counters.Conntrack
	}
	return nil
}
