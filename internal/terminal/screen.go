package terminal

import (
	"fmt"
	"strings"
)

// UTF8 says whether a terminal shows UTF-8, as locale(7) decides on the character
// set: the first of these variables that is set counts.
func UTF8(getenv func(string) string) bool {
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

// Redraw makes frame take the place of the one before it, without a flicker. A
// frame that is too high for the terminal would scroll its first lines, the ones
// that matter, out of sight: so it loses its last ones.
func Redraw(frame string, height int, first bool) string {
	lines := strings.Split(strings.TrimSuffix(frame, "\n"), "\n")
	if room := height - 1; height > 1 && len(lines) > room {
		more := fmt.Sprintf("(%d more lines)", len(lines)-room+1)
		lines = append(lines[:room-1], more)
	}
	start := cursorHome
	if first {
		start = eraseScreen + cursorHome
	}
	return start + strings.Join(lines, eraseLine+"\n") + eraseLine + "\n" + eraseBelow
}
