package report

import (
	"slices"
	"time"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Policy says how often a status is written. The API server pays for each write
// of each node, so a change has to be worth it.
type Policy struct {
	// Heartbeat is the longest time between two writes, give or take a tenth.
	Heartbeat time.Duration
	// MinInterval is the least time between writes that no change of level causes.
	MinInterval time.Duration
	// MinPointsChanged is the least change of usedPercent that is a change.
	MinPointsChanged int32
	// NormalInterval is the Gap while the level is Normal: what changes far from the line
	// can wait. Two such writes and two heartbeats make four an hour.
	NormalInterval time.Duration
}

// DefaultPolicy is what docs/architecture.md describes.
var DefaultPolicy = Policy{Heartbeat: 30 * time.Minute, MinInterval: time.Minute, MinPointsChanged: 5, NormalInterval: 20 * time.Minute}

// lastWrite is what the API server has, and when it got it.
type lastWrite struct {
	status *v1alpha1.PortPressureStatus // nil: nothing of this agent's yet
	at     time.Time
	jitter float64 // 0 to 1, drawn anew with each write
	quickWrites  int     // how many writes came less than a Gap after another, lately
}

// maxQuickWrites is how often a level may change faster than the Gap before it is a
// pool that flaps: then it has to wait until it is written as better.
const maxQuickWrites = 6

// recordWrite is what was written after w.
func (w lastWrite) recordWrite(s *v1alpha1.PortPressureStatus, at time.Time, jitter float64, gap time.Duration) lastWrite {
	next := lastWrite{status: s, at: at, jitter: jitter, quickWrites: w.quickWrites}
	switch apart := at.Sub(w.at); {
	case w.status == nil || apart > 10*gap:
		next.quickWrites = 0
	case apart < gap && !answersSpec(w.status, s):
		next.quickWrites++
	}
	return next
}

// nextWrite is when now's status should be written, at the latest; whatever lies in
// the past is due at once.
func (p Policy) nextWrite(w lastWrite, now *v1alpha1.PortPressureStatus) time.Time {
	switch {
	case w.status == nil:
		return time.Time{}
	case statusChanged(w.status, now) && (w.quickWrites < maxQuickWrites || now.Level.IsWorseThan(w.status.Level) || answersSpec(w.status, now)):
		return time.Time{}
	case statusChanged(w.status, now):
		return w.at.Add(p.MinInterval)
	}
	heartbeat := w.at.Add(time.Duration(float64(p.Heartbeat) * (0.9 + 0.2*w.jitter)))
	if !p.hasNotableChange(w.status, now) {
		return heartbeat
	}
	gap := p.MinInterval
	if now.Level == v1alpha1.LevelNormal && !exhaustionAverted(w.status, now) {
		gap = p.NormalInterval
	}
	if next := w.at.Add(gap); next.Before(heartbeat) {
		return next
	}
	return heartbeat
}

// urgentWithin is within how many seconds ports have to run out for nobody to wait.
const urgentWithin = 600

// exhaustsWithin says that ports run out within so many seconds.
func exhaustsWithin(s *v1alpha1.PortPressureStatus, seconds int64) bool {
	return s.ExhaustionSeconds != nil && *s.ExhaustionSeconds <= seconds
}

// failsAgain is after how long calls that go on failing are news again.
const failsAgain = 10 * time.Minute

// hasNewFailures says that calls failed that nobody knows of: the first, or more of them some
// time after.
func hasNewFailures(a, b *v1alpha1.PortPressureStatus) bool {
	return findLastFailure(b).Sub(findLastFailure(a)) >= failsAgain
}

// findLastFailure is zero where no call failed.
func findLastFailure(s *v1alpha1.PortPressureStatus) (last time.Time) {
	for i := range s.Failures {
		if at := s.Failures[i].LastAt.Time; at.After(last) {
			last = at
		}
	}
	return last
}

// statusChanged is what nobody should wait for: another level, another reader, other
// settings, calls that fail, ports that will run out soon.
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

// answersSpec says that b tells what became of a spec, which a rollout waits for. It ends
// when specs do, so it is no flapping.
func answersSpec(a, b *v1alpha1.PortPressureStatus) bool {
	pending := func(s v1alpha1.SettingStatus) bool { return s.State == v1alpha1.SettingPending }
	return a.ObservedGeneration != b.ObservedGeneration ||
		slices.ContainsFunc(a.Settings, pending) && !slices.ContainsFunc(b.Settings, pending)
}

// exhaustionAverted says that ports don't run out soon any more. What hovers at the line does
// not count.
func exhaustionAverted(a, b *v1alpha1.PortPressureStatus) bool { return exhaustsWithin(a, urgentWithin) && !exhaustsWithin(b, 2*urgentWithin) }

// hasNotableChange is a figure or a cause that is worth a write before the heartbeat.
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
