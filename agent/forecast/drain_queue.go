package forecast

import "time"

// drainQueue has the sockets of a pool that drain after a fixed time, the oldest first.
// Their start times are derived from their number in each sample.
type drainQueue struct {
	lifetime time.Duration // of a socket in it
	batches  []drainBatch
	total    float64
}

// drainBatch are sockets that entered at a constant rate between two samples.
type drainBatch struct {
	from, to time.Time
	count    float64
}

// fillEvenly resets the queue to n sockets of unknown age: every age is equally likely.
func (q *drainQueue) fillEvenly(now time.Time, n float64) {
	q.batches = []drainBatch{{from: now.Add(-q.lifetime), to: now, count: n}}
	q.total = n
}

// setCount sets the number of sockets to n and returns how many of them entered after the
// previous sample, at since.
func (q *drainQueue) setCount(since, now time.Time, n float64) (inflow float64) {
	q.removeExpired(now)
	if inflow = n - q.total; inflow > 0 {
		q.batches = append(q.batches, drainBatch{from: since, to: now, count: inflow})

		q.total = n
		return inflow
	}
	q.removeOldest(-inflow) // some left before the end of their lifetime
	return 0
}

// removeExpired removes sockets older than the lifetime.
func (q *drainQueue) removeExpired(now time.Time) {
	edge := now.Add(-q.lifetime)
	for len(q.batches) > 0 {
		b := &q.batches[0]
		if b.to.After(edge) {
			if b.from.Before(edge) {
				gone := b.count * edge.Sub(b.from).Seconds() / b.to.Sub(b.from).Seconds()
				b.from, b.count = edge, b.count-gone
				q.total -= gone
			}
			return
		}
		q.total -= b.count
		q.batches = q.batches[1:]
	}
	q.total = 0
}

// removeOldest removes the oldest n.
func (q *drainQueue) removeOldest(n float64) {
	for n > 0 && len(q.batches) > 0 {
		b := &q.batches[0]
		if b.count > n {
			b.count -= n
			q.total -= n
			return
		}
		n -= b.count
		q.total -= b.count
		q.batches = q.batches[1:]
	}
}

// computeDrainSchedule returns the number of sockets that leave in each of steps equal parts
// of the lifetime, from now.
func (q *drainQueue) computeDrainSchedule(now time.Time, steps int) []float64 {
	out := make([]float64, steps)
	step := q.lifetime.Seconds() / float64(steps)
	for _, b := range q.batches {
		first := b.from.Add(q.lifetime).Sub(now).Seconds() / step
		last := b.to.Add(q.lifetime).Sub(now).Seconds() / step
		spreadEvenly(out, first, last, b.count)
	}
	return out
}

// spreadEvenly adds n to out, evenly between the positions first and last.
func spreadEvenly(out []float64, first, last, n float64) {
	if last <= first {
		last = first + 1e-9
	}
	for i := max(0, int(first)); i < len(out) && float64(i) < last; i++ {
		part := min(last, float64(i+1)) - max(first, float64(i))
		out[i] += n * max(0, part) / (last - first)
	}
}
