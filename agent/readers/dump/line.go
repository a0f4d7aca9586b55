package dump

import (
	"bytes"
	"errors"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Format is the output format of a tool.
type Format string

// The formats.
const (
	WindowsNetstat   Format = "Windows netstat"
	TCPView          Format = "TCPView"
	NetTCPConnection Format = "Get-NetTCPConnection"
	NetUDPEndpoint   Format = "Get-NetUDPEndpoint"
	Netsh            Format = "netsh"
	SS               Format = "ss"
	LinuxNetstat     Format = "Linux netstat"
	ProcNetTCP       Format = "/proc/net/tcp"
	Lsof             Format = "lsof"
)

func (f Format) isWindows() bool {
	switch f {
	case WindowsNetstat, TCPView, NetTCPConnection, NetUDPEndpoint, Netsh:
		return true
	}
	return false
}

// socketRow is one parsed socket. Its slices are valid until the next line is read.
type socketRow struct {
	format        Format
	protocol      socket.Protocol
	local, remote endpoint
	state         tcpstate.State // of TCP; a guess if unknownState is set, 0 if the row has none
	unknownState  []byte         // the state as printed, if it is not known
	process       []byte         // empty if the line has none
	pid           int            // -1 if the line has none
	// lacksProtocol is true if neither the row nor its state shows the protocol.
	lacksProtocol bool
	// queued and backlog are the columns Recv-Q and Send-Q of ss: of a listener the length of
	// its accept queue and the limit of that. -1 if the row has none.
	queued, backlog int
	// truncated is true if the tool may have truncated an address, unless it prints longer
	// ones elsewhere. isLong is true if the row has an address that netstat would truncate.
	truncated, isLong bool
}

// reset returns the row to the state before it is decoded.
func (r *socketRow) reset() { *r = socketRow{pid: -1, queued: -1, backlog: -1} }

// lineKind is the kind of a line.
type lineKind uint8

const (
	otherLine   lineKind = iota // a header, a prompt, a blank line, or a socket of another protocol
	rowLine                     // a socket
	processLine                 // the process of the socket in the row above
	headerLine                  // the header of a table
)

// The reasons why a line can't be parsed.
var (
	errTruncated     = errors.New("truncated, or columns are missing")
	errNoState       = errors.New("no state: for TCP (ss -tn state NAME) set --state NAME, for UDP (ss -un) --state udp")
	errNoNetState    = errors.New("no state; select State too, or set --state")
	errOtherProtocol = errors.New("neither TCP nor UDP")
	errBSD           = errors.New("netstat and lsof of BSD and macOS are not supported")
)

// lineDecoder decodes lines. Between lines it keeps the header of the table that it is in,
// and the record that it is in.
type lineDecoder struct {
	udp    bool // in /proc/net/udp
	header tableHeader
	record record
	fields [24][]byte
	cells  [64][]byte
}

// decodeLine decodes line, which has at most one row (see cutRow), into r, which receives a
// socket or the process of a processLine. It returns the kind of the line.
func (d *lineDecoder) decodeLine(line []byte, r *socketRow) (lineKind, error) {
	r.reset()
	cells := trimMarks(line)
	line = trimQuote(line)
	if k, done, err := d.decodeRecordLine(line, r); done {
		return k, err
	}
	if len(line) == 0 {
		return otherLine, nil
	}
	if k, done, err := d.decodeCells(cells, r); done {
		return k, err
	}
	f := splitFields(line, d.fields[:0])
	switch {
	case len(f) == 0:
		return otherLine, nil
	case line[0] == '[' && line[len(line)-1] == ']':
		r.process = line[1 : len(line)-1]
		return processLine, nil
	case bytes.HasPrefix(line, []byte("users:(")):
		r.parseUsers(line)
		return processLine, nil
	}
	return d.decodeFields(f, r)
}

// decodeFields decodes the fields of a line.
func (d *lineDecoder) decodeFields(f [][]byte, r *socketRow) (lineKind, error) {
	protocol, known := parseProtocol(f[0])
	switch {
	case known:
		r.protocol = protocol
		return r.decodeProtocolRow(f)
	case len(f) > 3 && isNumber(f[1]) && isNumber(f[2]) && isState(f[0]):
		r.lacksProtocol = true
		return r.decodeSS(f[0], f[1:])
	case d.parseProcHeader(f), d.header.parseFields(f):
		return headerLine, nil
	case isProcRow(f):
		return r.decodeProcRow(f, d.udp)
	case d.header.isTable():
		return d.header.decodeFields(f, r)
	case isTCPViewFields(f):
		return r.decodeTCPViewFields(f)
	case isNetTCPConnection(f):
		return r.decodeNetTCPConnection(f)
	case findLsofType(f) > 0:
		return r.decodeLsof(f)
	case isStatelessSS(f):
		r.lacksProtocol = true
		return r.decodeSS(nil, f)
	case isBareRow(f):
		return r.decodeBareRow(f)
	}
	return otherLine, explainUnparsedLine(f)
}

// decodeProtocolRow decodes a row that starts with a protocol, as printed by three tools.
func (r *socketRow) decodeProtocolRow(f [][]byte) (lineKind, error) {
	switch {
	case len(f) > 2 && isNumber(f[1]) && isNumber(f[2]):
		if len(f) > 3 && isNumber(f[3]) || isTracked(f) {
			return otherLine, nil // the summary of ss -s, or conntrack -L
		}
		return r.decodeLinuxNetstat(f)
	case len(f) > 3 && isState(f[1]) && isNumber(f[2]) && isNumber(f[3]):
		return r.decodeSS(f[1], f[2:])
	case len(f) < 3:
		if len(f) == 2 && !hasPort(f[1]) {
			return otherLine, nil // "TCP statistics"
		}
		return otherLine, errTruncated
	case !hasPort(f[1]) && !hasPort(f[2]):
		return otherLine, explainNames(f)
	}
	return r.decodeWindowsNetstat(f)
}

// explainNames returns an error for a row with names instead of numbers on both sides.
func explainNames(f [][]byte) error {
	if bytes.IndexByte(f[1], ':') > 0 && bytes.IndexByte(f[2], ':') > 0 {
		return errHostname
	}
	return nil
}

// explainUnparsedLine returns the reason why a line with an address and a port could not be
// parsed. It returns nil for lines without one, such as headers and prompts.
func explainUnparsedLine(f [][]byte) error {
	seen := 0
	for i, field := range f {
		if e, err := parseEndpoint(field); err == nil && e.port != 0 && field[0] != ':' {
			seen++
		}
		if i == 0 && (string(field) == "tcp4" || string(field) == "tcp46" || string(field) == "udp4") {
			return errBSD
		}
	}
	switch {
	case seen == 0, isCount(f):
		return nil
	case isOtherProtocol(f[0]):
		return errOtherProtocol
	}
	return errTruncated
}

func parseProtocol(field []byte) (socket.Protocol, bool) {
	if len(field) < 3 || len(field) > 8 {
		return 0, false
	}
	switch string(field) {
	case "TCP", "tcp", "tcp6", "TCPv6", "TCPV6", "TCP6", "mptcp":
		return socket.TCP, true
	case "UDP", "udp", "udp6", "UDPv6", "UDPV6", "UDP6", "udplite", "udplite6":
		return socket.UDP, true
	}
	return 0, false
}

// trimMarks removes blanks, and the marks of quotes, of comments and of tables before a line.
func trimMarks(line []byte) []byte {
	for len(line) > 0 && (isBlank(line[0]) || bytes.IndexByte(leadingMarks, line[0]) >= 0) {
		line = line[1:]
	}
	for len(line) > 0 && line[len(line)-1] != '\t' && isBlank(line[len(line)-1]) {
		line = line[:len(line)-1]
	}
	return line
}

var leadingMarks, trailingMarks = []byte(">|#`'"), []byte("`',|\\")

func isBlank(b byte) bool { return b == ' ' || b == '\t' || b == '\r' || b == '\f' }

// trimQuote also removes the marks after a line, and those of a string around it.
func trimQuote(line []byte) []byte {
	line = trimMarks(line)
	for len(line) > 0 && (isBlank(line[len(line)-1]) || bytes.IndexByte(trailingMarks, line[len(line)-1]) >= 0) {
		line = line[:len(line)-1]
	}
	if len(line) == 0 || isLetterOrDigit(line[0]) && isLetterOrDigit(line[len(line)-1]) {
		return line
	}
	if len(line) > 1 && (line[0] == '"') != (line[len(line)-1] == '"') || len(line) > 1 && bytes.Count(line, []byte{'"'}) == 2 {
		line = bytes.Trim(line, `" `)
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("<br>")), []byte("<br/>"))
}

