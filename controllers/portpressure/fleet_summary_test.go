package portpressure

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/api/v1alpha1"
)

func newLabelledPressure(label string, reported time.Time, level v1alpha1.Level, destination string) v1alpha1.PortPressure {
	p := newReportedPressure(reported)
	p.Status.Level = level
	if label != "" {
		p.Labels = map[string]string{v1alpha1.LabelAgent: label}
	}
	if destination != "" {
		p.Status.Tightest = &v1alpha1.Pool{Destination: destination, Port: 5432}
	}
	return *p
}

func TestAFleetSummaryCountsEveryState(t *testing.T) {
	const normal, warning, critical = v1alpha1.LevelNormal, v1alpha1.LevelWarning, v1alpha1.LevelCritical
	tests := map[string]struct {
		all    []v1alpha1.PortPressure
		agents map[string]int
		levels map[v1alpha1.Level]int
		note   string
	}{
		"no nodes": {
			nil, map[string]int{"reporting": 0, "starting": 0, "silent": 0, "none": 0},
			map[v1alpha1.Level]int{normal: 0, warning: 0, critical: 0, "unknown": 0}, "All 0 nodes are below the warning threshold.",
		},
		"one node in each state": {
			[]v1alpha1.PortPressure{
				newLabelledPressure("", start, normal, "10.0.0.1"), newLabelledPressure("", time.Time{}, "", ""), newLabelledPressure("silent", start, critical, "10.0.0.2"), newLabelledPressure("none", time.Time{}, "", ""),
				newLabelledPressure("", start, warning, "10.0.0.3"),
			},
			map[string]int{"reporting": 2, "starting": 1, "silent": 1, "none": 1},
			map[v1alpha1.Level]int{normal: 1, warning: 1, critical: 0, "unknown": 3},
			"Of 5 nodes, 1 Warning, 1 with a silent agent; 1 of the Warning nodes connect to 10.0.0.3:5432 (Service shop/db). List them with: kubectl get portpressures",
		},
		"labels and levels of a newer version": {
			[]v1alpha1.PortPressure{newLabelledPressure("resting", start, "Severe", "10.0.0.1")}, map[string]int{"reporting": 1, "starting": 0, "silent": 0, "none": 0},
			map[v1alpha1.Level]int{normal: 0, warning: 0, critical: 0, "unknown": 1}, "All 1 nodes are below the warning threshold.",
		},
		"one unreachable database": {
			[]v1alpha1.PortPressure{
				newLabelledPressure("", start, critical, "10.0.0.9"), newLabelledPressure("", start, critical, "10.0.0.9"), newLabelledPressure("", start, critical, "fd00::1"), newLabelledPressure("", start, critical, ""),
				newLabelledPressure("", start, warning, "10.0.0.3"), newLabelledPressure("", start, warning, "10.0.0.3"), newLabelledPressure("", start, warning, "10.0.0.3"),
			},
			map[string]int{"reporting": 7, "starting": 0, "silent": 0, "none": 0},
			map[v1alpha1.Level]int{normal: 0, warning: 3, critical: 4, "unknown": 0},
			"Of 7 nodes, 4 Critical, 3 Warning; 2 of the Critical nodes connect to 10.0.0.9:5432 (Service shop/db). List them with: kubectl get portpressures",
		},
		"a network failure": {
			[]v1alpha1.PortPressure{newLabelledPressure("silent", start, critical, "10.0.0.9"), newLabelledPressure("silent", start, normal, "")},
			map[string]int{"reporting": 0, "starting": 0, "silent": 2, "none": 0},
			map[v1alpha1.Level]int{normal: 0, warning: 0, critical: 0, "unknown": 2}, "Of 2 nodes, 2 with a silent agent. List them with: kubectl get portpressures",
		},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			c := summarizeFleet(tt.all)
			if diff := cmp.Diff(tt.agents, c.agents); diff != "" {
				t.Errorf("agents (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.levels, c.levels); diff != "" {
				t.Errorf("levels (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(tt.note, c.formatNote("Service shop/db")); diff != "" {
				t.Errorf("note (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheMostCommonDestinationsComeFirst(t *testing.T) {
	c := summarizeFleet([]v1alpha1.PortPressure{
		newLabelledPressure("", start, v1alpha1.LevelCritical, "10.0.0.9"), newLabelledPressure("", start, v1alpha1.LevelWarning, "10.0.0.9"),
		newLabelledPressure("", start, v1alpha1.LevelWarning, "10.0.0.8"), newLabelledPressure("", start, v1alpha1.LevelCritical, "10.0.0.7"),
	})
	want := []endpoint{{"10.0.0.9", 5432}, {"10.0.0.7", 5432}}
	if diff := cmp.Diff(want, c.listCommonEndpoints(2, v1alpha1.LevelCritical, v1alpha1.LevelWarning), cmp.AllowUnexported(endpoint{})); diff != "" {
		t.Errorf("most common destinations (-want +got):\n%s", diff)
	}
}
