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

func makeSelector(labels ...string) *metav1.LabelSelector {
	s := &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for _, l := range labels {
		k, v, _ := strings.Cut(l, "=")
		s.MatchLabels[k] = v
	}
	return s
}

// makeSetting returns a setting with scope Pods of the NodeTuning by.
func makeSetting(by, key, value string, change ...func(*v1alpha1.Setting)) v1alpha1.Setting {
	s := v1alpha1.Setting{ID: key + "@" + by, Key: key, Value: value, Scope: v1alpha1.ScopePods, From: v1alpha1.SettingSource{Name: by}}
	for _, c := range change {
		c(&s)
	}
	return s
}

func withPodSelector(labels ...string) func(*v1alpha1.Setting) {
	return func(s *v1alpha1.Setting) { s.PodSelector = makeSelector(labels...) }
}

func withNamespaceSelector(labels ...string) func(*v1alpha1.Setting) {
	return func(s *v1alpha1.Setting) { s.NamespaceSelector = makeSelector(labels...) }
}

func withPriority(n int32) func(*v1alpha1.Setting) {
	return func(s *v1alpha1.Setting) { s.From.Priority = n }
}

func withDryRun(s *v1alpha1.Setting) { s.Mode = v1alpha1.ModeDryRun }

func TestResolvePod(t *testing.T) {
	api := podspecs.Pod{Namespace: "shop", Name: "api", Labels: map[string]string{"app": "api", "tier": "web"}}
	chooses := api
	chooses.Sysctls = []string{reuse}
	tests := map[string]struct {
		pod      podspecs.Pod
		settings []v1alpha1.Setting
		unknown  bool // the labels of namespaces
		want     []string
	}{
		"Without selectors every pod":         {pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1")}, want: []string{"a: tcp_tw_reuse=1"}},
		"An empty selector selects every pod": {pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1", withPodSelector())}, want: []string{"a: tcp_tw_reuse=1"}},
		"By its labels":                       {pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1", withPodSelector("app=api"))}, want: []string{"a: tcp_tw_reuse=1"}},
		"Not by another's labels":             {pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1", withPodSelector("app=db"))}},
		"By its namespace's name, which needs no other labels": {
			pod: api, unknown: true, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1", withNamespaceSelector("kubernetes.io/metadata.name=shop"))},
			want: []string{"a: tcp_tw_reuse=1"}},
		"By its namespace's labels": {
			pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1", withNamespaceSelector("team=shop"), withPodSelector("app=api"))}, want: []string{"a: tcp_tw_reuse=1"}},
		"Not by another namespace's labels": {pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1", withNamespaceSelector("team=bank"))}},
		"Undecided while the labels of its namespace are not known": {
			pod: api, unknown: true, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1"), makeSetting("b", fin, "30", withNamespaceSelector("team=shop"))}, want: []string{"unknown"}},
		"Labels of a namespace that matter only to other pods are not needed": {
			pod: api, unknown: true, settings: []v1alpha1.Setting{makeSetting("b", fin, "30", withNamespaceSelector("team=shop"), withPodSelector("app=db"))}},
		"The first of two that agree": {
			pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1"), makeSetting("b", reuse, "1", withPodSelector("app=api"))}, want: []string{"a: tcp_tw_reuse=1"}},
		"The one with the higher priority": {
			pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1", withPriority(2)), makeSetting("b", reuse, "0", withPriority(1))}, want: []string{"a: tcp_tw_reuse=1"}},
		"Neither of two with equal priority and different values": {
			pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1"), makeSetting("b", reuse, "0", withPodSelector("app=api")), makeSetting("a", fin, "30")},
			want: []string{"a: tcp_fin_timeout=30", "a: tcp_tw_reuse refused: NodeTunings a and b", "b: tcp_tw_reuse refused: NodeTunings a and b"}},
		"Equal priorities don't conflict if only one selects the pod": {
			pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1"), makeSetting("b", reuse, "0", withPodSelector("app=db"))}, want: []string{"a: tcp_tw_reuse=1"}},
		"A lower priority is not enforced instead of two that conflict": {
			pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1", withPriority(2)), makeSetting("b", reuse, "0", withPriority(2)), makeSetting("c", reuse, "2")},
			want: []string{"a: tcp_tw_reuse refused: NodeTunings a and b", "b: tcp_tw_reuse refused: NodeTunings a and b"}},
		"A dry run doesn't conflict with an enforced setting": {
			pod: api, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1", withDryRun, withPriority(9)), makeSetting("b", reuse, "0")}, want: []string{"b: tcp_tw_reuse=0"}},
		"A value that the pod sets itself takes precedence": {
			pod: chooses, settings: []v1alpha1.Setting{makeSetting("a", reuse, "1"), makeSetting("a", fin, "30")},
			want: []string{"a: tcp_fin_timeout=30", "a: tcp_tw_reuse refused: the pod sets it itself"}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			ws, err := compileCandidates(test.settings)
			if err != nil {
				t.Fatal(err)
			}
			got := ws.resolvePod(test.pod, func(string) (map[string]string, bool) { return map[string]string{"team": "shop"}, !test.unknown })
			if diff := cmp.Diff(test.want, formatSettings(got)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func formatSettings(s podSettings) (list []string) {
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
		why, _, _ = strings.Cut(why, " set ")
		list = append(list, fmt.Sprintf("%s: %s refused: %s", by, short(key), why))
	}
	slices.Sort(list)
	return list
}

func TestAnInvalidSelectorIsAnError(t *testing.T) {
	_, err := compileCandidates([]v1alpha1.Setting{makeSetting("a", reuse, "1", func(s *v1alpha1.Setting) {
		s.PodSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
	})})
	if err == nil || !strings.Contains(err.Error(), `invalid podSelector, keeping the current settings in pods: "Near" is not a valid label selector operator`) {
		t.Errorf("error: %v", err)
	}
}
