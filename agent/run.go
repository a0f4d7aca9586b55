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
	// ReadFacts are what a status says beside the sample.
	ReadFacts func(*socket.Sample) assess.Facts
	// ResolveNames puts names to a sample's pods.
	ResolveNames func(*socket.Sample)
	// OnSample is given each sample with its status, which nobody changes afterwards.
	OnSample func(*socket.Sample, *v1alpha1.PortPressureStatus, Tick)
	Log      *slog.Logger
	// Tuning is nil where settings are none of this loop's business.
	Tuning Tuning
	// Trigger asks for a sample before its time.
	Trigger <-chan struct{}

	// Interval is the time between samples, Pressed the shorter one past the
	// warning line.
	Interval, PressureInterval time.Duration
	// BudgetPercent is the share of one CPU that samples may take.
	BudgetPercent int
	// TimeWait is how long TIME_WAIT lasts here; 0 is what it is on Linux.
	TimeWait time.Duration

	forecasts forecast.History
	level     socket.Level // of the last sample, as is failing
	isFailing bool

	mu         sync.Mutex // for what follows
	history    assess.StatusHistory
	thresholds socket.Thresholds
	generation int64
	reader     string    // of the last good sample
	sampledAt  time.Time // its end
	interval   time.Duration
}

// Tuning holds settings beside the measuring.
type Tuning interface {
	// SetLevel takes the node's level after each sample.
	SetLevel(v1alpha1.Level)
	// ListSettings is how far each has come; it does not change afterwards.
	ListSettings() []v1alpha1.SettingStatus
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

// ApplyObject takes what the controller, or a former agent, has written. It says whether
// the spec is another one, so that someone waits for the next status.
func (l *Loop) ApplyObject(p *v1alpha1.PortPressure) (news bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation == 0 {
		l.history.ResumeFrom(&p.Status)
	}
	news = l.generation != p.Generation
	l.generation = p.Generation
	l.thresholds = socket.Thresholds{}
	if t := p.Spec.Thresholds; t.WarningPercent > 0 && t.CriticalPercent > 0 {
		l.thresholds = socket.Thresholds{Warning: int(t.WarningPercent), Critical: int(t.CriticalPercent)}
	}
	return news
}

// IsHealthy says that samples are being taken.
func (l *Loop) IsHealthy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.sampledAt.IsZero() && time.Since(l.sampledAt) < 3*l.interval+30*time.Second
}

// Run takes samples until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	pace := TickBudget{BudgetPercent: l.BudgetPercent}
	for next := time.Now(); l.waitUntil(ctx, next); {
		start := time.Now()
		sample, err := l.Reader.Sample(ctx, l.newRequest())
		if ctx.Err() != nil {
			return
		}
		l.logReadState(err)
		var facts assess.Facts
		var status *v1alpha1.PortPressureStatus
		if err == nil {
			status, facts = l.assessSample(&sample)
		}
		pace.Interval = l.Interval
		if l.level > socket.Normal { // by this very sample
			pace.Interval = min(l.Interval, l.PressureInterval)
		}
		next = start.Add(pace.NextInterval(sample.CPUTime))
		l.recordSample(next.Sub(start), err)
		if status != nil {
			l.OnSample(&sample, status, Tick{Interval: next.Sub(start), Took: time.Since(start), Stretched: pace.IsStretched(), Facts: facts})
		}
	}
}

// logReadState logs the first of a row of failures, and their end.
func (l *Loop) logReadState(err error) {
	if err != nil && !l.isFailing {
		l.Log.Error("the sockets can't be read; trying again", "why", err)
	}
	if err == nil && l.isFailing {
		l.Log.Info("the sockets are read again")
	}
	l.isFailing = err != nil
}

// newRequest asks for everything, and past the warning line for a closer look; but
// sockdiag, whose dumps walk the whole machine for each namespace, only for those
// whose pools can be half way to the line.
func (l *Loop) newRequest() socket.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	line := l.thresholds.OrDefault().Warning
	req := socket.Request{InspectPercent: line}
	if l.reader == v1alpha1.ReaderSockdiag {
		req.DetailPercent = line / 2
	}
	return req
}

// assessSample makes the status of a sample, nil where there is none to report.
func (l *Loop) assessSample(sample *socket.Sample) (*v1alpha1.PortPressureStatus, assess.Facts) {
	l.ResolveNames(sample)
	facts := l.ReadFacts(sample)
	l.forecasts.TimeWait = l.TimeWait
	facts.Forecast = l.forecasts.AddSample(sample)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.reader = sample.Reader.Name
	facts.Thresholds = l.thresholds
	l.history.countConntrack(sample, facts)
	facts.Prior = l.history.prior()
	status := assess.BuildStatus(*sample, facts)
	status.ObservedGeneration = l.generation
	l.level = l.history.completeStatus(&status, l.thresholds)
	if l.Tuning != nil {
		l.Tuning.SetLevel(status.Level)
		l.history.addSettings(&status, l.Tuning.ListSettings())
	}
	if err := assess.TrimToSize(&status); err != nil { // a status that can't be JSON
		l.Log.Error("the status can't be written down", "why", err)
		return nil, facts
	}
	return &status, facts
}

// recordSample notes a sample, unless it failed, and when the next one is due.
func (l *Loop) recordSample(due time.Duration, err error) {
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sampledAt, l.interval = time.Now(), due
}

// waitUntil waits for the next sample; false when ctx has ended.
func (l *Loop) waitUntil(ctx context.Context, until time.Time) bool {
	timer := time.NewTimer(time.Until(until))
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
	case <-l.Trigger:
	}
	return true
}
