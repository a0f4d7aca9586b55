package terminal

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// windows is what only Windows has.
func (g *drawing) windows(s *v1alpha1.PortPressureStatus) {
	if t := s.Tightest; t != nil && t.Holder != nil && t.Holder.Path != "" {
		g.Wrap("held by      ", fmt.Sprintf("%s (pid %d)", t.Holder.Path, t.Holder.PID))
	}
	w := s.Windows
	if w == nil {
		return
	}
	if about := about(w); len(about) > 0 {
		g.Items("Windows      ", about)
	}
	label := "ranges       "
	for _, r := range w.Ranges {
		text := fmt.Sprintf("%s %s %d-%d", r.Family, r.Protocol, r.First, r.Last)
		if r.Excluded != nil {
			text += fmt.Sprintf(", %d excluded", *r.Excluded)
		}
		if r.FreeBlocks != nil {
			text += ", " + plural(int64(*r.FreeBlocks), "free block") + " of 64"
		}
		g.Wrap(label, text+" ("+r.Source+")")
		label = strings.Repeat(" ", len(label))
	}
}

func about(w *v1alpha1.Windows) (list []string) {
	if w.BootedAt != nil {
		list = append(list, "booted "+w.BootedAt.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if w.UpdatePending {
		list = append(list, "an update waits for a restart")
	}
	if w.NonpagedPoolBytes != nil {
		list = append(list, fmt.Sprintf("nonpaged pool %d MiB", *w.NonpagedPoolBytes>>20))
	}
	if w.CommitPercent != nil {
		list = append(list, fmt.Sprintf("commit %d %%", *w.CommitPercent))
	}
	if w.Handles != nil {
		list = append(list, plural(*w.Handles, "handle"))
	}
	return list
}

// capabilities are the names of what works, and of everything else what is said of it.
func (g *drawing) capabilities(list []v1alpha1.Capability) {
	if len(list) == 0 {
		return
	}
	g.Line()
	g.Line(Bold("Capabilities"))
	var works []string
	for _, c := range list {
		if c.State == v1alpha1.CapabilityVerified {
			works = append(works, c.Name)
		}
	}
	if len(works) > 0 {
		g.Wrap("  verified     ", strings.Join(works, ", "))
	}
	for _, state := range []v1alpha1.CapabilityState{v1alpha1.CapabilityAssumed, v1alpha1.CapabilityUnsupported} {
		for _, c := range list {
			if c.State == state {
				g.Wrap(fmt.Sprintf("  %-13s", strings.ToLower(string(state))), strings.TrimSuffix(c.Name+": "+c.Message, ": "))
			}
		}
	}
}
