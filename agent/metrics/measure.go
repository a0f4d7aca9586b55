package metrics

import (
	"strconv"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// How much of a status becomes series, whatever it lists.
const (
	maxPoolNetworks = 3
	maxPools        = 2 // of each
)

// list is metrics in the making.
type list []prometheus.Metric

func (l *list) add(m ...prometheus.Metric) { *l = append(*l, m...) }

// measure is the snapshot of one sample, failures left out.
func measure(sample *socket.Sample, status *v1alpha1.PortPressureStatus, f assess.Facts, of owners) []prometheus.Metric {
	var l list
	l.node(status, f.Thresholds.WithDefaults())
	l.pools(status, of)
	l.networks(sample, f.Thresholds.WithDefaults(), of)
	l.states(status.States)
	l.conntrack(status.Conntrack, sample.Host())
	l.tcp(f.TCP)
	l.settings(status.Settings)
	l.windows(sample, f.Windows)
	l.add(
		unseen.metric(float64(assess.CountUnobserved(sample, f))),
		lastSample.metric(float64(sample.Taken.UnixMilli())/1000),
		readerInfo.metric(1, status.Reader.Name, string(status.Reader.Exactness)),
	)
	return l
}

func (l *list) node(s *v1alpha1.PortPressureStatus, t v1alpha1.Thresholds) {
	if s.Level != "" {
		for _, name := range []v1alpha1.Level{v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical} {
			l.add(level.flag(name == s.Level, string(name)))
		}
		l.add(
			threshold.metric(float64(t.WarningPercent)/100, string(v1alpha1.LevelWarning)),
			threshold.metric(float64(t.CriticalPercent)/100, string(v1alpha1.LevelCritical)),
		)
	}
	if p := s.Tightest; p != nil {
		l.add(nodeUsed.metric(ratio(most(p), p.Capacity)))
	}
	if s.ExhaustionSeconds != nil {
		l.add(exhaustion.metric(float64(*s.ExhaustionSeconds)))
	}
	if s.NetworkCount != nil {
		l.add(networks.metric(float64(*s.NetworkCount)))
	}
	if u := s.UDP; u != nil {
		l.add(udpUsed.metric(float64(u.Used)), udpCapacity.metric(float64(u.Capacity)))
	}
}

func (l *list) states(s *v1alpha1.States) {
	if s == nil {
		return
	}
	for _, of := range []struct {
		name  string
		count int64
	}{
		{"established", s.Established}, {"syn_sent", s.SynSent}, {"syn_recv", s.SynRecv},
		{"fin_wait1", s.FinWait1}, {"fin_wait2", s.FinWait2}, {"time_wait", s.TimeWait},
		{"close", s.Close}, {"close_wait", s.CloseWait}, {"last_ack", s.LastAck},
		{"listen", s.Listen}, {"closing", s.Closing}, {"bound", s.Bound},
	} {
		l.add(tcpSockets.metric(float64(of.count), of.name))
	}
}

// conntrack is the node's. Where its entries can't be counted, its drops may still be
// known of host.
func (l *list) conntrack(c *v1alpha1.Conntrack, host *socket.Network) {
	if c == nil {
		if host != nil && host.Counters != nil && host.Counters.Conntrack != nil {
			d := host.Counters.Conntrack
			l.add(conntrackInsertFailed.metric(float64(d.InsertFailed)), conntrackDrop.metric(float64(d.Drop)),
				conntrackEarlyDrop.metric(float64(d.EarlyDrop)))
		}
		return
	}
	l.add(conntrackEntries.metric(float64(c.Entries)))
	if c.Max > 0 { // a limit of 0 is none, and would divide by nothing
		l.add(conntrackLimit.metric(float64(c.Max)))
	}
	for f, count := range map[*family]*int64{
		conntrackInsertFailed: c.InsertFailed, conntrackDrop: c.Drop, conntrackEarlyDrop: c.EarlyDrop,
	} {
		if count != nil {
			l.add(f.metric(float64(*count)))
		}
	}
}

func (l *list) tcp(c assess.TCP) {
	for f, count := range map[*family]*uint64{
		timeWaitOverflow: c.TimeWaitOverflow, listenOverflows: c.ListenOverflows, orphans: c.Orphans,
	} {
		if count != nil {
			l.add(f.metric(float64(*count)))
		}
	}
	if c.Memory != nil {
		l.add(tcpMemory.metric(*c.Memory))
	}
}

func (l *list) settings(statuses []v1alpha1.SettingStatus) {
	waiting := map[string]bool{}
	for i := range statuses {
		if s := &statuses[i]; s.State == v1alpha1.SettingRestartRequired && !waiting[s.Key] {
			waiting[s.Key] = true
			l.add(restartRequired.metric(1, strings.TrimPrefix(s.Key, settings.Tcpip)))
		}
	}
}

// pools are the pools of the worst networks of s, and its tightest.
func (l *list) pools(s *v1alpha1.PortPressureStatus, of owners) {
	seen := map[[8]string]bool{}
	add := func(n owner, p *v1alpha1.Pool) {
		port := ""
		if p.Destination != "" {
			port = strconv.Itoa(int(p.Port))
		}
		labels := [8]string{n.namespace, n.pod, n.network, string(p.Protocol), string(p.Kind), p.Source, p.Destination, port}
		if seen[labels] {
			return
		}
		seen[labels] = true
		l.add(poolUsed.metric(float64(most(p)), labels[:]...), poolCapacity.metric(float64(p.Capacity), labels[:]...))
		if p.Reusable != nil {
			l.add(poolReusable.metric(float64(*p.Reusable), labels[:]...))
		}
	}
	if p := s.Tightest; p != nil {
		add(of.named(p.Network), p)
	}
	for i := range s.Networks[:min(maxPoolNetworks, len(s.Networks))] {
		n := &s.Networks[i]
		if n.Cause != "" {
			l.add(networkCause.metric(1, append(of.named(n.Network).labels(), string(n.Cause))...))
		}
		for j := range n.Pools[:min(maxPools, len(n.Pools))] {
			add(of.named(n.Network), &n.Pools[j])
		}
	}
}

// ratio is used of capacity, 0 to 1; 1 where there is no capacity.
// most is how many ports of p may be in use, which is what its level follows.
func most(p *v1alpha1.Pool) int32 {
	if p.UsedMax != nil {
		return max(p.Used, *p.UsedMax)
	}
	return p.Used
}

func ratio(used, capacity int32) float64 {
	if used >= capacity {
		return 1
	}
	return float64(used) / float64(capacity)
}
