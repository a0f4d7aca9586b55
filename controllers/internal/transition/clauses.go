package transition

import (
	"fmt"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"

	"portreeve.io/portreeve/api/v1alpha1"
)

// formatHeadroom says which pool is how full, and whose it is.
func (c Change) formatHeadroom(s *v1alpha1.PortPressureStatus, name string) string {
	var b strings.Builder
	if c.was == v1alpha1.LevelCritical {
		b.WriteString("below the critical line again: ")
	}
	if s.UsedPercent != nil {
		fmt.Fprintf(&b, "%d%% of the ports are used", *s.UsedPercent)
	}
	p := s.Tightest
	if p == nil {
		return b.String()
	}
	fmt.Fprintf(&b, ", %d of %d: %s", p.Used, p.Capacity, appendName(p.Summary, name))
	if holder := formatHolder(p.Holder); holder != "" {
		b.WriteString(", held by " + holder)
	}
	return b.String()
}

// appendName adds what the cluster calls a destination to a line that ends with it.
func appendName(line, name string) string {
	if name == "" {
		return line
	}
	return fmt.Sprintf("%s (%s)", line, name)
}

// formatHolder is a pod, container and process as far as they are known.
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
		return "no port is left"
	}
	return "at this rate no port is left in " + formatDuration(time.Duration(*s.ExhaustionSeconds)*time.Second)
}

// formatCause is the cause and the advice, where the agent gives them.
func formatCause(s *v1alpha1.PortPressureStatus) string {
	switch {
	case s.Cause == "":
		return ""
	case s.Advice == "":
		return "cause " + string(s.Cause)
	}
	return string(s.Cause) + ": " + s.Advice
}

// formatPressure says how bad it was.
func formatPressure(p *v1alpha1.Pressure) string {
	if p == nil || p.To == nil {
		return ""
	}
	line := fmt.Sprintf("it lasted %s, with %d%% at most", formatDuration(p.To.Sub(p.From.Time)), p.PeakPercent)
	if p.Summary != "" {
		line += " of " + p.Summary
	}
	if p.Cause != "" {
		line += fmt.Sprintf(" (%s)", p.Cause)
	}
	return line
}

// formatFailures names the most frequent failure, and counts them all.
func formatFailures(failures []v1alpha1.Failure, name string) string {
	if len(failures) == 0 {
		return "calls failed because no port was left"
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
	return fmt.Sprintf("calls failed because no port was left (%s), %d since the agent started, most of them %s", f.Reason, total, where)
}

// formatLeak says where, and why if the advice speaks of that: a leak may be in another pool
// than the tightest.
func formatLeak(s *v1alpha1.PortPressureStatus) string {
	line := "sockets that a program should have closed fill a pool" + findMessage(s, v1alpha1.ConditionLeakSuspected)
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionLeakSuspected)
	switch {
	case c == nil:
		return joinClauses(line)
	case c.Reason == string(s.Cause):
		return joinClauses(line, formatCause(s))
	}
	return joinClauses(line, "cause "+c.Reason)
}

// FormatEndpoint is a destination as people write it.
func FormatEndpoint(destination string, port int32) string {
	if strings.Contains(destination, ":") {
		destination = "[" + destination + "]"
	}
	return fmt.Sprintf("%s:%d", destination, port)
}

func findMessage(s *v1alpha1.PortPressureStatus, condition string) string {
	if c := meta.FindStatusCondition(s.Conditions, condition); c != nil && c.Message != "" {
		return ": " + c.Message
	}
	return ""
}

// formatDuration is d in the largest unit that fits.
func formatDuration(d time.Duration) string {
	switch {
	case d < 2*time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < 2*time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	}
	return fmt.Sprintf("%d h", int(d.Hours()))
}
