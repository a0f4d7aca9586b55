package testnet

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// ChurnCount counts the results of a churn's connects.
type ChurnCount struct {
	Made   int // connected, and closed since
	Failed int // connect found no port (EADDRNOTAVAIL)
}

// churner runs a churn on its caller's thread, and so in that thread's namespace.
type churner struct {
	Churn
	listeners   []*Socket         // one for each of To
	connections []churnConnection // oldest first
	ChurnCount
}

type churnConnection struct {
	Pair
	until time.Time
}

// Run listens at the destinations, calls ready and churns on the calling thread until
// the churn or ctx ends. Connections that are open then are reset.
func (c Churn) Run(ctx context.Context, ready func()) (ChurnCount, error) {
	if len(c.To) == 0 {
		c.To = []netip.AddrPort{churnDestination}
	}
	r := churner{Churn: c}
	defer r.closeAll()
	for _, to := range c.To {
		l, err := Listen(to)
		if err != nil {
			return r.ChurnCount, fmt.Errorf("churn: listen at %v: %w", to, err)
		}
		r.listeners = append(r.listeners, l)
	}
	ready()
	err := r.openUntilDone(ctx)
	return r.ChurnCount, err
}

func (r *churner) openUntilDone(ctx context.Context) error {
	gap := time.Second / time.Duration(r.Rate)
	due := time.Now()
	for ctx.Err() == nil && (!r.hasAttemptedAll() || len(r.connections) > 0) {
		now := time.Now()
		if err := r.closeExpired(now); err != nil {
			return err
		}
		if wait := due.Sub(now); wait > 0 || r.hasAttemptedAll() {
			sleepContext(ctx, max(min(wait, time.Millisecond), 100*time.Microsecond))
			continue
		}
		if err := r.openNext((r.Made+r.Failed)%len(r.To), now); err != nil {
			return err
		}
		if due = due.Add(gap); now.Sub(due) > time.Second {
			due = now // too slow for the rate: don't catch up in a burst
		}
	}
	return nil
}

// hasAttemptedAll reports whether all attempts have been made.
func (r *churner) hasAttemptedAll() bool { return r.Attempts > 0 && r.Made+r.Failed >= r.Attempts }

func (r *churner) openNext(i int, now time.Time) error {
	p, err := Dial(r.listeners[i], netip.AddrPort{}, r.To[i])
	if errors.Is(err, unix.EADDRNOTAVAIL) {
		r.Failed++
		return nil
	}
	if err != nil {
		return fmt.Errorf("churn to %v: %w", r.To[i], err)
	}
	r.Made++
	r.connections = append(r.connections, churnConnection{p, now.Add(r.Lifetime)})
	return nil
}

// closeExpired closes the connections whose lifetime has passed.
func (r *churner) closeExpired(now time.Time) error {
	for len(r.connections) > 0 && !r.connections[0].until.After(now) {
		end := Pair.closeQuickly
		if r.Reset {
			end = Pair.Close
		}
		if err := end(r.connections[0].Pair); err != nil {
			return fmt.Errorf("churn: %w", err)
		}
		r.connections = r.connections[1:]
	}
	return nil
}

func (r *churner) closeAll() {
	for _, s := range r.connections {
		_ = s.Close() // a reset
	}
	for _, l := range r.listeners {
		_ = l.Close()
	}
}

func sleepContext(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
