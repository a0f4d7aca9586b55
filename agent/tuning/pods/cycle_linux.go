package pods

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/kube/podspecs"
	"portreeve.io/portreeve/agent/readers/netns"
	"portreeve.io/portreeve/agent/tuning"
	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/ports"
)

// podCycle is one pass over all pods.
type podCycle struct {
	*Pods
	candidates candidateList
	facts      plan.Facts
	aggregator statusAggregator
	journaled  []plan.Target // with entries in the journal

	// due are the network namespaces to check and change. names and states are those of
	// their pods.
	due    []tuning.NetworkTask
	names  []string
	states []*podState
}

// visitPod adds a pod's network namespace to those that are due, unless it was checked
// recently and nothing has changed since.
func (c *podCycle) visitPod(s podNetns) {
	var pod podspecs.Pod
	known := false
	if c.source != nil {
		pod, known = c.source.FindPod(s.target.Pod)
	}
	if len(c.candidates) == 0 { // no labels are needed
		known = true
	}
	// An unknown pod keeps its current settings. A hostNetwork pod has no namespace of its
	// own, so one of its processes must have entered this one.
	if !known || pod.HostNetwork {
		return
	}
	name := pod.Namespace + "/" + pod.Name
	if pod.Name == "" {
		name = s.target.Pod
	}
	resolved := c.candidates.resolvePod(pod, c.findNamespaceLabels)
	if resolved.undecided {
		c.reportPending(name, pod)
		return
	}
	for _, o := range c.candidates {
		if reason, ok := resolved.refused[o.ID]; ok {
			c.aggregator.addStatus(name, v1alpha1.SettingStatus{ID: o.ID, State: v1alpha1.SettingRefused, Message: reason})
		}
	}
	if s.sandbox != "" {
		c.refuseSandboxed(name, s.sandbox, resolved.enforced)
		resolved.enforced = nil
	}
	state := c.Pods.states[s.target]
	if state == nil {
		if len(resolved.enforced) == 0 && !slices.Contains(c.journaled, s.target) {
			return
		}
		state = &podState{}
		c.Pods.states[s.target] = state
	}
	facts := c.buildFacts(pod, state)
	fingerprint := c.computeFingerprint(resolved.enforced, facts)
	if state.fingerprint == fingerprint && !state.retry && c.facts.Now.Sub(state.checkedAt) < c.options.RecheckInterval {
		c.reportStatuses(name, state)
		return
	}
	state.fingerprint, state.checkedAt = fingerprint, c.facts.Now
	c.names, c.states = append(c.names, name), append(c.states, state)
	c.due = append(c.due, tuning.NetworkTask{Target: s.target, Settings: append([]v1alpha1.Setting{}, resolved.enforced...), Facts: facts,
		Listeners: c.readListeners,
		Inside: func(fn func(tuning.Store)) error {
			return runInNetns(s, func() {
				c.recordListeners(state)
				fn(c.options.Sysctls)
			})
		}})
}

// refuseSandboxed refuses settings in a pod whose network namespace has none of its sockets.
func (c *podCycle) refuseSandboxed(name, sandbox string, settings []v1alpha1.Setting) {
	for _, s := range settings {
		c.aggregator.addStatus(name, v1alpha1.SettingStatus{ID: s.ID, State: v1alpha1.SettingRefused,
			Message: sandbox + " keeps the pod's sockets outside the host kernel, where the setting has no effect"})
	}
}

// findNamespaceLabels returns the labels of a namespace, if they are known.
func (c *podCycle) findNamespaceLabels(name string) (map[string]string, bool) {
	return c.source.FindNamespaceLabels(name)
}

// reportPending reports the settings that need the labels of the pod's namespace.
func (c *podCycle) reportPending(name string, pod podspecs.Pod) {
	for _, o := range c.candidates {
		if !needsOnlyName(o.namespaces) {
			c.aggregator.addStatus(name, v1alpha1.SettingStatus{ID: o.ID, State: v1alpha1.SettingPending,
				Message: "labels of namespace " + pod.Namespace + " not known yet"})
		}
	}
}

// buildFacts returns the facts about a pod's network namespace.
func (c *podCycle) buildFacts(pod podspecs.Pod, state *podState) plan.Facts {
	f := c.facts
	f.Protect = nil
	f.Pod = plan.PodFacts{HasSetup: pod.HasInit || pod.CanWriteSysctls, IsPrivileged: pod.CanWriteSysctls}
	for _, port := range pod.Ports {
		f.Protect = append(f.Protect, plan.Protected{Ports: ports.Range{First: uint16(port), Last: uint16(port)}, Owner: "the pod's containers"})
	}
	for _, r := range state.listened {
		f.Protect = append(f.Protect, plan.Protected{Ports: r, Owner: "an earlier listener"})
	}
	return f
}

