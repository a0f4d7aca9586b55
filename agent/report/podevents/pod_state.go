package podevents

import (
	"fmt"
	"hash/fnv"
	"strings"
	"time"

	"portreeve.io/portreeve/agent/cause"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/eventlimit"
)

// podState is the state of one pod and of what was reported about it.
type podState struct {
	lastSeen      time.Time
	isFirstSample bool // no earlier sample has shown the pod

	level, notifiedLevel           v1alpha1.Level // of its tightest pool: the current and the last reported one
	failedAt                       time.Time
	notifiedFailures, notifiedLeak bool
	budgets                        [familyCount]eventlimit.Budget
	series                         map[string]eventSeries // by reason
}

// hasOpenProblem reports whether a problem was reported and its end was not.
func (p *podState) hasOpenProblem() bool {
	return p.notifiedLevel != v1alpha1.LevelNormal || p.notifiedFailures
}

func (p *podState) applyObservation(o observation, thresholds v1alpha1.Thresholds, now time.Time) {
	p.lastSeen = now
	p.level = socket.NextLevel(thresholds, p.level, o.tightest.UsedPercent())
	if p.level == v1alpha1.LevelNormal {
		p.notifiedLeak = false
	}
	switch {
	case o.failed.count > 0:
		p.failedAt = now
	case now.Sub(p.failedAt) > eventlimit.RepeatInterval:
		p.notifiedFailures = false
	}
}

// eventFamily is a group of Events that share a limit.
type eventFamily int

const (
	familyHeadroom eventFamily = iota
	familyExhausted
	familyLeak
	familyCount
)

// eventCandidate is a change that is not reported yet.
type eventCandidate struct {
	family        eventFamily
	reason        string
	isWarning     bool
	isImprovement bool // compared with the last report
	note          string
	markNotified  func()
}

// listCandidates returns the changes that were not reported yet, the most important first.
func (p *podState) listCandidates(o observation, verdict cause.Diagnosis) []eventCandidate {
	var candidates []eventCandidate
	if o.failed.count > 0 && !p.notifiedFailures {
		candidates = append(candidates, eventCandidate{
			family: familyExhausted, reason: v1alpha1.ReasonPortsExhausted, isWarning: true,
			note: formatFailureNote(o, p.level, verdict), markNotified: func() { p.notifiedFailures = true },
		})
	}
	if p.level != p.notifiedLevel {
		candidates = append(candidates, eventCandidate{
			family: familyHeadroom, reason: headroomReasons[p.level], isWarning: p.level != v1alpha1.LevelNormal, isImprovement: p.notifiedLevel.IsWorseThan(p.level),
			note: formatHeadroomNote(o, p.level, p.notifiedLevel, verdict), markNotified: func() { p.notifiedLevel = p.level },
		})
	}
	if cause.IsLeak(verdict.Cause) && !p.notifiedLeak {
		candidates = append(candidates, eventCandidate{
			family: familyLeak, reason: v1alpha1.ReasonLeakSuspected, isWarning: true,
			note: formatLeakNote(verdict), markNotified: func() { p.notifiedLeak = true },
		})
	}
	return candidates
}

var headroomReasons = map[v1alpha1.Level]string{
	v1alpha1.LevelNormal:   v1alpha1.ReasonHeadroomRestored,
	v1alpha1.LevelWarning:  v1alpha1.ReasonHeadroomLow,
	v1alpha1.LevelCritical: v1alpha1.ReasonHeadroomCritical,
}

// eventSeries is an Event that occurs repeatedly.
type eventSeries struct {
	name  string
	count int
	at    time.Time
}

// seriesWindow is the time after its last occurrence in which an Event continues its
// series. The Event's name depends on the half hour in which the series began: an agent
// that restarts within it finds the existing Event, and a later one creates another.
const seriesWindow = 30 * time.Minute

// buildEvent returns the candidate as the next Event of its series.
func (p *podState) buildEvent(pod Pod, c eventCandidate) Event {
	series := p.series[c.reason]
	if series.count == 0 || p.lastSeen.Sub(series.at) >= seriesWindow {
		series = eventSeries{name: buildEventName(pod, c.reason, p.lastSeen)}
	}
	series.count++
	series.at = p.lastSeen
	if p.series == nil {
		p.series = map[string]eventSeries{}
	}
	p.series[c.reason] = series
	return Event{
		Pod: pod, Name: series.name, Reason: c.reason, Warning: c.isWarning, Note: c.note,
		At: p.lastSeen, Count: series.count, PresentAtStart: p.isFirstSample,
	}
}

// maxName is the API's limit of an object's name.
const maxName = 253

// buildEventName returns a DNS subdomain, which the API requires.
func buildEventName(pod Pod, reason string, start time.Time) string {
	h := fnv.New64a()
	fmt.Fprintf(h, "%s %s %d", pod.UID, reason, start.Unix()/int64(seriesWindow/time.Second))
	suffix := fmt.Sprintf(".%016x", h.Sum64())
	name := pod.Name[:min(len(pod.Name), maxName-len(suffix))]
	return strings.TrimRight(name, ".-") + suffix
}
