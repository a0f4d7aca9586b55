package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
)

// table reads a line of fields between tabs or commas, which only TCPView writes;
// done is false for any other line. Versions 2 and 3 put the state last, 4 before
// the addresses.
func (d *decoder) table(line []byte, r *row) (k kind, done bool, err error) {
	f := d.cells(line)
	if len(f) < 4 {
		return other, false, nil
	}
	at := -1
	for i, cell := range f {
		if _, ok := protocolOf(cell); ok {
			at = i
			break
		}
	}
	if at < 1 || at > 3 {
		return other, false, nil // also the header
	}
	r.protocol, _ = protocolOf(f[at])
	k, err = r.tcpView(f[:at], f[at+1:])
	return k, true, err
}

// cells are the fields of a line between tabs, or else between commas.
func (d *decoder) cells(line []byte) [][]byte {
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

// tcpView reads what stands before the protocol, PROCESS and PID or PROCESS:PID,
// and after it: the addresses with their ports beside them or in a cell of their
// own, and the state before or behind.
func (r *row) tcpView(before, after [][]byte) (kind, error) {
	r.format = TCPView
	r.owner(before)
	word := []byte(nil)
	if len(after) > 0 && (len(after[0]) == 0 || isState(after[0])) { // version 4
		word, after = after[0], after[1:]
	}
	rest, err := r.endpoints(after)
	if err != nil || r.protocol == socket.UDP {
		return isRow, err
	}
	if len(word) == 0 && len(rest) > 0 {
		word = rest[0]
	}
	if len(word) == 0 {
		return other, errCut
	}
	r.told(word)
	return isRow, nil
}

func (r *row) owner(f [][]byte) {
	r.process = f[0]
	if len(f) > 1 {
		if pid, ok := number(f[1]); ok {
			r.pid = pid
		}
		return
	}
	if colon := bytes.LastIndexByte(f[0], ':'); colon >= 0 {
		if pid, ok := number(f[0][colon+1:]); ok {
			r.process, r.pid = f[0][:colon], pid
		}
	}
}

// endpoints takes both addresses and returns the cells behind them.
func (r *row) endpoints(f [][]byte) ([][]byte, error) {
	if len(f) < 2 {
		return nil, errCut
	}
	if joined(f[0]) {
		var err error
		if r.local, err = parseEndpoint(f[0]); err != nil {
			return nil, err
		}
		r.remote, err = parseEndpoint(f[1])
		return f[2:], err
	}
	var err error
	if r.local, err = pairOf(f[0], f[1]); err != nil {
		return nil, err
	}
	switch {
	case r.protocol == socket.UDP && len(f) < 4:
		return nil, nil
	case len(f) < 4:
		return nil, errCut
	case len(f[3]) == 0: // a listener, in version 4
		return f[4:], nil
	}
	r.remote, err = pairOf(f[2], f[3])
	return f[4:], err
}

// joined says that cell has an address and a port.
func joined(cell []byte) bool {
	if isAddr(cell) {
		return false
	}
	_, err := parseEndpoint(cell)
	return err == nil
}
