package report

import (
	"slices"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/eventlimit"
)

// Policy configures how often a status is written. Writes of many nodes are expensive for
// the API server, so small changes wait.
type Policy struct {
	// Heartbeat is the longest interval between two writes, give or take a tenth.
	Heartbeat time.Duration
	// MinInterval is the shortest interval between writes without an urgent change.
	MinInterval time.Duration
	// MinPointsChanged is the smallest change of usedPercent that is written early.
	MinPointsChanged int32
	// NormalInterval replaces MinInterval while the level is Normal. Two such writes and
	// two heartbeats are four writes an hour.
	NormalInterval time.Duration
}

// DefaultPolicy is the policy that docs/architecture.md describes.
var DefaultPolicy = Policy{Heartbeat: 30 * time.Minute, MinInterval: time.Minute, MinPointsChanged: 5, NormalInterval: 20 * time.Minute}

// lastWrite is the status that the API server has, and when it was written.
type lastWrite struct {
	status      *v1alpha1.PortPressureStatus // nil if this agent has written none
	at          time.Time
	jitter      float64 // 0 to 1, random for each write
	quickWrites int     // recent writes that came less than MinInterval after the previous one
}

// maxQuickWrites limits the level changes that are written sooner than MinInterval
// allows. Beyond it the pool counts as flapping, and improvements have to wait.
const maxQuickWrites = 6

// recordWrite returns the last write after s was written at this time.
func (w lastWrite) recordWrite(s *v1alpha1.PortPressureStatus, at time.Time, jitter float64, minInterval time.Duration) lastWrite {
	next := lastWrite{status: s, at: at, jitter: jitter, quickWrites: w.quickWrites}
	switch apart := at.Sub(w.at); {
	case w.status == nil || apart > 10*minInterval:
		next.quickWrites = 0
	case apart < minInterval && !answersSpec(w.status, s):
		next.quickWrites++
	}
	return next
}

// nextWrite returns when the status should be written. A time in the past means at once.
func (p Policy) nextWrite(w lastWrite, status *v1alpha1.PortPressureStatus) time.Time {
	switch {
	case w.status == nil:
		return time.Time{}
	case statusChanged(w.status, status) && (w.quickWrites < maxQuickWrites || status.Level.IsWorseThan(w.status.Level) || answersSpec(w.status, status)):
		return time.Time{}
	case statusChanged(w.status, status):
		return w.at.Add(p.MinInterval)
	}
	heartbeat := w.at.Add(time.Duration(float64(p.Heartbeat) * (0.9 + 0.2*w.jitter)))
	if !p.hasNotableChange(w.status, status) {
		return heartbeat
	}
	interval := p.MinInterval
	if status.Level == v1alpha1.LevelNormal && !exhaustionAverted(w.status, status) {
		interval = p.NormalInterval
	}
	if next := w.at.Add(interval); next.Before(heartbeat) {
		return next
	}
	return heartbeat
}

// urgentWithin is the time to exhaustion, in seconds, below which a change is urgent.
const urgentWithin = 600

// exhaustsWithin reports whether ports are forecast to run out within that many seconds.
func exhaustsWithin(s *v1alpha1.PortPressureStatus, seconds int64) bool {
	return s.ExhaustionSeconds != nil && *s.ExhaustionSeconds <= seconds
}

// hasNewFailures reports whether b has failed calls to report: the first ones, or more after
// the repeat interval.
func hasNewFailures(a, b *v1alpha1.PortPressureStatus) bool {
	return eventlimit.IsRepeatDue(findLastFailure(b), findLastFailure(a))
}

// findLastFailure returns the time of the last failed call, zero if none failed.
func findLastFailure(s *v1alpha1.PortPressureStatus) (last time.Time) {
	for i := range s.Failures {
		if at := s.Failures[i].LastAt.Time; at.After(last) {
			last = at
		}
	}
	return last
}

// statusChanged reports whether b has an urgent change from a: another level, another
// reader, other settings, calls that fail, or ports that will run out soon.
func statusChanged(a, b *v1alpha1.PortPressureStatus) bool {
	if !exhaustsWithin(a, urgentWithin) && exhaustsWithin(b, urgentWithin) || hasNewFailures(a, b) {
		return true
	}
	if a.Level != b.Level || a.Reader.Name != b.Reader.Name || a.AgentVersion != b.AgentVersion ||
		a.ObservedGeneration != b.ObservedGeneration || len(a.Settings) != len(b.Settings) ||
		len(a.Conditions) != len(b.Conditions) {
		return true
	}
	for i := range a.Settings {
		if a.Settings[i].State != b.Settings[i].State {
			return true
		}
	}
	for i := range a.Conditions {
		if a.Conditions[i].Status != b.Conditions[i].Status {
			return true
		}
	}
	return false
}

// answersSpec reports whether b has the result of a spec, which a rollout waits for. It
// happens only after a change of the spec, so it doesn't count as flapping.
func answersSpec(a, b *v1alpha1.PortPressureStatus) bool {
	pending := func(s v1alpha1.SettingStatus) bool { return s.State == v1alpha1.SettingPending }
	return a.ObservedGeneration != b.ObservedGeneration ||
		slices.ContainsFunc(a.Settings, pending) && !slices.ContainsFunc(b.Settings, pending)
}

// exhaustionAverted reports whether ports are no longer about to run out. The doubled time
// keeps a forecast near the limit from flapping.
func exhaustionAverted(a, b *v1alpha1.PortPressureStatus) bool {
	return exhaustsWithin(a, urgentWithin) && !exhaustsWithin(b, 2*urgentWithin)
}

// hasNotableChange reports whether a figure or the cause changed enough for a write before
// the heartbeat.
func (p Policy) hasNotableChange(a, b *v1alpha1.PortPressureStatus) bool {
	if exhaustionAverted(a, b) {
		return true
	}
	if a.UsedPercent == nil || b.UsedPercent == nil {
		return a.UsedPercent != b.UsedPercent
	}
	diff := *a.UsedPercent - *b.UsedPercent
	return diff >= p.MinPointsChanged || -diff >= p.MinPointsChanged || a.Cause != b.Cause ||
		b.Level != v1alpha1.LevelNormal && summarizeTightest(a) != summarizeTightest(b)
}

func summarizeTightest(s *v1alpha1.PortPressureStatus) string {
	if s.Tightest == nil {
		return ""
	}
	return s.Tightest.Summary
}
