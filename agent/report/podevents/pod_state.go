package podevents

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// podState is what the book has about one pod.
type podState struct {
	lastSeen  time.Time
	isFirstSample bool // no sample before has shown it

	level, notifiedLevel         v1alpha1.Level // of its tightest pool: as it is, and as was said last
	failedAt            time.Time
	notifiedFailures, notifiedLeak bool
	budgets               [familyCount]budget
	series              map[string]eventSeries // by reason
}

// hasOpenProblem says that something bad was said, and not yet that it is over.
func (p *podState) hasOpenProblem() bool { return p.notifiedLevel != v1alpha1.LevelNormal || p.notifiedFailures }

// quiet is how long no connect() fails until the next that does is news.
const quiet = 10 * time.Minute

func (p *podState) update(s observation, t v1alpha1.Thresholds, now time.Time) {
	p.lastSeen = now
	p.level = socket.NextLevel(t, p.level, s.tightest.UsedPercent())
	if p.level == v1alpha1.LevelNormal {
		p.notifiedLeak = false
	}
	switch {
	case s.failed.count > 0:
		p.failedAt = now
	case now.Sub(p.failedAt) > quiet:
		p.notifiedFailures = false
	}
}

// eventFamily is what Events have in common that are bounded together.
type eventFamily int

const (
	familyHeadroom eventFamily = iota
	familyExhausted
	familyLeak
	familyCount
)

// eventCandidate is something to say; said notes that it was.
type eventCandidate struct {
	family  eventFamily
	reason  string
	isWarning bool
	isImprovement  bool // than what was said last
	note    string
	markNotified    func()
}

// listCandidates is what was not said yet, the most telling first.
func (p *podState) listCandidates(s observation, why cause.Verdict) []eventCandidate {
	var list []eventCandidate
	if s.failed.count > 0 && !p.notifiedFailures {
		list = append(list, eventCandidate{
			family: familyExhausted, reason: v1alpha1.ReasonPortsExhausted, isWarning: true,
			note: formatFailureNote(s, p.level, why), markNotified: func() { p.notifiedFailures = true },
		})
	}
	if p.level != p.notifiedLevel {
		list = append(list, eventCandidate{
			family: familyHeadroom, reason: headroomReasons[p.level], isWarning: p.level != v1alpha1.LevelNormal, isImprovement: p.notifiedLevel.IsWorseThan(p.level),
			note: formatHeadroomNote(s, p.level, p.notifiedLevel, why), markNotified: func() { p.notifiedLevel = p.level },
		})
	}
	if cause.IsLeak(why.Cause) && !p.notifiedLeak {
		list = append(list, eventCandidate{
			family: familyLeak, reason: v1alpha1.ReasonLeakSuspected, isWarning: true,
			note: formatLeakNote(why), markNotified: func() { p.notifiedLeak = true },
		})
	}
	return list
}

var headroomReasons = map[v1alpha1.Level]string{
	v1alpha1.LevelNormal:   v1alpha1.ReasonHeadroomRestored,
	v1alpha1.LevelWarning:  v1alpha1.ReasonHeadroomLow,
	v1alpha1.LevelCritical: v1alpha1.ReasonHeadroomCritical,
}

// eventSeries is an Event that is said again and again.
type eventSeries struct {
	name  string
	count int
	at    time.Time
}

// seriesWindow is how long after it was said last an Event is the same one. Its name has
// the half hour of its beginning in it: an agent that starts again and again finds
// the Event of that name there, and one that comes back after longer has another.
const seriesWindow = 30 * time.Minute

// buildEvent is r as the next of its series.
func (p *podState) buildEvent(pod Pod, r eventCandidate) Event {
	of := p.series[r.reason]
	if of.count == 0 || p.lastSeen.Sub(of.at) >= seriesWindow {
		of = eventSeries{name: buildEventName(pod, r.reason, p.lastSeen)}
	}
	of.count++
	of.at = p.lastSeen
	if p.series == nil {
		p.series = map[string]eventSeries{}
	}
	p.series[r.reason] = of
	return Event{
		Pod: pod, Name: of.name, Reason: r.reason, Warning: r.isWarning, Note: r.note,
		At: p.lastSeen, Count: of.count, PresentAtStart: p.isFirstSample,
	}
}

// maxName is the API's limit of an object's name.
const maxName = 253

// buildEventName is a DNS subdomain, as the API wants it.
func buildEventName(pod Pod, reason string, begin time.Time) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %s %d", pod.UID, reason, begin.Unix()/int64(seriesWindow/time.Second))
	suffix := fmt.Sprintf(".%016x", h.Sum64())
	name := pod.Name[:min(len(pod.Name), maxName-len(suffix))]
	return strings.TrimRight(name, ".-") + suffix
}
