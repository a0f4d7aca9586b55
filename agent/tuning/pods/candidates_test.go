package pods

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/api/v1alpha1"
)

const (
	reuse = "net.ipv4.tcp_tw_reuse"
	fin   = "net.ipv4.tcp_fin_timeout"
)

func match(labels ...string) *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		s.MatchLabels[k] = v
	}
	return s
}

// ask is a setting of the scope Pods by the NodeTuning that it names.
func ask(by, key, value string, change ...func(*v1alpha1.Setting)) v1alpha1.Setting {
	s := v1alpha1.Setting{ID: key + "@" + by, Key: key, Value: value, Scope: v1alpha1.ScopePods, From: v1alpha1.SettingSource{Name: by}}
	for _, c := range change {
		c(&s)
	}
	return s
}

func pods(labels ...string) func(*v1alpha1.Setting) {
	return func(s *v1alpha1.Setting) { s.PodSelector = match(labels...) }
}

func namespaces(labels ...string) func(*v1alpha1.Setting) {
	return func(s *v1alpha1.Setting) { s.NamespaceSelector = match(labels...) }
}

func priority(n int32) func(*v1alpha1.Setting) {
	return func(s *v1alpha1.Setting) { s.From.Priority = n }
}

func dry(s *v1alpha1.Setting) { s.Mode = v1alpha1.ModeDryRun }

func TestWhatAPodGets(t *testing.T) {
	api := podspecs.Pod{Namespace: "shop", Name: "api", Labels: map[string]string{"app": "api", "tier": "web"}}
	chooses := api
	chooses.Sysctls = []string{reuse}
	tests := map[string]struct {
		pod      podspecs.Pod
		settings []v1alpha1.Setting
		unknown  bool // the labels of namespaces
		want     []string
	}{
		"Without selectors every pod":         {pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1")}, want: []string{"a: tcp_tw_reuse=1"}},
		"An empty selector selects every pod": {pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1", pods())}, want: []string{"a: tcp_tw_reuse=1"}},
		"By its labels":                       {pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1", pods("app=api"))}, want: []string{"a: tcp_tw_reuse=1"}},
		"Not by another's labels":             {pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1", pods("app=db"))}},
		"By its namespace's name, which needs nobody's answer": {
			pod: api, unknown: true, settings: []v1alpha1.Setting{ask("a", reuse, "1", namespaces("kubernetes.io/metadata.name=shop"))},
			want: []string{"a: tcp_tw_reuse=1"}},
		"By its namespace's labels": {
			pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1", namespaces("team=shop"), pods("app=api"))}, want: []string{"a: tcp_tw_reuse=1"}},
		"Not by another namespace's labels": {pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1", namespaces("team=bank"))}},
		"While its namespace's labels are not known nothing is decided": {
			pod: api, unknown: true, settings: []v1alpha1.Setting{ask("a", reuse, "1"), ask("b", fin, "30", namespaces("team=shop"))}, want: []string{"unknown"}},
		"Labels of a namespace that matter to other pods only are not waited for": {
			pod: api, unknown: true, settings: []v1alpha1.Setting{ask("b", fin, "30", namespaces("team=shop"), pods("app=db"))}},
		"The first of two that agree": {
			pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1"), ask("b", reuse, "1", pods("app=api"))}, want: []string{"a: tcp_tw_reuse=1"}},
		"The one with the higher priority": {
			pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1", priority(2)), ask("b", reuse, "0", priority(1))}, want: []string{"a: tcp_tw_reuse=1"}},
		"Of equal ones that contradict each other neither": {
			pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1"), ask("b", reuse, "0", pods("app=api")), ask("a", fin, "30")},
			want: []string{"a: tcp_fin_timeout=30", "a: tcp_tw_reuse refused: NodeTuning a and NodeTuning b", "b: tcp_tw_reuse refused: NodeTuning a and NodeTuning b"}},
		"Equal ones are no contradiction where only one selects the pod": {
			pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1"), ask("b", reuse, "0", pods("app=db"))}, want: []string{"a: tcp_tw_reuse=1"}},
		"Below those that contradict each other nobody moves up": {
			pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1", priority(2)), ask("b", reuse, "0", priority(2)), ask("c", reuse, "2")},
			want: []string{"a: tcp_tw_reuse refused: NodeTuning a and NodeTuning b", "b: tcp_tw_reuse refused: NodeTuning a and NodeTuning b"}},
		"What is only tried out is in nobody's way": {
			pod: api, settings: []v1alpha1.Setting{ask("a", reuse, "1", dry, priority(9)), ask("b", reuse, "0")}, want: []string{"b: tcp_tw_reuse=0"}},
		"What the pod sets itself stays": {
			pod: chooses, settings: []v1alpha1.Setting{ask("a", reuse, "1"), ask("a", fin, "30")},
			want: []string{"a: tcp_fin_timeout=30", "a: tcp_tw_reuse refused: the pod sets it itself"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ws, err := compileCandidates(test.settings)
			if err != nil {
				t.Fatal(err)
			}
			got := ws.resolvePod(test.pod, func(string) (map[string]string, bool) { return map[string]string{"team": "shop"}, !test.unknown })
			if diff := cmp.Diff(test.want, lines(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func lines(s podSettings) (list []string) {
	if s.undecided {
		return []string{"unknown"}
	}
	short := func(key string) string { return strings.TrimPrefix(key, "net.ipv4.") }
	for _, w := range s.enforced {
		list = append(list, fmt.Sprintf("%s: %s=%s", w.From.Name, short(w.Key), w.Value))
	}
	for id, why := range s.refused {
		key, by, _ := strings.Cut(id, "@")
		why, _, _ = strings.Cut(why, " (")
		why, _, _ = strings.Cut(why, " want ")
		list = append(list, fmt.Sprintf("%s: %s refused: %s", by, short(key), why))
	}
	slices.Sort(list)
	return list
}

func TestASelectorThatCannotBeReadIsSaid(t *testing.T) {
	_, err := compileCandidates([]v1alpha1.Setting{ask("a", reuse, "1", func(s *v1alpha1.Setting) {
		s.PodSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
	})})
	if err == nil || !strings.Contains(err.Error(), `podSelector can't be read, and what stands in pods is held: "Near" is not a valid label selector operator`) {
		t.Errorf("it says %v", err)
	}
}
