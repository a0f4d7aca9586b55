package dump

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// parseProblems is what a dump showed and could not be read.
type parseProblems struct {
	unparsedLines int
	examples    []string // of unread lines, the first ones
	unknownStates       []unknownState
}

// unknownState is an unknown state.
type unknownState struct {
	text  string
	lines int
	assumed    tcpstate.State // what its first line was taken for
}

const (
	maxExamples = 4
	maxUnknownStates    = 8
)

func (n *parseProblems) addUnparsedLine(number int, line []byte, why error) {
	n.unparsedLines++
	if len(n.examples) < maxExamples {
		n.examples = append(n.examples, fmt.Sprintf("line %d: %v: %s", number, why, quoteLine(line)))
	}
}

// quoteLine is the start of line.
func quoteLine(line []byte) string {
	const room = 40
	text := strings.Join(strings.Fields(string(line[:min(4*room, len(line))])), " ")
	if len(text) > room {
		text = text[:room] + "…"
	}
	return fmt.Sprintf("%q", text)
}

func (n *parseProblems) formatExamples() string { return strings.Join(n.examples, "; ") }

func (n *parseProblems) addUnknownState(text []byte, as tcpstate.State) {
	i := slices.IndexFunc(n.unknownStates, func(w unknownState) bool { return w.text == string(text[:min(maxStateName, len(text))]) })
	if i < 0 && len(n.unknownStates) < maxUnknownStates {
		i = len(n.unknownStates)
		n.unknownStates = append(n.unknownStates, unknownState{text: string(text[:min(maxStateName, len(text))]), assumed: as})
	}
	if i >= 0 {
		n.unknownStates[i].lines++
	}
}

// listUnobserved is what the dump doesn't show, or not surely.
func (r *dumpReader) listUnobserved(s portusage.Summary) []socket.Unobserved {
	var list []socket.Unobserved
	note := func(that bool, what, format string, args ...any) {
		if that {
			list = append(list, socket.Unobserved{Item: what, Reason: fmt.Sprintf(format, args...)})
		}
	}
	note(r.problems.unparsedLines > 0, fmt.Sprintf("%d of %d lines", r.problems.unparsedLines, r.lines), "%s", r.problems.formatExamples())
	note(len(r.problems.unknownStates) > 0, "states in words that are not known", "%s", r.problems.formatUnknownStates())
	note(s.TCPRows == 0, "TCP", "no line of the dump is TCP")
	note(s.UDPRows == 0, "UDP", "no line of the dump is UDP")
	note(s.TCPRows > 0 && !s.HasListeners, "listeners", "the dump shows none: who is the client is told by the ports")
	note(r.format == SS && !s.HasListeners && s.TimeWait == 0, "TIME_WAIT", "none in the dump: ss shows it with -a only (ss -tan)")
	note(s.Dropped > 0, "small destinations", "more than %d of them: the smallest, with %d sockets, are left out", portusage.MaxDestinations, s.Dropped)
	note(s.Duplicates > 0, "repeated lines", "%d lines show a socket again, as in a file of several dumps: each counts once, but those with a port outside %v can't be told", s.Duplicates, r.counter.Range)
	note(r.truncatedRows > 0, "IPv6 addresses", "netstat cut %d lines: destinations that differ in what is missing count as one; use netstat -W or ss", r.truncatedRows)
	const few = 16
	note(s.OutsidePorts >= few, "clients' ports outside the range",
		"%d ports of %d to %d look like clients' and are outside %v: if that is not the range, say --range or --os",
		s.OutsidePorts, s.FirstOutside, s.LastOutside, r.counter.Range)
	return list
}

func (n *parseProblems) formatUnknownStates() string {
	var parts []string
	for _, w := range n.unknownStates {
		as := "ESTABLISHED"
		if w.assumed == tcpstate.TimeWait {
			as = "TIME_WAIT"
		}
		parts = append(parts, fmt.Sprintf("%q on %d lines, taken for %s", w.text, w.lines, as))
	}
	return strings.Join(parts, "; ")
}

// formatMessage is how the dump was read.
func (r *dumpReader) formatMessage() string {
	guessed := ""
	if r.options.System == "" {
		guessed = " (a guess: --os says otherwise)"
	}
	how := fmt.Sprintf("%s, judged as %s%s with the range %v. ", r.format, r.system.Name, guessed, r.counter.Range)
	if r.system.Windows {
		return how + "Its tables don't tell bind() from connect(): a destination may have lost every port that any socket holds, so the level is that of the most that can be used."
	}
	return how + "A dump doesn't show who called bind() before connect(), nor whether TIME_WAIT may be reused: it counts as used, but over loopback."
}
