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

// TestWhatANodeGets compares what changes: the node, and its values and whose they are.
func TestWhatANodeGets(t *testing.T) {
	fin := func(value int32) func(*v1alpha1.NodeTuningSpec) {
		return func(s *v1alpha1.NodeTuningSpec) { s.Linux.FinTimeoutSeconds = &value }
	}
	low := everywhere("low", fin(20))
	high := everywhere("high", fin(30))
	high.Spec.Priority = 5
	high.Spec.Rollout.MaxUnavailable = new(intstr.FromInt32(1))
	going := high
	going.DeletionTimestamp = &metav1.Time{Time: noon}

	// has is a node to which the NodeTuning has come.
	has := func(name string, from tuning) *nodeState {
		n := machine(name)
		n.spec.Settings = resolve.ListSettings(settings.Linux, &from.NodeTuning)
		n.status = report(n.spec.Settings)
		return n
	}
	// anew is a node whose object was made anew while its agent held settings.
	anew := func(settings ...v1alpha1.Setting) *nodeState {
		n := machine("a")
		n.status = report(settings)
		return n
	}
	mine := resolve.ListSettings(settings.Linux, &low.NodeTuning)[0]
	stray := v1alpha1.Setting{ID: "stray", Value: "1"}
	other := mine
	other.Value = "99"
	fresh := machine("a")
	fresh.status = &v1alpha1.PortPressureStatus{}

	released := func(n *nodeState) *nodeState {
		n.releaseRequested = true
		return n
	}
	unread := low
	unread.problem = "it can't be decoded"

	tests := map[string]struct {
		nodes   []*nodeState
		tunings []tuning
		want    []string
	}{
		"a released one loses all, past pace and brake": {
			[]*nodeState{released(has("a", high)), released(has("b", high)), released(machine("c"))}, []tuning{high}, []string{"a", "b"},
		},
		"also what nobody asks for, and what can't be read": {[]*nodeState{released(has("a", high)), released(has("b", low))}, []tuning{unread}, []string{"a", "b"}},
		"also what only its agent speaks of":                {[]*nodeState{released(anew(mine))}, nil, []string{"a"}},
		"a released one gets nothing":                       {[]*nodeState{released(machine("a")), machine("b")}, []tuning{low}, []string{"b 20 low"}},
		"the one who wins takes the place of one who is on its way out": {
			[]*nodeState{has("a", high), has("b", high)}, []tuning{low, going}, []string{"a 20 low", "b 20 low"},
		},
		"an object made anew is given what its agent holds":         {[]*nodeState{anew(mine)}, []tuning{low}, []string{"a 20 low"}},
		"but not while the agent holds more, which that would take": {[]*nodeState{anew(mine, stray)}, []tuning{low}, nil},
		"another value is a change, and a rollout's":                {[]*nodeState{anew(other)}, []tuning{low}, []string{"a 20 low"}},
		"an agent that has never reported may hold anything":        {[]*nodeState{fresh, machine("b")}, []tuning{low}, []string{"b 20 low"}},
		"one that is going takes what only the agent speaks of":     {[]*nodeState{anew(resolve.ListSettings(settings.Linux, &going.NodeTuning)...)}, []tuning{going}, []string{"a"}},
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

// report is the status of an agent that holds them.
func report(settings []v1alpha1.Setting) *v1alpha1.PortPressureStatus {
	s := &v1alpha1.PortPressureStatus{ObservedGeneration: 1, ObservedAt: &metav1.Time{Time: noon}}
	for i := range settings {
		s.Settings = append(s.Settings, v1alpha1.SettingStatus{
			ID: settings[i].ID, Desired: &settings[i].Value, State: v1alpha1.SettingApplied, LastTransitionTime: &metav1.Time{Time: noon},
		})
	}
	return s
}
