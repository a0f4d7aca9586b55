package nodetuning

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/util/intstr"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/controllers/internal/rollout"
)

// countHistories returns the number of random histories: $PORTREEVE_HISTORIES, as set by
// make test-long, or 500.
func countHistories() uint64 {
	if n, err := strconv.ParseUint(os.Getenv("PORTREEVE_HISTORIES"), 10, 32); err == nil {
		return n
	}
	return 500
}

// TestRandomHistoriesOfManyTunings runs five NodeTunings through random edits, deletions,
// and changes of nodes, with background pressure, wrong clocks, held and silent nodes and
// recreated objects. In each history, limits hold at every step, values that another
// NodeTuning desires do not return to the original, and nothing is released early. At the
// end, every node has what the NodeTunings desire.
func TestRandomHistoriesOfManyTunings(t *testing.T) {
	for seed := range countHistories() {
		h := newRandomHistory(t, seed)
		for range 40 {
			h.changeSomething()
			h.planAndCheck(h.skewLeader())
			h.now = h.now.Add(time.Duration(5+h.IntN(60)) * time.Second)
			h.runAgents()
		}
		h.converge()
		h.checkEnd()
		if t.Failed() {
			t.Fatalf("seed %d, after:\n%s\n%s", seed, strings.Join(h.log, "\n"), h.describe())
		}
	}
}

// randomHistory is a simulation with random changes.
type randomHistory struct {
	*simulation
	*rand.Rand
	log   []string
	added int
}

var modelTunings = []string{"a", "b", "c", "d", "e"}

func newRandomHistory(t *testing.T, seed uint64) *randomHistory {
	r := rand.New(rand.NewPCG(seed, 77))
	h := &randomHistory{simulation: newSimulation(t, 0), Rand: r}
	h.pickDelay = func() int { return 1 + r.IntN(3) }
	h.onRelease = h.checkRelease
	for range 8 + r.IntN(20) {
		h.join()
	}
	for _, name := range modelTunings {
		if r.IntN(2) == 0 {
			h.createRandomTuning(name)
		}
	}
	return h
}

func (h *randomHistory) note(format string, args ...any) {
	h.log = append(h.log, h.now.Format("15:04:05 ")+fmt.Sprintf(format, args...))
}

func (h *randomHistory) pickLabels() map[string]string {
	return map[string]string{"pool": fmt.Sprint(h.IntN(3)), "zone": fmt.Sprint(h.IntN(2))}
}

func (h *randomHistory) join() {
	h.added++
	n := h.addNode(fmt.Sprintf("n%03d", h.added), h.pickLabels())
	n.clockOffset = time.Duration(h.IntN(3)-1) * time.Duration(h.IntN(24)) * time.Hour
}

func (h *randomHistory) pickNode() *simulatedNode {
	names := slices.Sorted(maps.Keys(h.nodes))
	return h.nodes[names[h.IntN(len(names))]]
}

func (h *randomHistory) pickSelector() *metav1.LabelSelector {
	switch h.IntN(3) {
	case 0:
		return &metav1.LabelSelector{}
	case 1:
		return &metav1.LabelSelector{MatchLabels: map[string]string{"pool": fmt.Sprint(h.IntN(3))}}
	}
	return &metav1.LabelSelector{MatchLabels: map[string]string{"zone": fmt.Sprint(h.IntN(2))}}
}

func (h *randomHistory) setRandomSettings(s *v1alpha1.NodeTuningSpec) {
	s.Linux = v1alpha1.LinuxSettings{}
	if h.IntN(2) == 0 {
		s.Linux.FinTimeoutSeconds = new(int32(20 + h.IntN(2)))
	}
	if h.IntN(2) == 0 {
		s.Linux.SynRetries = new(int32(2 + h.IntN(2)))
	}
	if h.IntN(2) == 0 {
		s.Linux.KeepAlive.TimeSeconds = new(int32(100 + h.IntN(2)))
	}
}

