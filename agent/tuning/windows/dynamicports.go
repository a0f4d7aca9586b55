package windows

import (
	"context"
	"errors"
	"fmt"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// setDynamicPorts sets the ranges of IPv4 and IPv6 that differ. If the second fails, it
// restores the first.
func (s *Store) setDynamicPorts(write plan.Write) error {
	def, _ := settings.Lookup(settings.Windows, write.Key)
	ctx, was := context.Background(), map[netshPool]ports.Range{}
	for i, l := range listPools(write.Key) {
		next, err := settings.ParseBlock(def.SplitParts(write.Value)[i])
		if err != nil {
			return fmt.Errorf("%q: %w", settings.TruncateValue(write.Value), err)
		}
		now, err := s.setPoolRange(ctx, l, next)
		if err != nil {
			return errors.Join(err, s.restoreRanges(ctx, was))
		}
		was[l] = now
	}
	return nil
}

// setPoolRange sets a range and returns the previous one.
func (s *Store) setPoolRange(ctx context.Context, l netshPool, want ports.Range) (was ports.Range, err error) {
	was, err = s.netsh.ShowDynamicPorts(ctx, l.family, l.protocol)
	if err == nil && was != want {
		err = s.netsh.SetDynamicPorts(ctx, l.family, l.protocol, want)
	}
	return was, err
}

func (s *Store) restoreRanges(ctx context.Context, was map[netshPool]ports.Range) (errs error) {
	for l, b := range was {
		if _, err := s.setPoolRange(ctx, l, b); err != nil {
			errs = errors.Join(errs, fmt.Errorf("and %s could not be restored to %v: %w", l.family, b, err))
		}
	}
	return errs
}
