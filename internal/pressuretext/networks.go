package pressuretext

import (
	"fmt"
	"slices"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
	"portreeve.io/portreeve/internal/text"
)

// maxNameWidth fits an IPv6 destination. On a wide terminal it keeps the numbers close
// to the names.
const maxNameWidth = 54

// writeNetworks writes the pools of the listed networks, or the tightest pool if none is
// listed.
func (w *pressureWriter) writeNetworks(s *v1alpha1.PortPressureStatus) {
	if len(s.Networks) == 0 && s.Tightest != nil {
		w.WriteLine()
		w.WriteLine(terminal.Bold(w.TruncateMiddle(s.Tightest.Network, w.Width)))
		w.writePool(*s.Tightest, s, formatPurpose(*s.Tightest, nil))
	}
	for _, n := range s.Networks {
		w.WriteLine()
		w.writeNetworkHeading(n, s)
		for _, p := range n.Pools {
			w.writePool(p, s, formatPurpose(p, n.Pools))
			if p.Protocol != v1alpha1.ProtocolUDP && p.Kind == v1alpha1.PoolBind && calculateUsedPercent(p) > n.UsedPercent {
				w.WriteWrapped("    ", "not counted: programs here use connect(), rarely bind()")
			}
		}
	}
	if w.omittedPools > 0 {
		w.WriteLine()
		more := text.FormatPlural(w.omittedPools, "more pool")
		w.WriteLine(terminal.Bold(more + " above the warning threshold (--pools all)"))
	}
}

// writeNetworkHeading writes the name and the details of a network on one line, or on
// two if one is too short: a name that users search for must not be truncated.
func (w *pressureWriter) writeNetworkHeading(n v1alpha1.Network, s *v1alpha1.PortPressureStatus) {
	details := fmt.Sprintf("range %d-%d", n.Range.First, n.Range.Last)
	if n.ReservedPorts > 0 {
		details += fmt.Sprintf(", %d reserved", n.ReservedPorts)
	}
	details += ", " + text.FormatPlural(n.Sockets, "socket")
	// The summary has the tightest pool's cause.
	if n.Cause != "" && (s.Tightest == nil || n.Network != s.Tightest.Network) {
		details += ", " + string(n.Cause)
	}
	name := w.TruncateMiddle(n.Network, w.Width)
	if w.MeasureText(name)+2+w.MeasureText(details) > w.Width {
		w.WriteLine(terminal.Bold(name))
		w.WriteLine(terminal.Dim("  " + details))
		return
	}
	w.WriteLine(terminal.Bold(name), terminal.Dim("  "+details))
}

// formatPurpose returns what p is used for, with its source if another one of pools has
// the same destination.
func formatPurpose(p v1alpha1.Pool, pools []v1alpha1.Pool) string {
	if p.Kind == v1alpha1.PoolSNAT {
		return p.Purpose()
	}
	for _, o := range pools {
		if o.Kind == p.Kind && o.Destination == p.Destination && o.Port == p.Port && o.Source != p.Source {
			return p.Source + " " + p.Purpose()
		}
	}
	return p.Purpose()
}

// writePool writes a line of numbers, and a line of how the ports are used.
func (w *pressureWriter) writePool(p v1alpha1.Pool, s *v1alpha1.PortPressureStatus, name string) {
	used := fmt.Sprint(p.Used)
	if p.UsedMax != nil && *p.UsedMax > p.Used {
		used = fmt.Sprintf("%d-%d", p.Used, *p.UsedMax)
	}
	w.writeUsage("  "+name, calculateUsedPercent(p), fmt.Sprintf("%s/%d", used, p.Capacity),
		FormatLeft(p, s.Reader.Exactness)+" left")
	if uses := formatPortUses(p); len(uses) > 0 {
		w.WriteItems("    ", uses)
	}
}

// FormatLeft returns how many ports p has left, as exactly as a reader of that exactness
// knows it: "≥ 7" if used is between two bounds, "≤ 7" if used is a lower bound.
func FormatLeft(p v1alpha1.Pool, e v1alpha1.Exactness) string {
	switch {
	case p.UsedMax != nil && *p.UsedMax > p.Used:
		return fmt.Sprintf("≥ %d", max(0, p.Capacity-*p.UsedMax))
	case e == v1alpha1.ExactnessUpperBound, p.Kind == v1alpha1.PoolSNAT:
		return fmt.Sprintf("≤ %d", max(0, p.Capacity-p.Used))
	}
	return fmt.Sprint(max(0, p.Capacity-p.Used))
}

// writeUsage writes a name, a bar and its numbers. A narrow terminal needs the columns
// of used/capacity for the name.
func (w *pressureWriter) writeUsage(name string, percent int32, used, left string) {
	bar := FormatUsage(percent, w.thresholds)
	numbers := "  " + w.PadLeft(left, 12)
	if w.Width >= 80 {
		numbers = "  " + w.PadLeft(used, 13) + numbers
	}
	nameWidth := min(maxNameWidth, w.Width-len("  ")-w.MeasureSpans(bar...)-w.MeasureText(numbers))
	w.WriteLine(slices.Concat([]terminal.Span{terminal.Plain(w.FitText(name, nameWidth) + "  ")}, bar,
		[]terminal.Span{terminal.Plain(numbers)})...)
}

// calculateUsedPercent returns how much of p is used, 0 to 100, rounded down as the agent
// does it.
func calculateUsedPercent(p v1alpha1.Pool) int32 {
	used := p.Used
	if p.UsedMax != nil {
		used = max(used, *p.UsedMax)
	}
	if used >= p.Capacity {
		return 100
	}
	return int32(int64(max(0, used)) * 100 / int64(p.Capacity))
}
