package dump

import (
	"bytes"
	"strconv"
	"strings"

	"portreeve.io/portreeve/agent/windows/netsh"
	"portreeve.io/portreeve/internal/ports"
)

// pastedFacts are facts that other commands printed into the same file: ranges, and the command
// lines that say which rows follow.
type pastedFacts struct {
	tcpRange, udpRange ports.Range
	maxUserPort        int
	// rowState is that of the rows below the last command line.
	rowState rowState
	// title is the line before. dynamic is the output of netsh, from its line of dashes.
	title   []byte
	dynamic []byte
	// rangeStart is the value of DynamicPortRangeStartPort (Get-NetTCPSetting).
	rangeStart int
	// reuseIsOff is true if TIME_WAIT is not reused.
	reuseIsOff bool
	// isSettingTable is true below the header of a table of Get-NetTCPSetting.
	isSettingTable bool
	// followsRange is true after a line that names ip_local_port_range without a value.
	followsRange bool
	// isUDP is true if the last command or title was about UDP.
	isUDP, isTCP bool
}

// maxFactLine is the maximum length of a line with a fact.
const maxFactLine = 512

// readLine reads a line that is not a row. It reports whether the line is a command line.
func (p *pastedFacts) readLine(line []byte) (isCommand bool) {
	if len(line) == 0 || len(line) > maxFactLine {
		return false
	}
	text := string(line)
	p.readProtocol(text)
	switch {
	case p.readNetsh(line):
	case p.readLinuxRange(text):
	case p.readReuse(text):
	case p.readRegistry(text):
	case p.readNetSetting(text):
	default:
		isCommand = p.readCommand(text)
	}
	p.title = append(p.title[:0], line...)
	return isCommand
}

func (p *pastedFacts) hasRange() bool {
	return p.tcpRange != (ports.Range{}) || p.udpRange != (ports.Range{}) || p.maxUserPort != 0
}

// readProtocol remembers the protocol that a command line or a title of netsh or
// Get-NetTCPSetting names.
func (p *pastedFacts) readProtocol(text string) {
	lower := strings.ToLower(text)
	tcp, udp := strings.Contains(lower, "tcp"), strings.Contains(lower, "udp")
	if tcp != udp {
		p.isTCP, p.isUDP = tcp, udp
	}
}

// addRange sets the range of the protocol named last, or of both. The first range of each
// counts, which is that of IPv4.
func (p *pastedFacts) addRange(r ports.Range) {
	if !p.isUDP && p.tcpRange == (ports.Range{}) {
		p.tcpRange = r
	}
	if !p.isTCP && p.udpRange == (ports.Range{}) {
		p.udpRange = r
	}
}

// readNetsh reads a line of netsh int ipv4 show dynamicport.
func (p *pastedFacts) readNetsh(line []byte) bool {
	const linesBelowDashes = 3
	switch {
	case len(line) > 7 && len(bytes.Trim(line, "-")) == 0:
		p.dynamic = append(p.dynamic[:0], line...)
	case len(p.dynamic) == 0:
		return false
	default:
		p.dynamic = append(append(p.dynamic, '\n'), line...)
	}
	if r, err := netsh.ParseDynamicPort(p.dynamic); err == nil {
		p.addRange(r)
		p.dynamic = p.dynamic[:0]
	} else if bytes.Count(p.dynamic, []byte("\n")) == linesBelowDashes {
		p.dynamic = p.dynamic[:0]
	}
	return true
}

// readLinuxRange reads net.ipv4.ip_local_port_range, as printed by sysctl, or by cat below a
// line with the file's name.
func (p *pastedFacts) readLinuxRange(text string) bool {
	const name = "ip_local_port_range"
	command, value, isNamed := strings.Cut(text, name)
	if !isNamed && !p.followsRange {
		return false
	}
	if !isNamed {
		value = text
	}
	if echo, _, ok := strings.Cut(command, ">"); ok && strings.Contains(echo, "echo ") { // echo N N > …/ip_local_port_range
		_, value, _ = strings.Cut(echo, "echo ")
	}
	words := strings.FieldsFunc(value, func(r rune) bool { return strings.ContainsRune(" \t=:\"'-,", r) })
	p.followsRange = isNamed && len(words) == 0
	if len(words) != 2 {
		return isNamed
	}
	first, err1 := ports.ParsePort(words[0])
	last, err2 := ports.ParsePort(words[1])
	if err1 == nil && err2 == nil && 0 < first && first <= last {
		p.tcpRange, p.udpRange = ports.Range{First: first, Last: last}, ports.Range{First: first, Last: last}
	}
	return true
}

