package dump

import (
	"bytes"
	"errors"
)

var (
	errNoRemotePort = errors.New("no remote port; select RemotePort too")
	errColumns      = errors.New("truncated, or not the columns of its header")
)

// tableHeader has the columns of the table that PowerShell printed last, as text or as CSV.
type tableHeader struct {
	columns []column
	has     columnSet
	// separator is the character between the cells of CSV, 0 for text.
	separator byte
}

// isTable reports whether the last header is that of text.
func (h *tableHeader) isTable() bool { return h.columns != nil && h.separator == 0 }

// parseFields parses the header of a table in text, and reports whether f is one.
func (h *tableHeader) parseFields(f [][]byte) bool {
	if isSSHeader(f) {
		*h = tableHeader{}
		return true
	}
	return h.parse(f, 0)
}

// isSSHeader reports whether f is a header of ss or of netstat.
func isSSHeader(f [][]byte) bool {
	for i := range f[:len(f)-1] {
		if string(f[i]) == "Recv-Q" && string(f[i+1]) == "Send-Q" {
			return true
		}
	}
	return false
}

// parse parses a header. Only PowerShell's names have no blanks, as in LocalPort.
func (h *tableHeader) parse(cells [][]byte, separator byte) bool {
	var next tableHeader
	isHeader := false
	for _, name := range cells {
		name = bytes.Trim(name, `"`)
		c, ok := parseColumn(name)
		if !ok && separator == 0 || bytes.IndexByte(name, ' ') >= 0 {
			return false
		}
		isHeader = isHeader || len(name) == len("LocalPort") && c == localPortColumn
		next.columns = append(next.columns, c)
		next.has.add(c)
	}
	if isHeader {
		next.separator = separator
		*h = next
	}
	return isHeader
}

// decodeFields decodes a row of a table in text.
func (h *tableHeader) decodeFields(f [][]byte, r *socketRow) (lineKind, error) {
	if !startsLikeRow(f[0]) {
		return otherLine, explainUnparsedLine(f)
	}
	r.format = NetTCPConnection
	var state []byte
	for i, c := range h.columns {
		missing := len(h.columns) - i - len(f)
		switch {
		case len(f) == 0 && (c == settingColumn || c == otherColumn):
			continue
		case len(f) == 0:
			return otherLine, errColumns
		case c == settingColumn && missing > 0:
			continue
		case c == timeColumn && missing < 0:
			f = f[-missing:]
		case c == stateColumn:
			state = f[0]
		}
		if err := r.setColumn(c, f[0]); err != nil {
			return otherLine, err
		}
		f = f[1:]
	}
	return r.completeColumns(h.has, state)
}

// startsLikeRow reports whether a line that starts with field may be a row of a table, rather
// than a prompt or the dashes below the header.
func startsLikeRow(field []byte) bool {
	return isNumber(field) || isState(field) || isAddr(field) || bytes.HasSuffix(field, []byte("...")) || bytes.HasSuffix(field, []byte("…"))
}

// decodeCells decodes a line with separators between its cells: CSV, and TCPView. done is
// false for any other line.
func (d *lineDecoder) decodeCells(line []byte, r *socketRow) (k lineKind, done bool, err error) {
	if separator := d.header.separator; separator != 0 {
		f := splitQuoted(line, separator, d.cells[:0])
		if len(f) == len(d.header.columns) {
			k, err = d.header.decodeCells(f, r)
			return k, true, err
		}
	}
	separator := findSeparator(line)
	if separator == 0 {
		return otherLine, false, nil
	}
	f := splitQuoted(line, separator, d.cells[:0])
	if len(f) < 2 {
		return otherLine, false, nil
	}
	if d.header.parse(f, separator) {
		return headerLine, true, nil
	}
	return d.decodeTCPViewCells(f, separator, r)
}

// decodeCells decodes a row of CSV.
func (h *tableHeader) decodeCells(f [][]byte, r *socketRow) (lineKind, error) {
	r.format = NetTCPConnection
	var state []byte
	for i, c := range h.columns {
		if c == stateColumn {
			state = f[i]
		}
		if err := r.setColumn(c, f[i]); err != nil {
			return otherLine, err
		}
	}
	return r.completeColumns(h.has, state)
}

// findSeparator returns the separator of a line, 0 if it has none.
func findSeparator(line []byte) byte {
	for _, separator := range []byte("\t;,") {
		if bytes.IndexByte(line, separator) >= 0 {
			return separator
		}
	}
	return 0
}

// splitQuoted appends the cells of a line to to, without their quotes and blanks. A quoted cell
// may contain separators. Cells beyond the capacity of to are omitted.
func splitQuoted(line []byte, separator byte, to [][]byte) [][]byte {
	for len(to) < cap(to) {
		end := bytes.IndexByte(line, separator)
		if len(line) > 1 && line[0] == '"' {
			if closing := bytes.IndexByte(line[1:], '"'); closing >= 0 && end >= 0 && end < closing+1 {
				end = closing + 2
				if end >= len(line) {
					end = -1
				}
			}
		}
		if end < 0 {
			return append(to, bytes.Trim(line, `" `))
		}
		to = append(to, bytes.Trim(line[:end], `" `))
		line = line[end+1:]
	}
	return to
}