func (h *randomHistory) createRandomTuning(name string) {
	h.note("create %s", name)
	h.createTuning(name, nil, func(s *v1alpha1.NodeTuningSpec) {
		s.NodeSelector, s.Priority = h.pickSelector(), int32(h.IntN(3))
		h.setRandomSettings(s)
		limit := intstr.FromString(fmt.Sprintf("%d%%", 10+h.IntN(40)))
		if h.IntN(3) == 0 {
			limit = intstr.FromInt32(int32(1 + h.IntN(4)))
		}
		s.Rollout = v1alpha1.Rollout{
			Canaries: new(int32(h.IntN(3))), SoakSeconds: new(int32(5)), BatchSoakSeconds: new(int32(2 * h.IntN(2))), MaxUnavailable: &limit,
		}
		if h.IntN(3) == 0 {
			s.Rollout.OnRegression = v1alpha1.OnRegressionRevert
		}
	})
}

// changeSomething makes one random change.
func (h *randomHistory) changeSomething() {
	for _, name := range slices.Sorted(maps.Keys(h.nodes)) { // background pressure
		n := h.nodes[name]
		if h.IntN(200) == 0 {
			h.raisePressure(n.name, v1alpha1.LevelWarning)
		}
		if n.missing { // recreated
			n.missing, n.generation, n.spec.Settings, n.released, n.status, n.createdAt = false, 1, nil, "", v1alpha1.PortPressureStatus{}, h.now
		}
	}
	if h.IntN(2) == 0 {
		h.changeNode(h.pickNode())
	} else {
		h.changeTuning(modelTunings[h.IntN(len(modelTunings))])
	}
}

func (h *randomHistory) changeNode(n *simulatedNode) {
	switch h.IntN(9) {
	case 0:
		h.join()
	case 1:
		if len(h.nodes) > 5 {
			h.note("%s leaves", n.name)
			delete(h.nodes, n.name)
		}
	case 2:
		n.labels = h.pickLabels()
		h.note("%s has labels %v", n.name, n.labels)
	case 3:
		n.agentLabel = pickOther(n.agentLabel, v1alpha1.AgentSilent)
		h.note("%s is %q", n.name, n.agentLabel)
	case 4:
		n.held = !n.held
		h.note("%s held %v", n.name, n.held)
	case 5:
		n.failure = pickOther(n.failure, "EIO")
		h.note("%s fails %q", n.name, n.failure)
	case 6:
		n.missing = true
		h.note("%s is recreated", n.name)
	case 7:
		n.releaseRequested = !n.releaseRequested
		h.note("%s released %v", n.name, n.releaseRequested)
	}
}

// pickOther returns other if value is empty, otherwise an empty string.
func pickOther(value, other string) string {
	if value == "" {
		return other
	}
	return ""
}

func (h *randomHistory) changeTuning(name string) {
	tn := h.tunings[name]
	switch {
	case tn == nil:
		h.createRandomTuning(name)
		return
	case !tn.DeletionTimestamp.IsZero():
		return
	}
	switch h.IntN(7) {
	case 0:
		h.note("delete %s", name)
		h.deleteTuning(name)
	case 1:
		h.editTuning(name, withPriority(int32(h.IntN(3))))
	case 2:
		h.editTuning(name, func(s *v1alpha1.NodeTuningSpec) { s.NodeSelector = h.pickSelector() })
		if h.IntN(2) == 0 {
			h.annotateTuning(name, v1alpha1.AnnotationConfirmRelease)
		}
	case 3:
		h.editTuning(name, func(s *v1alpha1.NodeTuningSpec) {
			s.Mode = []v1alpha1.Mode{v1alpha1.ModeEnforce, v1alpha1.ModeDryRun}[h.IntN(2)]
		})
	case 4:
		h.editTuning(name, func(s *v1alpha1.NodeTuningSpec) { s.Rollout.Paused = !s.Rollout.Paused })
	default:
		h.editTuning(name, h.setRandomSettings)
	}
	h.note("edit %s to generation %d", name, tn.Generation)
}

// skewLeader sometimes returns how wrong the leader's clock is.
func (h *randomHistory) skewLeader() time.Duration {
	if h.IntN(10) > 0 {
		return 0
	}
	return time.Duration(h.IntN(49)-24) * time.Hour
}

