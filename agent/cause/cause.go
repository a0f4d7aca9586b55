// Package cause determines why a pool of ports is above the warning threshold, and the
// remedy. It is pure: EvaluatePool maps Evidence to a Diagnosis. It calls an ordered chain
// of small functions and returns the first match. Causes lists the causes.
package cause

import (
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Evidence is the input of a diagnosis: a pool and the machine it belongs to.
type Evidence struct {
	Pool socket.Pool
	// AboveThreshold reports whether the pool is above the warning threshold, or was and
	// is not clearly below it yet. If false, the diagnosis is about bottlenecks other than
	// ports.
	AboveThreshold bool
	// PoolDetail are the details of this pool, nil if it was not inspected.
	PoolDetail *socket.PoolDetail
	// Network is the name of the pool's network. Holder is the main user of the ports, nil
	// if not known.
	Network string
	Holder  *v1alpha1.Holder
	// OpensPerSecond is the recent rate at which ports of the pool were taken, nil if it
	// was not measured.
	OpensPerSecond *float64
	Machine        Machine
	System         System
	// Networks are all networks of the machine, the pool's included. FileUsage are the
	// processes near their limit of open files, the nearest first. Collisions are the networks
	// whose range covers ports of others. They are for a pool that is not AboveThreshold.
	Networks   []NetworkState
	FileUsage  []socket.FileUsage
	Collisions []Collision
}

// Machine has the resources that connections need besides ports.
type Machine struct {
	Conntrack Conntrack
	// TCPMemory is the used share of net.ipv4.tcp_mem's limit, 0 to 1 and above; 0 if not
	// known.
	TCPMemory float64
	// Orphans are the sockets that belong to no process (net.ipv4.tcp_max_orphans), Files
	// the open files (fs.file-max).
	Orphans, Files Usage
	// Nonpaged is the size in bytes of Windows' nonpaged pool, which contains the sockets,
	// and its limit. Commit is the committed memory in bytes, and its limit.
	Nonpaged, Commit Usage
	// Neighbours are the neighbour tables of IPv4 and IPv6.
	Neighbours [2]NeighbourTable
}

// Usage is a count and its limit. A Max of 0 means that the limit is not known.
type Usage struct{ Used, Max uint64 }

// nearlyFullPercent is the percentage of a Usage from which it is the bottleneck.
const nearlyFullPercent = 90

func (u Usage) computePercent() int {
	if u.Max == 0 {
		return 0
	}
	return int(min(100, float64(u.Used)*100/float64(u.Max)))
}

// Conntrack is the connection tracking table of the pool's connections.
type Conntrack struct {
	Usage
	// RecentDrops is the number of packets recently dropped because no entry could be
	// created. Evictions is the number of entries evicted early, to make space for others,
	// since the previous sample.
	RecentDrops, Evictions uint64
}

// isFull reports whether the table's size is the problem. If the table has free entries
// and still refuses one, the entry clashes with another (net/netfilter/nf_conntrack_core.c,
// __nf_conntrack_alloc evicts entries only above nf_conntrack_max).
func (c Conntrack) isFull() bool { return c.computePercent() >= nearlyFullPercent || c.Evictions > 0 }

// System describes the operating system. The zero value is Linux.
type System struct {
	IsWindows bool
	// UsesMaxUserPort reports whether the registry value MaxUserPort sets the range, as in
	// Windows before Vista and Server 2008.
	UsesMaxUserPort bool
	// TimeWait is the duration of TIME_WAIT. 0 means Linux's 60 s, and on Windows a default
	// about which Microsoft's documents disagree.
	TimeWait time.Duration
}

// Diagnosis is a cause and its remedy.
type Diagnosis struct {
	Cause v1alpha1.Cause
	// Finding has the evidence in numbers. Remedy is the recommended action. Both are
	// sentences.
	Finding, Remedy string
	// Setting is a setting that helps, nil if there is none.
	Setting *SuggestedSetting
}

// Advice returns the diagnosis as sentences.
func (d Diagnosis) Advice() string {
	if d.Setting == nil {
		return d.Finding + " " + d.Remedy
	}
	return d.Finding + " " + d.Remedy + " " + d.Setting.formatAdvice()
}

// evaluator returns the diagnosis of one cause, and whether the cause matches.
type evaluator func(e *Evidence, p portBreakdown) (Diagnosis, bool)

// pressureEvaluators are for a pool above the warning threshold. Connections that a program
// should have closed come first, since they fill a pool of any size. Then come sockets
// that use ports of every destination, then causes with a setting as remedy, then those
// that only the program can change.
var pressureEvaluators = []evaluator{
	evaluateSNATPool, evaluateUDPPorts,
	evaluateConntrackDrops, evaluateSYNSentStall,
	evaluateCloseWaitLeak, evaluateFinWaitOrphans, evaluateHalfOpen,
	evaluateListenerInRange, evaluateBoundPorts,
	evaluateNarrowRange,
	evaluateReusePossible, evaluateTimeWaitChurn,
	evaluateFileDescriptors, evaluateIdleConnections, evaluateFewSources, evaluateEstablishedPool,
}

// healthyEvaluators are for a pool with enough free ports: first what makes every connection of
// the machine fail, then those of one program, then those to some addresses or services.
var healthyEvaluators = []evaluator{
	evaluateConntrackFull, evaluateNodeFiles, evaluateSocketMemory, evaluateNeighbours,
	evaluateAcceptQueue, evaluateProcessFiles, evaluateHolderFiles, evaluateCloseWait,
	evaluateTimeWaitLimit, evaluatePrivilegedPorts, evaluateAddress, evaluateCollision,
	explainHealthyPool,
}

// EvaluatePool determines the cause. It always returns one: CauseUnknown above the warning
// threshold and CausePoolNotTight below it if no other matches.
func EvaluatePool(e Evidence) Diagnosis {
	chain := healthyEvaluators
	if e.AboveThreshold {
		chain = pressureEvaluators
	}
	e.selectDecisivePool()
	p := breakDownPorts(e.Pool)
	for _, evaluate := range chain {
		if d, ok := evaluate(&e, p); ok {
			return d
		}
	}
	return explainUnknown(&e, p)
}

// selectDecisivePool replaces the pool by the one whose connections explain its usage.
func (e *Evidence) selectDecisivePool() {
	switch {
	case e.Pool.Kind == socket.Connect && 2*e.Pool.Used < e.Pool.UsedMax:
		e.Pool.Destination = nil // its own connections are less than half of the usage
	case e.Pool.Kind == socket.Bind && e.Pool.Protocol == socket.TCP:
		// A port in use for one destination is not available to bind(0).
		if p := findFullestPool(e.Pool.Network); p != nil && 2*(int(p.MaxUsed())-e.Pool.Network.Skipped) >= int(e.Pool.Used) {
			e.Pool, e.PoolDetail = *p, nil
		}
	}
}

// findFullestPool returns the pool of n's fullest destination, nil if there is none.
func findFullestPool(n *socket.Network) (fullest *socket.Pool) {
	for p := range n.Pools() {
		if p.Kind == socket.Connect && p.Destination != nil && (fullest == nil || p.MaxUsed() > fullest.MaxUsed()) {
			fullest = &p
		}
	}
	return fullest
}
