package windows

import (
	"context"
	"fmt"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/internal/settings"
)

// readAutoReuse reads the auto-reuse range, which is Unset if Windows has none.
func (s *Store) readAutoReuse() plan.Reading {
	r, err := s.shell.ShowAutoReusePorts(context.Background())
	if err != nil || r == nil {
		return plan.Reading{Value: settings.Unset, Err: err}
	}
	return plan.Reading{Value: settings.FormatBlock(*r)}
}

// setAutoReuse sets the auto-reuse range, or removes it.
func (s *Store) setAutoReuse(write plan.Write) error {
	if write.Value == settings.Unset {
		return s.shell.SetAutoReusePorts(context.Background(), nil)
	}
	r, err := settings.ParseBlock(write.Value)
	if err != nil {
		return fmt.Errorf("%q: %w", settings.TruncateValue(write.Value), err)
	}
	return s.shell.SetAutoReusePorts(context.Background(), &r)
}
