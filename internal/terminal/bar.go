package terminal

import (
	"fmt"
	"strings"
)

const barWidth = 10

// FormatBar returns percent as a coloured bar of ten columns, followed by the number.
func FormatBar(percent int32, c Colour) []Span {
	full, empty := splitBar(percent)
	return []Span{Coloured(full, c), Dim(empty), Coloured(fmt.Sprintf("%4d %%", percent), c)}
}

// FormatProgress returns percent as a bar of ten columns without a colour.
func FormatProgress(percent int32) Span {
	full, empty := splitBar(percent)
	return Plain(full + empty)
}

// splitBar returns the full and the empty part of a bar.
func splitBar(percent int32) (full, empty string) {
	n := min(barWidth, max(0, int(percent)*barWidth/100))
	return strings.Repeat("█", n), strings.Repeat("░", barWidth-n)
}
