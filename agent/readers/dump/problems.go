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
	examples      []unparsedExample // one for each reason
	unknownStates []unknownState
}

// unparsedExample is the first line that could not be parsed for a reason, and the number of
// the others.
type unparsedExample struct {
	line         int
	reason, text string
	others       int
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
	text := reason.Error()
	i := slices.IndexFunc(p.examples, func(e unparsedExample) bool { return e.reason == text })
	switch {
	case i >= 0:
		p.examples[i].others++
	case len(p.examples) < maxExamples:
		p.examples = append(p.examples, unparsedExample{line: number, reason: text, text: quoteLine(line)})
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

func (p *parseProblems) formatExamples() string {
	var parts []string
	for _, e := range p.examples {
		others := ""
		if e.others > 0 {
			others = fmt.Sprintf(", and %d more", e.others)
		}
		parts = append(parts, fmt.Sprintf("line %d: %s: %s%s", e.line, e.reason, e.text, others))
	}
	return strings.Join(parts, "; ")
}

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
	addIf(r.guessedUDP > 0, "protocol",
		"%d rows have neither a state nor a remote address, and are taken for UDP; if they are from Get-NetTCPConnection, set --state",
		r.guessedUDP)
	addIf(s.TCPRows > 0 && !s.HasListeners, "listeners",
		"the dump contains none, so the client side of each connection is inferred from its ports")
	addIf(r.format == SS && !s.HasListeners && s.TimeWait == 0, "TIME_WAIT",
		"the dump contains none; ss prints it only with -a (ss -tan)")
	addIf(r.hasLsof && s.TimeWait == 0, "TIME_WAIT",
		"lsof lists the sockets of processes, which does not include TIME_WAIT; take the dump with ss -tanp")
	addIf(!r.system.Windows && s.TimeWait > 0 && !r.pasted.reuseIsOff, "tcp_tw_reuse", "%s", explainReuse(s))
	addIf(len(r.origins) > 1, "hosts",
		"the rows of %d hosts or files (%s) are counted together; analyze them one by one",
		len(r.origins), strings.Join(r.origins, ", "))
	addIf(s.Dropped > 0, "small destinations",
		"there are more than %d destinations; the smallest, with %d sockets, are omitted",
		portusage.MaxDestinations, s.Dropped)
	addIf(s.Duplicates > 0, "repeated lines",
		"%d lines repeat a socket, as in a file of several dumps; each socket counts once, "+
			"but repeated listeners and UDP sockets can't be recognized",
		s.Duplicates)
	addIf(r.truncatedRows > 0 && !r.hasLongAddresses, "IPv6 addresses",
		"netstat truncated addresses in %d lines, so destinations that differ only in the missing part count as one; "+
			"use netstat -W or ss",
		r.truncatedRows)
	addIf(s.Clients.Outside >= minOutsidePorts, "client ports outside the range",
		"%s; if the range is another, set it with --range FIRST-LAST", r.explainOutside("connections", s.Clients))
	addIf(s.UDP.Outside >= minOutsideUDPPorts, "UDP ports outside the range",
		"%s; if the range is another, set it with --range FIRST-LAST", r.explainOutside("UDP sockets", s.UDP))
	return list
}

// explainReuse returns what the dump shows about the reuse of TIME_WAIT.
func explainReuse(s portusage.Summary) string {
	if s.TimeWaitOfBothParities {
		return "TIME_WAIT over loopback has even and odd ports, but connect() needs only one kind while it may reuse them; " +
			"reuse was off (the default before Linux 4.19) or had no effect (tcp_timestamps = 0)"
	}
	return "whether TIME_WAIT may be reused depends on tcp_tw_reuse and on the TCP timestamps of both sides, which a dump does not show"
}

// The numbers of ports outside the range from which they are reported. Some UDP sockets of any
// machine have fixed ports.
const minOutsidePorts, minOutsideUDPPorts = 16, 32

func (r *dumpReader) explainOutside(what string, c portusage.PortCounts) string {
	return fmt.Sprintf("%d ports of %s, between %d and %d, are outside the range %v, and %d inside",
		c.Outside, what, c.First, c.Last, r.counter.Range, c.Inside)
}

// rangeCommand returns the command that prints the range.
func (r *dumpReader) rangeCommand() string {
	if r.system.Windows {
		return "netsh int ipv4 show dynamicport tcp"
	}
	return "sysctl net.ipv4.ip_local_port_range"
}

// explainMismatch returns the reason why the range must be another than the assumed one, empty
// if there is none: a fifth or more of the ports of clients are outside. UDP's ports are a
// reason only if TCP's don't confirm the range.
func (r *dumpReader) explainMismatch(s portusage.Summary) string {
	tcp, udp := s.Clients, s.UDP
	isConfirmed := !r.system.Windows && tcp.Inside >= minOutsidePorts
	var why string
	switch {
	case tcp.Outside >= minOutsidePorts && 4*tcp.Outside >= tcp.Inside:
		why = r.explainOutside("connections", tcp)
	case udp.Outside >= minOutsideUDPPorts && udp.Outside > udp.Inside && !isConfirmed:
		why = r.explainOutside("UDP sockets", udp)
	default:
		return ""
	}
	return fmt.Sprintf("%s, so the range must be another than the default of %s. Set it with --range FIRST-LAST (%s prints it), or the system with --os.",
		why, r.system.Name, r.rangeCommand())
}

func (p *parseProblems) formatUnknownStates() string {
	var parts []string
	for _, s := range p.unknownStates {
		parts = append(parts, fmt.Sprintf("%q on %d lines, assumed to be %s", s.text, s.lines, assumedNames[s.assumed]))
	}
	return strings.Join(parts, "; ")
}

// assumedNames has the names of the states that are inferred.
var assumedNames = map[tcpstate.State]string{
	tcpstate.Established: "ESTABLISHED", tcpstate.TimeWait: "TIME_WAIT", tcpstate.Listen: "LISTEN", tcpstate.Bound: "BOUND",
}

// formatMessage returns the reader's message: the assumptions and their consequences.
func (r *dumpReader) formatMessage(chosen ranges) string {
	guessed, source := "", ""
	if r.options.System == "" {
		guessed = " (a guess; set another with --os)"
	}
	switch chosen.source {
	case "":
		source = " (the default; set another with --range)"
	case "--range":
	default:
		source = " (" + chosen.source + ")"
	}
	assumptions := fmt.Sprintf("%s, analyzed as %s%s with the range %v%s. ",
		r.format, r.system.Name, guessed, r.counter.Range, source)
	if r.system.Windows {
		return assumptions + "Windows' tables do not distinguish bind() from connect(), so every port in use may be " +
			"unavailable to a destination. The level is based on the maximum number of ports that may be in use."
	}
	return assumptions + "A dump shows neither which programs called bind() before connect() nor whether TIME_WAIT may be " +
		"reused. TIME_WAIT counts as used, except over loopback if its ports show that it is reused."
}
