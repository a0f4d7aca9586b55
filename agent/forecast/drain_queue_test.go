package forecast

import (
	"math"
	"testing"
	"time"
)

var startTime = time.Date(2026, 11, 21, 3, 0, 0, 0, time.UTC)

func timeAt(seconds float64) time.Time { return startTime.Add(time.Duration(seconds * float64(time.Second))) }

func TestSetCountReturnsTheArrivals(t *testing.T) {
	for name, c := range map[string]struct {
		counts []float64 // every 10 s
		want   float64   // that went in before the last look
	}{
		"what there is at first leaves evenly":         {[]float64{600, 500, 400}, 0},
		"what stays as many was replaced":              {[]float64{600, 600, 600}, 100},
		"more than that went in as well":               {[]float64{600, 600, 650}, 150},
		"less than left is nothing":                    {[]float64{600, 600, 450}, 0},
		"a burst stays for its life":                   {[]float64{0, 300, 300, 300, 300, 300, 300}, 0},
		"and leaves as one, though others follow":      {[]float64{0, 300, 300, 300, 300, 300, 300, 100}, 100},
		"what went early is not replaced":              {[]float64{600, 0, 0}, 0},
		"nor is it expected again a life later":        {[]float64{600, 0, 60, 60, 60, 60, 60, 60}, 0},
		"what came after what went early is new still": {[]float64{600, 0, 60, 90}, 30},
	} {
		t.Run(name, func(t *testing.T) {
			q := drainQueue{lifetime: time.Minute}
			q.fillEvenly(startTime, c.counts[0])
			got := 0.0
			for i, n := range c.counts[1:] {
				got = q.setCount(timeAt(10*float64(i)), timeAt(10*float64(i+1)), n)
			}
			if math.Abs(got-c.want) > 1e-6 {
				t.Errorf("%.3f went in, want %.0f", got, c.want)
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
			t.Errorf("%.3f leave within a life, %.0f are there", sum, n)
		}
	}
}
