package dump

import (
	"bytes"
	"errors"

	"portreeve.io/portreeve/agent/socket"
	"portreeve.io/portreeve/internal/tcpstate"
)

// Format is the tool that printed a line.
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

func (f Format) windows() bool {
	return f == WindowsNetstat || f == TCPView || f == NetTCPConnection
}

// row is one socket. Its slices are valid until the next line is read.
type row struct {
	format        Format
	protocol      socket.Protocol
	local, remote endpoint
	state         tcpstate.State // of TCP; 0 where word is not known
	word          []byte         // the state as the line spells it
	process       []byte         // empty where the line has none
	pid           int            // -1 where the line has none
	// remaining is what is left of TIME_WAIT, in milliseconds; -1 where it isn't
	// said.
	remaining int
	// cut says that the tool may have cut an address off.
	cut bool
}

// kind is what a line is.
type kind uint8

const (
	other  kind = iota // a header, a prompt, a blank line, sockets beside TCP and UDP
	isRow              // a socket
	holder             // the process of the socket above
)

// Why a line can't be read.
var (
	errCut     = errors.New("cut off, or columns are missing")
	errNoState = errors.New("no state: take the dump with ss -tan, without a state filter")
	errBSD     = errors.New("a row of BSD or macOS netstat: Windows and Linux are read")
)

// decoder reads lines. What it needs of earlier ones is which table of /proc it is in.
type decoder struct {
	udp    bool // in /proc/net/udp
	fields [24][]byte
}

// decode says what line is. A row, or the process of a holder line, goes to r.
func (d *decoder) decode(line []byte, r *row) (kind, error) {
	*r = row{pid: -1, remaining: -1}
	line = bytes.TrimSpace(line)
	if len(line) == 0 {
		return other, nil
	}
	if k, done, err := d.table(line, r); done {
		return k, err
	}
	f := split(line, d.fields[:0])
	protocol, known := protocolOf(f[0])
	switch {
	case line[0] == '[' && line[len(line)-1] == ']':
		r.process = line[1 : len(line)-1]
		return holder, nil
	case bytes.HasPrefix(line, []byte("users:(")):
		r.users(line)
		return holder, nil
	case known:
		r.protocol = protocol
		return r.named(f)
	case len(f) > 3 && isState(f[0]) && isNumber(f[1]) && isNumber(f[2]):
		if string(f[0]) == "UNCONN" { // ss -u: it has no column for the protocol
			r.protocol = socket.UDP
		}
		return r.ss(f)
	case d.procHeader(f):
		return other, nil
	case len(f) > 1 && bytes.HasSuffix(f[0], []byte(":")) && isHex(f[1]):
		return r.proc(f, d.udp)
	case len(f) > 4 && isAddr(f[0]) && isNumber(f[1]) && isAddr(f[2]) && isNumber(f[3]):
		return r.netTCPConnection(f)
	}
	return other, stray(f)
}

// named is a row that starts with a protocol, which three tools write.
func (r *row) named(f [][]byte) (kind, error) {
	switch {
	case len(f) > 2 && isNumber(f[1]) && isNumber(f[2]):
		if len(f) > 3 && isNumber(f[3]) {
			return other, nil // the summary of ss -s
		}
		return r.linuxNetstat(f)
	case len(f) > 3 && isState(f[1]) && isNumber(f[2]) && isNumber(f[3]):
		return r.ss(f[1:])
	case len(f) < 3:
		if len(f) == 2 && !hasPort(f[1]) {
			return other, nil // "TCP statistics"
		}
		return other, errCut
	case !hasPort(f[1]) && !hasPort(f[2]):
		return other, nil
	}
	return r.windowsNetstat(f)
}

// stray says why a line that is no row shows an address and a port; nil where it
// shows none, as headers and prompts.
func stray(f [][]byte) error {
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
	return errCut
}

func protocolOf(field []byte) (socket.Protocol, bool) {
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

// split is bytes.Fields that allocates nothing; what is beyond the room of to is left
// out.
func split(line []byte, to [][]byte) [][]byte {
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

func isNumber(field []byte) bool { _, ok := number(field); return ok }
func isState(field []byte) bool  { _, ok := exact(field); return ok }

func isAddr(field []byte) bool {
	_, err := parseAddr(field)
	return err == nil
}

// hasPort says that field is an address and a port, or nearly so.
func hasPort(field []byte) bool {
	colon := bytes.LastIndexByte(field, ':')
	if colon < 1 || colon == len(field)-1 && !bytes.ContainsAny(field[:colon], ".]") {
		return false
	}
	return field[0] == '[' && bytes.IndexByte(field, ']') > 0 || isAddr(field[:colon]) || isNames(field, colon)
}

// isNames says that field is HOST:PORT of which a part is a name.
func isNames(field []byte, colon int) bool {
	return isNumber(field[colon+1:]) && !bytes.ContainsAny(field[:colon], `\/(",`) && bytes.IndexByte(field, ':') == colon && colon > 2
}
