package nodetuning

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
)

func TestMetricsShowTheLastDecisions(t *testing.T) {
	r := &Reconciler{}
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(r)
	gather := func() (lines []string) {
		t.Helper()
		families, err := registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.GetMetric() {
				line := f.GetName()
				for _, l := range m.GetLabel() {
					line += " " + l.GetValue()
				}
				lines = append(lines, fmt.Sprintf("%s %v", line, m.GetGauge().GetValue()))
			}
		}
		slices.Sort(lines)
		return lines
	}
	if got := gather(); len(got) > 0 {
		t.Errorf("before the first decision: %v", got)
	}
	r.metrics.Store(&fleetMetrics{orphaned: map[string]int{"n1": 2}, tunings: []tuningMetrics{{"t", v1alpha1.NodeTuningStatus{
		Counts:    v1alpha1.TuningCounts{Matched: 9, Updated: 8, Applied: 2, Refused: 1, Failed: 3, Contested: 4, RestartRequired: 5},
		Conflicts: make([]v1alpha1.TuningConflict, 2),
		Rollout: v1alpha1.RolloutStatus{
			Phase: v1alpha1.RolloutPaused, StartedAt: &metav1.Time{Time: time.Unix(100, 0)}, LastProgressAt: &metav1.Time{Time: time.Unix(200, 0)},
			Batch: v1alpha1.RolloutBatch{Number: 3}, Regressions: 2, BrakeHolds: 4,
		},
		Conditions: []metav1.Condition{
			{Type: v1alpha1.ConditionDegraded, Reason: v1alpha1.ReasonReleaseHeld},
			{Type: v1alpha1.ConditionProgressing, Reason: v1alpha1.ReasonProgressDeadlineExceeded},
		},
	}, 6}}})
	const nodes = "portreeve_controller_tuning_nodes "
	want := []string{
		"portreeve_controller_orphaned_settings n1 2",
		"portreeve_controller_rollout_batch t 3", "portreeve_controller_rollout_brake_holds t 4",
		"portreeve_controller_rollout_last_progress_timestamp_seconds t 200", "portreeve_controller_rollout_nodes_changing t 6",
		"portreeve_controller_rollout_regressions t 2", "portreeve_controller_rollout_start_timestamp_seconds t 100",
		"portreeve_controller_rollout_stuck t 1",
		"portreeve_controller_tuning_conflicts t 2",
		nodes + "applied t 2", nodes + "contested t 4", nodes + "dry_run t 0", nodes + "failed t 3", nodes + "matched t 9",
		nodes + "refused t 1", nodes + "restart_required t 5", nodes + "updated t 8",
		"portreeve_controller_tuning_phase_info Paused ReleaseHeld t 1",
	}
	if diff := cmp.Diff(want, gather()); diff != "" {
		t.Errorf("series (-want +got):\n%s", diff)
	}
}
