package forecast

import "time"

// projection is a pool now and how it changes.
type projection struct {
	free float64 // ports left
	persistent float64 // ports in use that don't drain
	// drainSchedule is how many of the sockets in the queue leave in each second of their
	// life.
	drainSchedule []float64
	stepSeconds    float64 // a "second", in seconds

	churn  float64 // sockets a second that go into the queue
	trend  float64 // by how much churn rises, a second
	trendSeconds  float64 // how long trend is believed, in seconds
	growth float64 // by how much rest rises, a second
}

// findExhaustion is when room is gone, if that is within horizon. What goes into the queue
// leaves it after its life: so churn alone fills a pool only when churn × life is
// more than there is.
func (o projection) findExhaustion(horizon time.Duration) (seconds float64, ok bool) {
	line := append([]float64(nil), o.drainSchedule...) // a ring: what leaves at each step
	room, rest := o.free, o.persistent
	floor := min(0, rest)
	for i, t := 0, 0.0; t < horizon.Seconds(); i, t = i+1, t+o.stepSeconds {
		in := max(0, o.churn+o.trend*min(t, o.trendSeconds))
		up := o.growth
		if rest+up*o.stepSeconds < floor { // nothing left that could be closed: only what is opened is
			in, up = max(0, in+up), 0
			rest = floor
		}
		out := line[i%len(line)]
		line[i%len(line)] = in * o.stepSeconds
		rest += up * o.stepSeconds
		took := (in+up)*o.stepSeconds - out
		if took > 0 && took >= room {
			return t + o.stepSeconds*room/took, true
		}
		room -= took
	}
	return 0, false
}
