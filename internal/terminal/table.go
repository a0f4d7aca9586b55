// Package terminal shows a PortPressure to people, in text that fits a terminal:
// the verdict first, then who and what, then the node, then what could not be
// seen. Its Page is also what kubectl-portreeve draws on. It is pure, and nothing in
// the object can reach the terminal's controls.
package terminal

import (
	"fmt"
	"io"
	"strings"

	"portreeve.io/portreeve/api/v1alpha1"
)

// Options say what the terminal can show.
type Options struct {
	// Width is in columns: 80 where it is 0, and never below 60.
	Width int
	// Colour allows SGR escape sequences, and no others.
	Colour bool
	// ASCII keeps to ASCII, for locales that aren't UTF-8.
	ASCII bool
	// More is how many pools are past the line and not in the object.
	More int
}

// Write writes p to w in one call.
func Write(w io.Writer, p v1alpha1.PortPressure, o Options) error {
	g := NewPage(o)
	g.Pressure(p)
	_, err := io.WriteString(w, g.String())
	return err
}

// Pressure writes p.
func (g *Page) Pressure(p v1alpha1.PortPressure) {
	d := drawing{g, p.Spec.Thresholds}
	d.verdict(&p.Status)
	d.machine(p.Name, &p.Status)
	d.networks(&p.Status)
	d.node(&p.Status)
	d.windows(&p.Status)
	d.capabilities(p.Status.Capabilities)
	d.unseen(&p.Status)
}

// drawing writes one PortPressure.
type drawing struct {
	*Page
	thresholds v1alpha1.Thresholds
}

// verdict is the line that one reads first: level, tightest pool, and whether
// to believe it.
func (g *drawing) verdict(s *v1alpha1.PortPressureStatus) {
	if s.Tightest == nil || s.UsedPercent == nil {
		g.Line(Bold("UNKNOWN  no network could be measured"))
	} else {
		level := fmt.Sprintf("%s %d %%", strings.ToUpper(string(s.Level)), *s.UsedPercent)
		trust := "  " + s.Reader.Name + ", " + exactness(s.Reader.Exactness)
		room := g.Width - g.Columns(level) - 2 - g.Columns(trust)
		g.Line(Graded(level, *s.UsedPercent, g.thresholds).Bold(),
			Bold("  "+g.Cut(s.Tightest.Summary, room)), Dim(trust))
	}
	if s.Reader.Message != "" {
		g.Wrap("", s.Reader.Message)
	}
	if s.ExhaustionSeconds != nil {
		g.Line(Bold(runsOut(*s.ExhaustionSeconds)))
	}
	if s.Cause != "" {
		g.Line(Bold("Cause: " + string(s.Cause)))
		if s.Advice != "" {
			g.Wrap("  ", s.Advice)
		}
	}
}

func exactness(e v1alpha1.Exactness) string {
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

// machine says which machine, and when.
func (g *drawing) machine(name string, s *v1alpha1.PortPressureStatus) {
	parts := []string{name}
	if k := strings.TrimSpace(s.Platform.OS + " " + s.Platform.Kernel + s.Platform.Build); k != "" {
		parts = append(parts, k)
	}
	if s.NetworkCount != nil {
		parts = append(parts, plural(int64(*s.NetworkCount), "network"))
	}
	if s.ObservedAt != nil {
		parts = append(parts, s.ObservedAt.UTC().Format("2006-01-02 15:04:05 UTC"))
	}
	g.Line(Dim(strings.Join(parts, " · ")))
}

func plural(n int64, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

func runsOut(seconds int64) string {
	if seconds == 0 {
		return "No port is left."
	}
	return fmt.Sprintf("Runs out in %d s if it goes on like this.", seconds)
}
