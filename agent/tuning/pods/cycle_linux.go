package pods

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/settings"
)

// podCycle is one look at all pods.
type podCycle struct {
	*Pods
	candidates candidateList
	facts      plan.Facts
	aggregator statusAggregator
	journaled  []plan.Target // by the journal

	// due are the networks to bring to where they should be, and their pods' names.
	due    []tuning.Network
	names  []string
	states []*podState
}

// visitPod finds out what is to be done in a pod's network: nothing, as long as nothing
// has changed and it was looked at lately.
func (c *podCycle) visitPod(s podNetns) {
	var pod podspecs.Pod
	known := false
	if c.source != nil {
		pod, known = c.source.Pod(s.target.Pod)
	}
	if len(c.candidates) == 0 { // nobody's labels matter
		known = true
	}
	// A pod that nobody knows (any more) keeps what it has. One in the host's network
	// has no namespace: its process is a guest in this one.
	if !known || pod.HostNetwork {
		return
	}
	name := pod.Namespace + "/" + pod.Name
	if pod.Name == "" {
		name = s.target.Pod
	}
	mine := c.candidates.resolvePod(pod, c.findNamespaceLabels)
	if mine.undecided {
		c.reportPending(name, pod)
		return
	}
	for _, w := range c.candidates {
		if why, ok := mine.refused[w.ID]; ok {
			c.aggregator.addStatus(name, v1alpha1.SettingStatus{ID: w.ID, State: v1alpha1.SettingRefused, Message: why})
		}
	}
	l := c.Pods.states[s.target]
	if l == nil {
		if len(mine.enforced) == 0 && !slices.Contains(c.journaled, s.target) {
			return
		}
		l = &podState{}
		c.Pods.states[s.target] = l
	}
	facts := c.buildFacts(pod, l)
	of := c.computeFingerprint(mine.enforced, facts)
	if l.fingerprint == of && !l.retry && c.facts.Now.Sub(l.checkedAt) < c.options.RecheckInterval {
		c.reportStatuses(name, l)
		return
	}
	l.fingerprint, l.checkedAt = of, c.facts.Now
	c.names, c.states = append(c.names, name), append(c.states, l)
	c.due = append(c.due, tuning.Network{Target: s.target, Settings: append([]v1alpha1.Setting{}, mine.enforced...), Facts: facts,
		Inside: func(fn func(tuning.Store)) error {
			return runInNetns(s, func() {
				c.recordListeners(l)
				fn(c.options.Sysctls)
			})
		}})
}

func (c *podCycle) findNamespaceLabels(name string) (map[string]string, bool) {
	return c.source.Namespace(name)
}

// reportPending notes what waits for the labels of a namespace.
func (c *podCycle) reportPending(name string, pod podspecs.Pod) {
	for _, w := range c.candidates {
		if !needsOnlyName(w.namespaces) {
			c.aggregator.addStatus(name, v1alpha1.SettingStatus{ID: w.ID, State: v1alpha1.SettingPending,
				Message: "the labels of namespace " + pod.Namespace + " are not known yet"})
		}
	}
}

// buildFacts are the facts of a pod's network.
func (c *podCycle) buildFacts(pod podspecs.Pod, l *podState) plan.Facts {
	f := c.facts
	f.Listeners, f.Protect = c.readListeners, nil
	for _, port := range pod.Ports {
		f.Protect = append(f.Protect, plan.Protected{Ports: settings.Ports{First: port, Last: port}, Whose: "the pod's containers"})
	}
	for _, ports := range l.listened {
		f.Protect = append(f.Protect, plan.Protected{Ports: ports, Whose: "what has listened there"})
	}
	return f
}

// computeFingerprint is all that a plan depends on beside what stands in the network.
func (c *podCycle) computeFingerprint(settings []v1alpha1.Setting, f plan.Facts) string {
	var cool []bool
	for _, s := range settings {
		cool = append(cool, f.NormalFor >= time.Duration(s.CoolDownSeconds)*time.Second)
	}
	raw, err := json.Marshal(struct {
		Settings []v1alpha1.Setting
		Protect  []plan.Protected
		Level    v1alpha1.Level
		Cool     []bool
		Why      []string
	}{settings, f.Protect, f.Level, cool, []string{f.Stop, f.Lost}})
	if err != nil {
		return err.Error() // never the same as before: it is looked at
	}
	return string(raw)
}

