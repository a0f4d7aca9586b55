package tuning

import (
	"context"

	"portreeve.io/portreeve/agent/tuning/plan"
	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/settings"
)

// setExclusions adds and takes out, in each of the four lists, what tells the value from
// what stood. On Windows one command may change the lists of both families, so each
// list is read before it is changed.
func (w *Windows) setExclusions(of plan.Write) error {
	is, _ := settings.Lookup(settings.Windows, of.Key)
	was, want := is.SplitParts(of.Was), is.SplitParts(of.Value)
	for i, l := range listsOf(of.Key) {
		before, err := settings.ParsePorts(was[i])
		if err != nil {
			return err
		}
		after, err := settings.ParsePorts(want[i])
		if err != nil {
			return err
		}
		if err := w.changeList(l, without(before, after), without(after, before)); err != nil {
			return err
		}
	}
	return nil
}

// changeList takes ports out of a list, and adds some.
func (w *Windows) changeList(l list, out, in []settings.Ports) error {
	if len(out)+len(in) == 0 {
		return nil
	}
	ctx := context.Background()
	now, err := w.netsh.ShowExclusions(ctx, l.family, l.protocol)
	if err != nil {
		return err
	}
	for _, e := range now {
		// An exclusion is deleted as it was added, so what is to stay of it comes back.
		whole := []settings.Ports{{First: e.First, Last: e.Last}}
		keep := without(whole, out)
		if !e.Administered || settings.FormatPorts(keep) == settings.FormatPorts(whole) {
			continue
		}
		if err := w.netsh.DeleteExclusion(ctx, l.family, l.protocol, e.First, e.Last-e.First+1); err != nil {
			return err
		}
		if err := w.exclude(ctx, l, keep); err != nil {
			return err
		}
	}
	return w.exclude(ctx, l, without(in, portsOf(now)))
}

func (w *Windows) exclude(ctx context.Context, l list, ports []settings.Ports) error {
	for _, p := range ports {
		if err := w.netsh.AddExclusion(ctx, l.family, l.protocol, p.First, p.Last-p.First+1); err != nil {
			return err
		}
	}
	return nil
}

func portsOf(all []netsh.Exclusion) (ports []settings.Ports) {
	for _, e := range all {
		ports = append(ports, settings.Ports{First: e.First, Last: e.Last})
	}
	return ports
}

// without is what is in list and not in others.
func without(list, others []settings.Ports) (rest []settings.Ports) {
	for _, p := range list {
		pieces := []settings.Ports{p}
		for _, o := range others {
			var next []settings.Ports
			for _, q := range pieces {
				if low := (settings.Ports{First: q.First, Last: min(q.Last, o.First-1)}); low.First <= low.Last {
					next = append(next, low)
				}
				if high := (settings.Ports{First: max(q.First, o.Last+1), Last: q.Last}); high.First <= high.Last {
					next = append(next, high)
				}
			}
			pieces = next
		}
		rest = append(rest, pieces...)
	}
	return rest
}
