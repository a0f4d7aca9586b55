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
	for tuning := range r.Settings {
		for _, node := range cluster {
			settings, selected := r.Desired(tuning, node.Name)
			if !selected {
				continue
			}
			line := tuning + " " + node.Name
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
	if _, ok := r.Desired("a", "db-1"); ok {
		t.Error("it has desired settings, so nodes would lose their current ones")
	}
}

func TestThresholds(t *testing.T) {
	withPause := func(t *v1alpha1.NodeTuning) { t.Spec.Rollout.Paused = true }
	low := makeTuning("a", withWarningAt(40))
	tests := map[string]struct {
		other v1alpha1.NodeTuning
		want  string
	}{
		"The highest priority wins":                   {makeTuning("b", withWarningAt(30), withPriority(1), onRole("db")), "db-1 30, web-1 40, web-2 40, win-1 40"},
		"A dry run sets none":                         {makeTuning("b", withWarningAt(30), withPriority(1), withDryRun), "db-1 40, web-1 40, web-2 40, win-1 40"},
		"While it is paused, nodes keep their values": {makeTuning("b", withWarningAt(30), withPriority(1), withPause, onRole("db")), "db-1 kept, web-1 40, web-2 40, win-1 40"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := resolve.ComputeDesired([]v1alpha1.NodeTuning{low, test.other}, cluster)
			var got []string
			for _, n := range cluster {
				th, keep := r.FindThresholds(n.Name)
				if keep {
					got = append(got, n.Name+" kept")
				} else {
					got = append(got, fmt.Sprintf("%s %d", n.Name, th.WarningPercent))
				}
			}
			slices.Sort(got)
			if diff := cmp.Diff(test.want, strings.Join(got, ", ")); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// A dry run reports what it would change about settings that others enforce.
func TestPreviewsOfADryRun(t *testing.T) {
	live := makeTuning("live", withFinTimeout(20), onRole("db"), withPriority(1))
	preview := func(value int32, priority int32) v1alpha1.NodeTuning {
		return makeTuning("preview", withFinTimeout(value), withPriority(priority), withDryRun, withPods)
	}
	tests := map[string]struct {
		preview v1alpha1.NodeTuning
		want    string
	}{
		"with a higher priority, it would replace the value": {preview(15, 2), v1alpha1.PreviewChanged},
		"the same value would change nothing":                {preview(20, 2), v1alpha1.PreviewUnchanged},
		"with a lower priority, it would not be applied":     {preview(15, 0), v1alpha1.PreviewOverridden},
		"with the same priority, neither would":              {preview(15, 1), v1alpha1.PreviewConflicting},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			r := resolve.ComputeDesired([]v1alpha1.NodeTuning{live, test.preview}, cluster)
			want := map[string][]v1alpha1.TuningPreview{"preview": {{
				Key: "net.ipv4.tcp_fin_timeout", Value: fmt.Sprint(*test.preview.Spec.Linux.FinTimeoutSeconds), Current: "20", EnforcedBy: "live", Effect: test.want, Nodes: 1,
			}}}
			if diff := cmp.Diff(want, r.Previews); diff != "" {
				t.Errorf("previews (-want +got):\n%s", diff)
			}
		})
	}
}

func TestCompareListsWhatChangesOnEachNode(t *testing.T) {
	before := resolve.ComputeDesired([]v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(20))}, cluster)
	after := resolve.ComputeDesired([]v1alpha1.NodeTuning{makeTuning("a", withFinTimeout(20), onRole("web")), makeTuning("b", withFinTimeout(30), withPriority(1), onRole("web"))}, cluster)
	var got []string
	for _, c := range resolve.Compare(&before, &after, cluster) {
		from, to := "none", "none"
		if c.From != nil {
			from = c.From.Value
		}
		if c.To != nil {
			to = c.To.Value
		}
		got = append(got, fmt.Sprintf("%s %s to %s, loss %v", c.Node, from, to, c.IsLoss()))
	}
	slices.Sort(got)
	if diff := cmp.Diff([]string{"db-1 20 to none, loss true", "web-1 20 to 30, loss false", "web-2 20 to 30, loss false"}, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
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
