package nodetuning

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/resolve"
	"portreeve.io/portreeve/internal/settings"
)

var (
	noon     = time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)
	defaults = v1alpha1.Thresholds{WarningPercent: 50, CriticalPercent: 85}
)

// machine is a node that has reported, whose spec has never had settings.
func machine(name string) *nodeState {
	return &nodeState{
		Node: resolve.Node{Name: name, OS: settings.Linux}, generation: 1, spec: v1alpha1.PortPressureSpec{Thresholds: defaults},
		status: &v1alpha1.PortPressureStatus{ObservedGeneration: 1, ObservedAt: &metav1.Time{Time: noon}, UsedPercent: new(int32(1))},
	}
}

// everywhere is a NodeTuning of all nodes, all at once.
func everywhere(name string, change func(*v1alpha1.NodeTuningSpec)) tuning {
	t := tuning{NodeTuning: v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: name, Generation: 1}, Spec: v1alpha1.NodeTuningSpec{
		NodeSelector: &metav1.LabelSelector{},
		Rollout:      v1alpha1.Rollout{Canaries: new(int32), SoakSeconds: new(int32), MaxUnavailable: new(intstr.FromString("100%"))},
	}}}
	change(&t.Spec)
	return t
}

func TestThresholdsAreCompleted(t *testing.T) {
	tests := map[string]struct {
		defaults, asked, want v1alpha1.Thresholds
		problem               string
	}{
		"nobody asks: the flags'":                    {defaults, v1alpha1.Thresholds{}, defaults, ""},
		"both are asked for":                         {defaults, v1alpha1.Thresholds{WarningPercent: 20, CriticalPercent: 30}, v1alpha1.Thresholds{WarningPercent: 20, CriticalPercent: 30}, ""},
		"one is asked for":                           {defaults, v1alpha1.Thresholds{WarningPercent: 20}, v1alpha1.Thresholds{WarningPercent: 20, CriticalPercent: 85}, ""},
		"critical below the default warning":         {defaults, v1alpha1.Thresholds{CriticalPercent: 40}, v1alpha1.Thresholds{WarningPercent: 40, CriticalPercent: 40}, ""},
		"warning above the flags' critical":          {v1alpha1.Thresholds{WarningPercent: 50, CriticalPercent: 60}, v1alpha1.Thresholds{WarningPercent: 70}, v1alpha1.Thresholds{WarningPercent: 70, CriticalPercent: 70}, ""},
		"one can't be read: what stands is held":     {v1alpha1.Thresholds{WarningPercent: 9}, v1alpha1.Thresholds{}, defaults, "odd"},
		"one can't be read, and another one asks so": {defaults, v1alpha1.Thresholds{WarningPercent: 20}, v1alpha1.Thresholds{WarningPercent: 20, CriticalPercent: 85}, "odd"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			c := clusterState{nodes: []*nodeState{machine("a")}, tunings: []tuning{
				everywhere("t", func(s *v1alpha1.NodeTuningSpec) { s.Thresholds = test.asked }),
				{NodeTuning: v1alpha1.NodeTuning{ObjectMeta: metav1.ObjectMeta{Name: "u"}}, problem: test.problem},
			}}
			got := c.nodes[0].spec.Thresholds
			for _, change := range planWrites(c, test.defaults, noon).changes {
				got = change.spec.Thresholds
			}
			if got != test.want {
				t.Errorf("%+v, want %+v", got, test.want)
			}
		})
	}
}

func TestANodeWithoutAnAgentIsNotWaitedFor(t *testing.T) {
	none := machine("a")
	none.agentLabel = v1alpha1.AgentNone
	c := clusterState{nodes: []*nodeState{none}, tunings: []tuning{everywhere("t", func(s *v1alpha1.NodeTuningSpec) { s.Linux.FinTimeoutSeconds = new(int32(20)) })}}
	d := planWrites(c, defaults, noon)
	if got := d.decisions["t"].Status.Rollout.Phase; got != v1alpha1.RolloutComplete || len(d.changes) > 0 {
		t.Errorf("phase %s, %d changes", got, len(d.changes))
	}
}

