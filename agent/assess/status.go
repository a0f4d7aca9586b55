// Package assess turns what a reader saw into what a PortPressure says. It is
// pure: no operating system, no Kubernetes client, no clock.
package assess

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/forecast"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Facts are what a status says that no sample knows.
type Facts struct {
	AgentVersion string
	Platform     v1alpha1.Platform
	// Thresholds where levels begin; the zero value means the default.
	Thresholds socket.Thresholds
	// Conntrack is nil where it is not in use or could not be read.
	Conntrack *Conntrack
	// TCP is the kernel's own counters.
	TCP TCP
	// Forecast is that of the sample's tightest pool.
	Forecast forecast.Forecast
	// Unobserved is what could not be read beside the sample.
	Unobserved []socket.Unobserved
	// Detail says which pools to list.
	Detail Detail
	// System is the rules of the machine's operating system.
	System cause.System
	// Prior is what the samples before this one tell (see Course.Before).
	Prior PriorState
	// Capabilities are what the agent can and can't do here, beside the sample's.
	Capabilities []socket.Capability
	// Windows is nil on Linux.
	Windows *Windows
	// Explain asks for a cause also where no pool is past the line: why ports are
	// not what is missing, and what to check instead.
	Explain bool
}

// Conntrack is the figures of the connection tracking table. The counters are
// nil where they could not be read.
type Conntrack struct {
	Entries, Max                  int64
	InsertFailed, Drop, EarlyDrop *int64
}

// TCP is counters of the kernel beside its tables; nil is what could not be read.
type TCP struct {
	// TimeWaitOverflow counts sockets that skipped TIME_WAIT, because
	// net.ipv4.tcp_max_tw_buckets were there; ListenOverflows connections that a
	// full accept queue refused. Of the node's own network, since boot.
	TimeWaitOverflow, ListenOverflows *uint64
	// Orphans is the machine's sockets that no process holds any more, MaxOrphans
	// net.ipv4.tcp_max_orphans.
	Orphans, MaxOrphans *uint64
	// OpenFiles and MaxFiles are the machine's open files and fs.file-max.
	OpenFiles, MaxFiles *uint64
	// MemoryRatio is how much of net.ipv4.tcp_mem's limit the machine's TCP buffers
	// use, 0 to 1 and above.
	MemoryRatio *float64
}

// BuildStatus is the status of the machine that s was taken on.
func BuildStatus(s socket.Sample, f Facts) v1alpha1.PortPressureStatus {
	f.Thresholds = f.Thresholds.OrDefault()
	name := NameNetworks(s.Networks)
	status := v1alpha1.PortPressureStatus{
		ObservedAt:   &metav1.Time{Time: s.Taken},
		AgentVersion: cleanText(f.AgentVersion, 128),
		Platform:     f.Platform,
		Reader: v1alpha1.Reader{
			Name:      s.Reader.Name,
			Exactness: v1alpha1.Exactness(s.Reader.Exactness),
			Message:   cleanText(s.Reader.Message, f.Detail.limits().reason),
		},
		States:       sumStates(s.Networks),
		UDP:          findTightestUDP(s.Networks),
		Networks:     listNetworks(&s, f, name),
		NetworkCount: new(countObserved(s.Networks)),
		Conntrack:    newConntrack(f.Conntrack),
		Failures:     listFailures(&s, f.Detail.limits().failures, name),
		Capabilities: listCapabilities(&s, f),
		Windows:      newWindows(&s, f),
	}
	status.Unobserved = limitUnobserved(listUnobserved(&s, f, name), f.Detail.limits())
	if p, ok := s.TightestPool(); ok {
		percent := p.UsedPercent()
		tightest := newPool(p)
		tightest.Network = name(p.Network)
		tightest.Summary = SummarizePool(tightest)
		tightest.Holder = findHolder(p, s.PoolDetail, f.Thresholds.Warning, true)
		status.Tightest = &tightest
		status.UsedPercent = new(int32(percent))
		status.ExhaustionSeconds = f.Forecast.Seconds
		status.Level = v1alpha1.Level(f.Thresholds.Next(f.Prior.Level, percent).String())
		addCause(&status, p, &s, f)
	}
	return status
}

// countObserved is how many networks have pools.
func countObserved(ns []socket.Network) int32 {
	var count int32
	for i := range ns {
		if ns[i].UnobservedReason() == "" {
			count++
		}
	}
	return count
}

// sumStates adds up the states of the networks that were read in detail; nil where
// none was.
func sumStates(ns []socket.Network) *v1alpha1.States {
	var sum tcpstate.Counts
	read := false
	for i := range ns {
		if ns[i].Detailed && ns[i].UnobservedReason() == "" {
			sum.Add(ns[i].States)
			read = true
		}
	}
	if !read {
		return nil
	}
	return newStates(sum)
}

// findTightestUDP is the UDP ports of the network that has the smallest share of
// them left.
func findTightestUDP(ns []socket.Network) *v1alpha1.UDP {
	var worst *socket.Pool
	for i := range ns {
		if p, ok := ns[i].UDPPool(); ok && (worst == nil || socket.ComparePools(p, *worst) < 0) {
			worst = &p
		}
	}
	if worst == nil {
		return nil
	}
	return &v1alpha1.UDP{Used: worst.Used, Capacity: worst.Capacity}
}

func newConntrack(c *Conntrack) *v1alpha1.Conntrack {
	if c == nil {
		return nil
	}
	return &v1alpha1.Conntrack{
		Entries: c.Entries, Max: c.Max, UsedPercent: computePercent(c.Entries, c.Max),
		InsertFailed: c.InsertFailed, Drop: c.Drop, EarlyDrop: c.EarlyDrop,
	}
}

// computePercent is rounded down. A limit of 0 is none: that is what it means to
// __nf_conntrack_alloc (net/netfilter/nf_conntrack_core.c).
func computePercent(entries, limit int64) int32 {
	if limit <= 0 {
		return 0
	}
	return int32(min(100, max(0, entries)*100/limit))
}
