package tuning

import (
	"context"
	"errors"
	"fmt"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/settings"
)

// setDynamicPorts sets the range of IPv4 and then that of IPv6, each where it is another.
// Where the second can't be set, the first goes back to what it was.
func (w *Windows) setDynamicPorts(of plan.Write) error {
	is, _ := settings.Lookup(settings.Windows, of.Key)
	ctx, was := context.Background(), map[list]netsh.Block{}
	for i, l := range listsOf(of.Key) {
		start, count, err := settings.ParseBlock(is.SplitParts(of.Value)[i])
		if err != nil {
			return fmt.Errorf("%q: %w", settings.Clip(of.Value), err)
		}
		now, err := w.setDynamicPort(ctx, l, netsh.Block{Start: start, Count: count})
		if err != nil {
			return errors.Join(err, w.putBack(ctx, was))
		}
		was[l] = now
	}
	return nil
}

// setDynamicPort gives what the range was before.
func (w *Windows) setDynamicPort(ctx context.Context, l list, want netsh.Block) (was netsh.Block, err error) {
	was, err = w.netsh.ShowDynamicPorts(ctx, l.family, l.protocol)
	if err == nil && was != want {
		err = w.netsh.SetDynamicPorts(ctx, l.family, l.protocol, want)
	}
	return was, err
}

func (w *Windows) putBack(ctx context.Context, was map[list]netsh.Block) (errs error) {
	for l, b := range was {
		if _, err := w.setDynamicPort(ctx, l, b); err != nil {
			errs = errors.Join(errs, fmt.Errorf("and %s can't be put back to %v: %w", l.family, b, err))
		}
	}
	return errs
}
