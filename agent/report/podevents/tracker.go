// Package podevents decides which Events an agent writes about the pods of its node. It
// remembers what was reported about each pod, compares it with each sample, and reports
// a change once, not while it lasts. It is pure: no operating system, no Kubernetes
// client, no clock.
package podevents

import (
	"time"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/eventlimit"
)

// Event is an Event about a pod.
type Event struct {
	Pod Pod
	// Name is the Event's name in the pod's namespace.
	Name string
	// Reason is one of v1alpha1's Event reasons. Warning is false for the type Normal.
	Reason  string
	Warning bool
	// Note has at most 1,024 bytes.
	Note string
	At   time.Time
	// Count is how often the Event of that Name occurred, this time included.
	Count int
	// PresentAtStart means that this agent found the problem when it first saw the pod:
	// a previous agent may have reported it.
	PresentAtStart bool
}

// Pod identifies a pod. UID is the one that the kubelet uses on the node: for a static pod
// that is the hash of its manifest, by which kubectl describe finds the Events of its
// mirror (annotation kubernetes.io/config.mirror).
type Pod struct{ Namespace, Name, UID string }

// Tracker tracks what was reported about the pods of a node. The zero value is empty.
type Tracker struct {
	pods           map[string]*podState // by the pod's UID
	failureHistory socket.FailureHistory
	budget         eventlimit.Budget
}

// The limits of Events. /metrics has the rest.
const (
	// maxPodsWithProblems is how many pods may have an open problem at a time.
	maxPodsWithProblems = 10
	// nodeHourlyLimit is how many Events all pods of the node together may get in an
	// hour: the limit of each pod does not stop pods that live for a minute.
	nodeHourlyLimit = 60
)

// DecideEvents returns the Events to write after sample. evaluateCause is called for pools
// above the warning threshold.
func (t *Tracker) DecideEvents(sample *socket.Sample, thresholds v1alpha1.Thresholds, evaluateCause func(socket.Pool) cause.Diagnosis) []Event {
	observations := observePods(sample, groupByNetwork(t.failureHistory.CountNew(sample.Failures)))
	problems := t.updatePods(observations, thresholds, sample.Taken)
	var events []Event
	for _, o := range observations {
		p := t.pods[o.pod.UID]
		hadProblem := p.hasOpenProblem()
		if !hadProblem && problems >= maxPodsWithProblems {
			continue
		}
		events = append(events, t.selectEvents(p, o, evaluateCause)...)
		if p.hasOpenProblem() && !hadProblem {
			problems++
		}
	}
	return events
}

// forgetPodAfter is the time for which a pod's state is kept after the pod was last
// seen, so that a pod that could not be read for a while does not count as new.
const forgetPodAfter = time.Hour

// updatePods updates the state of all pods. It returns how many of those in the sample
// have an open problem.
func (t *Tracker) updatePods(observations []observation, thresholds v1alpha1.Thresholds, now time.Time) (problems int) {
	if t.pods == nil {
		t.pods = map[string]*podState{}
	}
	for _, o := range observations {
		p := t.pods[o.pod.UID]
		isFirst := p == nil
		if isFirst {
			p = &podState{level: v1alpha1.LevelNormal, notifiedLevel: v1alpha1.LevelNormal}
			t.pods[o.pod.UID] = p
		}
		p.applyObservation(o, thresholds, now)
		p.isFirstSample = isFirst
	}
	for uid, p := range t.pods {
		switch {
		case now.Sub(p.lastSeen) > forgetPodAfter:
			delete(t.pods, uid)
		case p.hasOpenProblem() && p.lastSeen.Equal(now):
			problems++
		}
	}
	return problems
}

// selectEvents returns the Events about changes of a pod that are within the limits.
func (t *Tracker) selectEvents(p *podState, o observation, evaluateCause func(socket.Pool) cause.Diagnosis) []Event {
	var (
		events  []Event
		verdict cause.Diagnosis
	)
	if p.level != v1alpha1.LevelNormal {
		verdict = evaluateCause(o.tightest)
	}
	for _, c := range p.listCandidates(o, verdict) {
		nodeRemaining := t.budget.CountRemaining(nodeHourlyLimit, p.lastSeen)
		podRemaining := p.budgets[c.family].CountRemaining(eventlimit.ObjectHourlyLimit, p.lastSeen)
		if eventlimit.Allows(min(nodeRemaining, podRemaining), c.isImprovement) {
			t.budget.Record(p.lastSeen)
			p.budgets[c.family].Record(p.lastSeen)
			c.markNotified()
			events = append(events, p.buildEvent(o.pod, c))
		}
	}
	return events
}
