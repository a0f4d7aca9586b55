package dump

import (
	"bytes"
	"encoding/json"
	"strings"

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
		_, _, isJSON := cutPair(line) // of another property
		return otherLine, isJSON, nil
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
	if len(line) == 0 || line[0] != '[' {
		return title, false
	}
	name, program, ok := bytes.Cut(line, []byte("] "))
	if !ok || len(name) < 4 {
		return title, false
	}
	protocol, ok := parseProtocol(name[1:])
	program = bytes.TrimSpace(program[bytes.LastIndexByte(program, '\\')+1:])
	return record{format: TCPView, isUDP: protocol == socket.UDP, process: bytes.Clone(program)}, ok
}

// parsePair parses "Name : value" and `"Name": value,`.
func parsePair(line []byte) (c column, value []byte, ok bool) {
	name, value, ok := bytes.Cut(line, []byte(":"))
	if !ok || len(name) > 2*maxColumnName || len(name) > 0 && isDigit(name[len(name)-1]) {
		return 0, nil, false
	}
	c, ok = parseColumn(bytes.TrimLeft(name, "[{ ,"))
	return c, bytes.Trim(value, "\" \t,}]"), ok && c != processColumn || ok && len(value) > 0
}

// cutPair cuts a line of JSON after its first property. ok is false if the line does not start
// with a property. Of a property whose value has a row, it returns the value.
func cutPair(line []byte) (pair, rest []byte, ok bool) {
	if len(line) == 0 || isLetterOrDigit(line[0]) {
		return nil, nil, false
	}
	text := bytes.TrimLeft(line, "[]{}, \t")
	if len(text) < 3 || text[0] != '"' {
		return nil, nil, false
	}
	name := text[:measureString(text)]
	value := bytes.TrimLeft(text[len(name):], " \t")
	if len(value) == 0 || value[0] != ':' {
		return nil, nil, false
	}
	value = bytes.TrimLeft(value[1:], " \t")
	length := measureValue(value)
	if _, isColumn := parseColumn(name); !isColumn {
		if text, ok := findLoggedRow(value, length); ok {
			return text, nil, true
		}
	}
	valueAt := len(line) - len(value)
	return line[:valueAt+length], bytes.TrimLeft(line[valueAt+length:], "[]{}, \t"), true
}

// measureString returns the length of the JSON string at the start of text, with its quotes.
func measureString(text []byte) int {
	for i := 1; i < len(text); i++ {
		switch text[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(text)
}

// measureValue returns the length of the JSON value at the start of text. It is 0 for an
// object, whose properties follow.
func measureValue(text []byte) int {
	length := bytes.IndexAny(text, ",{}[]")
	switch {
	case len(text) == 0:
		return 0
	case text[0] == '"':
		return measureString(text)
	case text[0] == '[' && !bytes.HasPrefix(bytes.TrimLeft(text[1:], " \t"), []byte("{")):
		return bytes.IndexByte(text, ']') + 1
	case length < 0:
		return len(text)
	}
	return length
}

// findLoggedRow returns the text of a JSON value of that length if it has a row, as in the log of
// a container.
func findLoggedRow(value []byte, length int) (text []byte, ok bool) {
	switch {
	case length == 0 || !isLetterOrDigit(value[0]) && value[0] != '"' || isDigit(value[0]):
		return nil, false
	case value[0] != '"':
		text = value // not quoted, as in YAML
	default:
		var s string
		if json.Unmarshal(value[:length], &s) != nil {
			return nil, false
		}
		text = []byte(strings.TrimSpace(s))
	}
	var fields [24][]byte
	f := splitFields(text, fields[:0])
	if len(f) < minRowStart {
		return nil, false
	}
	_, isFirst := matchRow(f)
	_, isLater := rowFinder{first: f[0]}.findRowStart(f, 0)
	return text, isFirst || isLater || findLsofType(f) > 0
}
