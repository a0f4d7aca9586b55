package dump

import (
	"bytes"
	"slices"

	"portreeve.io/portreeve/agent/socket"
)

// decodeTCPViewCells decodes cells with a protocol, as TCPView and Tcpvcon -c write them. done
// is false for any other line. Versions 2 and 3 write the state last, version 4 before the
// addresses, and Tcpvcon the protocol first.
func (d *lineDecoder) decodeTCPViewCells(f [][]byte, separator byte, r *socketRow) (k lineKind, done bool, err error) {
	at := findTCPViewProtocol(f)
	if at < 0 || len(f) < 4 || at == 0 && separator == '\t' {
		return otherLine, false, nil // also the header
	}
	r.protocol, _ = parseProtocol(f[at])
	switch {
	case at > 0:
		k, err = r.decodeTCPViewRow(f[:at], f[at+1:])
	case isNumber(f[1]) || hasPort(f[1]): // netstat as CSV
		k, err = r.decodeProtocolRow(f)
	default:
		k, err = r.decodeTCPViewRow(f[1:3], f[3:])
	}
	return k, true, err
}

// findTCPViewProtocol returns the index of the cell with the protocol, -1 if there is none.
func findTCPViewProtocol(f [][]byte) int {
	return slices.IndexFunc(f[:min(4, len(f))], func(cell []byte) bool { _, ok := parseProtocol(cell); return ok })
}

// findTCPViewFields returns the index of the protocol in a row of TCPView whose tabs became
// blanks, and that of the local address. ok is false for any other line.
func findTCPViewFields(f [][]byte) (at, address int, ok bool) {
	const maxBefore, maxState = 4, 2 // words of the process and PID, and of the state
	for at = 1; at <= maxBefore && at < len(f); at++ {
		if _, ok := parseProtocol(f[at]); !ok {
			continue
		}
		for address = at + 1; address <= at+1+maxState; address++ {
			if isNetTCPConnection(f[min(address, len(f)):]) {
				return at, address, address == at+1 || isState(joinFields(f[at+1:address]))
			}
		}
	}
	return 0, 0, false
}

// decodeTCPViewFields decodes such a row.
func (r *socketRow) decodeTCPViewFields(f [][]byte) (lineKind, error) {
	at, address, _ := findTCPViewFields(f)
	r.protocol, _ = parseProtocol(f[at])
	before, after := [][]byte{f[0]}, f[address:]
	if pid := f[at-1]; at > 1 && isNumber(pid) {
		before = [][]byte{joinFields(f[:at-1]), pid}
	}
	if address > at+1 {
		after = append([][]byte{joinFields(f[at+1 : address])}, after...)
	}
	return r.decodeTCPViewRow(before, after)
}

// decodeTCPViewRow decodes the cells before the protocol, PROCESS and PID or PROCESS:PID,
// and after it: the addresses, with ports in the same or in separate cells, and the state
// before or after them.
func (r *socketRow) decodeTCPViewRow(before, after [][]byte) (lineKind, error) {
	r.format = TCPView
	r.parseOwner(before)
	word := []byte(nil)
	if len(after) > 0 && (len(after[0]) == 0 || string(after[0]) == "*" || isState(after[0])) { // version 4 and Tcpvcon
		word, after = after[0], after[1:]
	}
	rest, err := r.parseEndpoints(after)
	if err != nil || r.protocol == socket.UDP {
		return rowLine, err
	}
	if len(word) == 0 && len(rest) > 0 {
		word = rest[0]
	}
	if len(word) == 0 {
		return otherLine, errTruncated
	}
	r.setState(word)
	return rowLine, nil
}

func (r *socketRow) parseOwner(f [][]byte) {
	r.process = f[0]
	if len(f) > 1 {
		if pid, ok := parseNumber(f[1]); ok {
			r.pid = pid
		}
		return
	}
	if colon := bytes.LastIndexByte(f[0], ':'); colon >= 0 {
		if pid, ok := parseNumber(f[0][colon+1:]); ok {
			r.process, r.pid = f[0][:colon], pid
		}
	}
}

// parseEndpoints parses both addresses and returns the cells after them.
func (r *socketRow) parseEndpoints(f [][]byte) ([][]byte, error) {
	if len(f) < 2 {
		return nil, errTruncated
	}
	if isEndpoint(f[0]) {
		var err error
		if r.local, err = parseEndpoint(f[0]); err != nil {
			return nil, err
		}
		r.remote, err = parseEndpoint(f[1])
		return f[2:], err
	}
	var err error
	if r.local, err = parseHostPort(f[0], f[1]); err != nil {
		return nil, err
	}
	switch {
	case r.protocol == socket.UDP && len(f) < 4:
		return nil, nil
	case len(f) < 4:
		return nil, errTruncated
	case len(f[3]) == 0: // a listener, in version 4
		return f[4:], nil
	}
	r.remote, err = parseHostPort(f[2], f[3])
	return f[4:], err
}

// isEndpoint reports whether cell contains both an address and a port.
func isEndpoint(cell []byte) bool {
	if isAddr(cell) {
		return false
	}
	_, err := parseEndpoint(cell)
	return err == nil
}
