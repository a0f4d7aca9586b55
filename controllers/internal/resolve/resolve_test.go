package resolve_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/internal/settings"
)

func makeTuning(name string, change ...func(*v1alpha1.NodeTuning)) v1alpha1.NodeTuning {
	t := v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}}
	t.Spec.NodeSelector = &metav1.LabelSelector{}
	for _, c := range change {
		c(&t)
	}
	return t
}

func withFinTimeout(seconds int32) func(*v1alpha1.NodeTuning) {
	return func(t *v1alpha1.NodeTuning) { t.Spec.Linux.FinTimeoutSeconds = &seconds }
}

func withPriority(n int32) func(*v1alpha1.NodeTuning) {
	return func(t *v1alpha1.NodeTuning) { t.Spec.Priority = n }
}

func withDryRun(t *v1alpha1.NodeTuning)   { t.Spec.Mode = v1alpha1.ModeDryRun }
func withPods(t *v1alpha1.NodeTuning)     { t.Spec.Pods = &v1alpha1.PodScope{} }
func withoutNodes(t *v1alpha1.NodeTuning) { t.Spec.NodeSelector = nil }
func withDeletion(t *v1alpha1.NodeTuning) {
	t.DeletionTimestamp = &metav1.Time{Time: metav1.Now().Time}
}

func onRole(role string) func(*v1alpha1.NodeTuning) {
	return func(t *v1alpha1.NodeTuning) {
		t.Spec.NodeSelector = &metav1.LabelSelector{MatchLabels: map[string]string{"role": role}}
	}
}

func withWarningAt(percent int32) func(*v1alpha1.NodeTuning) {
	return func(t *v1alpha1.NodeTuning) { t.Spec.Thresholds.WarningPercent = percent }
}

func withBrokenSelector(t *v1alpha1.NodeTuning) {
	t.Spec.NodeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "a", Operator: "Near"}}}
}

var cluster = []resolve.Node{
	{Name: "web-1", OS: settings.Linux, Labels: map[string]string{"role": "web"}},
	{Name: "web-2", OS: settings.Linux, Labels: map[string]string{"role": "web"}},
	{Name: "db-1", OS: settings.Linux, Labels: map[string]string{"role": "db"}},
	{Name: "win-1", OS: settings.Windows},
}

// TestResolve compares what each node gets, in a line for each.
func TestResolve(t *testing.T) {
	tests := map[string]struct {
		tunings   []v1alpha1.NodeTuning
		want      []string // node: tuning setting=value…
		conflicts []string // tuning: key with/winner nodes
	}{
		"One for every node": {
			tunings: []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30))},
			want:    []string{"a db-1 net.ipv4.tcp_fin_timeout=30", "a web-1 net.ipv4.tcp_fin_timeout=30", "a web-2 net.ipv4.tcp_fin_timeout=30", "a win-1"},
		},
		"Settings of Windows are for its nodes, and not for pods there": {
			tunings: []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), withPods, func(t *v1alpha1.NodeTuning) {
				t.Spec.NodeSelector = &metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "role", Operator: metav1.LabelSelectorOpNotIn, Values: []string{"web"}}}}
				t.Spec.Windows.TimedWaitDelaySeconds = new(int32(30))
			})},
			want: []string{"a db-1 net.ipv4.tcp_fin_timeout=30 net.ipv4.tcp_fin_timeout@POD=30", `a win-1 SYSTEM\CurrentControlSet\Services\Tcpip\Parameters\TcpTimedWaitDelay=30`},
		},
		"An absent selector selects nothing": {tunings: []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), withoutNodes)}},
		"A NodeTuning that is being deleted has no desired settings": {
			tunings: []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), withDeletion)}},
		"Two that agree": {
			tunings: []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), onRole("db")), makeTuning("b", withFinTimeout(30), onRole("db"))},
			want:    []string{"a db-1 net.ipv4.tcp_fin_timeout=30", "b db-1"},
		},
		"The higher priority wins, and both report it": {
			tunings:   []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), onRole("web")), makeTuning("b", withFinTimeout(20), onRole("web"), withPriority(5))},
			want:      []string{"a web-1", "a web-2", "b web-1 net.ipv4.tcp_fin_timeout=20", "b web-2 net.ipv4.tcp_fin_timeout=20"},
			conflicts: []string{"a: net.ipv4.tcp_fin_timeout with b, b wins on 2", "b: net.ipv4.tcp_fin_timeout with a, b wins on 2"},
		},
		"With equal priorities neither wins, and both report it": {
			tunings:   []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), onRole("db")), makeTuning("b", withFinTimeout(20))},
			want:      []string{"a db-1", "b db-1", "b web-1 net.ipv4.tcp_fin_timeout=20", "b web-2 net.ipv4.tcp_fin_timeout=20", "b win-1"},
			conflicts: []string{"a: net.ipv4.tcp_fin_timeout with b, neither wins on 1", "b: net.ipv4.tcp_fin_timeout with a, neither wins on 1"},
		},
		"The highest of three priorities wins, even if the others conflict": {
			tunings: []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), onRole("db")), makeTuning("b", withFinTimeout(20), onRole("db")), makeTuning("c", withFinTimeout(10), onRole("db"), withPriority(1))},
			want:    []string{"a db-1", "b db-1", "c db-1 net.ipv4.tcp_fin_timeout=10"},
			conflicts: []string{
				"a: net.ipv4.tcp_fin_timeout with c, c wins on 1", "b: net.ipv4.tcp_fin_timeout with c, c wins on 1",
				"c: net.ipv4.tcp_fin_timeout with a, c wins on 1", "c: net.ipv4.tcp_fin_timeout with b, c wins on 1"},
		},
		"A dry run does not conflict with an enforced setting": {
			tunings: []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), onRole("db")), makeTuning("b", withFinTimeout(20), onRole("db"), withDryRun, withPriority(9))},
			want:    []string{"a db-1 net.ipv4.tcp_fin_timeout=30", "b db-1"},
		},
		"In pods as well": {
			tunings: []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), onRole("db"), withPods)},
			want:    []string{"a db-1 net.ipv4.tcp_fin_timeout=30 net.ipv4.tcp_fin_timeout@POD=30"},
		},
		"A conflict in pods is reported once": {
			tunings:   []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), onRole("db"), withPods), makeTuning("b", withFinTimeout(20), onRole("db"), withPods)},
			want:      []string{"a db-1", "b db-1"},
			conflicts: []string{"a: net.ipv4.tcp_fin_timeout with b, neither wins on 1", "b: net.ipv4.tcp_fin_timeout with a, neither wins on 1"},
		},
		"An invalid NodeTuning does not affect others": {
			tunings: []v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(30), withBrokenSelector, withPriority(9)), makeTuning("b", withFinTimeout(20), onRole("db"))},
			want:    []string{"b db-1 net.ipv4.tcp_fin_timeout=20"},
		},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := resolve.ComputeDesired(test.tunings, cluster)
			if diff := cmp.Diff(test.want, formatDesired(r)); diff != "" {
				t.Errorf("desired (-want +got):\n%s", diff)
			}
			if diff := cmp.Diff(test.conflicts, formatConflicts(r)); diff != "" {
				t.Errorf("conflicts (-want +got):\n%s", diff)
			}
			slices.Reverse(test.tunings)
			if again := resolve.ComputeDesired(test.tunings, cluster); !slices.Equal(formatDesired(again), formatDesired(r)) {
				t.Errorf("in another order the nodes get %v", formatDesired(again))
			}
		})
	}
}

