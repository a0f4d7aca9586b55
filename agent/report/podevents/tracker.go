// Package podevents decides which Events an agent writes on the pods of its node. It
// remembers what was said of each pod, compares it with what a sample shows, and
// says what changed: once, not while it lasts. It is pure: no operating system, no
// Kubernetes client, no clock.
package podevents

import (
	"time"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Event is something to say about a pod.
type Event struct {
	Pod Pod
	// Name is the Event's own in the pod's namespace.
	Name string
	// Reason is one of v1alpha1's. Warning is the Event's type, else it is Normal.
	Reason  string
	Warning bool
	// Note has at most 1,024 bytes.
	Note string
	At   time.Time
	// Count is how often the Event of that Name was said by now, this time included.
	Count int
	// PresentAtStart says that it was so when this agent saw the pod first: an agent
	// before it may have said so.
	PresentAtStart bool
}

// Pod is a pod by its names. UID is the one that the kubelet uses on the node: of a
// static pod that is the hash of its manifest, by which kubectl describe finds the
// Events of its mirror (annotation kubernetes.io/config.mirror).
type Pod struct{ Namespace, Name, UID string }

// Tracker is what was said about the pods of a node. The zero value is empty.
type Tracker struct {
	pods    map[string]*podState // by the pod's UID
	failureCounts failureCounts
	budget    budget
}

// The bounds of what is said; /metrics has the rest.
const (
	// maxPodsWithProblems is how many pods may have something standing against them at a time.
	maxPodsWithProblems = 10
	// podHourlyLimit is how many Events a pod gets in an hour of each family.
	podHourlyLimit = 6
	// nodeHourlyLimit is how many all pods of the node get in an hour: those that live
	// for a minute have no bound of their own.
	nodeHourlyLimit = 60
)

// DecideEvents is what to say now that sample was taken. judge is asked about pools past
// the line.
func (b *Tracker) DecideEvents(sample *socket.Sample, t v1alpha1.Thresholds, judge func(socket.Pool) cause.Verdict) []Event {
	sights := observePods(sample, b.failureCounts.countNew(sample.Failures))
	standing := b.updatePods(sights, t, sample.Taken)
	var events []Event
	for _, s := range sights {
		p := b.pods[s.pod.UID]
		stood := p.hasOpenProblem()
		if !stood && standing >= maxPodsWithProblems {
			continue
		}
		events = append(events, b.selectEvents(p, s, judge)...)
		if p.hasOpenProblem() && !stood {
			standing++
		}
	}
	return events
}

// forgetPodAfter is how long a page outlives its pod, so that one that was not read for a
// while is no news.
const forgetPodAfter = time.Hour

// updatePods brings the pages up to date. It returns how many have something standing.
func (b *Tracker) updatePods(sights []observation, t v1alpha1.Thresholds, now time.Time) (standing int) {
	if b.pods == nil {
		b.pods = map[string]*podState{}
	}
	for _, s := range sights {
		p := b.pods[s.pod.UID]
		first := p == nil
		if first {
			p = &podState{level: v1alpha1.LevelNormal, notifiedLevel: v1alpha1.LevelNormal}
			b.pods[s.pod.UID] = p
		}
		p.update(s, t, now)
		p.isFirstSample = first
	}
	for uid, p := range b.pods {
		switch {
		case now.Sub(p.lastSeen) > forgetPodAfter:
			delete(b.pods, uid)
		case p.hasOpenProblem() && p.lastSeen.Equal(now):
			standing++
		}
	}
	return standing
}

// selectEvents is what is new about a pod, as far as it may be said.
func (b *Tracker) selectEvents(p *podState, s observation, judge func(socket.Pool) cause.Verdict) []Event {
	var (
		events []Event
		why    cause.Verdict
	)
	if p.level != v1alpha1.LevelNormal {
		why = judge(s.tightest)
	}
	for _, r := range p.listCandidates(s, why) {
		if b.budget.room(p.lastSeen, nodeHourlyLimit, r.isImprovement) && p.budgets[r.family].room(p.lastSeen, podHourlyLimit, r.isImprovement) {
			b.budget.spend(p.lastSeen)
			p.budgets[r.family].spend(p.lastSeen)
			r.markNotified()
			events = append(events, p.buildEvent(s.pod, r))
		}
	}
	return events
}
