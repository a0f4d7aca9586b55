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

// Loop samples a machine periodically.
type Loop struct {
	Reader Reader
	// ReadFacts returns the facts for a status that are not part of the sample.
	ReadFacts func(*socket.Sample) assess.Facts
	// ResolveNames fills in the names of a sample's pods.
	ResolveNames func(*socket.Sample)
	// OnSample receives each sample with its status, which is not changed afterwards.
	OnSample func(*socket.Sample, *v1alpha1.PortPressureStatus, Tick)
	Log      *slog.Logger
	// Tuning is nil where this loop's node is not tuned.
	Tuning Tuning
	// Trigger requests a sample before the interval has passed.
	Trigger <-chan struct{}
	// Wake requests a sample because a call found no free port. Such samples keep a distance of
	// wakeInterval, and the CPU budget.
	Wake <-chan struct{}

	// Interval is the time between samples; PressureInterval is the shorter one that
	// applies above the warning threshold.
	Interval, PressureInterval time.Duration
	// BudgetPercent is the share of one CPU that samples may take.
	BudgetPercent int
	// TimeWait is the duration of TIME_WAIT on this machine; 0 means Linux's.
	TimeWait time.Duration

	forecasts    forecast.History
	level        v1alpha1.Level // of the last sample
	isFailing    bool           // the last sample failed
	isOverBudget bool

	mu         sync.Mutex     // guards the fields below
	baseLevel  v1alpha1.Level // see updateBaseLevel
	baseShare  int            // smallest capacity with a baseline, in percent of the current one; 0 before the first sample
	history    assess.StatusHistory
	thresholds v1alpha1.Thresholds
	generation int64
	sampledAt  time.Time // end of the last successful sample
	interval   time.Duration
}

// Tuning enforces settings while the loop measures.
type Tuning interface {
	// FindBaseline returns the baseline of a network, nil if it has none.
	FindBaseline(*socket.Network) *socket.Baseline
	// SetLevel is called with the node's level after each sample, as it would be with the
	// baselines.
	SetLevel(v1alpha1.Level)
	// ListSettings returns the state of each setting. The list is not changed afterwards.
	ListSettings() []v1alpha1.SettingStatus
}

// Tick describes the timing of a sample.
type Tick struct {
	// Interval is the time until the next sample; Took is the wall-clock time that this
	// one took.
	Interval, Took time.Duration
	// Stretched reports whether the CPU budget, not the configuration, set Interval.
	Stretched bool
	// Facts has the facts from which the status was built.
	Facts assess.Facts
}

// ApplyObject applies the thresholds of the controller and resumes from the status of an
// earlier agent. It reports whether the spec is new, so that the controller waits for the
// next status.
func (l *Loop) ApplyObject(p *v1alpha1.PortPressure) (isNewSpec bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.generation == 0 {
		l.history.ResumeFrom(&p.Status)
	}
	isNewSpec = l.generation != p.Generation
	l.generation = p.Generation
	l.thresholds = p.Spec.Thresholds
	return isNewSpec
}

// IsHealthy reports whether samples are being taken.
func (l *Loop) IsHealthy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return !l.sampledAt.IsZero() && time.Since(l.sampledAt) < 3*l.interval+30*time.Second
}

// wakeInterval is the minimum time between the starts of a sample and of one that Wake requests.
const wakeInterval = time.Second

// Run takes samples until ctx ends.
func (l *Loop) Run(ctx context.Context) {
	budget := TickBudget{BudgetPercent: l.BudgetPercent}
	start := time.Now()
	for next := start; l.waitUntil(ctx, next, start.Add(max(wakeInterval, budget.minInterval()))); {
		start = time.Now()
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
		budget.Interval = l.Interval
		if l.level.IsWorseThan(v1alpha1.LevelNormal) { // as of this sample
			budget.Interval = min(l.Interval, l.PressureInterval)
		}
		next = start.Add(budget.NextInterval(sample.CPUTime))
		l.logBudgetState(budget.IsExceeded())
		l.recordSample(next.Sub(start), err)
		if status != nil {
			l.OnSample(&sample, status, Tick{
				Interval: next.Sub(start), Took: time.Since(start), Stretched: budget.IsStretched(), Facts: facts,
			})
		}
	}
}

