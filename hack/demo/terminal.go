package main

import "portreeve.io/portreeve/internal/text"

// truncateLines shortens lines to width characters, unless width is 0. A line that wraps
// would take two rows of the terminal, and the next frame would not cover it.
func truncateLines(lines []string, width int) []string {
	truncated := make([]string, len(lines))
	for i, line := range lines {
		if width > 0 {
			line = text.Truncate(line, width)
		}
		truncated[i] = line
	}
	return truncated
}
