// Package cause says why a pool of ports is past the line and what to do about it.
// It is pure: evidence in, verdict out. Judge asks an ordered chain of small
// functions; the first that finds its cause decides. Table lists the causes.
package cause

import (
	"time"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Evidence is what is known of one pool.
type Evidence struct {
	Pool socket.Pool
	// Tight says that the pool is past the warning line, or was and is not clearly
	// below it yet. Without it, the question is what else could be wrong.
	Tight bool
	// Look is a closer look at this very pool, nil where there was none.
	Look *socket.PoolDetail
	// Network is the name of the pool's network; Holder is who holds most of the
	// ports, nil where nobody is known.
	Network string
	Holder  *v1alpha1.Holder
	// OpensPerSecond is how many ports of the pool were taken a second lately, nil
	// where that was not measured.
	OpensPerSecond *float64
	Machine        Machine
	System         System
}

// Machine is what connections need besides ports.
type Machine struct {
	Conntrack Conntrack
	// TCPMemory is how much of net.ipv4.tcp_mem's limit is used, 0 to 1 and above;
	// 0 where it is not known.
	TCPMemory float64
	// Orphans are the sockets that no process holds (net.ipv4.tcp_max_orphans),
	// Files the open files (fs.file-max).
	Orphans, Files Gauge
	// Nonpaged is the bytes of Windows' nonpaged pool, in which sockets live, and what
	// it may have; Commit those of memory that Windows has promised, and its limit.
	Nonpaged, Commit Gauge
}

// Gauge is a count and its limit; a Max of 0 is one that is not known.
type Gauge struct{ Used, Max uint64 }

// tight is the percentage of a Gauge from which it is what is wrong.
const tight = 90

func (g Gauge) percent() int {
	if g.Max == 0 {
		return 0
	}
	return int(min(100, float64(g.Used)*100/float64(g.Max)))
}

// Conntrack is the connection tracking table that the pool's connections enter.
type Conntrack struct {
	Gauge
	// Refused is packets of late that were dropped for want of an entry, Evicted
	// entries that were thrown out early to make room since the sample before.
	Refused, Evicted uint64
}

// full says that the table itself is what is short: where entries are refused with
// room in the table, they clash with others (net/netfilter/nf_conntrack_core.c,
// __nf_conntrack_alloc throws others out only past nf_conntrack_max).
func (c Conntrack) full() bool { return c.percent() >= tight || c.Evicted > 0 }

// System is the operating system's rules. The zero value is Linux.
type System struct {
	Windows bool
	// MaxUserPort says that the range is set by this registry value, as in Windows
	// before Vista and Server 2008.
	MaxUserPort bool
	// TimeWait is how long a socket stays in TIME_WAIT; 0 is Linux's 60 s, and on
	// Windows a default that Microsoft's documents don't agree about.
	TimeWait time.Duration
}

// Verdict is why, and what to do.
type Verdict struct {
	Cause v1alpha1.Cause
	// Finding is the evidence in numbers, Remedy what to do: sentences.
	Finding, Remedy string
	// Setting is what would help, nil where no setting does.
	Setting *Setting
}

// Advice is the verdict's sentences.
func (v Verdict) Advice() string {
	if v.Setting == nil {
		return v.Finding + " " + v.Remedy
	}
	return v.Finding + " " + v.Remedy + " " + v.Setting.sentence()
}

// link judges e by one cause; false where that does not fit.
type link func(e *Evidence, p parts) (Verdict, bool)

// past are the links for a pool past the line. What a program should have closed
// comes first: it fills a pool of any size. Then what takes ports from every
// destination, then what a setting cures, then what only the program can change.
var past = []link{
	snatPool, udpPorts,
	conntrackDrops, synSentStall,
	closeWaitLeak, finWaitOrphans, halfOpen,
	listenerInRange, boundPorts,
	narrowRange,
	reusePossible, timeWaitChurn,
	fileDescriptors, idleConnections, fewSources, establishedPool,
}

// roomy are the links for a pool with room, in the order in which they are worth
// a look.
var roomy = []link{conntrackFull, nodeFiles, holderFiles, socketMemory, poolNotTight}

// Judge names the cause. It always has an answer: CauseUnknown past the line,
// CausePoolNotTight below it.
func Judge(e Evidence) Verdict {
	chain := roomy
	if e.Tight {
		chain = past
	}
	e.aim()
	p := partsOf(e.Pool)
	for _, judge := range chain {
		if v, ok := judge(&e, p); ok {
			return v
		}
	}
	return unknown(&e, p)
}

// aim turns to the pool whose connections tell why this one is tight.
func (e *Evidence) aim() {
	switch {
	case e.Pool.Kind == socket.Connect && 2*e.Pool.Used < e.Pool.UsedMax:
		e.Pool.Destination = nil // what it is known to have does not make it tight
	case e.Pool.Kind == socket.Bind && e.Pool.Protocol == socket.TCP:
		// A port that one destination has, bind(0) can't have.
		if d := fullest(e.Pool.Network); d != nil && 2*(int(d.MaxUsed())-e.Pool.Network.Skipped) >= int(e.Pool.Used) {
			e.Pool, e.Look = *d, nil
		}
	}
}

// fullest is the pool of n's fullest destination, nil where it has none.
func fullest(n *socket.Network) (most *socket.Pool) {
	for p := range n.Pools() {
		if p.Kind == socket.Connect && p.Destination != nil && (most == nil || p.MaxUsed() > most.MaxUsed()) {
			most = &p
		}
	}
	return most
}
