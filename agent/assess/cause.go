package assess

import (
	"math"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// maxAdvice is the maximum length of the advice in a status, in characters. Its length
// depends on the names of pods.
const maxAdvice = 600

// maxVerboseAdvice is the same on the machine itself, where the advice may list ports; the
// API's limit.
const maxVerboseAdvice = 1024

// newEvidence returns the evidence that s and f contain about p, a pool above the warning
// threshold in the network of this name.
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

// addCause adds the cause of the tightest pool and the advice, if the level is above
// Normal, if something other than ports is the bottleneck, or if f requests an explanation.
func addCause(status *v1alpha1.PortPressureStatus, p socket.Pool, s *socket.Sample, f Facts, networks []cause.NetworkState) {
	e := newEvidence(p, s, f, status.Tightest.Network)
	e.AboveThreshold, e.OpensPerSecond = status.Level != v1alpha1.LevelNormal, f.Forecast.OpensPerSecond
	if !e.AboveThreshold {
		e.Networks, e.FileUsage, e.Collisions = networks, s.FileUsage, findCollisions(networks, f)
	}
	diagnosis := cause.EvaluatePool(e)
	if !e.AboveThreshold && !f.Explain && !isBottleneck(diagnosis.Cause) {
		return
	}
	limit := maxAdvice
	if f.Detail.Verbose {
		limit = maxVerboseAdvice
	}
	status.Cause, status.Advice = diagnosis.Cause, cleanText(diagnosis.Advice(), limit)
}

// isBottleneck reports whether a cause that was found at level Normal makes calls fail.
// PortRangeCollision has a condition of its own.
func isBottleneck(c v1alpha1.Cause) bool {
	return c != v1alpha1.CausePoolNotTight && c != v1alpha1.CausePortRangeCollision
}

// ExplainPool returns the reason why p, a pool of s, is above the warning threshold.
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
		Files:     newUsage(f.TCP.OpenFiles, f.TCP.MaxFiles), Neighbours: newNeighbourTables(f),
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

// newUsage returns a Usage without a limit if either value could not be read.
func newUsage(used, limit *uint64) cause.Usage {
	if used == nil || limit == nil {
		return cause.Usage{}
	}
	return cause.Usage{Used: *used, Max: *limit}
}

// PriorState is the part of a StatusHistory that a status depends on. The zero value is
// the state before the first sample.
type PriorState struct {
	// Level is the level of the previous sample, which a pool close to a threshold keeps.
	Level v1alpha1.Level
	// RecentDrops is the number of packets that connection tracking dropped recently.
	// Evictions is the number of entries that it evicted early, to make space for others,
	// since the previous sample.
	RecentDrops, Evictions uint64
	// Recent are the recent events of each network that had any. NeighbourOverflows are those
	// of the neighbour tables of IPv4 and IPv6.
	Recent             map[socket.NetworkID]cause.RecentCounts `json:"-"`
	NeighbourOverflows [2]uint64
}

// prior returns the state after the previous samples, and after countConntrack for the
// current one.
func (h *StatusHistory) prior() PriorState {
	return PriorState{
		Level: h.level, RecentDrops: uint64(math.Round(h.conntrack.recentDrops)), Evictions: h.evictions.increase,
	}
}

// counterIncrease is the increase of a counter since the previous sample.
type counterIncrease struct {
	isKnown         bool // the previous sample had the counter
	total, increase uint64
}

// setTotal records the counter's new total; read is false if it could not be read. A
// total lower than the previous one means that the counter was reset.
func (c *counterIncrease) setTotal(total uint64, read bool) {
	increase := uint64(0)
	if read && c.isKnown && total > c.total {
		increase = total - c.total
	}
	*c = counterIncrease{isKnown: read, total: total, increase: increase}
}

// readEvictions returns the number of entries that the node's connection tracking has
// evicted early.
func readEvictions(sample *socket.Sample, f Facts) (total uint64, ok bool) {
	if f.Conntrack != nil && f.Conntrack.EarlyDrop != nil {
		return uint64(*f.Conntrack.EarlyDrop), true
	}
	if c := findHostConntrack(sample); c != nil {
		return c.EarlyDrop, true
	}
	return 0, false
}

// findHostConntrack returns the counters of the host network, nil if the reader can't
// read them.
func findHostConntrack(sample *socket.Sample) *socket.ConntrackCounters {
	if n := sample.HostNetwork(); n != nil && n.Counters != nil {
		return n.Counters.Conntrack
	}
	return nil
}
