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

// newEvidence is what s and f know of p, a pool past the line in a network of this name.
func newEvidence(p socket.Pool, s *socket.Sample, f Facts, network string) cause.Evidence {
	e := cause.Evidence{
		Pool: p, AboveThreshold: true, Network: network, Holder: findHolder(p, s.PoolDetail, 0, true),
		Machine: newMachine(f), System: f.System,
	}
	if s.PoolDetail.Describes(p) {
		e.PoolDetail = s.PoolDetail
	}
	return e
}

// addCause adds the cause of the tightest pool and the advice, where there is a level
// or somebody asked.
func addCause(status *v1alpha1.PortPressureStatus, p socket.Pool, s *socket.Sample, f Facts) {
	e := newEvidence(p, s, f, status.Tightest.Network)
	e.AboveThreshold, e.OpensPerSecond = status.Level != v1alpha1.LevelNormal, f.Forecast.OpensPerSecond
	if !e.AboveThreshold && !f.Explain {
		return
	}
	verdict := cause.EvaluatePool(e)
	status.Cause, status.Advice = verdict.Cause, cleanText(verdict.Advice(), maxAdvice)
}

// ExplainPool is why p, a pool of s, is past the line.
func ExplainPool(p socket.Pool, s *socket.Sample, f Facts) cause.Diagnosis {
	e := newEvidence(p, s, f, NameNetworks(s.Networks)(p.Network))
	if tightest, ok := s.TightestPool(); ok && socket.ComparePools(tightest, p) == 0 {
		e.OpensPerSecond = f.Forecast.OpensPerSecond
	}
	return cause.EvaluatePool(e)
}

func newMachine(f Facts) cause.Machine {
	m := cause.Machine{
		Conntrack: cause.Conntrack{RecentDrops: f.Prior.RecentDrops, Evictions: f.Prior.Evictions},
		Orphans:   newUsage(f.TCP.Orphans, f.TCP.MaxOrphans),
		Files:     newUsage(f.TCP.OpenFiles, f.TCP.MaxFiles),
	}
	if c := f.Conntrack; c != nil {
		m.Conntrack.Usage = cause.Usage{Used: uint64(max(0, c.Entries)), Max: uint64(max(0, c.Max))}
	}
	if f.TCP.MemoryRatio != nil {
		m.TCPMemory = *f.TCP.MemoryRatio
	}
	if w := f.Windows; w != nil && w.Memory != nil {
		m.Nonpaged = cause.Usage{Used: w.Memory.Nonpaged, Max: w.Memory.NonpagedLimit()}
		m.Commit = cause.Usage{Used: w.Memory.Commit, Max: w.Memory.CommitLimit}
	}
	return m
}

// newUsage has no limit where one of them was not read.
func newUsage(used, limit *uint64) cause.Usage {
	if used == nil || limit == nil {
		return cause.Usage{}
	}
	return cause.Usage{Used: *used, Max: *limit}
}

// PriorState is what the samples before one tell about it. The zero value is the start.
type PriorState struct {
	// Level is the level so far, which a pool that hovers at the line keeps.
	Level socket.Level
	// RecentDrops is packets that connection tracking dropped of late, Evicted entries
	// that it threw out since the sample before to make room.
	RecentDrops, Evictions uint64
}

// prior is what the samples until now tell; Count takes the newest one's counters
// first.
func (c *StatusHistory) prior() PriorState {
	return PriorState{Level: c.level, RecentDrops: uint64(math.Round(c.conntrack.recentDrops)), Evictions: c.evictions.increase}
}

// counterIncrease is by how much a counter rose with the newest sample.
type counterIncrease struct {
	isKnown         bool
	total, increase uint64
}

// setTotal takes the counter's new total; false where it could not be read. One that fell
// began again.
func (r *counterIncrease) setTotal(total uint64, read bool) {
	by := uint64(0)
	if read && r.isKnown && total > r.total {
		by = total - r.total
	}
	*r = counterIncrease{read, total, by}
}

// readEvictions is how many entries the node's connection tracking has thrown out early.
func readEvictions(sample *socket.Sample, f Facts) (total uint64, ok bool) {
	if f.Conntrack != nil && f.Conntrack.EarlyDrop != nil {
		return uint64(*f.Conntrack.EarlyDrop), true
	}
	if c := findHostConntrack(sample); c != nil {
		return c.EarlyDrop, true
	}
	return 0, false
}

// findHostConntrack is the counters of the node's own network, nil where the reader
// does not see them.
func findHostConntrack(sample *socket.Sample) *socket.ConntrackCounters {
	if n := sample.HostNetwork(); n != nil && n.Counters != nil {
		return n.Counters.Conntrack
	}
	return nil
}
