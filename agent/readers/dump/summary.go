package dump

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// summaryReader recognizes outputs that have no sockets: statistics, and counts by state or
// address. It reads what they do tell.
type summaryReader struct {
	kind   summaryKind
	counts []summaryCount
}

type summaryCount struct {
	name  string
	count int
}

// summaryKind describes an output: what it is, and what it lacks.
type summaryKind struct{ name, lack string }

const lacksPorts = "it shows neither local ports nor destinations, so no pool can be computed"

var (
	ssSummary    = summaryKind{"the summary of ss -s", lacksPorts}
	sockstat     = summaryKind{"/proc/net/sockstat", lacksPorts}
	statistics   = summaryKind{"statistics since boot (netstat -s, nstat)", "they count events, not sockets"}
	stateCounts  = summaryKind{"counts by state", lacksPorts}
	groupCounts  = summaryKind{"counts by group (Group-Object)", lacksPorts}
	addressCount = summaryKind{"counts by address (uniq -c)", "they show no local ports and no states"}
	exclusions   = summaryKind{"a list of excluded ports (netsh)", "it shows no sockets"}
	connTracking = summaryKind{"a listing of connection tracking (conntrack -L)",
		"its entries outlive sockets, and include forwarded connections of other hosts and pods"}
)

// maxSummaryCounts limits the counts that are kept.
const maxSummaryCounts = 64

func (s *summaryReader) isRecognized() bool { return s.kind != summaryKind{} }

// readLine reads a line that is not a socket. fields is used as a buffer.
func (s *summaryReader) readLine(line []byte, fields [][]byte) {
	f := splitFields(line, fields)
	if len(f) == 0 {
		return
	}
	switch name := string(f[0]); {
	case isStatisticsTitle(f):
		s.kind = statistics
	case len(f) < 2:
	case name == "TCP:" && string(f[1]) == "inuse":
		s.addPairs(sockstat, f[1:])
	case name == "TCP:" && isNumber(f[1]):
		s.addPairs(ssSummary, f[2:])
	case isTracked(f):
		s.addTracked(f)
	case name == "Count" && string(f[1]) == "Name":
		s.kind = groupCounts
	case len(f) == 2 && isRuler(f[0]) && isRuler(f[1]) && !s.isRecognized():
		s.kind = exclusions
	case s.kind == statistics:
		s.addStatistic(f)
	case s.kind == groupCounts && isNumber(f[0]):
		s.add(groupCounts, string(joinFields(f[1:min(3, len(f))])), f[0])
	case isCount(f):
		s.add(addressCount, string(f[1]), f[0])
	case isNumber(f[0]) && isState(f[1]):
		s.add(stateCounts, string(f[1]), f[0])
	case isState(f[0]) && isNumber(f[1]) && len(f) == 2:
		s.add(stateCounts, name, f[1])
	}
}

// isStatisticsTitle reports whether f is the title of TCP's part of netstat -s, of netsh int ipv4
// show tcpstats or of /proc/net/snmp, or a counter of nstat.
func isStatisticsTitle(f [][]byte) bool {
	switch string(f[0]) {
	case "Tcp:", "TcpExt:", "TcpActiveOpens", "TcpPassiveOpens":
		return true
	case "TCP":
		return len(f) > 1 && string(f[1]) == "Statistics"
	}
	return false
}

// isTracked reports whether f is an entry of connection tracking, as conntrack -L and
// /proc/net/nf_conntrack print it.
func isTracked(f [][]byte) bool {
	for _, field := range f[:min(8, len(f))] {
		if bytes.HasPrefix(field, []byte("src=")) {
			return true
		}
	}
	return false
}

func isRuler(field []byte) bool { return len(field) > 4 && len(bytes.Trim(field, "-")) == 0 }

// isCount reports whether f is a line of uniq -c with an address.
func isCount(f [][]byte) bool {
	return len(f) == 2 && isNumber(f[0]) && !isNumber(f[1]) && (isAddr(f[1]) || hasPort(f[1]))
}

// add adds a count. The first kind counts.
func (s *summaryReader) add(kind summaryKind, name string, number []byte) {
	if !s.isRecognized() {
		s.kind = kind
	}
	n, ok := parseNumber(number)
	if s.kind != kind || !ok {
		return
	}
	i := slices.IndexFunc(s.counts, func(c summaryCount) bool { return c.name == name })
	switch {
	case i >= 0:
		s.counts[i].count += n
	case len(s.counts) < maxSummaryCounts:
		s.counts = append(s.counts, summaryCount{name, n})
	}
}

// addPairs adds names that are followed by their counts.
func (s *summaryReader) addPairs(kind summaryKind, f [][]byte) {
	for i := 0; i+1 < len(f); i += 2 {
		number, _, _ := bytes.Cut(f[i+1], []byte("/"))
		s.add(kind, string(bytes.Trim(f[i], "(,")), bytes.Trim(number, "),"))
	}
}

// addTracked adds an entry of connection tracking, by its state.
func (s *summaryReader) addTracked(f [][]byte) {
	state := "without a state"
	for _, field := range f {
		if isState(field) {
			state = string(field)
			break
		}
	}
	s.add(connTracking, state, []byte("1"))
}

// addStatistic adds one of openingCounters, as Linux ("12 active connection openings") or
// Windows ("Active Opens = 12") prints it.
func (s *summaryReader) addStatistic(f [][]byte) {
	number, words := f[0], f[1:]
	if !isNumber(number) {
		number, words = f[len(f)-1], f[:len(f)-1]
	}
	name := string(bytes.Trim(joinFields(words), " =:"))
	if slices.Contains(openingCounters, strings.ToLower(name)) {
		s.add(statistics, name, number)
	}
}

// openingCounters are the counters about opening connections, of Linux and of Windows.
var openingCounters = []string{
	"active connection openings", "failed connection attempts", "connections established",
	"active opens", "current connections",
}

// explain returns what the output is, what it tells, and what to take instead.
func (s *summaryReader) explain() string {
	slices.SortStableFunc(s.counts, func(a, b summaryCount) int { return b.count - a.count })
	const shown = 6
	var parts []string
	for _, c := range s.counts[:min(shown, len(s.counts))] {
		parts = append(parts, fmt.Sprintf("%s %d", c.name, c.count))
	}
	tells := ""
	if len(parts) > 0 {
		tells = " with " + strings.Join(parts, ", ")
	}
	return fmt.Sprintf("this is %s%s; %s; take ss -tanp on Linux, or netstat -anoq on Windows", s.kind.name, tells, s.kind.lack)
}
