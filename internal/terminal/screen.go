package terminal

import (
	"fmt"
	"strings"
)

// IsUTF8Locale reports whether the locale's character set is UTF-8. As locale(7) defines
// it, the first of these variables that is set decides.
func IsUTF8Locale(getenv func(string) string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(getenv(name)); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return false
}

// Control sequences of a terminal (ECMA-48).
const (
	cursorHome  = "\x1b[H"
	eraseScreen = "\x1b[2J"
	eraseLine   = "\x1b[K" // to its end
	eraseBelow  = "\x1b[J"
)

// RedrawScreen returns the output that replaces the previous frame by this one without
// flicker. A frame higher than the terminal would scroll its first lines, the important
// ones, off the screen, so it loses its last ones.
func RedrawScreen(frame string, height int, isFirst bool) string {
	lines := strings.Split(strings.TrimSuffix(frame, "\n"), "\n")
	if visible := height - 1; height > 1 && len(lines) > visible {
		more := fmt.Sprintf("(%d more lines)", len(lines)-visible+1)
		lines = append(lines[:visible-1], more)
	}
	start := cursorHome
	if isFirst {
		start = eraseScreen + cursorHome
	}
	return start + strings.Join(lines, eraseLine+"\n") + eraseLine + "\n" + eraseBelow
}
