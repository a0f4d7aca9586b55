package pods

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/text"
)

// statusAggregator combines the statuses of each setting in all pods.
type statusAggregator map[string]*settingCount // by setting ID

// settingCount counts the pods of a setting.
type settingCount struct {
	applied, refused int32
	// byState has the number of pods in each state, with one of them as an example.
	byState map[v1alpha1.SettingState]*podExample
	// missing are pods without a network namespace.
	missing podExample
}

// podExample is a number of pods, and one of them.
type podExample struct {
	pods int
	// pod is "namespace/name", and status the setting's status in it.
	pod    string
	status v1alpha1.SettingStatus
}

func (t statusAggregator) findOrAdd(id string) *settingCount {
	if t[id] == nil {
		t[id] = &settingCount{byState: map[v1alpha1.SettingState]*podExample{}}
	}
	return t[id]
}

// addStatus adds the status of a setting in a pod.
func (t statusAggregator) addStatus(pod string, s v1alpha1.SettingStatus) {
	c := t.findOrAdd(s.ID)
	switch s.State {
	case v1alpha1.SettingApplied, v1alpha1.SettingRestartRequired:
		c.applied++
	case v1alpha1.SettingRefused:
		c.refused++
	}
	if c.byState[s.State] == nil {
		c.byState[s.State] = &podExample{}
	}
	c.byState[s.State].addPod(pod, s)
}

// addMissing adds a pod that a setting selects, but whose network namespace is not found.
func (t statusAggregator) addMissing(pod string, s *v1alpha1.Setting) {
	t.findOrAdd(s.ID).missing.addPod(pod, v1alpha1.SettingStatus{})
}

// addPod counts a pod. The first one by name is the example, so that it doesn't change.
func (e *podExample) addPod(pod string, s v1alpha1.SettingStatus) {
	if e.pods++; e.pods == 1 || pod < e.pod {
		e.pod, e.status = pod, s
	}
}

// stateOrder is the order in which states take precedence in the status of a setting. A
// single pod is enough. Refused comes after Applied, because the setting is enforced in
// all pods that can have it.
var stateOrder = []v1alpha1.SettingState{
	v1alpha1.SettingFailed, v1alpha1.SettingContested, v1alpha1.SettingPending, v1alpha1.SettingRestartRequired,
	v1alpha1.SettingApplied, v1alpha1.SettingRefused, v1alpha1.SettingDryRun, v1alpha1.SettingStandby, v1alpha1.SettingReleased,
}

// buildStatus returns the combined status of s in all pods that it selects.
func (t statusAggregator) buildStatus(s *v1alpha1.Setting) v1alpha1.SettingStatus {
	st := v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value,
		State: v1alpha1.SettingApplied, PodsApplied: new(int32), PodsRefused: new(int32)}
	c := t[s.ID]
	if c == nil {
		st.Message = "no pods selected on this node"
		return st
	}
	*st.PodsApplied, *st.PodsRefused = c.applied, c.refused
	if i := slices.IndexFunc(stateOrder, func(state v1alpha1.SettingState) bool { return c.byState[state] != nil }); i >= 0 {
		st.State = stateOrder[i]
		st.Current, st.Original = c.byState[st.State].status.Current, c.byState[st.State].status.Original
	}
	st.Message = c.formatMessage(st.State)
	return st
}

// formatMessage describes the pods in the given state, those that refused the setting, and
// those without a network namespace, with an example of each.
func (c *settingCount) formatMessage(state v1alpha1.SettingState) string {
	var parts []string
	for _, s := range []v1alpha1.SettingState{state, v1alpha1.SettingRefused} {
		e := c.byState[s]
		if e == nil || e.status.Message == "" || len(parts) > 0 && s == state {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s in %s: %s", cmp.Or(stateVerbs[s], string(s)), e.formatPods(), e.status.Message))
	}
	if c.missing.pods > 0 {
		parts = append(parts, "no network namespace found for "+c.missing.formatPods()+
			": the pod is starting, or its runtime creates none in the agent's --netns-root")
	}
	return truncateMessage(strings.Join(parts, "; "))
}

var stateVerbs = map[v1alpha1.SettingState]string{
	v1alpha1.SettingApplied: "applied", v1alpha1.SettingRefused: "refused", v1alpha1.SettingFailed: "failed",
	v1alpha1.SettingContested: "contested", v1alpha1.SettingPending: "pending", v1alpha1.SettingDryRun: "dry run",
}

func (e *podExample) formatPods() string {
	if e.pods == 1 {
		return e.pod
	}
	return fmt.Sprintf("%d pods, such as %s", e.pods, e.pod)
}

// maxMessage limits messages, so that a status with many settings stays small.
const maxMessage = 400

func truncateMessage(s string) string { return text.Truncate(s, maxMessage) }
