package nodetuning

import (
	"github.com/prometheus/client_golang/prometheus"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/portpressure"
)

// Families are the metrics of NodeTunings.
func Families() []portpressure.Family {
	return []portpressure.Family{tuningNodes, tuningPhase, tuningConflicts}
}

const noTuning = "without NodeTunings, and in the replica that stands by"

var (
	tuningNodes = portpressure.Family{
		Name:   "portreeve_controller_tuning_nodes",
		Help:   "Nodes of a NodeTuning: matched by its selector; updated, those that the rollout has reached; and of these applied, and with a setting that is refused, failed, contested, waiting for a restart (restart_required), or only tried out (dry_run).",
		Labels: []string{"tuning", "state"}, Absent: noTuning,
	}
	tuningPhase = portpressure.Family{
		Name:   "portreeve_controller_tuning_phase_info",
		Help:   "Always 1: the phase of a NodeTuning's rollout, and where it is Paused or Reverted the reason of its Events: RolloutPaused (by someone), RegressionFound, ReleaseHeld or TuningUnreadable.",
		Labels: []string{"tuning", "phase", "reason"}, Absent: noTuning,
	}
	tuningConflicts = portpressure.Family{
		Name:   "portreeve_controller_tuning_conflicts",
		Help:   "Keys of a NodeTuning that others want otherwise on the same nodes.",
		Labels: []string{"tuning"}, Absent: noTuning,
	}
)

// figure is one NodeTuning's part of the metrics.
type figure struct {
	tuning string
	status v1alpha1.NodeTuningStatus
}

func figuresOf(c cluster, p plan) (list []figure) {
	for i := range c.tunings {
		name := c.tunings[i].Name
		list = append(list, figure{name, p.decisions[name].Status})
	}
	return list
}

// Describe implements prometheus.Collector.
func (r *Reconciler) Describe(c chan<- *prometheus.Desc) {
	for _, f := range Families() {
		c <- f.NewDesc()
	}
}

// Collect implements prometheus.Collector: it gives what was decided last.
func (r *Reconciler) Collect(c chan<- prometheus.Metric) {
	figures := r.figures.Load()
	if figures == nil {
		return
	}
	for _, f := range *figures {
		n := f.status.Counts
		for state, count := range map[string]int32{
			"matched": n.Matched, "updated": n.Updated, "applied": n.Applied, "refused": n.Refused, "failed": n.Failed,
			"contested": n.Contested, "restart_required": n.RestartRequired, "dry_run": n.DryRun,
		} {
			c <- tuningNodes.NewMetric(float64(count), f.tuning, state)
		}
		c <- tuningPhase.NewMetric(1, f.tuning, string(f.status.Rollout.Phase), stopped(&f.status))
		c <- tuningConflicts.NewMetric(float64(len(f.status.Conflicts)), f.tuning)
	}
}
