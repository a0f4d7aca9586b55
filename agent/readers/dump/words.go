package dump

import (
	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/internal/ports"
	"portreeve.io/portreeve/internal/tcpstate"
)

// unknownWords has the rows without a peer whose state has an unknown name, by name.
type unknownWords []unknownWord

type unknownWord struct {
	text  string
	lines int
	rows  []portusage.Row
}

// maxWordRows limits the rows that are kept. There are at most as many ports.
const maxWordRows = 1 << 16

func (u *unknownWords) add(word []byte, row portusage.Row) {
	text := string(word[:min(maxStateName, len(word))])
	at := -1
	for i := range *u {
		if (*u)[i].text == text {
			at = i
		}
	}
	if at < 0 {
		if at = len(*u); at == maxUnknownStates {
			at-- // so many words are no states
		} else {
			*u = append(*u, unknownWord{text: text})
		}
	}
	w := &(*u)[at]
	if w.lines++; len(w.rows) < maxWordRows {
		w.rows = append(w.rows, row)
	}
}

// inferState infers the state from the ports and from the other rows. Beside listeners with a
// known name it can only be BOUND. Otherwise it is LISTEN if most of its ports are outside the
// range, since a socket that is only bound usually has a port that bind() chose.
func (w *unknownWord) inferState(hasListeners bool, ephemeral ports.Range) tcpstate.State {
	outside := 0
	for _, row := range w.rows {
		if !ephemeral.Contains(row.Local.Port()) {
			outside++
		}
	}
	if !hasListeners && 2*outside >= len(w.rows) {
		return tcpstate.Listen
	}
	return tcpstate.Bound
}
