package agent

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"portreeve.io/portreeve/agent/assess"
	"portreeve.io/portreeve/agent/forecast"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/api/v1alpha1"
)

// Loop measures a machine again and again.
type Loop struct {
	Reader Reader
	// Facts are what a status says beside the sample.
	Facts func(*socket.Sample) assess.Facts
	// Name puts names to a sample's pods.
	Name func(*socket.Sample)
	// Seen is given each sample with its status, which nobody changes afterwards.
	Seen func(*socket.Sample, *v1alpha1.PortPressureStatus, Tick)
	Log  *slog.Logger
	// Tuning is nil where settings are none of this loop's business.
	Tuning Tuning
	// Again asks for a sample before its time.
	Again <-chan struct{}

	// Interval is the time between samples, Pressed the shorter one past the
	// warning line.
	Interval, Pressed time.Duration
	// BudgetPercent is the share of one CPU that samples may take.
	BudgetPercent int
	// TimeWait is how long TIME_WAIT lasts here; 0 is what it is on Linux.
	TimeWait time.Duration

	history forecast.History
	level   v1alpha1.Level // of the last sample, as is failing
	failing bool

	mu         sync.Mutex // for what follows
	course     assess.Course
	thresholds v1alpha1.Thresholds
	generation int64
	reader     string    // of the last good sample
	sampled    time.Time // its end
	due        time.Duration
}

// Tuning holds settings beside the measuring.
type Tuning interface {
	// Level takes the node's level after each sample.
	Level(v1alpha1.Level)
	// Settings is how far each has come; it does not change afterwards.
	Settings() []v1alpha1.SettingStatus
}

// Tick is how a sample was timed.
type Tick struct {
	// Interval is the time until the next sample; Took is this one's, on the clock.
	Interval, Took time.Duration
	// Stretched says that the CPU budget set the interval.
	Stretched bool
	// Facts are those that the status was made with.
	Facts assess.Facts
}

// Object takes what the controller, or a former agent, has written. It says whether
// the spec is another one, so that someone waits for the next status.
func (l *Loop) Object(p *v1alpha1.PortPressure) (news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation == 0 {
		l.course.Resume(&p.Status)
	}
	news = l.generation != p.Generation
	l.generation = p.Generation
	l.thresholds = p.Spec.Thresholds
	return news
}

// Healthy says that samples are being taken.
func (l *Loop) Healthy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.sampled.IsZero() && time.Since(l.sampled) < 3*l.due+30*time.Second
}

// Run takes samples until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	pace := Pace{BudgetPercent: l.BudgetPercent}
	for next := time.Now(); l.sleep(ctx, next); {
		start := time.Now()
		sample, err := l.Reader.Sample(ctx, l.request())
		if ctx.Err() != nil {
			return
		}
		l.tell(err)
		var facts assess.Facts
		var status *v1alpha1.PortPressureStatus
		if err == nil {
			status, facts = l.judge(&sample)
		}
		pace.Interval = l.Interval
		if l.level.IsWorseThan(v1alpha1.LevelNormal) { // by this very sample
			pace.Interval = min(l.Interval, l.Pressed)
		}
		next = start.Add(pace.After(sample.Cost))
		l.alive(next.Sub(start), err)
		if status != nil {
			l.Seen(&sample, status, Tick{Interval: next.Sub(start), Took: time.Since(start), Stretched: pace.Stretched(), Facts: facts})
		}
	}
}

// tell logs the first of a row of failures, and their end.
func (l *Loop) tell(err error) {
	if err != nil && !l.failing {
		l.Log.Error("the sockets can't be read; trying again", "why", err)
	}
	if err == nil && l.failing {
		l.Log.Info("the sockets are read again")
	}
	l.failing = err != nil
}

// request asks for everything, and past the warning line for a closer look; but
// sockdiag, whose dumps walk the whole machine for each namespace, only for those
// whose pools can be half way to the line.
func (l *Loop) request() socket.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := int(l.thresholds.WithDefaults().WarningPercent)
	req := socket.Request{LookPercent: line}
	if l.reader == v1alpha1.ReaderSockdiag {
		req.GatePercent = line / 2
	}
	return req
}

// judge makes the status of a sample, nil where there is none to report.
func (l *Loop) judge(sample *socket.Sample) (*v1alpha1.PortPressureStatus, assess.Facts) {
	l.Name(sample)
	facts := l.Facts(sample)
	l.history.TimeWait = l.TimeWait
	facts.Forecast = l.history.Follow(sample)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader = sample.Reader.Name
	facts.Thresholds = l.thresholds
	l.course.Count(sample, facts)
	facts.Before = l.course.Before()
	status := assess.Status(*sample, facts)
	status.ObservedGeneration = l.generation
	l.level = l.course.Follow(&status)
	if l.Tuning != nil {
		l.Tuning.Level(status.Level)
		l.course.Tuned(&status, l.Tuning.Settings())
	}
	if err := assess.Fit(&status); err != nil { // a status that can't be JSON
		l.Log.Error("the status can't be written down", "why", err)
		return nil, facts
	}
	return &status, facts
}

// alive notes a sample, unless it failed, and when the next one is due.
func (l *Loop) alive(due time.Duration, err error) {
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sampled, l.due = time.Now(), due
}

// sleep waits for the next sample; false when ctx has ended.
func (l *Loop) sleep(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-l.Again:
	}
	return true
}
