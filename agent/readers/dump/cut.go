package dump

import "bytes"

// cutRow cuts line in front of its second part, which is nil if there is none. A part is a
// row, or text before the first row such as a time stamp, so that each part can be decoded
// like a line.
func (d *lineDecoder) cutRow(line []byte) (part, rest []byte) {
	if part, rest, ok := cutPair(line); ok {
		return part, rest
	}
	if bytes.IndexByte(line, '\t') >= 0 && findTCPViewProtocol(splitQuoted(line, '\t', d.cells[:0])) > 0 {
		return line, nil
	}
	f := splitFields(line, d.fields[:0])
	if len(f) < minRowStart || isSingleRow(f) || findLsofType(f) > 0 || isTCPViewFields(f) {
		return line, nil
	}
	finder := rowFinder{first: f[0]}
	for from := 0; ; from = 1 {
		if at, ok := finder.findRowStart(f, from); ok {
			offset := cap(line) - cap(at)
			return line[:offset], line[offset:]
		}
		if len(f) < cap(f) { // these were the last fields
			return line, nil
		}
		next := f[len(f)-maxRowStart-1]
		f = splitFields(line[cap(line)-cap(next):], f[:0])
	}
}

// isSingleRow reports whether fields are one row, without text before it, and too few for two.
// It only saves time.
func isSingleRow(f [][]byte) bool {
	const fewest = 5 // fields of a row with queues
	if _, ok := parseProtocol(f[0]); !ok && !isState(f[0]) {
		return false
	}
	return len(f) < 2*fewest && len(f) > 2 && isNumber(f[1]) && isNumber(f[2]) || len(f) < 2*minRowStart
}

// A row is recognized by its first fields, at least minRowStart and at most maxRowStart.
const minRowStart, maxRowStart = 3, 5

// rowFinder finds rows in a line with this first field.
type rowFinder struct{ first []byte }

// findRowStart returns the part of the line from a row that follows other text, with all its
// capacity. from is the index of the first field that may start a row. The field with index 0
// starts one only after other characters.
func (r rowFinder) findRowStart(f [][]byte, from int) (at []byte, ok bool) {
	for i := from; i <= len(f)-minRowStart; i++ {
		if i > 0 && isNetid(f[i-1]) {
			continue // the columns after the protocol
		}
		g := f[i:]
		offset, ok := matchRow(g)
		if !ok && i > 0 {
			ok = r.matchBareRow(f[i-1], g)
		}
		if ok && (i > 0 || offset > 0) {
			return g[0][offset:], true
		}
	}
	return nil, false
}

// matchBareRow reports whether fields start with a row that has no column of the protocol, nor
// of the queues or of the state. previous is the field before.
func (r rowFinder) matchBareRow(previous []byte, g [][]byte) bool {
	colons := [3]bool{hasColon(g[0]), hasColon(g[1]), hasColon(g[2])}
	switch colons {
	case [3]bool{false, false, true}:
		return isStatelessSS(g) && !isState(previous)
	case [3]bool{false, true, true}: // STATE A B
		return isState(g[0]) && hasPort(g[1]) && hasPort(g[2]) && (!hasPort(previous) || isState(r.first))
	case [3]bool{true, true, false}: // A B STATE
		return isState(g[2]) && isState(previous) && hasPort(g[0]) && hasPort(g[1]) && !isState(r.first)
	}
	return false
}

// isNetid reports whether field is a value of ss's column Netid.
func isNetid(field []byte) bool {
	_, ok := parseProtocol(field)
	return ok || isOtherProtocol(field)
}

// isOtherProtocol reports whether field is a protocol that has sockets with addresses and ports,
// other than TCP and UDP (iproute2, misc/ss.c).
func isOtherProtocol(field []byte) bool {
	switch string(field) {
	case "sctp", "dccp", "raw", "raw6", "icmp", "icmp6", "v_str", "v_dgr", "v_seq", "xdp", "p_raw", "p_dgr", "nl":
		return true
	}
	return false
}

// matchRow reports whether fields start with a row, and how many bytes of the first field
// precede it, as in "node7.txt:tcp" and "4711TCP".
func matchRow(g [][]byte) (offset int, ok bool) {
	switch g[0][len(g[0])-1] {
	case 'P', 'p', '6', 'e':
		if offset, ok = findProtocol(g[0]); ok && isProtocolRow(g) {
			return offset, true
		}
	case ':':
		return 0, isProcRow(g)
	}
	if len(g) > 4 && isNumber(g[1]) && isNumber(g[2]) && hasColon(g[3]) && hasColon(g[4]) {
		return findSuffix(g[0], isState)
	}
	if len(g) > 4 && isNumber(g[1]) && isNumber(g[3]) && isAddr(g[2]) {
		return findSuffix(g[0], isAddr)
	}
	return 0, false
}

// isProtocolRow reports whether fields after a protocol are those of netstat or ss.
func isProtocolRow(g [][]byte) bool {
	switch {
	case len(g) > 4 && isNumber(g[1]) && isNumber(g[2]):
		return hasColon(g[3]) && hasColon(g[4])
	case len(g) > 4 && isNumber(g[2]) && isNumber(g[3]):
		return isState(g[1])
	}
	return hasPort(g[1]) && hasColon(g[2]) || hasColon(g[1]) && hasPort(g[2])
}

func hasColon(field []byte) bool { return bytes.IndexByte(field, ':') >= 0 }

// findProtocol returns the offset of a protocol at the end of field, after a character that is
// not a letter, or after a PID.
func findProtocol(field []byte) (offset int, ok bool) {
	for n := 3; n <= min(8, len(field)); n++ {
		offset = len(field) - n
		if _, ok := parseProtocol(field[offset:]); !ok {
			continue
		}
		if before := field[:offset]; offset == 0 || isNumber(before) || !isLetterOrDigit(before[offset-1]) {
			return offset, true
		}
	}
	return 0, false
}

func isLetterOrDigit(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9'
}

// findSuffix returns the offset of the longest suffix of field that is valid and that begins
// the field or follows a separator.
func findSuffix(field []byte, isValid func([]byte) bool) (offset int, ok bool) {
	if isValid(field) {
		return 0, true
	}
	for i, b := range field[:len(field)-1] {
		if bytes.IndexByte([]byte(`:>|"'])`), b) >= 0 && isValid(field[i+1:]) {
			return i + 1, true
		}
	}
	return 0, false
}

// isNetTCPConnection reports whether fields start with two addresses, each followed by a port.
func isNetTCPConnection(f [][]byte) bool {
	return len(f) > 4 && isNumber(f[1]) && isNumber(f[3]) && isAddr(f[0]) && isAddr(f[2])
}

func isTCPViewFields(f [][]byte) bool { _, _, ok := findTCPViewFields(f); return ok }

// isStatelessSS reports whether fields are a row of ss without the columns of the protocol and
// of the state.
func isStatelessSS(f [][]byte) bool {
	return len(f) > 3 && isNumber(f[0]) && isNumber(f[1]) && hasPort(f[2]) && hasColon(f[3])
}
