package transition

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"portreeve.io/portreeve/api/v1alpha1"
)

// formatHeadroom describes the tightest pool, its usage and its main user.
func (c Change) formatHeadroom(s *v1alpha1.PortPressureStatus, name string) string {
	var b strings.Builder
	if c.was == v1alpha1.LevelCritical {
		b.WriteString("Below the critical threshold again: ")
	}
	if s.UsedPercent != nil {
		fmt.Fprintf(&b, "%d %% of ports in use", *s.UsedPercent)
	}
	p := s.Tightest
	if p == nil {
		return b.String()
	}
	fmt.Fprintf(&b, " (%d/%d): %s", p.Used, p.Capacity, appendName(p.Summary, name))
	if holder := formatHolder(p.Holder); holder != "" {
		b.WriteString(", mainly by " + holder)
	}
	return b.String()
}

// appendName appends the name of a destination, if there is one, to a line that ends with
// its address.
func appendName(line, name string) string {
	if name == "" {
		return line
	}
	return fmt.Sprintf("%s (%s)", line, name)
}

// formatHolder returns the pod, container and process as far as they are known.
func formatHolder(h *v1alpha1.Holder) string {
	if h == nil {
		return ""
	}
	var parts []string
	if h.Pod != "" {
		parts = append(parts, h.Namespace+"/"+h.Pod)
	}
	if h.Container != "" {
		parts = append(parts, "container "+h.Container)
	}
	if h.Process != "" {
		parts = append(parts, "process "+h.Process)
	}
	return strings.Join(parts, ", ")
}

func formatExhaustion(s *v1alpha1.PortPressureStatus) string {
	switch {
	case s.ExhaustionSeconds == nil:
		return ""
	case *s.ExhaustionSeconds <= 0:
		return "No port is free"
	}
	return "At this rate no port will be free in " + formatDuration(time.Duration(*s.ExhaustionSeconds)*time.Second)
}

// formatCause returns the cause and the advice, as far as the agent reports them.
func formatCause(s *v1alpha1.PortPressureStatus) string {
	switch {
	case s.Cause == "":
		return ""
	case s.Advice == "":
		return "Cause: " + string(s.Cause)
	}
	return string(s.Cause) + ": " + s.Advice
}

// formatPressure describes how long a past pressure lasted, and its peak.
func formatPressure(p *v1alpha1.Pressure) string {
	if p == nil || p.To == nil {
		return ""
	}
	line := fmt.Sprintf("The pressure lasted %s and peaked at %d %%", formatDuration(p.To.Sub(p.From.Time)), p.PeakPercent)
	if p.Summary != "" {
		line += " of " + p.Summary
	}
	if p.Cause != "" {
		line += fmt.Sprintf(" (%s)", p.Cause)
	}
	return line
}

// formatFailures counts all failures, and names the most frequent one.
func formatFailures(failures []v1alpha1.Failure, name string) string {
	if len(failures) == 0 {
		return "Calls failed because no port was free"
	}
	var total int64
	for i := range failures {
		total += failures[i].Count
	}
	f := &failures[0]
	where := f.Network
	if f.Destination != "" {
		where = appendName(fmt.Sprintf("%s → %s", f.Network, FormatEndpoint(f.Destination, f.Port)), name)
	}
	return fmt.Sprintf("Calls failed because no port was free (%s): %d since the agent started, most of them %s", f.Reason, total, where)
}

// formatLeak names the pool, and the advice if it is about the leak: a leak may be in
// another pool than the tightest.
func formatLeak(s *v1alpha1.PortPressureStatus) string {
	line := "Sockets that a program should have closed are filling a pool" + formatMessage(s, v1alpha1.ConditionLeakSuspected)
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionLeakSuspected)
	switch {
	case c == nil:
		return joinSentences(line)
	case c.Reason == string(s.Cause):
		return joinSentences(line, formatCause(s))
	}
	return joinSentences(line, "Cause: "+c.Reason)
}

// formatConntrackPressure describes a conntrack table that is nearly full, or in which
// entries could not be inserted.
func formatConntrackPressure(s *v1alpha1.PortPressureStatus) string {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionConntrackAvailable)
	switch t := s.Conntrack; {
	case c != nil && c.Reason == v1alpha1.ReasonConntrackInsertFailed:
		return "conntrack entries could not be inserted" + formatMessage(s, v1alpha1.ConditionConntrackAvailable)
	case t != nil && t.Max > 0:
		return fmt.Sprintf("conntrack table nearly full: %d %% (%d/%d)", t.UsedPercent, t.Entries, t.Max)
	}
	return "conntrack table nearly full" + formatMessage(s, v1alpha1.ConditionConntrackAvailable)
}

// FormatEndpoint returns "address:port", with brackets around an IPv6 address.
func FormatEndpoint(destination string, port int32) string {
	if strings.Contains(destination, ":") {
		destination = "[" + destination + "]"
	}
	return fmt.Sprintf("%s:%d", destination, port)
}

// formatMessage returns a colon and the condition's message, or an empty string.
func formatMessage(s *v1alpha1.PortPressureStatus, condition string) string {
	if c := meta.FindStatusCondition(s.Conditions, condition); c != nil && c.Message != "" {
		return ": " + c.Message
	}
	return ""
}

// formatDuration returns d in seconds, minutes or hours, rounded down.
func formatDuration(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Hours()))
}