// computeFingerprint returns all inputs of a plan other than the namespace's current
// values.
func (c *podCycle) computeFingerprint(settings []v1alpha1.Setting, f plan.Facts) string {
	var cooledDown []bool
	for _, s := range settings {
		cooledDown = append(cooledDown, f.NormalFor >= time.Duration(s.CoolDownSeconds)*time.Second)
	}
	raw, err := json.Marshal(struct {
		Settings []v1alpha1.Setting
		Protect  []plan.Protected
		Level    v1alpha1.Level
		Cooled   []bool
		Reasons  []string
	}{settings, f.Protect, f.Level, cooledDown, []string{f.Stop, f.Lost}})
	if err != nil {
		return err.Error() // unlike any fingerprint, so the namespace is checked
	}
	return string(raw)
}

// maxListened limits the remembered ports of a pod.
const maxListened = 64

// recordListeners remembers the listening ports of the calling thread's network namespace.
func (c *podCycle) recordListeners(state *podState) {
	now, err := c.readListeners()
	if err != nil {
		return // the plan reports it if it matters
	}
	for _, p := range now {
		if len(state.listened) < maxListened && !slices.Contains(state.listened, p) {
			state.listened = append(state.listened, p)
		}
	}
}

// enforceDue applies the settings of the namespaces that are due.
func (c *podCycle) enforceDue(t tuning.Networks) {
	results := t.Enforce(c.due)
	c.journaled = t.Targets()
	for i, result := range results {
		state, target := c.states[i], c.due[i].Target
		if netns.IsVanished(result.Err) {
			delete(c.Pods.states, target)
			continue
		}
		state.statuses = result.Statuses
		if result.Err != nil {
			state.statuses = repeatStatus(c.due[i].Settings, v1alpha1.SettingFailed, "can't enter its network namespace: "+result.Err.Error())
		}
		state.retry = slices.ContainsFunc(state.statuses, func(s v1alpha1.SettingStatus) bool {
			return s.State == v1alpha1.SettingFailed || s.State == v1alpha1.SettingPending
		})
		c.reportStatuses(c.names[i], state)
		if len(c.due[i].Settings) == 0 && !state.retry && !slices.Contains(c.journaled, target) {
			delete(c.Pods.states, target) // everything is restored
		}
	}
}

// reportMissing reports the selected pods without a known network namespace.
func (c *podCycle) reportMissing(list []podNetns) {
	if len(c.candidates) == 0 {
		return
	}
	found := make(map[string]bool, len(list))
	for _, s := range list {
		found[s.target.Pod] = true
	}
	for _, pod := range c.source.ListPods() {
		if pod.HostNetwork || pod.Finished || found[pod.UID] || pod.Hash != "" && found[pod.Hash] {
			continue
		}
		resolved := c.candidates.resolvePod(pod, c.findNamespaceLabels)
		for i := range resolved.enforced {
			c.aggregator.addMissing(pod.Namespace+"/"+pod.Name, &resolved.enforced[i])
		}
	}
}

// reportStatuses counts the statuses of the settings in a pod, and of those that are being
// restored because no NodeTuning sets them any longer.
func (c *podCycle) reportStatuses(name string, state *podState) {
	for _, s := range state.statuses {
		isDesired := slices.ContainsFunc(c.candidates, func(o candidate) bool { return o.ID == s.ID })
		if !isDesired {
			if !slices.Contains(restoreStates, s.State) {
				continue
			}
			s.ID = s.Key + restoredSuffix
		}
		c.aggregator.addStatus(name, s)
	}
}

// restoreStates are the states of settings that are being restored.
var restoreStates = []v1alpha1.SettingState{v1alpha1.SettingReleased, v1alpha1.SettingPending, v1alpha1.SettingFailed}

// restoredSuffix ends the IDs of statuses about settings that are restored in pods.
const restoredSuffix = "@restored"

// buildStatuses returns the statuses of the settings, followed by those of what is restored.
func (c *podCycle) buildStatuses(settings []v1alpha1.Setting) []v1alpha1.SettingStatus {
	list := make([]v1alpha1.SettingStatus, 0, len(settings))
	for i := range settings {
		list = append(list, c.aggregator.buildStatus(&settings[i]))
	}
	var restored []v1alpha1.SettingStatus
	for id := range c.aggregator {
		if key, ok := strings.CutSuffix(id, restoredSuffix); ok {
			s := c.aggregator.buildStatus(&v1alpha1.Setting{ID: id, Key: key, Scope: v1alpha1.ScopePods})
			s.Desired, s.PodsApplied, s.PodsRefused = nil, nil, nil
			restored = append(restored, s)
		}
	}
	slices.SortFunc(restored, func(a, b v1alpha1.SettingStatus) int { return strings.Compare(a.ID, b.ID) })
	return append(list, restored...)
}
