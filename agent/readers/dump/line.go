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
	SS               Format = "ss"
	LinuxNetstat     Format = "Linux netstat"
	ProcNetTCP       Format = "/proc/net/tcp"
)

func (f Format) isWindows() bool {
	return f == WindowsNetstat || f == TCPView || f == NetTCPConnection
}

// socketRow is one parsed socket. Its slices are valid until the next line is read.
type socketRow struct {
	format        Format
	protocol      socket.Protocol
	local, remote endpoint
	state         tcpstate.State // of TCP; a guess if unknownState is set
	unknownState  []byte         // the state as printed, if it is not known
	process       []byte         // empty if the line has none
	pid           int            // -1 if the line has none
	// remaining is the remaining time of TIME_WAIT in milliseconds, or -1 if it is unknown.
	remaining int
	// truncated is true if the tool may have truncated an address.
	truncated bool
}

// lineKind is the kind of a line.
type lineKind uint8

const (
	otherLine   lineKind = iota // a header, a prompt, a blank line, or a socket of another protocol
	rowLine                     // a socket
	processLine                 // the process of the socket in the row above
)

// The reasons why a line can't be parsed.
var (
	errTruncated = errors.New("truncated, or columns are missing")
	errNoState   = errors.New("no state; take the dump with ss -tan, without a state filter")
	errBSD       = errors.New("BSD and macOS netstat are not supported")
)

// lineDecoder decodes lines. The only state that it keeps between lines is the table of
// /proc that it is in.
type lineDecoder struct {
	udp    bool // in /proc/net/udp
	fields [24][]byte
}

// decodeLine decodes line into r, which receives a socket or the process of a processLine.
// It returns the kind of the line.
func (d *lineDecoder) decodeLine(line []byte, r *socketRow) (lineKind, error) {
	*r = socketRow{pid: -1, remaining: -1}
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return otherLine, nil
	}
	if k, done, err := d.decodeTCPViewLine(line, r); done {
		return k, err
	}
	f := splitFields(line, d.fields[:0])
	protocol, known := parseProtocol(f[0])
	switch {
	case line[0] == '[' && line[len(line)-1] == ']':
		r.process = line[1 : len(line)-1]
		return processLine, nil
	case bytes.HasPrefix(line, []byte("users:(")):
		r.parseUsers(line)
		return processLine, nil
	case known:
		r.protocol = protocol
		return r.decodeProtocolRow(f)
	case len(f) > 3 && isState(f[0]) && isNumber(f[1]) && isNumber(f[2]):
		if string(f[0]) == "UNCONN" { // ss -u has no column for the protocol
			r.protocol = socket.UDP
		}
		return r.decodeSS(f)
	case d.parseProcHeader(f):
		return otherLine, nil
	case len(f) > 1 && bytes.HasSuffix(f[0], []byte(":")) && isHexEndpoint(f[1]):
		return r.decodeProcRow(f, d.udp)
	case len(f) > 4 && isAddr(f[0]) && isNumber(f[1]) && isAddr(f[2]) && isNumber(f[3]):
		return r.decodeNetTCPConnection(f)
	}
	return otherLine, explainUnparsedLine(f)
}

// decodeProtocolRow decodes a row that starts with a protocol, as printed by three tools.
func (r *socketRow) decodeProtocolRow(f [][]byte) (lineKind, error) {
	switch {
	case len(f) > 2 && isNumber(f[1]) && isNumber(f[2]):
		if len(f) > 3 && isNumber(f[3]) {
			return otherLine, nil // the summary of ss -s
		}
		return r.decodeLinuxNetstat(f)
	case len(f) > 3 && isState(f[1]) && isNumber(f[2]) && isNumber(f[3]):
		return r.decodeSS(f[1:])
	case len(f) < 3:
		if len(f) == 2 && !hasPort(f[1]) {
			return otherLine, nil // "TCP statistics"
		}
		return otherLine, errTruncated
	case !hasPort(f[1]) && !hasPort(f[2]):
		return otherLine, nil
	}
	return r.decodeWindowsNetstat(f)
}

// explainUnparsedLine returns the reason why a line with an address and a port could not be
// parsed. It returns nil for lines without one, such as headers and prompts.
func explainUnparsedLine(f [][]byte) error {
	seen := 0
	for i, field := range f {
		if e, err := parseEndpoint(field); err == nil && e.addr.IsValid() {
			seen++
		}
		if i == 0 && (string(field) == "tcp4" || string(field) == "tcp46" || string(field) == "udp4") {
			return errBSD
		}
	}
	switch {
	case seen == 0:
		return nil
	case seen == 2 && len(f) > 3 && isNumber(f[0]) && isNumber(f[1]):
		return errNoState
	}
	return errTruncated
}

func parseProtocol(field []byte) (socket.Protocol, bool) {
	if len(field) < 3 || len(field) > 8 {
		return 0, false
	}
	switch string(field) {
	case "TCP", "tcp", "tcp6", "TCPv6", "TCPV6", "mptcp":
		return socket.TCP, true
	case "UDP", "udp", "udp6", "UDPv6", "UDPV6", "udplite", "udplite6":
		return socket.UDP, true
	}
	return 0, false
}

// splitFields appends the fields of line to to, without allocating. Fields beyond the
// capacity of to are omitted.
func splitFields(line []byte, to [][]byte) [][]byte {
	start := -1
	for i, b := range line {
		blank := b == ' ' || b == '\t'
		switch {
		case len(to) == cap(to):
			return to
		case !blank && start < 0:
			start = i
		case blank && start >= 0:
			to = append(to, line[start:i])
			start = -1
		}
	}
	if start >= 0 && len(to) < cap(to) {
		to = append(to, line[start:])
	}
	return to
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
