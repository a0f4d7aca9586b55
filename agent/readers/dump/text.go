package dump

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"unicode/utf16"
	"unicode/utf8"
)

// maxLine is the maximum length of a line, in bytes. ss -p prints long lines for a socket
// that is shared by thousands of processes.
const maxLine = 256 << 10

// errBinary is returned for files that are not text.
var errBinary = errors.New("binary data, not the text output of netstat, ss or TCPView")

// lineReader reads the lines of a dump. It converts UTF-16, which PowerShell's > writes, to
// UTF-8. Characters of a code page beyond ASCII are not converted, since they are not
// needed to recognize a line.
type lineReader struct {
	in     *bufio.Reader
	number int // of the last line, from 1
	// tail is the end of a piece of a long line, which the next piece continues.
	tail []byte
	// inLine is true after a piece, and isSkipping if the rest of its line is omitted.
	inLine, isSkipping bool
}

// textLine is a line, or a piece of one that is longer than maxLine.
type textLine struct {
	text []byte
	// isPiece is true for a piece that others follow. isUnterminated means that it is the last
	// line and has no line end.
	isPiece, isUnterminated bool
	// isTooLong is true for the end of a line that was omitted.
	isTooLong bool
}

func newLineReader(r io.Reader) (*lineReader, error) {
	in := bufio.NewReaderSize(r, maxLine)
	head, err := in.Peek(1024)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch order := detectUTF16(head); {
	case order != unknownOrder:
		in = bufio.NewReaderSize(&utf16Reader{in: in, order: order}, maxLine)
	case isBinary(head):
		return nil, errBinary
	}
	return &lineReader{in: in}, nil
}

// readNext returns the next line or piece without its line end, valid until the next call, or
// io.EOF.
func (t *lineReader) readNext() (l textLine, err error) {
	l.text, err = t.in.ReadSlice('\n')
	l.isPiece = errors.Is(err, bufio.ErrBufferFull)
	if err != nil && !l.isPiece && (!errors.Is(err, io.EOF) || len(l.text) == 0 && !t.inLine) {
		return l, err
	}
	if !t.inLine {
		t.number++
	}
	l.isUnterminated = err != nil && !l.isPiece
	if l.isTooLong = t.isSkipping && !l.isPiece; t.isSkipping {
		l.text = nil
	}
	if len(t.tail) > 0 {
		l.text = append(t.tail, l.text...)
		t.tail = nil
	}
	if t.inLine = l.isPiece; !l.isPiece {
		l.text, t.isSkipping = trimLine(l.text), false
	}
	return l, nil
}

// keepTail keeps the end of a piece, from which the line continues. If that is the whole piece,
// the line is omitted.
func (t *lineReader) keepTail(piece, tail []byte) {
	if t.isSkipping = t.isSkipping || len(tail) == len(piece); !t.isSkipping {
		t.tail = bytes.Clone(tail)
	}
}

// trimLine removes the line end, a byte order mark, and the zero bytes of UTF-16 that was
// appended to text in another encoding.
func trimLine(line []byte) []byte {
	line = bytes.TrimPrefix(bytes.TrimPrefix(line, []byte("\xff\xfe")), []byte("\xfe\xff"))
	if zeros := bytes.Count(line, []byte{0}); zeros > 0 && 3*zeros >= len(line) {
		kept := line[:0]
		for _, b := range line {
			if b != 0 {
				kept = append(kept, b)
			}
		}
		line = kept
	}
	line = bytes.TrimPrefix(line, []byte("\ufeff"))
	if bytes.Contains(line, []byte("\u00a0")) { // no-break spaces, from a web page
		line = bytes.ReplaceAll(line, []byte("\u00a0"), []byte(" "))
	}
	return bytes.TrimRight(removeEscapes(line), "\r\n")
}

// removeEscapes removes the escape sequences of a terminal, such as the colours of grep: ESC, [,
// parameters and a letter (ECMA-48, 5.4).
func removeEscapes(line []byte) []byte {
	const escape = 0x1b
	if bytes.IndexByte(line, escape) < 0 {
		return line
	}
	kept := make([]byte, 0, len(line))
	for i := 0; i < len(line); i++ {
		if line[i] != escape {
			kept = append(kept, line[i])
			continue
		}
		if i++; i < len(line) && line[i] == '[' {
			for i++; i < len(line) && line[i] < '@'; {
				i++
			}
		}
	}
	return kept
}

// byteOrder is the byte order of UTF-16.
type byteOrder uint8

const (
	unknownOrder byteOrder = iota
	littleEndian
	bigEndian
)

// detectUTF16 detects UTF-16 by its byte order mark or, because most of a dump is ASCII, by
// the fact that every other byte is zero.
func detectUTF16(head []byte) byteOrder {
	switch {
	case bytes.HasPrefix(head, []byte("\xff\xfe")):
		return littleEndian
	case bytes.HasPrefix(head, []byte("\xfe\xff")):
		return bigEndian
	}
	var zeros [2]int
	for i, b := range head {
		if b == 0 {
			zeros[i%2]++
		}
	}
	half := len(head) / 2
	switch {
	case 2*zeros[1] > half && zeros[0] == 0:
		return littleEndian
	case 2*zeros[0] > half && zeros[1] == 0:
		return bigEndian
	}
	return unknownOrder
}

// isBinary reports whether head contains bytes that do not occur in text.
func isBinary(head []byte) bool {
	controls := 0
	for _, b := range head {
		switch {
		case b == 0:
			return true
		case b < ' ' && b != '\t' && b != '\r' && b != '\n' && b != '\f' && b != 0x1b:
			controls++
		}
	}
	return controls > len(head)/50
}

// utf16Reader converts UTF-16 to UTF-8.
type utf16Reader struct {
	in    io.Reader
	order byteOrder
	raw   [8192]byte
	odd   int    // number of bytes at the start of raw left from the last read
	high  rune   // a surrogate whose other half has not been read yet, or 0
	ready []byte // converted, but not read yet
	out   []byte
}

func (u *utf16Reader) Read(p []byte) (int, error) {
	for len(u.ready) == 0 {
		n, err := u.in.Read(u.raw[u.odd:])
		n += u.odd
		u.convertUTF16(u.raw[:n&^1])
		u.odd = copy(u.raw[:], u.raw[n&^1:n])
		if err != nil && len(u.ready) == 0 {
			return 0, err
		}
	}
	n := copy(p, u.ready)
	u.ready = u.ready[n:]
	return n, nil
}

func (u *utf16Reader) convertUTF16(raw []byte) {
	u.out = u.out[:0]
	for i := 0; i+1 < len(raw); i += 2 {
		r := rune(raw[i]) | rune(raw[i+1])<<8
		if u.order == bigEndian {
			r = rune(raw[i])<<8 | rune(raw[i+1])
		}
		switch {
		case u.high != 0:
			r, u.high = utf16.DecodeRune(u.high, r), 0
		case utf16.IsSurrogate(r):
			u.high = r
			continue
		}
		u.out = utf8.AppendRune(u.out, r)
	}
	u.ready = u.out
}
