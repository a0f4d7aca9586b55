package metrics

import (
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// The maximum numbers of series from a status, however much it lists.
const (
	maxPoolNetworks = 3
	maxPools        = 2 // of each
)

// metricList collects metrics.
type metricList []prometheus.Metric

func (l *metricList) add(m ...prometheus.Metric) { *l = append(*l, m...) }

// buildSnapshot returns the metrics of one sample, without failures.
func buildSnapshot(sample *socket.Sample, status *v1alpha1.PortPressureStatus, f assess.Facts, ids networkIdentities, pools *labelBudget) []prometheus.Metric {
	var l metricList
	l.addNode(status, f.Thresholds.WithDefaults())
	l.addPools(status, ids, pools, sample.Taken)
	l.addNetworks(sample, f.Thresholds.WithDefaults(), ids)
	l.addStates(status.States)
	l.addConntrack(status.Conntrack, sample.HostNetwork())
	l.addTCP(f.TCP)
	l.addSettings(status.Settings)
	l.addWindows(sample, f.Windows)
	l.addTables(sample.Tables)
	l.add(
		unobservedItems.newMetric(float64(assess.CountUnobserved(sample, f))),
		lastSample.newMetric(float64(sample.Taken.UnixMilli())/1000),
		readerInfo.newMetric(1, status.Reader.Name, string(status.Reader.Exactness), strconv.FormatBool(sample.Reader.Fallback)),
	)
	return l
}

func (l *metricList) addNode(s *v1alpha1.PortPressureStatus, t v1alpha1.Thresholds) {
	if s.Level != "" {
		for _, name := range []v1alpha1.Level{v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical} {
			l.add(level.newFlag(name == s.Level, string(name)))
		}
		l.add(
			threshold.newMetric(float64(t.WarningPercent)/100, string(v1alpha1.LevelWarning)),
			threshold.newMetric(float64(t.CriticalPercent)/100, string(v1alpha1.LevelCritical)),
		)
	}
	if p := s.Tightest; p != nil {
		l.add(nodeUsed.newMetric(computeRatio(maxUsed(p), p.Capacity)))
	}
	if s.ExhaustionSeconds != nil {
		l.add(exhaustion.newMetric(float64(*s.ExhaustionSeconds)))
	}
	if s.Cause != "" {
		l.add(causeInfo.newMetric(1, string(s.Cause)))
	}
	for _, c := range s.Conditions {
		l.add(conditionInfo.newMetric(1, c.Type, string(c.Status), c.Reason))
	}
	if s.NetworkCount != nil {
		l.add(networks.newMetric(float64(*s.NetworkCount)))
	}
	if u := s.UDP; u != nil {
		l.add(udpUsed.newMetric(float64(u.Used)), udpCapacity.newMetric(float64(u.Capacity)))
	}
}

func (l *metricList) addStates(s *v1alpha1.States) {
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
		l.add(tcpSockets.newMetric(float64(of.count), of.name))
	}
}

// addTables adds the tables that are half full, or full.
func (l *metricList) addTables(tables []socket.Table) {
	for _, t := range tables {
		if t.Lost > 0 || 2*t.Used >= t.Capacity {
			l.add(tableUsed.newMetric(computeRatio(int32(t.Used), int32(t.Capacity)), t.Name))
		}
		if t.Lost > 0 {
			l.add(tableLost.newMetric(float64(t.Lost), t.Name))
		}
	}
}

// addConntrack adds the node's connection tracking. If its entries can't be counted, its drops
// may still be known from the host network.
func (l *metricList) addConntrack(c *v1alpha1.Conntrack, host *socket.Network) {
	if c == nil {
		if host != nil && host.Counters != nil && host.Counters.Conntrack != nil {
			d := host.Counters.Conntrack
			l.add(conntrackInsertFailed.newMetric(float64(d.InsertFailed)), conntrackDrop.newMetric(float64(d.Drop)),
				conntrackEarlyDrop.newMetric(float64(d.EarlyDrop)))
		}
		return
	}
	l.add(conntrackEntries.newMetric(float64(c.Entries)))
	if c.Max > 0 { // 0 means no limit, and would cause a division by zero
		l.add(conntrackLimit.newMetric(float64(c.Max)))
	}
	for f, count := range map[*metricFamily]*int64{
		conntrackInsertFailed: c.InsertFailed, conntrackDrop: c.Drop, conntrackEarlyDrop: c.EarlyDrop,
	} {
		if count != nil {
			l.add(f.newMetric(float64(*count)))
		}
	}
}

func (l *metricList) addTCP(c assess.TCP) {
	for f, count := range map[*metricFamily]*uint64{
		timeWaitOverflow: c.TimeWaitOverflow, listenOverflows: c.ListenOverflows, orphans: c.Orphans,
	} {
		if count != nil {
			l.add(f.newMetric(float64(*count)))
		}
	}
	if c.MemoryRatio != nil {
		l.add(tcpMemory.newMetric(*c.MemoryRatio))
	}
}

func (l *metricList) addSettings(statuses []v1alpha1.SettingStatus) {
	waiting := map[string]bool{}
	for i := range statuses {
		if s := &statuses[i]; s.State == v1alpha1.SettingRestartRequired && !waiting[s.Key] {
			waiting[s.Key] = true
			l.add(restartRequired.newMetric(1, strings.TrimPrefix(s.Key, settings.TcpipParameters)))
		}
	}
}

// addPools adds the tightest pool of s, and the pools of its tightest networks, as far as
// budget admits those that are not pods'.
func (l *metricList) addPools(s *v1alpha1.PortPressureStatus, ids networkIdentities, budget *labelBudget, now time.Time) {
	added := map[[8]string]bool{}
	add := func(n networkIdentity, p *v1alpha1.Pool) {
		port := ""
		if p.Destination != "" {
			port = strconv.Itoa(int(p.Port))
		}
		labels := [8]string{n.namespace, n.pod, n.network, string(p.Protocol), string(p.Kind), p.Source, p.Destination, port}
		if added[labels] || n.isOmitted || !n.isPod && !budget.admit(strings.Join(labels[:], "\x00"), now) {
			return
		}
		added[labels] = true
		l.add(poolUsed.newMetric(float64(maxUsed(p)), labels[:]...), poolCapacity.newMetric(float64(p.Capacity), labels[:]...))
		if p.Reusable != nil {
			l.add(poolReusable.newMetric(float64(*p.Reusable), labels[:]...))
		}
	}
	if p := s.Tightest; p != nil {
		add(ids.findNetwork(p.Network), p)
	}
	for i := range s.Networks[:min(maxPoolNetworks, len(s.Networks))] {
		n := &s.Networks[i]
		if o := ids.findNetwork(n.Network); n.Cause != "" && !o.isOmitted {
			l.add(networkCause.newMetric(1, append(o.labelValues(), string(n.Cause))...))
		}
		for j := range n.Pools[:min(maxPools, len(n.Pools))] {
			add(ids.findNetwork(n.Network), &n.Pools[j])
		}
	}
}

// maxUsed returns the maximum number of ports of p in use, on which its level depends.
func maxUsed(p *v1alpha1.Pool) int32 {
	if p.UsedMax != nil {
		return max(p.Used, *p.UsedMax)
	}
	return p.Used
}

func computeRatio(used, capacity int32) float64 {
	if used >= capacity {
		return 1
	}
	return float64(used) / float64(capacity)
}
