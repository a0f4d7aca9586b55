package pods

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// tally counts over the pods what became of each setting.
type tally map[string]*count // by setting ID

type count struct {
	held, refused int32
	// by is how many pods are in each state, and one of them as the example.
	by map[v1alpha1.SettingState]*example
	// away are pods without a network namespace.
	away example
}

type example struct {
	pods int
	// pod is "namespace/name"; status is what its network says.
	pod    string
	status v1alpha1.SettingStatus
}

func (t tally) count(id string) *count {
	if t[id] == nil {
		t[id] = &count{by: map[v1alpha1.SettingState]*example{}}
	}
	return t[id]
}

// note takes what became of a setting in a pod.
func (t tally) note(pod string, s v1alpha1.SettingStatus) {
	c := t.count(s.ID)
	switch s.State {
	case v1alpha1.SettingApplied, v1alpha1.SettingRestartRequired:
		c.held++
	case v1alpha1.SettingRefused:
		c.refused++
	}
	if c.by[s.State] == nil {
		c.by[s.State] = &example{}
	}
	c.by[s.State].note(pod, s)
}

// miss takes a pod whose network namespace can't be found, though a setting selects it.
func (t tally) miss(pod string, s *v1alpha1.Setting) {
	t.count(s.ID).away.note(pod, v1alpha1.SettingStatus{})
}

// note counts a pod. The first by name is the example, so that it stays the same one.
func (e *example) note(pod string, s v1alpha1.SettingStatus) {
	if e.pods++; e.pods == 1 || pod < e.pod {
		e.pod, e.status = pod, s
	}
}

// worst is the order in which states are told: one pod in an earlier one is what the
// setting's status says. Refused comes after Applied: in the pods that can have the
// setting it is held.
var worst = []v1alpha1.SettingState{
	v1alpha1.SettingFailed, v1alpha1.SettingContested, v1alpha1.SettingPending, v1alpha1.SettingRestartRequired,
	v1alpha1.SettingApplied, v1alpha1.SettingRefused, v1alpha1.SettingDryRun, v1alpha1.SettingStandby, v1alpha1.SettingReleased,
}

// status is what s has come to, over all pods that it selects.
func (t tally) status(s *v1alpha1.Setting) v1alpha1.SettingStatus {
	st := v1alpha1.SettingStatus{ID: s.ID, Key: s.Key, Scope: string(s.Scope), Desired: &s.Value,
		State: v1alpha1.SettingApplied, PodsApplied: new(int32), PodsRefused: new(int32)}
	c := t[s.ID]
	if c == nil {
		st.Message = "no pod on this node is selected"
		return st
	}
	*st.PodsApplied, *st.PodsRefused = c.held, c.refused
	if i := slices.IndexFunc(worst, func(state v1alpha1.SettingState) bool { return c.by[state] != nil }); i >= 0 {
		st.State = worst[i]
		st.Current, st.Original = c.by[st.State].status.Current, c.by[st.State].status.Original
	}
	st.Message = c.message(st.State)
	return st
}

// message tells of the pods in state, of those that were refused, and of those that
// can't be found, with an example of each.
func (c *count) message(state v1alpha1.SettingState) string {
	var parts []string
	for _, s := range []v1alpha1.SettingState{state, v1alpha1.SettingRefused} {
		e := c.by[s]
		if e == nil || e.status.Message == "" || len(parts) > 0 && s == state {
			continue
		}
		parts = append(parts, fmt.Sprintf("%s in %s: %s", cmp.Or(verbs[s], string(s)), e.who(), e.status.Message))
	}
	if c.away.pods > 0 {
		parts = append(parts, "no network namespace for "+c.away.who()+": the pod starts, or its runtime keeps none in the agent's --netns-root")
	}
	return clip(strings.Join(parts, "; "))
}

var verbs = map[v1alpha1.SettingState]string{
	v1alpha1.SettingApplied: "held", v1alpha1.SettingRefused: "refused", v1alpha1.SettingFailed: "failed",
	v1alpha1.SettingContested: "contested", v1alpha1.SettingPending: "pending", v1alpha1.SettingDryRun: "tried out",
}

func (e *example) who() string {
	if e.pods == 1 {
		return e.pod
	}
	return fmt.Sprintf("%d pods, such as %s", e.pods, e.pod)
}

// maxMessage keeps a status of many settings small.
const maxMessage = 400

func clip(s string) string {
	if r := []rune(s); len(r) > maxMessage {
		return string(r[:maxMessage-1]) + "…"
	}
	return s
}
