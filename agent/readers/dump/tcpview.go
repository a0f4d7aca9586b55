package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
)

// decodeTCPViewLine decodes a line with tabs or commas between its fields, which only
// TCPView writes. done is false for any other line. Versions 2 and 3 write the state last,
// version 4 before the addresses.
func (d *lineDecoder) decodeTCPViewLine(line []byte, r *socketRow) (k lineKind, done bool, err error) {
	f := d.splitCells(line)
	if len(f) < 4 {
		return otherLine, false, nil
	}
	at := -1
	for i, cell := range f {
		if _, ok := parseProtocol(cell); ok {
			at = i
			break
		}
	}
	if at < 1 || at > 3 {
		return otherLine, false, nil // also the header
	}
	r.protocol, _ = parseProtocol(f[at])
	k, err = r.decodeTCPViewRow(f[:at], f[at+1:])
	return k, true, err
}

// splitCells splits a line at tabs or, if it has none, at commas.
func (d *lineDecoder) splitCells(line []byte) [][]byte {
	separator := byte('\t')
	if bytes.IndexByte(line, separator) < 0 {
		if separator = ','; bytes.IndexByte(line, separator) < 0 {
			return nil
		}
	}
	f := d.fields[:0]
	for len(f) < cap(f) {
		cell, rest, more := bytes.Cut(line, []byte{separator})
		f = append(f, bytes.Trim(cell, `" `))
		if !more {
			break
		}
		line = rest
	}
	return f
}

// decodeTCPViewRow decodes the cells before the protocol, PROCESS and PID or PROCESS:PID,
// and after it: the addresses, with ports in the same or in separate cells, and the state
// before or after them.
func (r *socketRow) decodeTCPViewRow(before, after [][]byte) (lineKind, error) {
	r.format = TCPView
	r.parseOwner(before)
	word := []byte(nil)
	if len(after) > 0 && (len(after[0]) == 0 || isState(after[0])) { // version 4
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
