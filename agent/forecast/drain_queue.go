package forecast

import "time"

// drainQueue is the sockets of a pool that drain by time, the oldest first. When each
// went in follows from how many there are at each look: nobody tells.
type drainQueue struct {
	lifetime    time.Duration // of a socket in it
	batches []drainBatch
	total   float64
}

// drainBatch is sockets that went in between two looks, evenly.
type drainBatch struct {
	from, to time.Time
	count    float64
}

// fillEvenly makes a queue of n sockets whose ages nobody knows: any age is as likely.
func (q *drainQueue) fillEvenly(now time.Time, n float64) {
	q.batches = []drainBatch{{now.Add(-q.lifetime), now, n}}
	q.total = n
}

// setCount takes a look at the queue: n sockets, and how many of them went in since the
// last look, at since.
func (q *drainQueue) setCount(since, now time.Time, n float64) (inflow float64) {
	q.removeExpired(now)
	if inflow = n - q.total; inflow > 0 {
		q.batches = append(q.batches, drainBatch{since, now, inflow})
		q.total = n
		return inflow
	}
	q.removeOldest(-inflow) // some went earlier than they should have
	return 0
}

// removeExpired takes out what is older than life.
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

// removeOldest takes out the oldest n.
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

// computeDrainSchedule is how many of those in the queue leave in each of steps equal parts of
// life, from now.
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
