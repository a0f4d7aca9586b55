package forecast

import "time"

// projection is the state of a pool and its rates of change.
type projection struct {
	free       float64 // free ports
	persistent float64 // ports in use that don't drain
	// drainSchedule is the number of sockets that leave the queue in each step of their
	// lifetime.
	drainSchedule []float64
	stepSeconds   float64

	churn        float64 // sockets per second that enter the queue
	trend        float64 // increase of churn per second
	trendSeconds float64 // time ahead for which trend applies
	growth       float64 // increase of persistent per second
	decay        float64 // share of growth that is lost per second, 0 to 1
}

// findExhaustion returns the time when no port is free, if that is within horizon. Sockets
// leave the queue after their lifetime, so churn alone exhausts a pool only if churn ×
// lifetime exceeds its free ports.
func (p projection) findExhaustion(horizon time.Duration) (seconds float64, ok bool) {
	schedule := append([]float64(nil), p.drainSchedule...) // a ring buffer, by step
	free, persistent, rate := p.free, p.persistent, p.growth
	floor := min(0, persistent)
	for i, t := 0, 0.0; t < horizon.Seconds(); i, t = i+1, t+p.stepSeconds {
		inflow := max(0, p.churn+p.trend*min(t, p.trendSeconds))
		growth := rate
		rate *= 1 - min(1, p.decay*p.stepSeconds)
		if persistent+growth*p.stepSeconds < floor { // none left to close; only new ones can be
			inflow, growth = max(0, inflow+growth), 0
			persistent = floor
		}
		outflow := schedule[i%len(schedule)]
		schedule[i%len(schedule)] = inflow * p.stepSeconds
		persistent += growth * p.stepSeconds
		taken := (inflow+growth)*p.stepSeconds - outflow
		if taken > 0 && taken >= free {
			return t + p.stepSeconds*free/taken, true
		}
		free -= taken
	}
	return 0, false
}
