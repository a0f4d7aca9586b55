package nodetuning

import (
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/portpressure"
)

// ListFamilies returns the metrics of NodeTunings.
func ListFamilies() []portpressure.Family {
	return []portpressure.Family{
		tuningNodes, tuningPhase, tuningConflicts, rolloutStart, rolloutEnd, rolloutProgress, rolloutBatch, rolloutChanging,
		rolloutStuck, rolloutRegressions, rolloutBrakeHolds, orphanedSettings,
	}
}

const (
	absentTuning = "without NodeTunings, and on the standby replica"
	absentTime   = "until then, and on the standby replica"
)

func newRolloutFamily(name, help, absent string) portpressure.Family {
	return portpressure.Family{Name: "portreeve_controller_rollout_" + name, Help: help, Labels: []string{"tuning"}, Absent: absent}
}

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
			"the reason as in its Events: RolloutPaused (by a user), RegressionFound, TooManyFailed, ReleaseHeld or TuningUnreadable.",
		Labels: []string{"tuning", "phase", "reason"}, Absent: absentTuning,
	}
	tuningConflicts = portpressure.Family{
		Name:   "portreeve_controller_tuning_conflicts",
		Help:   "Number of setting keys for which another NodeTuning selects the same nodes with a different value.",
		Labels: []string{"tuning"}, Absent: absentTuning,
	}
	rolloutStart = newRolloutFamily("start_timestamp_seconds",
		"When the rollout of a NodeTuning's current revision updated its first node, in seconds since 1970.", absentTime)
	rolloutEnd = newRolloutFamily("end_timestamp_seconds",
		"When a NodeTuning's last complete rollout was complete, in seconds since 1970.", absentTime)
	rolloutProgress = newRolloutFamily("last_progress_timestamp_seconds",
		"When a node last reported the settings of a NodeTuning's current revision, in seconds since 1970.", absentTime)
	rolloutBatch = newRolloutFamily("batch",
		"Number of the last batch of a NodeTuning's rollout; the canaries are 1.", absentTuning)
	rolloutChanging = newRolloutFamily("nodes_changing",
		"Number of nodes of a NodeTuning whose agents are processing a change, which count toward maxUnavailable.", absentTuning)
	rolloutStuck = newRolloutFamily("stuck",
		"1 if the rollout of a NodeTuning has made no progress for rollout.progressDeadlineSeconds, otherwise 0.", absentTuning)
	rolloutRegressions = newRolloutFamily("regressions",
		"Number of times that a regression stopped a rollout of a NodeTuning.", absentTuning)
	rolloutBrakeHolds = newRolloutFamily("brake_holds",
		"Number of times that the brake stopped a NodeTuning from removing settings.", absentTuning)

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
	tuning   string
	status   v1alpha1.NodeTuningStatus
	changing int // nodes
}

func collectMetrics(c clusterState, p writePlan) fleetMetrics {
	m := fleetMetrics{orphaned: p.orphaned}
	for i := range c.tunings {
		name := c.tunings[i].Name
		m.tunings = append(m.tunings, tuningMetrics{name, p.decisions[name].Status, p.decisions[name].Changing})
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
		f.collectRollout(c)
	}
}

// collectRollout collects the metrics of the rollout.
func (f *tuningMetrics) collectRollout(c chan<- prometheus.Metric) {
	r := &f.status.Rollout
	stuck := 0.0
	if isStuck(&f.status) {
		stuck = 1
	}
	c <- rolloutBatch.NewMetric(float64(r.Batch.Number), f.tuning)
	c <- rolloutChanging.NewMetric(float64(f.changing), f.tuning)
	c <- rolloutStuck.NewMetric(stuck, f.tuning)
	c <- rolloutRegressions.NewMetric(float64(r.Regressions), f.tuning)
	c <- rolloutBrakeHolds.NewMetric(float64(r.BrakeHolds), f.tuning)
	for _, t := range []struct {
		family portpressure.Family
		at     *metav1.Time
	}{{rolloutStart, r.StartedAt}, {rolloutEnd, r.CompletedAt}, {rolloutProgress, r.LastProgressAt}} {
		if t.at != nil {
			c <- t.family.NewMetric(float64(t.at.Unix()), f.tuning)
		}
	}
}
