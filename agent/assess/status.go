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
	// Thresholds where levels begin; what is not set has its default.
	Thresholds v1alpha1.Thresholds
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
	// Before is what the samples before this one tell (see Course.Before).
	Before Before
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
	// Memory is how much of net.ipv4.tcp_mem's limit the machine's TCP buffers
	// use, 0 to 1 and above.
	Memory *float64
}

// Status is the status of the machine that s was taken on.
func Status(s socket.Sample, f Facts) v1alpha1.PortPressureStatus {
	f.Thresholds = f.Thresholds.WithDefaults()
	name := Names(s.Networks)
	status := v1alpha1.PortPressureStatus{
		ObservedAt:   &metav1.Time{Time: s.Taken},
		AgentVersion: clip(f.AgentVersion, 128),
		Platform:     f.Platform,
		Reader: v1alpha1.Reader{
			Name:      s.Reader.Name,
			Exactness: v1alpha1.Exactness(s.Reader.Exactness),
			Message:   clip(s.Reader.Message, f.Detail.room().why),
		},
		States:       totals(s.Networks),
		UDP:          tightestUDP(s.Networks),
		Networks:     networks(&s, f, name),
		NetworkCount: new(sighted(s.Networks)),
		Conntrack:    conntrack(f.Conntrack),
		Failures:     failures(&s, f.Detail.room().failures, name),
		Capabilities: capabilities(&s, f),
		Windows:      windows(&s, f),
	}
	status.Unobserved = unseenList(things(&s, f, name), f.Detail.room())
	if p, ok := s.Tightest(); ok {
		percent := p.UsedPercent()
		tightest := pool(p)
		tightest.Network = name(p.Network)
		tightest.Summary = Summary(tightest)
		tightest.Holder = holder(p, s.Look, int(f.Thresholds.WarningPercent), true)
		status.Tightest = &tightest
		status.UsedPercent = new(int32(percent))
		status.ExhaustionSeconds = f.Forecast.Seconds
		status.Level = socket.NextLevel(f.Thresholds, f.Before.Level, percent)
		explain(&status, p, &s, f)
	}
	return status
}

// sighted is how many networks have pools.
func sighted(ns []socket.Network) int32 {
	var count int32
	for i := range ns {
		if ns[i].Blind() == "" {
			count++
		}
	}
	return count
}

// totals adds up the states of the networks that were read in detail; nil where
// none was.
func totals(ns []socket.Network) *v1alpha1.States {
	var sum tcpstate.Counts
	read := false
	for i := range ns {
		if ns[i].Detailed && ns[i].Blind() == "" {
			sum.Add(ns[i].States)
			read = true
		}
	}
	if !read {
		return nil
	}
	return states(sum)
}

// tightestUDP is the UDP ports of the network that has the smallest share of
// them left.
func tightestUDP(ns []socket.Network) *v1alpha1.UDP {
	var worst *socket.Pool
	for i := range ns {
		if p, ok := ns[i].UDPPool(); ok && (worst == nil || socket.Compare(p, *worst) < 0) {
			worst = &p
		}
	}
	if worst == nil {
		return nil
	}
	return &v1alpha1.UDP{Used: worst.Used, Capacity: worst.Capacity}
}

func conntrack(c *Conntrack) *v1alpha1.Conntrack {
	if c == nil {
		return nil
	}
	return &v1alpha1.Conntrack{
		Entries: c.Entries, Max: c.Max, UsedPercent: percentOf(c.Entries, c.Max),
		InsertFailed: c.InsertFailed, Drop: c.Drop, EarlyDrop: c.EarlyDrop,
	}
}

// percentOf is rounded down. A limit of 0 is none: that is what it means to
// __nf_conntrack_alloc (net/netfilter/nf_conntrack_core.c).
func percentOf(entries, limit int64) int32 {
	if limit <= 0 {
		return 0
	}
	return int32(min(100, max(0, entries)*100/limit))
}
