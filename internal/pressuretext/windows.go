package pressuretext

import (
	"fmt"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
	"portreeve.io/portreeve/internal/text"
)

// writeWindows writes what only Windows reports.
func (w *pressureWriter) writeWindows(s *v1alpha1.PortPressureStatus) {
	if t := s.Tightest; t != nil && t.Holder != nil && t.Holder.Path != "" {
		w.WriteWrapped("used by      ", fmt.Sprintf("%s (pid %d)", t.Holder.Path, t.Holder.PID))
	}
	if s.Windows == nil {
		return
	}
	if facts := formatWindowsFacts(s.Windows); len(facts) > 0 {
		w.WriteItems("Windows      ", facts)
	}
	label := "ranges       "
	for _, r := range s.Windows.Ranges {
		line := fmt.Sprintf("%s %s %d-%d", r.Family, r.Protocol, r.First, r.Last)
		if r.Excluded != nil {
			line += fmt.Sprintf(", %d excluded", *r.Excluded)
		}
		if r.FreeBlocks != nil {
			line += ", " + text.FormatPlural(*r.FreeBlocks, "free block") + " of 64"
		}
		w.WriteWrapped(label, line+" ("+r.Source+")")
		label = strings.Repeat(" ", len(label))
	}
}

func formatWindowsFacts(windows *v1alpha1.Windows) (facts []string) {
	if windows.BootedAt != nil {
		facts = append(facts, "booted "+windows.BootedAt.UTC().Format("2006-01-02 15:04 UTC"))
	}
	if windows.UpdatePending {
		facts = append(facts, "restart pending for an update")
	}
	if windows.NonpagedPoolBytes != nil {
		facts = append(facts, fmt.Sprintf("nonpaged pool %d MiB", *windows.NonpagedPoolBytes>>20))
	}
	if windows.CommitPercent != nil {
		facts = append(facts, fmt.Sprintf("commit %d %%", *windows.CommitPercent))
	}
	if windows.Handles != nil {
		facts = append(facts, text.FormatPlural(*windows.Handles, "handle"))
	}
	return facts
}

// writeCapabilities writes the names of the verified capabilities, and the name and the
// message of each of the others.
func (w *pressureWriter) writeCapabilities(capabilities []v1alpha1.Capability) {
	if len(capabilities) == 0 {
		return
	}
	w.WriteLine()
	w.WriteLine(terminal.Bold("Capabilities"))
	var verified []string
	for _, c := range capabilities {
		if c.State == v1alpha1.CapabilityVerified {
			verified = append(verified, c.Name)
		}
	}
	if len(verified) > 0 {
		w.WriteWrapped("  verified     ", strings.Join(verified, ", "))
	}
	for _, state := range []v1alpha1.CapabilityState{v1alpha1.CapabilityAssumed, v1alpha1.CapabilityUnsupported} {
		for _, c := range capabilities {
			if c.State == state {
				label := fmt.Sprintf("  %-13s", strings.ToLower(string(state)))
				w.WriteWrapped(label, strings.TrimSuffix(c.Name+": "+c.Message, ": "))
			}
		}
	}
}