func TestTimesAreThoseOfTheAPIServersClock(t *testing.T) {
	at := func(hour int) *metav1.Time { return &metav1.Time{Time: noon.Add(time.Duration(hour) * time.Hour)} }
	status := func(hour int) *v1alpha1.PortPressureStatus {
		return &v1alpha1.PortPressureStatus{
			Settings:     []v1alpha1.SettingStatus{{LastTransitionTime: at(hour)}, {}},
			Conditions:   []metav1.Condition{{LastTransitionTime: *at(hour)}},
			Failures:     []v1alpha1.Failure{{LastAt: *at(hour)}},
			LastPressure: &v1alpha1.Pressure{From: *at(hour)},
		}
	}
	was := status(1)
	if diff := cmp.Diff(status(3), shiftTimes(was, 2*time.Hour)); diff != "" {
		t.Errorf("shifted (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(status(1), was); diff != "" {
		t.Errorf("the cache's own object changed:\n%s", diff)
	}
}

func TestNewsAreWhatBegins(t *testing.T) {
	status := func(phase v1alpha1.RolloutPhase, degraded string, counts v1alpha1.TuningCounts) v1alpha1.NodeTuningStatus {
		return v1alpha1.NodeTuningStatus{
			Counts: counts, Rollout: v1alpha1.RolloutStatus{Phase: phase, Reason: "why"},
			Failing:    []v1alpha1.TuningFailure{{Node: "n", Key: "k", State: v1alpha1.SettingFailed, Message: "m"}},
			Conditions: []metav1.Condition{{Type: v1alpha1.ConditionDegraded, Status: metav1.ConditionTrue, Reason: degraded}},
		}
	}
	rolling, complete := status(v1alpha1.RolloutRolling, "AsWanted", v1alpha1.TuningCounts{}), status(v1alpha1.RolloutComplete, "AsWanted", v1alpha1.TuningCounts{Matched: 2, Updated: 2, Applied: 2})
	regressed := status(v1alpha1.RolloutPaused, v1alpha1.ReasonRegressionFound, v1alpha1.TuningCounts{Failed: 1})
	conflicted := status(v1alpha1.RolloutRolling, "AsWanted", v1alpha1.TuningCounts{Refused: 1, Contested: 1, RestartRequired: 1, Updated: 3})
	conflicted.Conditions = append(conflicted.Conditions, metav1.Condition{Type: v1alpha1.ConditionConflicted, Status: metav1.ConditionTrue, Message: "k on 1 node"})
	tests := map[string]struct {
		was, is v1alpha1.NodeTuningStatus
		want    []string
	}{
		"a rollout that ends":               {rolling, complete, []string{"Normal RolloutComplete: 2 of 2 nodes have it, 2 as wanted"}},
		"one that stays as it is":           {complete, complete, nil},
		"a regression":                      {rolling, regressed, []string{"Warning RegressionFound: why", "Warning SettingFailed: k on n: m"}},
		"one that is known":                 {regressed, regressed, nil},
		"one that someone paused":           {rolling, status(v1alpha1.RolloutPaused, v1alpha1.ReasonRolloutPaused, v1alpha1.TuningCounts{}), []string{"Normal RolloutPaused: why"}},
		"the brake after a pause":           {status(v1alpha1.RolloutPaused, v1alpha1.ReasonRolloutPaused, v1alpha1.TuningCounts{}), status(v1alpha1.RolloutPaused, v1alpha1.ReasonReleaseHeld, v1alpha1.TuningCounts{}), []string{"Warning ReleaseHeld: why"}},
		"a regression that is to be undone": {regressed, status(v1alpha1.RolloutReverted, v1alpha1.ReasonRegressionFound, v1alpha1.TuningCounts{Failed: 1}), []string{"Warning RegressionFound: why; the changed nodes get their values back"}},
		"everything else": {rolling, conflicted, []string{
			"Warning ConflictFound: k on 1 node",
			"Warning SettingRefused: status.failing names other nodes first; kubectl get portpressures has them all",
			"Warning SettingContested: status.failing names other nodes first; kubectl get portpressures has them all",
			"Normal RestartRequired: on 1 of 3 nodes a setting works after a restart only",
		}},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			var got []string
			for _, n := range listEvents(&test.was, &test.is) {
				got = append(got, fmt.Sprintf("%s %s: %s", n.eventType, n.reason, n.note))
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("news (-want +got):\n%s", diff)
			}
		})
	}
}

