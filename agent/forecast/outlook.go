package forecast

import "time"

// outlook is a pool now and how it changes.
type outlook struct {
	room float64 // ports left
	rest float64 // ports in use that don't drain
	// leaving is how many of the sockets in the queue leave in each second of their
	// life.
	leaving []float64
	step    float64 // a "second", in seconds

	churn  float64 // sockets a second that go into the queue
	trend  float64 // by how much churn rises, a second
	trust  float64 // how long trend is believed, in seconds
	growth float64 // by how much rest rises, a second
}

// runsOut is when room is gone, if that is within horizon. What goes into the queue
// leaves it after its life: so churn alone fills a pool only when churn × life is
// more than there is.
func (o outlook) runsOut(horizon time.Duration) (seconds float64, ok bool) {
	line := append([]float64(nil), o.leaving...) // a ring: what leaves at each step
	room, rest := o.room, o.rest
	floor := min(0, rest)
	for i, t := 0, 0.0; t < horizon.Seconds(); i, t = i+1, t+o.step {
		in := max(0, o.churn+o.trend*min(t, o.trust))
		up := o.growth
		if rest+up*o.step < floor { // nothing left that could be closed: only what is opened is
			in, up = max(0, in+up), 0
			rest = floor
		}
		out := line[i%len(line)]
		line[i%len(line)] = in * o.step
		rest += up * o.step
		took := (in+up)*o.step - out
		if took > 0 && took >= room {
			return t + o.step*room/took, true
		}
		room -= took
	}
	return 0, false
}
