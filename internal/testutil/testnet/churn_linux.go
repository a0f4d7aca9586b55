package testnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ChurnCount is what became of a churn's connections.
type ChurnCount struct {
	Made   int // connected, and closed by now
	Failed int // connect found no port (EADDRNOTAVAIL)
}

// churner is a running churn. It stays on its caller's thread, and so in that
// thread's namespace.
type churner struct {
	Churn
	listeners []*Socket // one for each of To
	staying   []stay    // the first leaves first
	ChurnCount
}

type stay struct {
	Pair
	until time.Time
}

// Run listens at the destinations, calls ready and churns on the calling thread until
// the churn or ctx ends. What still stays then is reset.
func (c Churn) Run(ctx context.Context, ready func()) (ChurnCount, error) {
	if len(c.To) == 0 {
		c.To = []netip.AddrPort{churnAt}
	}
	r := churner{Churn: c}
	defer r.close()
	for _, to := range c.To {
		l, err := Listen(to)
		if err != nil {
			return r.ChurnCount, fmt.Errorf("churn: listen at %v: %w", to, err)
		}
		r.listeners = append(r.listeners, l)
	}
	ready()
	err := r.run(ctx)
	return r.ChurnCount, err
}

func (r *churner) run(ctx context.Context) error {
	gap := time.Second / time.Duration(r.Rate)
	due := time.Now()
	for ctx.Err() == nil && (!r.tried() || len(r.staying) > 0) {
		now := time.Now()
		if err := r.leave(now); err != nil {
			return err
		}
		if wait := due.Sub(now); wait > 0 || r.tried() {
			pause(ctx, max(min(wait, time.Millisecond), 100*time.Microsecond))
			continue
		}
		if err := r.arrive((r.Made+r.Failed)%len(r.To), now); err != nil {
			return err
		}
		if due = due.Add(gap); now.Sub(due) > time.Second {
			due = now // too slow for the rate: no burst to catch up
		}
	}
	return nil
}

// tried: there is nobody to arrive any more.
func (r *churner) tried() bool { return r.Attempts > 0 && r.Made+r.Failed >= r.Attempts }

func (r *churner) arrive(i int, now time.Time) error {
	p, err := Dial(r.listeners[i], netip.AddrPort{}, r.To[i])
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		r.Failed++
		return nil
	}
	if err != nil {
		return fmt.Errorf("churn to %v: %w", r.To[i], err)
	}
	r.Made++
	r.staying = append(r.staying, stay{p, now.Add(r.Stay)})
	return nil
}

// leave closes the connections that have stayed long enough.
func (r *churner) leave(now time.Time) error {
	for len(r.staying) > 0 && !r.staying[0].until.After(now) {
		end := Pair.closeQuickly
		if r.Reset {
			end = Pair.Close
		}
		if err := end(r.staying[0].Pair); err != nil {
			return fmt.Errorf("churn: %w", err)
		}
		r.staying = r.staying[1:]
	}
	return nil
}

func (r *churner) close() {
	for _, s := range r.staying {
		_ = s.Close() // a reset: there is no more to do
	}
	for _, l := range r.listeners {
		_ = l.Close()
	}
}

func pause(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
