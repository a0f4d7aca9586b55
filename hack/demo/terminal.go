package main

// truncateLines shortens lines to width characters: a line that wraps would take two rows of
// the terminal, and the next frame would not cover it.
func truncateLines(lines []string, width int) []string {
	short := make([]string, len(lines))
	for i, line := range lines {
		if runes := []rune(line); len(runes) > width && width > 0 {
			line = string(runes[:width-1]) + "…"
		}
		short[i] = line
	}
	return short
}
