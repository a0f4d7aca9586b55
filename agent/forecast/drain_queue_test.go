package forecast

import (
	"math"
	"testing"
	"time"
)

var startTime = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

func timeAt(seconds float64) time.Time {
	return startTime.Add(time.Duration(seconds * float64(time.Second)))
}

func TestSetCountReturnsTheArrivals(t *testing.T) {
	for name, c := range map[string]struct {
		counts []float64 // every 10 s
		want   float64   // arrivals before the last sample
	}{
		"the initial sockets leave evenly":            {[]float64{600, 500, 400}, 0},
		"a constant count means replacement":          {[]float64{600, 600, 600}, 100},
		"a rising count means more arrivals":          {[]float64{600, 600, 650}, 150},
		"a count below the expected one":              {[]float64{600, 600, 450}, 0},
		"a burst stays for a lifetime":                {[]float64{0, 300, 300, 300, 300, 300, 300}, 0},
		"a burst leaves at once, while others arrive": {[]float64{0, 300, 300, 300, 300, 300, 300, 100}, 100},
		"sockets that left early are not replaced":    {[]float64{600, 0, 0}, 0},
		"they are not expected a lifetime later":      {[]float64{600, 0, 60, 60, 60, 60, 60, 60}, 0},
		"arrivals after an early departure are new":   {[]float64{600, 0, 60, 90}, 30},
	} {
		t.Run(name, func(t *testing.T) {
			q := drainQueue{lifetime: time.Minute}
			q.fillEvenly(startTime, c.counts[0])
			got := 0.0
			for i, n := range c.counts[1:] {
				got = q.setCount(timeAt(10*float64(i)), timeAt(10*float64(i+1)), n)
			}
			if math.Abs(got-c.want) > 1e-6 {
				t.Errorf("%.3f arrivals, want %.0f", got, c.want)
			}
		})
	}
}

func TestTheDrainScheduleHasEverySocketOfTheQueue(t *testing.T) {
	q := drainQueue{lifetime: time.Minute}
	q.fillEvenly(startTime, 60)
	for i, n := range []float64{70, 65, 200, 200, 31} {
		q.setCount(timeAt(7*float64(i)), timeAt(7*float64(i+1)), n)
		sum := 0.0
		for _, n := range q.computeDrainSchedule(timeAt(7*float64(i+1)), 60) {
			sum += n
		}
		if math.Abs(sum-n) > 1e-6 {
			t.Errorf("%.3f sockets leave within a lifetime, want %.0f", sum, n)
		}
	}
}