// readReuse reads net.ipv4.tcp_tw_reuse and tcp_timestamps.
func (p *pastedFacts) readReuse(text string) bool {
	for _, name := range []string{"tcp_tw_reuse", "tcp_timestamps"} {
		if _, value, ok := strings.Cut(text, name); ok {
			p.reuseIsOff = p.reuseIsOff || strings.Trim(value, " \t=:\"',") == "0"
			return true
		}
	}
	return false
}

// readRegistry reads MaxUserPort, as printed by reg query, PowerShell, and in a .reg file.
func (p *pastedFacts) readRegistry(text string) bool {
	_, value, ok := strings.Cut(text, "MaxUserPort")
	if !ok {
		return false
	}
	value = strings.ToLower(value)
	base := 10
	for _, prefix := range []string{"0x", "dword:"} {
		if _, digits, ok := strings.Cut(value, prefix); ok {
			value, base = digits, 16
			break
		}
	}
	word, _, _ := strings.Cut(strings.Trim(value, " \t:=\""), " ")
	if n, err := strconv.ParseUint(word, base, 16); err == nil {
		p.maxUserPort = int(n)
	}
	return true
}

// readNetSetting reads a property of Get-NetTCPSetting or Get-NetUDPSetting.
func (p *pastedFacts) readNetSetting(text string) bool {
	if p.readSettingTable(text) {
		return true
	}
	name, value, ok := strings.Cut(text, ":")
	n, err := strconv.Atoi(strings.TrimSpace(value))
	switch name = strings.TrimSpace(name); {
	case !ok || err != nil:
		return false
	case name == "DynamicPortRangeStartPort":
		p.rangeStart = n
	case name == "DynamicPortRangeNumberOfPorts" && p.rangeStart > 0 && n > 0 && p.rangeStart+n <= 1<<16:
		p.addRange(ports.Range{First: uint16(p.rangeStart), Last: uint16(p.rangeStart + n - 1)})
	default:
		return false
	}
	return true
}

// readSettingTable reads a table of Get-NetTCPSetting whose last columns are the start and the
// number of ports.
func (p *pastedFacts) readSettingTable(text string) bool {
	f := strings.Fields(text)
	if len(f) < 2 {
		return false
	}
	start, number := f[len(f)-2], f[len(f)-1]
	if start == "DynamicPortRangeStartPort" && number == "DynamicPortRangeNumberOfPorts" {
		p.isSettingTable = true
		return true
	}
	first, err1 := strconv.Atoi(start)
	count, err2 := strconv.Atoi(number)
	if !p.isSettingTable || err1 != nil || err2 != nil || first < 1 || count < 1 || first+count > 1<<16 {
		return false
	}
	p.isSettingTable = false
	p.addRange(ports.Range{First: uint16(first), Last: uint16(first + count - 1)})
	return true
}

// readCommand reads the command line of ss, Get-NetTCPConnection or Get-NetUDPEndpoint.
func (p *pastedFacts) readCommand(text string) bool {
	words := strings.Fields(text)
	for i, word := range words {
		switch {
		case strings.EqualFold(word, "Get-NetUDPEndpoint"):
			p.rowState = rowState{isUDP: true}
			return true
		case strings.EqualFold(word, "Get-NetTCPConnection"):
			p.rowState = parseNetCommand(words[i+1:])
			return true
		case (word == "ss" || strings.HasSuffix(word, "/ss")) && i+1 < len(words):
			p.rowState = parseSSCommand(words[i+1:])
			return true
		case strings.HasPrefix(word, "netstat"), strings.HasPrefix(word, "lsof"):
			p.rowState = rowState{}
			return true
		}
	}
	return false
}

// parseNetCommand parses the parameters of Get-NetTCPConnection.
func parseNetCommand(words []string) rowState {
	s := rowState{isTCP: true}
	for i, word := range words[:max(0, len(words)-1)] {
		if strings.EqualFold(word, "-State") {
			s.state, _ = lookUpState([]byte(words[i+1]))
		}
	}
	return s
}

// parseSSCommand parses the options of ss.
func parseSSCommand(words []string) (s rowState) {
	for i, word := range words {
		switch {
		case word == "--udp", strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && strings.Contains(word, "u"):
			s.isUDP = true
		case word == "--tcp", strings.HasPrefix(word, "-") && !strings.HasPrefix(word, "--") && strings.Contains(word, "t"):
			s.isTCP = true
		case word == "state" && i+1 < len(words):
			s.state, _ = lookUpState([]byte(words[i+1]))
		}
	}
	if s.isTCP && s.isUDP { // there is a column of the protocol
		return rowState{}
	}
	if s.isUDP {
		s.state = 0
	}
	return s
}
