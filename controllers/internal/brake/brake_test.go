package brake_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portreeve.io/portreeve/controllers/internal/brake"
)

// lose returns one loss for each of n nodes with that prefix.
func lose(owner, prefix string, n int, causes ...string) (list []brake.Loss) {
	for i := range n {
		list = append(list, brake.Loss{Node: fmt.Sprint(prefix, i), Owner: owner, Causes: causes})
	}
	return list
}

func TestLossesOfManyNodesAreBlocked(t *testing.T) {
	tests := map[string]struct {
		pending, recent []brake.Loss
		tunings         map[string]brake.Tuning
		want            string
	}{
		"one node may always lose settings":          {lose("a", "n", 1), nil, map[string]brake.Tuning{"a": {Nodes: 1}}, ""},
		"two of ten nodes are not more than 20 %":    {lose("a", "n", 2), nil, map[string]brake.Tuning{"a": {Nodes: 10}}, ""},
		"three of ten nodes are":                     {lose("a", "n", 3), nil, map[string]brake.Tuning{"a": {Nodes: 10}}, "a: 3 of 10 nodes of NodeTuning a"},
		"of the cluster":                             {lose("a", "n", 21), nil, map[string]brake.Tuning{"a": {Nodes: 1000}}, "a: 21 of 100 nodes of the cluster"},
		"a confirmed loss is not blocked":            {lose("a", "n", 50), nil, map[string]brake.Tuning{"a": {Nodes: 50, Confirmed: true}}, ""},
		"losses within an hour count":                {lose("a", "n", 2), lose("a", "m", 1), map[string]brake.Tuning{"a": {Nodes: 10}}, "a: 2 of 10 nodes of NodeTuning a, 3 within an hour"},
		"the same node counts once":                  {lose("a", "n", 2), lose("a", "n", 2), map[string]brake.Tuning{"a": {Nodes: 10}}, ""},
		"without pending losses, nothing is blocked": {nil, lose("a", "n", 50), map[string]brake.Tuning{"a": {Nodes: 50}}, ""},
		"NodeTunings are counted together": {
			slices.Concat(lose("a", "n", 11), lose("b", "m", 10)), nil, map[string]brake.Tuning{"a": {Nodes: 1000}, "b": {Nodes: 1000}},
			"a: 21 of 100 nodes of the cluster, b: 21 of 100 nodes of the cluster",
		},
		"a blocked NodeTuning does not block others": {
			slices.Concat(lose("a", "n", 50), lose("b", "m", 1)), nil, map[string]brake.Tuning{"a": {Nodes: 50}, "b": {Nodes: 50}},
			"a: 50 of 50 nodes of NodeTuning a",
		},
		"a small NodeTuning that conflicts with a large one": {
			lose("a", "n", 18, "b"), nil, map[string]brake.Tuning{"a": {Nodes: 100}, "b": {Nodes: 18}}, "a: 18 of 18 nodes of NodeTuning b",
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			blocked := brake.Evaluate(brake.Input{ClusterNodes: 100, Tunings: test.tunings, Pending: test.pending, Recent: test.recent})
			var got []string
			for _, tuning := range slices.Sorted(maps.Keys(blocked)) {
				why, _, _ := strings.Cut(strings.TrimPrefix(blocked[tuning], "this would remove settings from "), ", more than 20 %")
				got = append(got, tuning+": "+why)
			}
			if diff := cmp.Diff(test.want, strings.Join(got, ", ")); diff != "" {
				t.Errorf("blocked (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTheBrakeNamesTheRemedy(t *testing.T) {
	got := brake.Evaluate(brake.Input{ClusterNodes: 10, Tunings: map[string]brake.Tuning{"a": {Nodes: 5, Generation: 7}}, Pending: lose("a", "n", 5)})["a"]
	want := "this would remove settings from 5 of 5 nodes of NodeTuning a, more than 20 %: to confirm, annotate the NodeTuning with portreeve.io/confirm-release=7"
	if got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLossesCountForAnHour(t *testing.T) {
	now := time.Date(2026, 12, 1, 12, 0, 0, 0, time.UTC)
	for name, test := range map[string]struct {
		ago  time.Duration
		want bool
	}{
		"now":                    {0, true},
		"59 minutes ago":         {59 * time.Minute, true},
		"an hour ago":            {time.Hour, false},
		"by a clock ahead of it": {-24 * time.Hour, true},
	} {
		if got := brake.IsRecent(now.Add(-test.ago), now); got != test.want {
			t.Errorf("%s: recent is %v", name, got)
		}
	}
}