// splitFields appends the fields of line to to, without allocating. Fields beyond the
// capacity of to, and the vertical bars of a table, are omitted.
func splitFields(line []byte, to [][]byte) [][]byte {
	start := -1
	for i, b := range line {
		blank := isBlank(b)
		switch {
		case len(to) == cap(to):
			return to
		case !blank && start < 0:
			start = i
		case blank && start >= 0:
			to = appendField(to, line[start:i])
			start = -1
		}
	}
	if start >= 0 && len(to) < cap(to) {
		to = appendField(to, line[start:])
	}
	return to
}

func appendField(to [][]byte, field []byte) [][]byte {
	if field[0] == '|' && len(field) == 1 || string(field) == "│" {
		return to
	}
	return append(to, field)
}

func isNumber(field []byte) bool { _, ok := parseNumber(field); return ok }
func isState(field []byte) bool  { _, ok := lookUpState(field); return ok }

func isAddr(field []byte) bool {
	_, err := parseAddr(field)
	return err == nil
}

// hasPort reports whether field looks like an address or name with a port.
func hasPort(field []byte) bool {
	colon := bytes.LastIndexByte(field, ':')
	if colon < 1 || colon == len(field)-1 && !bytes.ContainsAny(field[:colon], ".]") {
		return false
	}
	return field[0] == '[' && bytes.IndexByte(field, ']') > 0 || isAddr(field[:colon]) || isHostPort(field, colon)
}

// isHostPort reports whether field is HOST:PORT with a numeric port.
func isHostPort(field []byte, colon int) bool {
	return isNumber(field[colon+1:]) && !bytes.ContainsAny(field[:colon], `\/(",`) &&
		bytes.IndexByte(field, ':') == colon && colon > 2
}