func formatDesired(r resolve.Result) (lines []string) {
	for tuning, nodes := range r.Desired {
		for node, settings := range nodes {
			line := tuning + " " + node
			for _, s := range settings {
				id, _, inPods := strings.Cut(s.ID, "@")
				if inPods {
					id += "@POD"
				}
				line += fmt.Sprintf(" %s=%s", id, s.Value)
			}
			lines = append(lines, line)
		}
	}
	slices.Sort(lines)
	return lines
}

func formatConflicts(r resolve.Result) (lines []string) {
	for tuning, list := range r.Conflicts {
		for _, c := range list {
			winner := "neither"
			if c.Winner != "" {
				winner = c.Winner
			}
			lines = append(lines, fmt.Sprintf("%s: %s with %s, %s wins on %d", tuning, c.Key, c.With, winner, c.Nodes))
		}
	}
	slices.Sort(lines)
	return lines
}

func TestAnInvalidSelectorIsAProblem(t *testing.T) {
	r := resolve.ComputeDesired([]v1alpha1.NodeTuning{makeTuning("a", withBrokenSelector)}, cluster)
	if why := r.Problems["a"]; !strings.Contains(why, `"Near" is not a valid label selector operator`) {
		t.Errorf("problem: %q", why)
	}
	if _, ok := r.Desired["a"]; ok {
		t.Error("it has desired settings, so nodes would lose their current ones")
	}
}

func TestThresholdsOfTheHighestPriority(t *testing.T) {
	r := resolve.ComputeDesired([]v1alpha1.NodeTuning{makeTuning("a", withWarningAt(40)), makeTuning("b", withWarningAt(30), withPriority(1), onRole("db"))}, cluster)
	got := map[string]int32{}
	for node, t := range r.Thresholds {
		got[node] = t.WarningPercent
	}
	if diff := cmp.Diff(map[string]int32{"db-1": 30, "web-1": 40, "web-2": 40, "win-1": 40}, got); diff != "" {
		t.Error(diff)
	}
}

// BenchmarkResolve is a large cluster with many NodeTunings.
func BenchmarkResolve(b *testing.B) {
	var nodes []resolve.Node
	for i := range 5000 {
		nodes = append(nodes, resolve.Node{Name: fmt.Sprintf("node-%d", i), OS: settings.Linux, Labels: map[string]string{"role": fmt.Sprint("r", i%10)}})
	}
	var tunings []v1alpha1.NodeTuning
	for i := range 20 {
		tunings = append(tunings, makeTuning(fmt.Sprint("t", i), withFinTimeout(int32(i+1)), withPods, onRole(fmt.Sprint("r", i%10))))
	}
	for b.Loop() {
		resolve.ComputeDesired(tunings, nodes)
	}
}
