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
	"portreeve.io/portreeve/internal/ports"
)

// cycle is one look at all pods.
type cycle struct {
	*Pods
	wishes wishes
	facts  plan.Facts
	counts tally
	held   []plan.Target // by the journal

	// due are the networks to bring to where they should be, and their pods' names.
	due   []tuning.Network
	names []string
	looks []*look
}

// visit finds out what is to be done in a pod's network: nothing, as long as nothing
// has changed and it was looked at lately.
func (c *cycle) visit(s space) {
	var pod podspecs.Pod
	known := false
	if c.source != nil {
		pod, known = c.source.Pod(s.target.Pod)
	}
	if len(c.wishes) == 0 { // nobody's labels matter
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
	mine := c.wishes.of(pod, c.namespace)
	if mine.unknown {
		c.wait(name, pod)
		return
	}
	for _, w := range c.wishes {
		if why, ok := mine.refused[w.ID]; ok {
			c.counts.note(name, v1alpha1.SettingStatus{ID: w.ID, State: v1alpha1.SettingRefused, Message: why})
		}
	}
	l := c.Pods.looks[s.target]
	if l == nil {
		if len(mine.settings) == 0 && !slices.Contains(c.held, s.target) {
			return
		}
		l = &look{}
		c.Pods.looks[s.target] = l
	}
	facts := c.factsOf(pod, l)
	of := c.fingerprint(mine.settings, facts)
	if l.of == of && !l.again && c.facts.Now.Sub(l.at) < c.o.Every {
		c.note(name, l)
		return
	}
	l.of, l.at = of, c.facts.Now
	c.names, c.looks = append(c.names, name), append(c.looks, l)
	c.due = append(c.due, tuning.Network{Target: s.target, Settings: append([]v1alpha1.Setting{}, mine.settings...), Facts: facts, Listeners: c.listening,
		Inside: func(fn func(tuning.Store)) error {
			return inside(s, func() {
				c.listen(l)
				fn(c.o.Sysctls)
			})
		}})
}

func (c *cycle) namespace(name string) (map[string]string, bool) { return c.source.Namespace(name) }

// wait notes what waits for the labels of a namespace.
func (c *cycle) wait(name string, pod podspecs.Pod) {
	for _, w := range c.wishes {
		if !onlyName(w.namespaces) {
			c.counts.note(name, v1alpha1.SettingStatus{ID: w.ID, State: v1alpha1.SettingPending,
				Message: "the labels of namespace " + pod.Namespace + " are not known yet"})
		}
	}
}

// factsOf are the facts of a pod's network.
func (c *cycle) factsOf(pod podspecs.Pod, l *look) plan.Facts {
	f := c.facts
	f.Protect = nil
	for _, port := range pod.Ports {
		f.Protect = append(f.Protect, plan.Protected{Ports: ports.Range{First: uint16(port), Last: uint16(port)}, Owner: "the pod's containers"})
	}
	for _, r := range l.listened {
		f.Protect = append(f.Protect, plan.Protected{Ports: r, Owner: "earlier listeners"})
	}
	return f
}

// fingerprint is all that a plan depends on beside what stands in the network.
func (c *cycle) fingerprint(settings []v1alpha1.Setting, f plan.Facts) string {
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

// listen remembers what listens in the calling thread's network.
func (c *cycle) listen(l *look) {
	now, err := c.listening()
	if err != nil {
		return // the plan says so where it matters
	}
	for _, p := range now {
		if len(l.listened) < maxListened && !slices.Contains(l.listened, p) {
			l.listened = append(l.listened, p)
		}
	}
}

// hold does what is due.
func (c *cycle) hold(t tuning.Networks) {
	results := t.Enforce(c.due)
	c.held = t.Targets()
	for i, result := range results {
		l, target := c.looks[i], c.due[i].Target
		if vanished(result.Err) {
			delete(c.Pods.looks, target)
			continue
		}
		l.statuses = result.Statuses
		if result.Err != nil {
			l.statuses = everywhere(c.due[i].Settings, v1alpha1.SettingFailed, "its network can't be entered: "+result.Err.Error())
		}
		l.again = slices.ContainsFunc(l.statuses, func(s v1alpha1.SettingStatus) bool {
			return s.State == v1alpha1.SettingFailed || s.State == v1alpha1.SettingPending
		})
		c.note(c.names[i], l)
		if len(c.due[i].Settings) == 0 && !l.again && !slices.Contains(c.held, target) {
			delete(c.Pods.looks, target) // all is given back
		}
	}
}

// miss notes the pods that settings select and that have no network namespace here.
func (c *cycle) miss(spaces []space) {
	if len(c.wishes) == 0 {
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
		mine := c.wishes.of(pod, c.namespace)
		for i := range mine.settings {
			c.counts.miss(pod.Namespace+"/"+pod.Name, &mine.settings[i])
		}
	}
}

// note counts what became of the settings in a pod, and of what nobody asks for any
// more.
func (c *cycle) note(name string, l *look) {
	for _, s := range l.statuses {
		asked := slices.ContainsFunc(c.wishes, func(w wish) bool { return w.ID == s.ID })
		if !asked {
			if !slices.Contains(backStates, s.State) {
				continue
			}
			s.ID = s.Key + givenBack
		}
		c.counts.note(name, s)
	}
}

// backStates are those of what is given back.
var backStates = []v1alpha1.SettingState{v1alpha1.SettingReleased, v1alpha1.SettingPending, v1alpha1.SettingFailed}

// givenBack ends the ID of the status of what was given back in pods.
const givenBack = "@given-back"

// statuses are those of the settings, and then of what was given back.
func (c *cycle) statuses(settings []v1alpha1.Setting) []v1alpha1.SettingStatus {
	list := make([]v1alpha1.SettingStatus, 0, len(settings))
	for i := range settings {
		list = append(list, c.counts.status(&settings[i]))
	}
	var back []v1alpha1.SettingStatus
	for id := range c.counts {
		if key, ok := strings.CutSuffix(id, givenBack); ok {
			s := c.counts.status(&v1alpha1.Setting{ID: id, Key: key, Scope: v1alpha1.ScopePods})
			s.Desired, s.PodsApplied, s.PodsRefused = nil, nil, nil
			back = append(back, s)
		}
	}
	slices.SortFunc(back, func(a, b v1alpha1.SettingStatus) int { return strings.Compare(a.ID, b.ID) })
	return append(list, back...)
}
