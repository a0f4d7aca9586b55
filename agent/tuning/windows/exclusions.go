package windows

import (
	"context"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/settings"
)

// setExclusions applies the difference between the previous and the new value to each
// of the four lists. On Windows one command may change the lists of both families, so
// each list is read before it is changed.
func (s *Store) setExclusions(write plan.Write) error {
	def, _ := settings.Lookup(settings.Windows, write.Key)
	was, want := def.SplitParts(write.Previous), def.SplitParts(write.Value)
	for i, l := range listPools(write.Key) {
		before, err := ports.ParseList(was[i])
		if err != nil {
			return err
		}
		after, err := ports.ParseList(want[i])
		if err != nil {
			return err
		}
		out, in := ports.NewSet(before.ListRanges()...), ports.NewSet(after.ListRanges()...)
		out.RemoveAll(after)
		in.RemoveAll(before)
		if err := s.changeExclusions(l, out, in); err != nil {
			return err
		}
	}
	return nil
}

// changeExclusions removes out from a list and adds in.
func (s *Store) changeExclusions(l netshPool, out, in ports.Set) error {
	if out.IsEmpty() && in.IsEmpty() {
		return nil
	}
	ctx := context.Background()
	now, err := s.netsh.ShowExclusions(ctx, l.family, l.protocol)
	if err != nil {
		return err
	}
	for _, e := range now {
		// An exclusion can only be deleted as a whole, so the part to keep is added
		// again.
		whole := ports.NewSet(e.Range)
		keep := ports.Difference(whole, out)
		if !e.Administered || keep == whole {
			continue
		}
		if err := s.netsh.DeleteExclusion(ctx, l.family, l.protocol, e.Range); err != nil {
			return err
		}
		if err := s.addExclusions(ctx, l, keep); err != nil {
			return err
		}
	}
	return s.addExclusions(ctx, l, ports.Difference(in, uniteExclusions(now)))
}

func (s *Store) addExclusions(ctx context.Context, l netshPool, p ports.Set) error {
	for _, r := range p.ListRanges() {
		if err := s.netsh.AddExclusion(ctx, l.family, l.protocol, r); err != nil {
			return err
		}
	}
	return nil
}

func uniteExclusions(all []netsh.Exclusion) (p ports.Set) {
	for _, e := range all {
		p.AddRange(e.Range)
	}
	return p
}
