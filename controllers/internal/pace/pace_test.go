package pace_test

import (
	"strings"
	"testing"

	"portreeve.io/portreeve/controllers/internal/pace"
)

func TestTheLimitOfTheCluster(t *testing.T) {
	for value, want := range map[string]int{"": 7, "3": 3, "10%": 10, "1%": 1, " 5 ": 5} {
		c := pace.Parse(map[string]string{"maxUnavailable": value})
		if got := c.Limit(95, 7); got != want || c.Problem != "" {
			t.Errorf("%q: limit %d, want %d; problem %q", value, got, want, c.Problem)
		}
	}
}

func TestWhenRolloutsAreStopped(t *testing.T) {
	const suffix = " in the ConfigMap portreeve-pace"
	invalid := "rollouts are stopped because the ConfigMap portreeve-pace is invalid: "
	tests := map[string]struct {
		data     map[string]string
		notReady int
		want     string
	}{
		"by default, never":            {nil, 100, ""},
		"paused":                       {map[string]string{"paused": "true"}, 0, "paused is true" + suffix},
		"not paused":                   {map[string]string{"paused": "false"}, 0, ""},
		"fewer nodes are not ready":    {map[string]string{"pauseWhenNodesNotReady": "5%"}, 4, ""},
		"that many are not ready":      {map[string]string{"pauseWhenNodesNotReady": "5%"}, 5, "5 of 100 nodes are not ready, and pauseWhenNodesNotReady is 5%" + suffix},
		"a number of nodes":            {map[string]string{"pauseWhenNodesNotReady": "2"}, 2, "2 of 100 nodes are not ready, and pauseWhenNodesNotReady is 2" + suffix},
		"an unknown key":               {map[string]string{"pausd": "true"}, 0, invalid + "pausd: unknown key: use maxUnavailable, paused or pauseWhenNodesNotReady"},
		"a word instead of a boolean":  {map[string]string{"paused": "maybe"}, 0, invalid + `paused: "maybe" is not true or false`},
		"a percentage above 100":       {map[string]string{"maxUnavailable": "101%"}, 0, invalid + `maxUnavailable: "101%" must be a number of nodes of at least 1, or a percentage from 1% to 100%`},
		"zero would stop without note": {map[string]string{"maxUnavailable": "0"}, 0, invalid + `maxUnavailable: "0" must be`},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			got := pace.Parse(test.data).ExplainPause(100, test.notReady)
			if got != test.want && (test.want == "" || !strings.HasPrefix(got, test.want)) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}
