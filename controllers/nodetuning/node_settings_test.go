package nodetuning

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/internal/settings"
)

// TestNodesGetTheirSettings compares the nodes that change, with values and NodeTunings.
func TestNodesGetTheirSettings(t *testing.T) {
	fin := func(value int32) func(*v1alpha1.NodeTuningSpec) {
		return func(s *v1alpha1.NodeTuningSpec) { s.Linux.FinTimeoutSeconds = &value }
	}
	low := newTuningForAll("low", fin(20))
	high := newTuningForAll("high", fin(30))
	high.Spec.Priority = 5
	high.Spec.Rollout.MaxUnavailable = new(intstr.FromInt32(1))
	deleted := high
	deleted.DeletionTimestamp = &metav1.Time{Time: noon}

	// newUpdatedNode returns a node that the NodeTuning has updated.
	newUpdatedNode := func(name string, from tuning) *nodeState {
		n := newReportingNode(name)
		n.spec.Settings = resolve.ListSettings(settings.Linux, &from.NodeTuning)
		n.status = makeStatus(n.spec.Settings)
		return n
	}
	// newRecreatedNode returns a node with a recreated object, whose agent enforces settings.
	newRecreatedNode := func(settings ...v1alpha1.Setting) *nodeState {
		n := newReportingNode("a")
		n.status = makeStatus(settings)
		return n
	}
	mine := resolve.ListSettings(settings.Linux, &low.NodeTuning)[0]
	stray := v1alpha1.Setting{ID: "stray", Value: "1"}
	other := mine
	other.Value = "99"
	fresh := newReportingNode("a")
	fresh.status = &v1alpha1.PortPressureStatus{}

	withRelease := func(n *nodeState) *nodeState {
		n.releaseRequested = true
		return n
	}
	unread := low
	unread.problem = "cannot be decoded"

	tests := map[string]struct {
		nodes   []*nodeState
		tunings []tuning
		want    []string
	}{
		"a released node loses all settings, without limit and brake": {
			[]*nodeState{withRelease(newUpdatedNode("a", high)), withRelease(newUpdatedNode("b", high)), withRelease(newReportingNode("c"))}, []tuning{high}, []string{"a", "b"},
		},
		"also those without NodeTuning, and of an invalid one": {[]*nodeState{withRelease(newUpdatedNode("a", high)), withRelease(newUpdatedNode("b", low))}, []tuning{unread}, []string{"a", "b"}},
		"also those that only the agent reports":               {[]*nodeState{withRelease(newRecreatedNode(mine))}, nil, []string{"a"}},
		"a released node gets no settings":                     {[]*nodeState{withRelease(newReportingNode("a")), newReportingNode("b")}, []tuning{low}, []string{"b 20 low"}},
		"another NodeTuning takes over settings of a deleted one, at the pace of that one": {
			[]*nodeState{newUpdatedNode("a", high), newUpdatedNode("b", high)}, []tuning{low, deleted}, []string{"a 20 low"},
		},
		"a recreated object gets the settings that its agent enforces":       {[]*nodeState{newRecreatedNode(mine)}, []tuning{low}, []string{"a 20 low"}},
		"but not while the agent enforces more, which would be lost":         {[]*nodeState{newRecreatedNode(mine, stray)}, []tuning{low}, nil},
		"a different value is a change by a rollout":                         {[]*nodeState{newRecreatedNode(other)}, []tuning{low}, []string{"a 20 low"}},
		"the settings of an agent that has never reported are unknown":       {[]*nodeState{fresh, newReportingNode("b")}, []tuning{low}, []string{"b 20 low"}},
		"a deleted NodeTuning releases settings that only the agent reports": {[]*nodeState{newRecreatedNode(resolve.ListSettings(settings.Linux, &deleted.NodeTuning)...)}, []tuning{deleted}, []string{"a"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, c := range planWrites(clusterState{nodes: test.nodes, tunings: test.tunings}, defaults, noon).changes {
				line := c.node.Name
				for _, s := range c.spec.Settings {
					line += fmt.Sprintf(" %s %s", s.Value, s.From.Name)
				}
				got = append(got, line)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
		})
	}
}

// makeStatus returns the status of an agent that enforces the settings.
func makeStatus(settings []v1alpha1.Setting) *v1alpha1.PortPressureStatus {
	s := &v1alpha1.PortPressureStatus{ObservedGeneration: 1, ObservedAt: &metav1.Time{Time: noon}}
	for i := range settings {
		s.Settings = append(s.Settings, v1alpha1.SettingStatus{
			ID: settings[i].ID, Desired: &settings[i].Value, State: v1alpha1.SettingApplied, LastTransitionTime: &metav1.Time{Time: noon},
		})
	}
	return s
}
