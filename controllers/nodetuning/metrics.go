package nodetuning

import (
	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/portpressure"
)

// ListFamilies returns the metrics of NodeTunings.
func ListFamilies() []portpressure.Family {
	return []portpressure.Family{tuningNodes, tuningPhase, tuningConflicts, orphanedSettings}
}

const absentTuning = "without NodeTunings, and on the standby replica"

var (
	tuningNodes = portpressure.Family{
		Name: "portreeve_controller_tuning_nodes",
		Help: "Number of nodes of a NodeTuning by state: matched by its selector; updated by the rollout; " +
			"and among the updated nodes, those with all settings applied, and those " +
			"with a setting that is refused, failed, contested, waiting for a restart (restart_required) " +
			"or a dry run (dry_run).",
		Labels: []string{"tuning", "state"}, Absent: absentTuning,
	}
	tuningPhase = portpressure.Family{
		Name: "portreeve_controller_tuning_phase_info",
		Help: "Always 1: the phase of a NodeTuning's rollout and, if it is Paused or Reverted, " +
			"the reason as in its Events: RolloutPaused (by a user), RegressionFound, ReleaseHeld or TuningUnreadable.",
		Labels: []string{"tuning", "phase", "reason"}, Absent: absentTuning,
	}
	tuningConflicts = portpressure.Family{
		Name:   "portreeve_controller_tuning_conflicts",
		Help:   "Number of setting keys for which another NodeTuning selects the same nodes with a different value.",
		Labels: []string{"tuning"}, Absent: absentTuning,
	}
	orphanedSettings = portpressure.Family{
		Name: "portreeve_controller_orphaned_settings",
		Help: "Number of settings that a node has although no NodeTuning requests them: their NodeTuning was removed " +
			"without restoring them, or restoring them failed.",
		Labels: []string{"node"}, Absent: "for nodes without such settings, and on the standby replica",
	}
)

// fleetMetrics is the source of all metrics.
type fleetMetrics struct {
	tunings  []tuningMetrics
	orphaned map[string]int // number of orphaned settings by node
}

// tuningMetrics is the source of one NodeTuning's metrics.
type tuningMetrics struct {
	tuning string
	status v1alpha1.NodeTuningStatus
}

func collectMetrics(c clusterState, p writePlan) fleetMetrics {
	m := fleetMetrics{orphaned: p.orphaned}
	for i := range c.tunings {
		name := c.tunings[i].Name
		m.tunings = append(m.tunings, tuningMetrics{name, p.decisions[name].Status})
	}
	return m
}

// Describe implements prometheus.Collector.
func (r *Reconciler) Describe(c chan<- *prometheus.Desc) {
	for _, f := range ListFamilies() {
		c <- f.NewDesc()
	}
}

// Collect implements prometheus.Collector: it collects the last decisions.
func (r *Reconciler) Collect(c chan<- prometheus.Metric) {
	figures := r.metrics.Load()
	if figures == nil {
		return
	}
	for node, count := range figures.orphaned {
		c <- orphanedSettings.NewMetric(float64(count), node)
	}
	for _, f := range figures.tunings {
		n := f.status.Counts
		for state, count := range map[string]int32{
			"matched": n.Matched, "updated": n.Updated, "applied": n.Applied, "refused": n.Refused, "failed": n.Failed,
			"contested": n.Contested, "restart_required": n.RestartRequired, "dry_run": n.DryRun,
		} {
			c <- tuningNodes.NewMetric(float64(count), f.tuning, state)
		}
		c <- tuningPhase.NewMetric(1, f.tuning, string(f.status.Rollout.Phase), findStopReason(&f.status))
		c <- tuningConflicts.NewMetric(float64(len(f.status.Conflicts)), f.tuning)
	}
}
