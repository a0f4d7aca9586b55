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
	// Gap is the least time between writes that no change of level causes.
	Gap time.Duration
	// Points is the least change of usedPercent that is a change.
	Points int32
	// Calm is the Gap while the level is Normal: what changes far from the line
	// can wait. Two such writes and two heartbeats make four an hour.
	Calm time.Duration
}

// DefaultPolicy is what docs/architecture.md describes.
var DefaultPolicy = Policy{Heartbeat: 30 * time.Minute, Gap: time.Minute, Points: 5, Calm: 20 * time.Minute}

// written is what the API server has, and when it got it.
type written struct {
	status *v1alpha1.PortPressureStatus // nil: nothing of this agent's yet
	at     time.Time
	jitter float64 // 0 to 1, drawn anew with each write
	hasty  int     // how many writes came less than a Gap after another, lately
}

// maxHasty is how often a level may change faster than the Gap before it is a
// pool that flaps: then it has to wait until it is written as better.
const maxHasty = 6

// then is what was written after w.
func (w written) then(s *v1alpha1.PortPressureStatus, at time.Time, jitter float64, gap time.Duration) written {
	next := written{status: s, at: at, jitter: jitter, hasty: w.hasty}
	switch apart := at.Sub(w.at); {
	case w.status == nil || apart > 10*gap:
		next.hasty = 0
	case apart < gap && !replies(w.status, s):
		next.hasty++
	}
	return next
}

// due is when now's status should be written, at the latest; whatever lies in
// the past is due at once.
func (p Policy) due(w written, now *v1alpha1.PortPressureStatus) time.Time {
	switch {
	case w.status == nil:
		return time.Time{}
	case moved(w.status, now) && (w.hasty < maxHasty || now.Level.IsWorseThan(w.status.Level) || replies(w.status, now)):
		return time.Time{}
	case moved(w.status, now):
		return w.at.Add(p.Gap)
	}
	heartbeat := w.at.Add(time.Duration(float64(p.Heartbeat) * (0.9 + 0.2*w.jitter)))
	if !p.changed(w.status, now) {
		return heartbeat
	}
	gap := p.Gap
	if now.Level == v1alpha1.LevelNormal && !averted(w.status, now) {
		gap = p.Calm
	}
	if next := w.at.Add(gap); next.Before(heartbeat) {
		return next
	}
	return heartbeat
}

// soon is within how many seconds ports have to run out for nobody to wait.
const soon = 600

// runsOut says that ports run out within so many seconds.
func runsOut(s *v1alpha1.PortPressureStatus, seconds int64) bool {
	return s.ExhaustionSeconds != nil && *s.ExhaustionSeconds <= seconds
}

// failsAgain is after how long calls that go on failing are news again.
const failsAgain = 10 * time.Minute

// fails says that calls failed that nobody knows of: the first, or more of them some
// time after.
func fails(a, b *v1alpha1.PortPressureStatus) bool {
	return lastFailure(b).Sub(lastFailure(a)) >= failsAgain
}

// lastFailure is zero where no call failed.
func lastFailure(s *v1alpha1.PortPressureStatus) (last time.Time) {
	for i := range s.Failures {
		if at := s.Failures[i].LastAt.Time; at.After(last) {
			last = at
		}
	}
	return last
}

// moved is what nobody should wait for: another level, another reader, other
// settings, calls that fail, ports that will run out soon.
func moved(a, b *v1alpha1.PortPressureStatus) bool {
	if !runsOut(a, soon) && runsOut(b, soon) || fails(a, b) {
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

// replies says that b tells what became of a spec, which a rollout waits for. It ends
// when specs do, so it is no flapping.
func replies(a, b *v1alpha1.PortPressureStatus) bool {
	pending := func(s v1alpha1.SettingStatus) bool { return s.State == v1alpha1.SettingPending }
	return a.ObservedGeneration != b.ObservedGeneration ||
		slices.ContainsFunc(a.Settings, pending) && !slices.ContainsFunc(b.Settings, pending)
}

// averted says that ports don't run out soon any more. What hovers at the line does
// not count.
func averted(a, b *v1alpha1.PortPressureStatus) bool { return runsOut(a, soon) && !runsOut(b, 2*soon) }

// changed is a figure or a cause that is worth a write before the heartbeat.
func (p Policy) changed(a, b *v1alpha1.PortPressureStatus) bool {
	if averted(a, b) {
		return true
	}
	if a.UsedPercent == nil || b.UsedPercent == nil {
		return a.UsedPercent != b.UsedPercent
	}
	diff := *a.UsedPercent - *b.UsedPercent
	return diff >= p.Points || -diff >= p.Points || a.Cause != b.Cause ||
		b.Level != v1alpha1.LevelNormal && summary(a) != summary(b)
}

func summary(s *v1alpha1.PortPressureStatus) string {
	if s.Tightest == nil {
		return ""
	}
	return s.Tightest.Summary
}