// logBudgetState logs that samples take more than the CPU budget, and the end of that.
func (l *Loop) logBudgetState(isExceeded bool) {
	if isExceeded && !l.isOverBudget {
		l.Log.Warn("samples take more than the CPU budget, although the tick has its maximum length", "tick", maxTick, "budgetPercent", l.BudgetPercent)
	}
	if !isExceeded && l.isOverBudget {
		l.Log.Info("samples are within the CPU budget again")
	}
	l.isOverBudget = isExceeded
}

// logReadState logs the first of consecutive failures, and the recovery.
func (l *Loop) logReadState(err error) {
	if err != nil && !l.isFailing {
		l.Log.Error("failed to read the socket tables; retrying", "error", err)
	}
	if err == nil && l.isFailing {
		l.Log.Info("reading the socket tables works again")
	}
	l.isFailing = err != nil
}

// Details are read of networks whose tightest pool can be less than detailReach percentage
// points below the warning threshold, and of all others once per maxDetailAge.
const (
	detailReach  = 25
	maxDetailAge = time.Minute
)

// newRequest requests the details of networks that can be near the warning threshold, and
// inspection of the tightest pool above it.
func (l *Loop) newRequest() socket.Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	warning := int(l.thresholds.WithDefaults().WarningPercent)
	req := socket.Request{InspectPercent: warning, DetailPercent: max(0, warning-detailReach), MaxDetailAge: maxDetailAge}
	if l.Tuning != nil { // the threshold applies to the baselines, too, whose capacity is smaller
		req.DetailPercent = req.DetailPercent * l.baseShare / 100
	}
	return req
}

// assessSample returns the status of a sample, nil if it can't be encoded, and the facts
// from which it was built.
func (l *Loop) assessSample(sample *socket.Sample) (*v1alpha1.PortPressureStatus, assess.Facts) {
	l.ResolveNames(sample)
	facts := l.ReadFacts(sample)
	l.forecasts.TimeWait = l.TimeWait
	facts.Forecast = l.forecasts.AddSample(sample)
	l.mu.Lock()
	defer l.mu.Unlock()
	facts.Thresholds, facts.Generation = l.thresholds, l.generation
	if facts.IsTuned = l.Tuning != nil; facts.IsTuned {
		facts.Settings = l.Tuning.ListSettings()
	}
	status, err := l.history.Assess(sample, &facts)
	l.level = l.history.Level()
	if l.Tuning != nil {
		l.Tuning.SetLevel(l.updateBaseLevel(sample))
	}
	if err != nil {
		l.Log.Error("failed to encode the status", "error", err)
		return nil, facts
	}
	return status, facts
}

// updateBaseLevel returns the level of a sample with the baselines of its networks, empty if
// nothing could be measured.
func (l *Loop) updateBaseLevel(sample *socket.Sample) v1alpha1.Level {
	base := sample.WithBaselines(l.Tuning.FindBaseline)
	l.baseShare = 100
	for i := range base.Networks {
		if now := sample.Networks[i].Settings.Capacity(); now > 0 {
			l.baseShare = min(l.baseShare, base.Networks[i].Settings.Capacity()*100/now)
		}
	}
	p, ok := base.TightestPool()
	if !ok {
		return ""
	}
	l.baseLevel = socket.NextLevel(l.thresholds, l.baseLevel, p.UsedPercent())
	return l.baseLevel
}

// recordSample records the time of a sample, unless it failed, and the interval until the
// next one.
func (l *Loop) recordSample(interval time.Duration, err error) {
	if err != nil {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.sampledAt, l.interval = time.Now(), interval
}

// waitUntil waits for the next sample, with Wake for no longer than until wakeAt. It returns
// false when ctx has ended.
func (l *Loop) waitUntil(ctx context.Context, next, wakeAt time.Time) bool {
	timer := time.NewTimer(time.Until(next))
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return false
		case <-timer.C:
			return true
		case <-l.Trigger:
			return true
		case <-l.Wake:
			if wakeAt.Before(next) {
				next = wakeAt
				timer.Reset(time.Until(next))
			}
		}
	}
}
