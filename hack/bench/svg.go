package main

import (
	"fmt"
	"math"
	"strings"
)

// The plot area in pixels, and the range of its y axis in powers of ten of a microsecond.
const (
	plotLeft, plotTop, plotWidth, plotHeight = 56.0, 16.0, 560.0, 220.0
	minPower, maxPower                       = 1, 5
)

// renderSVG returns the curve as SVG, with colours for light and dark pages.
func (c cliff) renderSVG() string {
	var b strings.Builder
	b.WriteString(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 640 284" width="640" height="284" role="img" ` +
		`aria-label="connect() time by pool utilization">
<style>
text{font:12px system-ui,sans-serif;fill:#57606a}
.grid{stroke:#57606a;stroke-opacity:.25}
.half{stroke:#57606a;stroke-dasharray:4 4}
.median,.most{fill:none;stroke-width:2;stroke:#0969da}
.most{stroke-width:1;stroke:#bc4c00}
text.median{fill:#0969da;stroke:none}
text.most{fill:#bc4c00;stroke:none}
@media (prefers-color-scheme:dark){
text{fill:#9198a1}
.grid,.half{stroke:#9198a1}
.median{stroke:#58a6ff}
.most{stroke:#f0883e}
text.median{fill:#58a6ff}
text.most{fill:#f0883e}
}
</style>
`)
	c.writeGrid(&b)
	b.WriteString(c.formatCurve("median", 0.5) + c.formatCurve("most", 0.99))
	b.WriteString(formatText(plotLeft+12, plotTop+16, "start", "median", "connect(): median"))
	b.WriteString(formatText(plotLeft+12, plotTop+32, "start", "most", "99 % are faster"))
	b.WriteString("</svg>\n")
	return b.String()
}

func (c cliff) writeGrid(b *strings.Builder) {
	for i, label := range []string{"10 µs", "100 µs", "1 ms", "10 ms", "100 ms"} {
		y := microsecondsToY(math.Pow10(i + minPower))
		fmt.Fprintf(b, "<path class=\"grid\" d=\"M%.0f %.1fH%.0f\"/>\n", plotLeft, y, plotLeft+plotWidth)
		b.WriteString(formatText(plotLeft-6, y+4, "end", "", label))
	}
	for percent := 0.0; percent <= 100; percent += 25 {
		b.WriteString(formatText(percentToX(percent), plotTop+plotHeight+18, "middle", "", fmt.Sprintf("%.0f %%", percent)))
	}
	fmt.Fprintf(b, "<path class=\"half\" d=\"M%.1f %.0fV%.0f\"/>\n", percentToX(50), plotTop, plotTop+plotHeight)
	b.WriteString(formatText(plotLeft+plotWidth/2, plotTop+plotHeight+38, "middle", "",
		fmt.Sprintf("ports in use, of %d in the pool", c.ports)))
}

// formatCurve returns the path of a quantile through the points that were not refused.
func (c cliff) formatCurve(class string, q float64) string {
	var d []string
	for _, p := range c.points {
		if !p.refused {
			d = append(d, fmt.Sprintf("%.1f %.1f", percentToX(p.percent), microsecondsToY(quantileMicroseconds(p.took, q))))
		}
	}
	return fmt.Sprintf("<path class=%q d=\"M%s\"/>\n", class, strings.Join(d, "L"))
}

func formatText(x, y float64, anchor, class, words string) string {
	if class != "" {
		class = fmt.Sprintf(" class=%q", class)
	}
	return fmt.Sprintf("<text x=\"%.1f\" y=\"%.1f\" text-anchor=%q%s>%s</text>\n", x, y, anchor, class, words)
}

// percentToX returns the x coordinate of a percentage.
func percentToX(percent float64) float64 { return plotLeft + plotWidth*percent/100 }

// microsecondsToY returns the y coordinate of a time, limited to the plot.
func microsecondsToY(us float64) float64 {
	share := (math.Log10(us) - minPower) / (maxPower - minPower)
	return plotTop + plotHeight*(1-min(1, max(0, share)))
}
