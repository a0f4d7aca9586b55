package prometheus

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSelectors(t *testing.T) {
	tests := map[string]struct {
		expr   string
		want   []Selector
		groups []string
	}{
		"A metric alone": {"portreeve_level", []Selector{{"portreeve_level", nil}}, nil},
		"With matchers": {
			`max by (node) (rate(portreeve_level{level!="Normal", node=~"a|b"}[5m]))`,
			[]Selector{{"portreeve_level", []string{"level", "node"}}}, []string{"node"},
		},
		"Two, joined": {
			`process_cpu_seconds_total and on (instance, job) group_left () portreeve_agent_build_info{node="$node"}`,
			[]Selector{{"process_cpu_seconds_total", nil}, {"portreeve_agent_build_info", []string{"node"}}}, []string{"instance", "job"},
		},
		"In a template": {
			`{{ with printf "portreeve_network_cause_info{node=%q}" $labels.node | query }}`,
			[]Selector{{"portreeve_network_cause_info", []string{"node"}}}, nil,
		},
		"Another metric": {`up{job="portreeve"}`, nil, nil},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(test.want, FindSelectors(test.expr)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(test.groups, FindGroupingLabels(test.expr)); diff != "" {
				t.Error(diff)
			}
		})
	}
}
