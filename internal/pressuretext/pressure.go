// Package pressuretext shows a PortPressure as text for a terminal: the level and its
// cause, the networks and their pools, the node, and then the unobserved items. The
// agent's report and kubectl-portreeve both use it. It is pure; internal/terminal does
// the layout and removes control characters.
package pressuretext

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"portreeve.io/portreeve/api/v1alpha1"
	"portreeve.io/portreeve/internal/terminal"
	"portreeve.io/portreeve/internal/text"
)

// Write writes p to b. omittedPools is the number of pools above the warning threshold
// that p doesn't list.
func Write(b *terminal.Builder, p v1alpha1.PortPressure, omittedPools int) {
	w := pressureWriter{Builder: b, thresholds: p.Spec.Thresholds, omittedPools: omittedPools}
	w.writeSummary(&p.Status)
	w.writePlatform(p.Name, &p.Status)
	w.writeNetworks(&p.Status)
	w.writeNode(&p.Status)
	w.writeWindows(&p.Status)
	w.writeCapabilities(p.Status.Capabilities)
	w.writeUnobserved(&p.Status)
}

// pressureWriter writes one PortPressure.
type pressureWriter struct {
	*terminal.Builder
	thresholds   v1alpha1.Thresholds
	omittedPools int
}

// SelectColour returns the colour of the level that t gives to percent.
func SelectColour(percent int32, t v1alpha1.Thresholds) terminal.Colour {
	switch t.Level(percent) {
	case v1alpha1.LevelCritical:
		return terminal.Red
	case v1alpha1.LevelWarning:
		return terminal.Yellow
	}
	return terminal.Green
}

// FormatUsage returns percent as a bar and a number in the colour of its level.
func FormatUsage(percent int32, t v1alpha1.Thresholds) []terminal.Span {
	return terminal.FormatBar(percent, SelectColour(percent, t))
}

// writeSummary writes the level, the tightest pool, how exact the figures are, when the
// ports run out, and why.
func (w *pressureWriter) writeSummary(s *v1alpha1.PortPressureStatus) {
	if s.Tightest == nil || s.UsedPercent == nil {
		w.WriteLine(terminal.Bold("UNKNOWN  no network could be measured"))
	} else {
		level := fmt.Sprintf("%s %d %%", strings.ToUpper(string(s.Level)), *s.UsedPercent)
		reader := "  " + s.Reader.Name + ", " + formatExactness(s.Reader.Exactness)
		remaining := w.Width - w.MeasureText(level) - 2 - w.MeasureText(reader)
		w.WriteLine(terminal.Coloured(level, SelectColour(*s.UsedPercent, w.thresholds)).MakeBold(),
			terminal.Bold("  "+w.TruncateMiddle(s.Tightest.Summary, remaining)), terminal.Dim(reader))
	}
	if s.Reader.Message != "" {
		w.WriteWrapped("", s.Reader.Message)
	}
	if s.ExhaustionSeconds != nil {
		w.WriteLine(terminal.Bold(formatExhaustion(*s.ExhaustionSeconds)))
	}
	if s.Cause != "" {
		w.WriteLine(terminal.Bold("Cause: " + string(s.Cause)))
		if s.Advice != "" {
			w.WriteWrapped("  ", s.Advice)
		}
	}
	w.writeCollision(s)
}

// writeCollision writes the ports of others that the range covers, unless they are the cause.
func (w *pressureWriter) writeCollision(s *v1alpha1.PortPressureStatus) {
	c := meta.FindStatusCondition(s.Conditions, v1alpha1.ConditionPortRangeCollision)
	if c == nil || c.Status != metav1.ConditionTrue || s.Cause == v1alpha1.CausePortRangeCollision {
		return
	}
	w.WriteLine(terminal.Bold("Port range collision"))
	w.WriteWrapped("  ", strings.ReplaceAll(strings.ReplaceAll(c.Message, ", ", ","), ",", ", "))
}

func formatExactness(e v1alpha1.Exactness) string {
	switch e {
	case v1alpha1.ExactnessExact:
		return "exact"
	case v1alpha1.ExactnessUpperBound:
		return "upper bound"
	case v1alpha1.ExactnessApproximate:
		return "approximate"
	case v1alpha1.ExactnessAssumed:
		return "assumed"
	}
	return string(e)
}

// writePlatform writes the node's name, its operating system, the number of its networks
// and the time of the report.
func (w *pressureWriter) writePlatform(name string, s *v1alpha1.PortPressureStatus) {
	parts := []string{name}
	if system := FormatPlatform(s.Platform); system != "" {
		parts = append(parts, system)
	}
	if s.NetworkCount != nil {
		parts = append(parts, text.FormatPlural(*s.NetworkCount, "network"))
	}
	if s.ObservedAt != nil {
		parts = append(parts, s.ObservedAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	w.WriteLine(terminal.Dim(strings.Join(parts, " · ")))
}

// FormatPlatform returns the operating system and its version.
func FormatPlatform(p v1alpha1.Platform) string {
	return strings.TrimSpace(p.OS + " " + p.Kernel + p.Build)
}

func formatExhaustion(seconds int64) string {
	if seconds == 0 {
		return "No ports are left."
	}
	return fmt.Sprintf("Ports run out in %d s at the current rate.", seconds)
}
