// Package assess builds the status of a PortPressure from samples. It is pure: it uses no
// operating system, no Kubernetes client and no clock.
package assess

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/forecast"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Facts are the inputs of a status that are not part of a sample.
type Facts struct {
	AgentVersion string
	Platform     v1alpha1.Platform
	// Generation is that of the PortPressure's spec.
	Generation int64
	// Thresholds decide the level; the zero value means the default thresholds.
	Thresholds v1alpha1.Thresholds
	// Conntrack is nil where it is not in use or could not be read.
	Conntrack *Conntrack
	// TCP are the kernel's counters.
	TCP TCP
	// Forecast is that of the sample's tightest pool.
	Forecast forecast.Forecast
	// Unobserved are items outside the sample that could not be read.
	Unobserved []socket.Unobserved
	// Detail configures how much to list.
	Detail Detail
	// System describes the machine's operating system.
	System cause.System
	// Prior is the state after the previous samples (see StatusHistory.Assess).
	Prior PriorState
	// Capabilities lists the agent's capabilities, without the sample's.
	Capabilities []socket.Capability
	// IsTuned reports whether the agent enforces settings. Settings are their states, nil
	// if no desired settings were received.
	IsTuned  bool
	Settings []v1alpha1.SettingStatus
	// Windows is nil on Linux.
	Windows *Windows
	// NodePorts are the cluster's; the zero value means DefaultNodePorts.
	NodePorts ports.Range
	// Explain requests a cause also if no pool is above the warning threshold: the reason
	// why ports are not the bottleneck, and what to check instead.
	Explain bool
}

// Conntrack is the usage of the connection tracking table. The counters are nil where
// they could not be read.
type Conntrack struct {
	Entries, Max                  int64
	InsertFailed, Drop, EarlyDrop *int64
}

// TCP are counters of the kernel; nil means that one could not be read.
type TCP struct {
	// TimeWaitOverflow counts sockets that skipped TIME_WAIT because
	// net.ipv4.tcp_max_tw_buckets was reached; ListenOverflows counts connections that a
	// full accept queue refused. Both are of the host network, since boot.
	TimeWaitOverflow, ListenOverflows *uint64
	// Orphans is the number of sockets on the machine that no longer belong to a process;
	// MaxOrphans is net.ipv4.tcp_max_orphans.
	Orphans, MaxOrphans *uint64
	// OpenFiles and MaxFiles are the machine's open files and fs.file-max.
	OpenFiles, MaxFiles *uint64
	// MemoryRatio is the share of net.ipv4.tcp_mem's limit that the machine's TCP buffers
	// use, 0 to 1 and above.
	MemoryRatio *float64
	// Neighbours are the machine's neighbour tables of IPv4 and IPv6.
	Neighbours [2]*NeighbourTable
}

// BuildStatus returns the part of the status that depends on s and f alone. StatusHistory
// adds the rest.
func BuildStatus(s socket.Sample, f Facts) v1alpha1.PortPressureStatus {
	f.Thresholds = f.Thresholds.WithDefaults()
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
		tightest.Holder = findHolder(p, s.PoolDetail, int(f.Thresholds.WarningPercent), true)
		status.Tightest = &tightest
		status.UsedPercent = new(int32(percent))
		status.ExhaustionSeconds = f.Forecast.Seconds
		status.Level = socket.NextLevel(f.Thresholds, f.Prior.Level, percent)
		networks := newNetworkStates(&s, f, name)
		addCause(&status, p, &s, f, networks)
		if list := findCollisions(networks, f); len(list) > 0 {
			status.Conditions = append(status.Conditions, newCollisionCondition(list, *status.ObservedAt))
		}
	}
	return status
}

// countObserved returns the number of networks that have pools.
func countObserved(ns []socket.Network) int32 {
	var count int32
	for i := range ns {
		if ns[i].UnobservedReason() == "" {
			count++
		}
	}
	return count
}

// sumStates returns the sum of the states of the networks that were read in detail, nil if
// there are none.
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

// findTightestUDP returns the UDP ports of the network with the smallest share of free
// ones.
func findTightestUDP(ns []socket.Network) *v1alpha1.UDP {
	var tightest *socket.Pool
	for i := range ns {
		if p, ok := ns[i].UDPPool(); ok && (tightest == nil || socket.ComparePools(p, *tightest) < 0) {
			tightest = &p
		}
	}
	if tightest == nil {
		return nil
	}
	return &v1alpha1.UDP{Used: tightest.Used, Capacity: tightest.Capacity}
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

// computePercent returns a percentage that is rounded down. A limit of 0 means that there
// is none, as in __nf_conntrack_alloc (net/netfilter/nf_conntrack_core.c).

func computePercent(entries, limit int64) int32 {
	if limit <= 0 {
		return 0
	}
	return int32(min(100, max(0, entries)*100/limit))
}
