package forecast

import "time"

// queue is the sockets of a pool that drain by time, the oldest first. When each
// went in follows from how many there are at each look: nobody tells.
type queue struct {
	life    time.Duration // of a socket in it
	batches []batch
	total   float64
}

// batch is sockets that went in between two looks, evenly.
type batch struct {
	from, to time.Time
	count    float64
}

// fill makes a queue of n sockets whose ages nobody knows: any age is as likely.
func (q *queue) fill(now time.Time, n float64) {
	q.batches = []batch{{now.Add(-q.life), now, n}}
	q.total = n
}

// see takes a look at the queue: n sockets, and how many of them went in since the
// last look, at since.
func (q *queue) see(since, now time.Time, n float64) (inflow float64) {
	q.expire(now)
	if inflow = n - q.total; inflow > 0 {
		q.batches = append(q.batches, batch{since, now, inflow})
		q.total = n
		return inflow
	}
	q.drop(-inflow) // some went earlier than they should have
	return 0
}

// expire takes out what is older than life.
func (q *queue) expire(now time.Time) {
	edge := now.Add(-q.life)
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

// drop takes out the oldest n.
func (q *queue) drop(n float64) {
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

// leaving is how many of those in the queue leave in each of steps equal parts of
// life, from now.
func (q *queue) leaving(now time.Time, steps int) []float64 {
	out := make([]float64, steps)
	step := q.life.Seconds() / float64(steps)
	for _, b := range q.batches {
		first := b.from.Add(q.life).Sub(now).Seconds() / step
		last := b.to.Add(q.life).Sub(now).Seconds() / step
		spread(out, first, last, b.count)
	}
	return out
}

// spread adds n to out, evenly between the positions first and last.
func spread(out []float64, first, last, n float64) {
	if last <= first {
		last = first + 1e-9
	}
	for i := max(0, int(first)); i < len(out) && float64(i) < last; i++ {
		part := min(last, float64(i+1)) - max(first, float64(i))
		out[i] += n * max(0, part) / (last - first)
	}
}