// maxListened is how many ports of a pod are remembered.
const maxListened = 64

// recordListeners remembers what listens in the calling thread's network.
func (c *podCycle) recordListeners(l *podState) {
	now, err := c.readListeners()
	if err != nil {
		return // the plan says so where it matters
	}
	for _, p := range now {
		if len(l.listened) < maxListened && !slices.Contains(l.listened, p) {
			l.listened = append(l.listened, p)
		}
	}
}

// enforceDue does what is due.
func (c *podCycle) enforceDue(t tuning.Networks) {
	results := t.Hold(c.due)
	c.journaled = t.Targets()
	for i, result := range results {
		l, target := c.states[i], c.due[i].Target
		if isVanished(result.Err) {
			delete(c.Pods.states, target)
			continue
		}
		l.statuses = result.Statuses
		if result.Err != nil {
			l.statuses = repeatStatus(c.due[i].Settings, v1alpha1.SettingFailed, "its network can't be entered: "+result.Err.Error())
		}
		l.retry = slices.ContainsFunc(l.statuses, func(s v1alpha1.SettingStatus) bool {
			return s.State == v1alpha1.SettingFailed || s.State == v1alpha1.SettingPending
		})
		c.reportStatuses(c.names[i], l)
		if len(c.due[i].Settings) == 0 && !l.retry && !slices.Contains(c.journaled, target) {
			delete(c.Pods.states, target) // all is given back
		}
	}
}

// reportMissing notes the pods that settings select and that have no network namespace here.
func (c *podCycle) reportMissing(spaces []podNetns) {
	if len(c.candidates) == 0 {
		return
	}
	found := make(map[string]bool, len(spaces))
	for _, s := range spaces {
		found[s.target.Pod] = true
	}
	for _, pod := range c.source.All() {
		if pod.HostNetwork || pod.Finished || found[pod.UID] || pod.Hash != "" && found[pod.Hash] {
			continue
		}
		mine := c.candidates.resolvePod(pod, c.findNamespaceLabels)
		for i := range mine.enforced {
			c.aggregator.addMissing(pod.Namespace+"/"+pod.Name, &mine.enforced[i])
		}
	}
}

// reportStatuses counts what became of the settings in a pod, and of what nobody asks for any
// more.
func (c *podCycle) reportStatuses(name string, l *podState) {
	for _, s := range l.statuses {
		asked := slices.ContainsFunc(c.candidates, func(w candidate) bool { return w.ID == s.ID })
		if !asked {
			if !slices.Contains(restoreStates, s.State) {
				continue
			}
			s.ID = s.Key + restoredSuffix
		}
		c.aggregator.addStatus(name, s)
	}
}

// restoreStates are those of what is given back.
var restoreStates = []v1alpha1.SettingState{v1alpha1.SettingReleased, v1alpha1.SettingPending, v1alpha1.SettingFailed}

// restoredSuffix ends the ID of the status of what was given back in pods.
const restoredSuffix = "@given-back"

// buildStatuses are those of the settings, and then of what was given back.
func (c *podCycle) buildStatuses(settings []v1alpha1.Setting) []v1alpha1.SettingStatus {
	list := make([]v1alpha1.SettingStatus, 0, len(settings))
	for i := range settings {
		list = append(list, c.aggregator.buildStatus(&settings[i]))
	}
	var back []v1alpha1.SettingStatus
	for id := range c.aggregator {
		if key, ok := strings.CutSuffix(id, restoredSuffix); ok {
			s := c.aggregator.buildStatus(&v1alpha1.Setting{ID: id, Key: key, Scope: v1alpha1.ScopePods})
			s.Desired, s.PodsApplied, s.PodsRefused = nil, nil, nil
			back = append(back, s)
		}
	}
	slices.SortFunc(back, func(a, b v1alpha1.SettingStatus) int { return strings.Compare(a.ID, b.ID) })
	return append(list, back...)
}