// isWaiting reports whether the agent still has to process the spec.
func (n *simulatedNode) isWaiting() bool {
	return n.spec.Settings != nil && n.status.ObservedGeneration != n.generation && n.agentLabel == "" && !n.held && n.status.ObservedAt != nil && !n.missing
}

// planAndCheck plans with a wrong clock, and checks the limits and what the nodes keep.
func (h *randomHistory) planAndCheck(skew time.Duration) {
	changing, before := map[string]bool{}, map[string][]v1alpha1.Setting{}
	for name, n := range h.nodes {
		changing[name], before[name] = n.isWaiting(), n.spec.Settings
	}
	now := h.now
	h.now = h.now.Add(skew)
	p := h.plan()
	h.now = now
	causes := map[string][]string{}
	for _, c := range p.changes {
		if len(c.causedBy) > 0 {
			changing[c.node.Name], causes[c.node.Name] = true, c.causedBy
		}
	}
	for name := range p.decisions {
		if h.tunings[name] != nil {
			h.checkLimit(h.tunings[name], before, changing, causes)
		}
	}
	for name, n := range h.nodes {
		h.checkKept(n, before[name])
	}
}

// checkLimit checks that a NodeTuning that changes nodes now keeps its limit, counting the
// changes by others.
func (h *randomHistory) checkLimit(tn *v1alpha1.NodeTuning, before map[string][]v1alpha1.Setting, changing map[string]bool, causes map[string][]string) {
	live, moving, mine := 0, 0, 0
	selector, _ := metav1.LabelSelectorAsSelector(tn.Spec.NodeSelector)
	for _, n := range h.nodes {
		isCause := slices.Contains(causes[n.name], tn.Name)
		isOfTuning := func(s v1alpha1.Setting) bool { return s.From.Name == tn.Name }
		hasSettings, hadSettings := slices.ContainsFunc(n.spec.Settings, isOfTuning), slices.ContainsFunc(before[n.name], isOfTuning)
		selected := tn.DeletionTimestamp.IsZero() && selector.Matches(labels.Set(n.labels)) && !n.releaseRequested
		isRestoring := parseReleaseRecords(n.released)[tn.Name].Generation > n.status.ObservedGeneration
		isMember := !n.missing && (selected || hasSettings || isRestoring)
		if isMember || hadSettings || before[n.name] == nil { // also silent and recreated ones, which makes the check weaker
			live++
		}
		if !isMember {
			continue
		}
		if done := tn.Status.Rollout.CompletedAt; done != nil && n.createdAt.After(done.Time) {
			continue // has joined, and gets its settings at once
		}
		if changing[n.name] {
			moving++
		}
		if isCause {
			mine++
		}
	}
	if limit := rollout.ComputeMaxUnavailable(tn, live); mine > 0 && moving > limit {
		h.Errorf("%s: %d of %d nodes are changing, %d because of it, want at most %d; causes %v", tn.Name, moving, live, mine, limit, causes)
	}
}

// checkKept checks that a setting that is still desired did not leave the spec.
func (h *randomHistory) checkKept(n *simulatedNode, before []v1alpha1.Setting) {
	if n.releaseRequested || n.spec.Settings == nil {
		return
	}
	expected := h.expectSettings(n)
	for _, s := range before {
		owner := h.tunings[s.From.Name]
		reverted := owner != nil && owner.Status.Rollout.Phase == v1alpha1.RolloutReverted
		if s.Mode != v1alpha1.ModeDryRun && expected[s.ID] == s.Value && !containsID(n.spec.Settings, s.ID) && !reverted {
			h.Errorf("%s: %s=%s returns to the original although it is desired", n.name, s.ID, s.Value)
		}
	}
}

// checkRelease checks, when a finalizer is removed, that no node still has to be changed.
func (h *randomHistory) checkRelease(name string) {
	for _, n := range h.nodes {
		if slices.ContainsFunc(n.spec.Settings, func(s v1alpha1.Setting) bool { return s.From.Name == name }) && !n.missing {
			h.Errorf("%s is released while %s has its settings", name, n.name)
		}
	}
}