// What was written is seen before the cache shows it, and not after it shows more.
func TestTheNewestIsWhatWasWritten(t *testing.T) {
	at := func(version string) *v1alpha1.PortPressure {
		return &v1alpha1.PortPressure{ObjectMeta: metav1.ObjectMeta{Name: "n", ResourceVersion: version}}
	}
	w := recentWrites[*v1alpha1.PortPressure]{}
	w.rememberWrite("1", at("2"))
	w.rememberWrite("2", at("3"))
	var got []string
	for _, cached := range []string{"1", "2", "3", "1"} { // never back: the last one shows that it is forgotten
		got = append(got, w.pickNewest(at(cached)).ResourceVersion)
	}
	if want := "3 3 3 1"; strings.Join(got, " ") != want {
		t.Errorf("%v, want %s", got, want)
	}
	w.rememberWrite("1", at("2"))
	w.forgetMissing(func(string) bool { return false })
	if len(w) > 0 {
		t.Error("an object that is gone is remembered")
	}
}

// 5,000 nodes with five NodeTunings are decided upon in less than settle.
func BenchmarkDecide(b *testing.B) {
	c := clusterState{}
	for i := range 5 {
		c.tunings = append(c.tunings, everywhere(fmt.Sprintf("t%d", i), func(s *v1alpha1.NodeTuningSpec) {
			s.Priority = int32(i)
			s.Linux = v1alpha1.LinuxSettings{
				EphemeralPorts: &v1alpha1.EphemeralPorts{First: 16384, Last: 65535}, FinTimeoutSeconds: new(int32(20 + i)),
				KeepAlive: v1alpha1.LinuxKeepAlive{TimeSeconds: new(int32(600)), Probes: new(int32(3))}, SynRetries: new(int32(3)),
			}
			s.Pods = &v1alpha1.PodScope{PodSelector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": fmt.Sprint(i)}}}
		}))
	}
	for i := range 5000 {
		c.nodes = append(c.nodes, machine(fmt.Sprintf("n%04d", i)))
	}
	for _, change := range planWrites(c, defaults, noon).changes {
		n := change.node
		n.spec, n.planned, n.generation = change.spec, nil, 2
		n.status = n.status.DeepCopy()
		n.status.ObservedGeneration = 2
		for _, s := range n.spec.Settings {
			n.status.Settings = append(n.status.Settings, v1alpha1.SettingStatus{ID: s.ID, State: v1alpha1.SettingApplied, LastTransitionTime: &metav1.Time{Time: noon}})
		}
	}
	if got := len(c.nodes[0].spec.Settings); got < 20 {
		b.Fatalf("%d settings a node", got)
	}
	b.ReportAllocs()
	for b.Loop() {
		if p := planWrites(c, defaults, noon); len(p.changes) > 0 {
			b.Fatalf("%d changes where nothing is to be done: %s", len(p.changes), cmp.Diff(p.changes[0].node.spec, p.changes[0].spec))
		}
	}
	runtime.KeepAlive(c)
}

func TestWhatAnAgentStillGivesBackIsNotObserved(t *testing.T) {
	for name, tt := range map[string]struct {
		setting v1alpha1.SettingStatus
		want    bool
	}{
		"pending and not wanted":  {v1alpha1.SettingStatus{State: v1alpha1.SettingPending}, false},
		"pending and wanted":      {v1alpha1.SettingStatus{State: v1alpha1.SettingPending, Desired: new("30")}, true},
		"given back":              {v1alpha1.SettingStatus{State: v1alpha1.SettingReleased}, true},
		"refused, so never there": {v1alpha1.SettingStatus{State: v1alpha1.SettingRefused}, true},
	} {
		n := machine("a")
		n.status.Settings = []v1alpha1.SettingStatus{tt.setting}
		if got := n.isObserved(); got != tt.want {
			t.Errorf("%s: observed is %v", name, got)
		}
	}
}
