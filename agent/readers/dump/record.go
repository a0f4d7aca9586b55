package dump

import (
	"bytes"

	"portreeve.io/portreeve/agent/socket"
)

// record is a socket that is printed with one property per line or as a JSON object: by
// PowerShell's Format-List and ConvertTo-Json, and by Tcpvcon.
type record struct {
	row   socketRow
	has   columnSet
	state []byte
	err   error
	// process and protocol are the title of a record of Tcpvcon.
	process []byte
	isUDP   bool
	format  Format
}

// decodeRecordLine decodes a line with one property. r receives the record that the line ends.
// done is false for lines of other formats.
func (d *lineDecoder) decodeRecordLine(line []byte, r *socketRow) (k lineKind, done bool, err error) {
	title, isTitle := parseTcpvconTitle(line)
	c, value, isPair := parsePair(line)
	switch {
	case len(line) == 0 || isTitle || isPair && d.record.has.has(c):
		k, err = d.finishRecord(r)
	case !isPair:
		return otherLine, false, nil
	}
	switch {
	case isTitle:
		d.record = title
	case isPair:
		d.record.add(c, value)
	}
	return k, k == rowLine || err != nil || isPair || isTitle, err
}

// finishRecord decodes the record into r, if it is a socket.
func (d *lineDecoder) finishRecord(r *socketRow) (lineKind, error) {
	last := d.record
	d.record = record{}
	switch {
	case !last.has.isSocket():
		return otherLine, nil
	case last.err != nil:
		return otherLine, last.err
	}
	pid := last.row.pid
	*r = last.row
	if r.pid = pid; r.process == nil {
		r.process = last.process
	}
	r.format = last.format
	if last.isUDP {
		r.protocol = socket.UDP
		return rowLine, nil
	}
	return r.completeColumns(last.has, last.state)
}

// add adds a property. It copies the value, since the line is gone when the record ends.
func (p *record) add(c column, value []byte) {
	if p.has == 0 {
		p.row.reset()
		if p.format == "" {
			p.format = NetTCPConnection
		}
	}
	p.has.add(c)
	switch c {
	case stateColumn:
		p.state = bytes.Clone(value)
		return
	case processColumn:
		value = bytes.Clone(value)
	}
	if err := p.row.setColumn(c, value); err != nil && p.err == nil {
		p.err = err
	}
}

// parseTcpvconTitle parses the first line of a record of Tcpvcon: [TCP] C:\path\program.exe.
func parseTcpvconTitle(line []byte) (title record, ok bool) {
	name, program, ok := bytes.Cut(line, []byte("] "))
	if !ok || len(name) < 4 || name[0] != '[' {
		return title, false
	}
	protocol, ok := parseProtocol(name[1:])
	program = bytes.TrimSpace(program[bytes.LastIndexByte(program, '\\')+1:])
	return record{format: TCPView, isUDP: protocol == socket.UDP, process: bytes.Clone(program)}, ok
}

// parsePair parses "Name : value" and `"Name": value,`.
func parsePair(line []byte) (c column, value []byte, ok bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) > 2*maxColumnName {
		return 0, nil, false
	}
	c, ok = parseColumn(bytes.TrimLeft(name, "[{ ,"))
	return c, bytes.Trim(value, "\" \t,}]"), ok && c != processColumn || ok && len(value) > 0
}

// cutPair cuts a line of JSON after its first property. ok is false if the line does not start
// with a property.
func cutPair(line []byte) (pair, rest []byte, ok bool) {
	text := bytes.TrimLeft(line, "[]{}, \t")
	if len(text) < 3 || text[0] != '"' {
		return nil, nil, false
	}
	end := bytes.IndexByte(text[1:], '"') + 2
	value := bytes.TrimLeft(text[max(1, end):], " \t")
	if end < 2 || len(value) == 0 || value[0] != ':' {
		return nil, nil, false
	}
	value = bytes.TrimLeft(value[1:], " \t")
	length := bytes.IndexAny(value, ",{}[]")
	if len(value) > 0 && value[0] == '"' {
		length = bytes.IndexByte(value[1:], '"') + 2
	}
	if length < 2 && (length < 0 || len(value) > 0 && value[0] == '"') {
		length = len(value)
	}
	valueAt := len(line) - len(value)
	pair, rest = line[:valueAt+length], bytes.TrimLeft(line[valueAt+length:], "[]{}, \t")
	return pair, rest, true
}