// converge ends all obstacles, and runs until nothing is left to do.
func (h *randomHistory) converge() {
	for _, n := range h.nodes {
		n.agentLabel, n.held, n.failure, n.releaseRequested, n.clockOffset, n.status.LastPressure = "", false, "", false, 0, nil
		if n.missing {
			n.missing, n.generation, n.spec.Settings, n.released, n.status, n.createdAt = false, 1, nil, "", v1alpha1.PortPressureStatus{}, h.now
		}
	}
	h.now = h.now.Add(2 * 24 * time.Hour) // after all wrong clocks
	for name, tn := range h.tunings {
		if tn.DeletionTimestamp.IsZero() {
			h.editTuning(name, func(s *v1alpha1.NodeTuningSpec) { s.Rollout.Paused = false })
			h.annotateTuning(name, v1alpha1.AnnotationConfirmRelease)
		}
	}
	h.note("converge")
	for step := range 1000 {
		h.planAndCheck(0)
		if step%50 == 49 {
			h.resumeStopped()
		}
		h.now = h.now.Add(20 * time.Second)
		h.runAgents()
		if h.isDone() {
			return
		}
	}
	h.Error("it does not converge")
}

// resumeStopped starts the rollouts again that a regression has stopped.
func (h *randomHistory) resumeStopped() {
	for name, tn := range h.tunings {
		if p := tn.Status.Rollout.Phase; p == v1alpha1.RolloutPaused || p == v1alpha1.RolloutReverted {
			h.note("resume %s: %s", name, tn.Status.Rollout.Reason)
			h.editTuning(name)
			h.annotateTuning(name, v1alpha1.AnnotationConfirmRelease)
		}
	}
}

func (h *randomHistory) isDone() bool {
	for name, tn := range h.tunings {
		if !tn.DeletionTimestamp.IsZero() || !h.hasPhase(name, v1alpha1.RolloutComplete) {
			return false
		}
	}
	return true
}

// checkEnd compares the nodes with what the NodeTunings desire.
func (h *randomHistory) checkEnd() {
	if p := planWrites(h.makeState(), defaults, h.now); len(p.changes) > 0 {
		h.Errorf("%d nodes still change", len(p.changes))
	}
	for _, n := range h.nodes {
		if got, want := fmt.Sprint(n.kernel), fmt.Sprint(h.expectSettings(n)); got != want {
			h.Errorf("%s has %s, want %s; spec %v", n.name, got, want, n.spec.Settings)
		}
	}
	for name, tn := range h.tunings {
		for _, c := range tn.Status.Conflicts {
			mirrored := slices.ContainsFunc(h.tunings[c.With].Status.Conflicts, func(x v1alpha1.TuningConflict) bool {
				return x.With == name && x.Key == c.Key && x.Nodes == c.Nodes && x.Winner == c.Winner
			})
			if !mirrored {
				h.Errorf("only %s reports the conflict %+v", name, c)
			}
		}
	}
}

// expectSettings returns the values that n should have, by an independent count: the
// highest priority wins, and of different values with equal priority, none is enforced.
func (h *randomHistory) expectSettings(n *simulatedNode) map[string]string {
	type claim struct {
		priority int32
		value    string
	}
	claims := map[string][]claim{}
	for _, tn := range h.tunings {
		selector, _ := metav1.LabelSelectorAsSelector(tn.Spec.NodeSelector)
		if !tn.DeletionTimestamp.IsZero() || tn.Spec.Mode == v1alpha1.ModeDryRun || !selector.Matches(labels.Set(n.labels)) {
			continue
		}
		for id, value := range map[string]*int32{
			finTimeoutKey: tn.Spec.Linux.FinTimeoutSeconds, "net.ipv4.tcp_syn_retries": tn.Spec.Linux.SynRetries,
			"net.ipv4.tcp_keepalive_time": tn.Spec.Linux.KeepAlive.TimeSeconds,
		} {
			if value != nil {
				claims[id] = append(claims[id], claim{tn.Spec.Priority, fmt.Sprint(*value)})
			}
		}
	}
	expected := map[string]string{}
	for id, list := range claims {
		best := slices.MaxFunc(list, func(a, b claim) int { return int(a.priority - b.priority) })
		if !slices.ContainsFunc(list, func(c claim) bool { return c.priority == best.priority && c.value != best.value }) {
			expected[id] = best.value
		}
	}
	return expected
}
