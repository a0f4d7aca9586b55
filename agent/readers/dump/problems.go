package dump

import (
	"fmt"
	"slices"
	"strings"

	"portreeve.io/portreeve/agent/readers/portusage"
	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// parseProblems records the parts of a dump that could not be parsed.
type parseProblems struct {
	unparsedLines int
	examples      []string // the first unparsed lines
	unknownStates []unknownState
}

// unknownState is a state whose name is not known.
type unknownState struct {
	text    string
	lines   int
	assumed tcpstate.State // the state inferred from its first line
}

const (
	maxExamples      = 4
	maxUnknownStates = 8
)

func (p *parseProblems) addUnparsedLine(number int, line []byte, reason error) {
	p.unparsedLines++
	if len(p.examples) < maxExamples {
		p.examples = append(p.examples, fmt.Sprintf("line %d: %v: %s", number, reason, quoteLine(line)))
	}
}

// quoteLine returns the beginning of line in quotes.
func quoteLine(line []byte) string {
	const maxBytes = 40
	text := strings.Join(strings.Fields(string(line[:min(4*maxBytes, len(line))])), " ")
	if len(text) > maxBytes {
		text = text[:maxBytes] + "…"
	}
	return fmt.Sprintf("%q", text)
}

func (p *parseProblems) formatExamples() string { return strings.Join(p.examples, "; ") }

func (p *parseProblems) addUnknownState(word []byte, assumed tcpstate.State) {
	text := string(word[:min(maxStateName, len(word))])
	i := slices.IndexFunc(p.unknownStates, func(s unknownState) bool { return s.text == text })
	if i < 0 && len(p.unknownStates) < maxUnknownStates {
		i = len(p.unknownStates)
		p.unknownStates = append(p.unknownStates, unknownState{text: text, assumed: assumed})
	}
	if i >= 0 {
		p.unknownStates[i].lines++
	}
}

// listUnobserved returns what the dump does not contain, or only with uncertainty.
func (r *dumpReader) listUnobserved(s portusage.Summary) []socket.Unobserved {
	var list []socket.Unobserved
	addIf := func(condition bool, item, format string, args ...any) {
		if condition {
			list = append(list, socket.Unobserved{Item: item, Reason: fmt.Sprintf(format, args...)})
		}
	}
	addIf(r.problems.unparsedLines > 0, fmt.Sprintf("%d of %d lines", r.problems.unparsedLines, r.lines),
		"%s", r.problems.formatExamples())
	addIf(len(r.problems.unknownStates) > 0, "states with unknown names", "%s", r.problems.formatUnknownStates())
	addIf(s.TCPRows == 0, "TCP", "the dump contains no TCP sockets")
	addIf(s.UDPRows == 0, "UDP", "the dump contains no UDP sockets")
	addIf(s.TCPRows > 0 && !s.HasListeners, "listeners",
		"the dump contains none, so the client side of each connection is inferred from its ports")
	addIf(r.format == SS && !s.HasListeners && s.TimeWait == 0, "TIME_WAIT",
		"the dump contains none; ss prints it only with -a (ss -tan)")
	addIf(s.Dropped > 0, "small destinations",
		"there are more than %d destinations; the smallest, with %d sockets, are omitted",
		portusage.MaxDestinations, s.Dropped)
	addIf(s.Duplicates > 0, "repeated lines",
		"%d lines repeat a socket, as in a file of several dumps; each socket counts once, "+
			"but repeated sockets with a port outside %v can't be recognized",
		s.Duplicates, r.counter.Range)
	addIf(r.truncatedRows > 0, "IPv6 addresses",
		"netstat truncated addresses in %d lines, so destinations that differ only in the missing part count as one; "+
			"use netstat -W or ss",
		r.truncatedRows)
	const minOutsidePorts = 16
	addIf(s.OutsidePorts >= minOutsidePorts, "client ports outside the range",
		"%d ports between %d and %d seem to belong to clients but are outside %v; if the range is wrong, set --range or --os",
		s.OutsidePorts, s.FirstOutside, s.LastOutside, r.counter.Range)
	return list
}

func (p *parseProblems) formatUnknownStates() string {
	var parts []string
	for _, s := range p.unknownStates {
		assumed := "ESTABLISHED"
		if s.assumed == tcpstate.TimeWait {
			assumed = "TIME_WAIT"
		}
		parts = append(parts, fmt.Sprintf("%q on %d lines, assumed to be %s", s.text, s.lines, assumed))
	}
	return strings.Join(parts, "; ")
}

// formatMessage returns the reader's message: the assumptions and their consequences.
func (r *dumpReader) formatMessage() string {
	guessed := ""
	if r.options.System == "" {
		guessed = " (a guess; set another with --os)"
	}
	assumptions := fmt.Sprintf("%s, analyzed as %s%s with the range %v. ",
		r.format, r.system.Name, guessed, r.counter.Range)
	if r.system.Windows {
		return assumptions + "Windows' tables do not distinguish bind() from connect(), so every port in use may be " +
			"unavailable to a destination. The level is based on the maximum number of ports that may be in use."
	}
	return assumptions + "A dump shows neither which programs called bind() before connect() nor whether TIME_WAIT may be " +
		"reused. TIME_WAIT counts as used, except over loopback."
}
