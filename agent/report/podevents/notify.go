// Package podevents decides which Events an agent writes on the pods of its node. It
// remembers what was said of each pod, compares it with what a sample shows, and
// says what changed: once, not while it lasts. It is pure: no operating system, no
// Kubernetes client, no clock.
package podevents

import (
	"time"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
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
	// Standing says that it was so when this agent saw the pod first: an agent
	// before it may have said so.
	Standing bool
}

// Pod is a pod by its names. UID is the one that the kubelet uses on the node: of a
// static pod that is the hash of its manifest, by which kubectl describe finds the
// Events of its mirror (annotation kubernetes.io/config.mirror).
type Pod struct{ Namespace, Name, UID string }

// Book is what was said about the pods of a node. The zero value is empty.
type Book struct {
	pages    map[string]*page // by the pod's UID
	failures failures
	spent    budget
}

// The bounds of what is said; /metrics has the rest.
const (
	// maxPods is how many pods may have something standing against them at a time.
	maxPods = 10
	// podHourly is how many Events a pod gets in an hour of each family.
	podHourly = 6
	// nodeHourly is how many all pods of the node get in an hour: those that live
	// for a minute have no bound of their own.
	nodeHourly = 60
)

// Decide is what to say now that sample was taken. judge is asked about pools past
// the line.
func (b *Book) Decide(sample *socket.Sample, t socket.Thresholds, judge func(socket.Pool) cause.Diagnosis) []Event {
	t = t.OrDefault()
	sights := look(sample, b.failures.rise(sample.Failures))
	standing := b.follow(sights, t, sample.Taken)
	var events []Event
	for _, s := range sights {
		p := b.pages[s.pod.UID]
		stood := p.standing()
		if !stood && standing >= maxPods {
			continue
		}
		events = append(events, b.say(p, s, judge)...)
		if p.standing() && !stood {
			standing++
		}
	}
	return events
}

// forget is how long a page outlives its pod, so that one that was not read for a
// while is no news.
const forget = time.Hour

// follow brings the pages up to date. It returns how many have something standing.
func (b *Book) follow(sights []sight, t socket.Thresholds, now time.Time) (standing int) {
	if b.pages == nil {
		b.pages = map[string]*page{}
	}
	for _, s := range sights {
		p := b.pages[s.pod.UID]
		first := p == nil
		if first {
			p = &page{}
			b.pages[s.pod.UID] = p
		}
		p.follow(s, t, now)
		p.first = first
	}
	for uid, p := range b.pages {
		switch {
		case now.Sub(p.seen) > forget:
			delete(b.pages, uid)
		case p.standing() && p.seen.Equal(now):
			standing++
		}
	}
	return standing
}

// say is what is new about a pod, as far as it may be said.
func (b *Book) say(p *page, s sight, judge func(socket.Pool) cause.Diagnosis) []Event {
	var (
		events []Event
		why    cause.Diagnosis
	)
	if p.level > socket.Normal {
		why = judge(s.tightest)
	}
	for _, r := range p.remarks(s, why) {
		if b.spent.room(p.seen, nodeHourly, r.better) && p.spent[r.family].room(p.seen, podHourly, r.better) {
			b.spent.spend(p.seen)
			p.spent[r.family].spend(p.seen)
			r.said()
			events = append(events, p.event(s.pod, r))
		}
	}
	return events
}
